"""Reading pages that a conversation names: which addresses, how, and what the model gets."""
