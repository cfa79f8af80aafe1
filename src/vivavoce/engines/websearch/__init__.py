"""Searching the web by way of a service that the configuration names.

Each service is a small `Adapter`: how it is asked, and where in its answer the results stand.
`settings` checks what the user wrote, `engine` asks and guards the answer, `results` cleans it.
"""
