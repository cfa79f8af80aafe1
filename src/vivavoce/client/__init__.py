"""Our own Live client, for the command line and for tests."""
