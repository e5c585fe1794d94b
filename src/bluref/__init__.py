"""BluRef: learn to deblur from a camera's own blurry and sharp frames, with no pairs."""

__version__ = "0.1.0"
