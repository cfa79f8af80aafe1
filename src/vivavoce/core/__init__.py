"""Conversation logic of a Live session, without I/O, clock, tasks or randomness."""
