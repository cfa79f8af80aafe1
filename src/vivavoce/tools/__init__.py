"""Tools that the server runs: web search, code execution, URL context, and MCP servers."""
