"""Evaluate turn taking on labelled speech: sets, measures, runs and the report."""
