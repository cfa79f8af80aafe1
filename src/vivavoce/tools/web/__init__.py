"""Reading pages that a conversation names: which addresses, how, and what the model gets."""

NAME = "url_context"
"""What a model calls the tool by, unless the client has a function of this name."""
