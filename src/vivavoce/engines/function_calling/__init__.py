"""Function calling for language models that can't call functions natively."""
