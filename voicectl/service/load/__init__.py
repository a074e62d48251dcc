"""Who gets in, and what is left out under load."""
