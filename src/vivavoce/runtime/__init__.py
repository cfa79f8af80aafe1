"""Asynchronous host of the core: transport, engines, timers and queues of one connection."""
