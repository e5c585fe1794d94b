"""How far a network looks, counted from its layers."""

from collections.abc import Sequence


def receptive_radius(steps: Sequence[tuple[int, int]]) -> int:
    """Pixels of the image that lie farther from a pixel than this have no say in it.

    Means and attention over the map are left out: they have every pixel in them, or those of a
    window (`restore.networks.pooling`).

    Args:
        steps: (stride, count) from the output back to the input: so many 3x3 convolutions, one
            after the other, on a map of that many pixels of the image per pixel, side by side.
            Maps are halved by 2x2 blocks, so that a pixel of a coarse map is a block of the image.
    """
    radius = 0
    for pixel in range(max(stride for stride, _ in steps)):
        low, high = pixel, pixel + 1
        for stride, count in steps:
            low = (low // stride - count) * stride
            high = (-(-high // stride) + count) * stride
        radius = max(radius, pixel - low, high - 1 - pixel)
    return radius
