"""Tools that the server runs itself: search, code, addresses, and those of MCP servers."""
