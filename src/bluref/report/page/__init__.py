"""The page a run ends in."""
