"""flite in process: clear English voices, fast on any machine, from the system's own library."""

from vivavoce.engines.flite.synthesizer import FliteSynthesizer, create

__all__ = ["FliteSynthesizer", "create"]
