"""The network's edge: one port, TLS and plain text, HTTP and WebSocket."""
