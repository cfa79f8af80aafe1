"""Configuration: settings with defaults and bounds, loaded from file, environment and flags."""
