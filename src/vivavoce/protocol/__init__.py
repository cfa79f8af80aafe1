"""Gemini Live API dialect: decode frames to events, encode messages to frames."""
