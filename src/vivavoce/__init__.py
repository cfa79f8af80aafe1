"""vivavoce: a self-hosted server for real-time conversation that speaks the Gemini Live API."""

__version__ = "0.1.0"
