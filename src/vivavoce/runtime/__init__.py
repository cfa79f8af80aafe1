"""The asynchronous host: the only place where the core meets the world."""
