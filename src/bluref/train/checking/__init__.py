"""Whether footage can be trained on, before hours are spent."""
