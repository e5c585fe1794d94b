"""Films: their frames with their times, and the same film anew around others."""
