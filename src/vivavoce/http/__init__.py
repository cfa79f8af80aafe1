"""HTTP and WebSocket server: TLS and plain text on one port."""
