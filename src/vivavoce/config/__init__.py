"""The configuration: what may be set (`settings`), and how it is read (`loading`)."""
