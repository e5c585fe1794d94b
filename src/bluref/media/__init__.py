"""Pictures and video, in and out: one image type, limits, outputs that appear whole."""
