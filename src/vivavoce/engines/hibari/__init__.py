"""hibari: a small English neural voice, turned into the thirty voices of the Live API."""

from vivavoce.engines.hibari.synthesizer import WEIGHTS, HibariSynthesizer, create, required_parts

__all__ = ["WEIGHTS", "HibariSynthesizer", "create", "required_parts"]
