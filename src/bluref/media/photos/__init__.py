"""Photographs: their pixels, and the same file anew around others."""
