"""Measurements of any Live endpoint: speech with known times, latencies, sessions that fit."""
