"""Recipes, losses, checkpoints and the one training loop."""
