"""Configuration: the settings, and how they are loaded."""
