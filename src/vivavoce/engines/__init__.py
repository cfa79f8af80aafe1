"""Engines for speech, language models and tools, behind small typed ports."""
