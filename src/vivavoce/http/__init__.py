"""HTTP server: Live WebSockets and REST, with and without TLS on one port."""
