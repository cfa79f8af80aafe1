"""Data types shared by all layers. Depends on no other package of the project."""
