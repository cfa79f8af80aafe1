"""Tools of MCP servers, from the configuration and from clients."""
