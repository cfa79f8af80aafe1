"""The chat completions form, as models in this process and on other machines share it."""
