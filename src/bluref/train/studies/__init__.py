"""Grids of runs, and one table of them."""
