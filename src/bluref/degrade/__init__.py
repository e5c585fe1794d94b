"""Warps, motion kernels, noise, and simulated footage with ground truth."""
