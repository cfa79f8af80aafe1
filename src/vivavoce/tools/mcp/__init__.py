"""Tools of MCP servers: those that the configuration names, and those that a client brings."""
