"""Client of the Live API, for the command line and tests."""
