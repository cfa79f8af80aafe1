"""The Gemini Live dialect: bytes to events, messages to bytes."""
