"""Public test helpers: conformance tests for engines, sandboxes and stores, and a virtual clock."""
