"""Every decision of a conversation, made without I/O, clock, tasks or randomness."""
