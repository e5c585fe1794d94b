"""Pairs of a blurry frame and its pseudo-sharp version, for any trainer: the paper's Sec. 4.5."""
