"""Public helpers for our tests and for engine authors."""
