"""Deblurring networks, their files, and the Deblurrer that people call."""
