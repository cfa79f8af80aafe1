"""hibari: a small English neural voice, turned into the thirty voices of the Live API."""

from vivavoce.engines.hibari.synthesizer import HibariSynthesizer, create, required_parts
from vivavoce.engines.hibari.weights import WEIGHTS

__all__ = ["WEIGHTS", "HibariSynthesizer", "create", "required_parts"]
