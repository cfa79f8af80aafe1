"""The HTTP server: one port, TLS and plain text, HTTP and WebSocket."""
