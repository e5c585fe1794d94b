"""What two pictures tell of the flow between them, on their own pixels: OpenCV's arrays throughout.

A flow is polished by a few steps of the variational method of Brox et al. (ECCV 2004), as far as
the target is sharp enough to tell anything; exposure is undone; and what a flow leads to is
compared with what was sought.
"""

import math
from collections.abc import Sequence

import cv2
import numpy as np
from jaxtyping import Float32, UInt8

# Reductions at which the flow is polished, one after the other. At full size it would gain another
# 0.3 dB, at a quarter of the time that the whole match takes.
SCALES = (4.0, 2.0)
# As OpenCV sets them.
STIFFNESS, SWEEPS = 20.0, 5
# Sides below which a reduced picture says nothing more.
LEAST = 16
# The blurs, in pixels, before two pictures are compared and before what they differ by is averaged.
LOOK, AROUND = 1.0, 2.0
# Difference (root mean square of the luminance, in [0, 1]) of two pictures that are half alike.
HALF_ALIKE = 0.03
# Change of the mean, as a logarithm, that blur alone may bring about.
BY_BLUR = 0.03
# Every so many rows and columns tell the exposure.
SPARSE = 4
# Energy of the target's gradient over that of what the flow leads to: with the first or less the
# flow stays as the network found it, with the second or more it is polished.
BLURRED = (0.1, 0.3)
# The window over which energy is averaged, in pixels of half the size, and what noise amounts to.
NEARBY, NOISE = 4.0, 0.5

SETTINGS = (
    *SCALES,
    STIFFNESS,
    SWEEPS,
    LEAST,
    LOOK,
    AROUND,
    HALF_ALIKE,
    BY_BLUR,
    SPARSE,
    *BLURRED,
    NEARBY,
    NOISE,
)
"""All that answers depend on."""

Grey = UInt8[np.ndarray, "h w"]
Field = Float32[np.ndarray, "h w 2"]
Plane = Float32[np.ndarray, "h w"]


def polished_flow(
    target: Grey,
    reference: Grey,
    flow: Field,
    *,
    scales: Sequence[float] = SCALES,
    stiffness: float = STIFFNESS,
    sweeps: int = SWEEPS,
) -> Field:
    """The flow moved to where the reference's luminance and its gradient agree with the target's.

    Few steps, and smooth ones, as OpenCV sets them: through blur of 20 px more of them, or less
    smooth ones, lead away from what the network has found.

    Args:
        target: luminance.
        reference: luminance, of the same size.
        flow: pixels, x first, right to a few of them.
        scales: reductions at which it is moved, one after the other.
        stiffness: weight of smoothness.
        sweeps: of successive over-relaxation at each of the method's steps.
    """
    cv2.setNumThreads(1)  # references are spread over threads outside
    height, width = target.shape
    method = cv2.VariationalRefinement.create()
    method.setAlpha(stiffness)
    method.setSorIterations(sweeps)
    for scale in scales:
        size = (round(width / scale), round(height / scale))
        if min(size) < LEAST:
            continue
        unit = np.array((size[0] / width, size[1] / height), dtype=np.float32)
        before = resized(flow, size) * unit
        after = method.calc(resized(target, size), resized(reference, size), before.copy())
        flow = flow + resized((after - before) / unit, (width, height))
    return flow


def sharp_share(target: Grey, reference: Grey, flow: Field) -> Float32[np.ndarray, "h w"]:
    """How much of a polish to take, in [0, 1]: none where strong blur leads it astray.

    The energy of the target's gradient over that of the warped reference, at half the size: 1 where
    both are as sharp, whatever they show.

    Args:
        target: luminance.
        reference: luminance, of the same size and exposure.
        flow: pixels, x first, right to a few of them.
    """
    height, width = target.shape
    size = (max(width // 2, 1), max(height // 2, 1))
    unit = np.array((size[0] / width, size[1] / height), dtype=np.float32)
    shown = _warped(resized(reference, size), resized(flow, size) * unit)
    kept = _energy(resized(target, size)) / _energy(shown)
    share = np.clip((kept - BLURRED[0]) / (BLURRED[1] - BLURRED[0]), 0, 1)
    return resized(share.astype(np.float32), (width, height))


def _energy(picture: Grey) -> Float32[np.ndarray, "h w"]:
    """Mean square of the gradient around each pixel, levels per pixel, and of a little noise."""
    across, down = (
        cv2.Sobel(picture, cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))
    )
    squared = across * across + down * down
    energy: Float32[np.ndarray, "h w"] = cv2.GaussianBlur(squared, (0, 0), NEARBY) + NOISE
    return energy


def as_exposed(
    target: Grey, reference: Grey, flow: Field, sure: Float32[np.ndarray, "h w"]
) -> Grey:
    """The reference, as bright as the target shows it.

    A camera may have changed its exposure between the two: one factor on the encoded luminance, as
    light times a constant is in a power law, taken from the means where the match is sure. Blur
    adds up light, and so changes the mean of encoded values by a little: that is left alone.

    Args:
        target: luminance.
        reference: luminance, of the same size.
        flow: pixels, x first.
        sure: in [0, 1], of the match.
    """
    some = (slice(None, None, SPARSE),) * 2
    shown = _warped(reference, flow[some], every=SPARSE)
    ours, theirs = (float((sure[some] * seen).sum()) for seen in (target[some], shown))
    exposure = (ours + 1) / (theirs + 1)
    if abs(math.log(exposure)) <= BY_BLUR:
        return reference
    return np.asarray(cv2.convertScaleAbs(reference, alpha=exposure))


def likeness(target: Grey, reference: Grey, flow: Field) -> Float32[np.ndarray, "h w"]:
    """How much what the flow leads to looks like the target, in (0, 1]; 1 is the same.

    Args:
        target: luminance.
        reference: luminance, of the same size.
        flow: pixels, x first.
    """
    difference = np.subtract(_warped(reference, flow), target, dtype=np.float32) / 255
    difference = cv2.GaussianBlur(difference, (0, 0), LOOK)
    squared = cv2.GaussianBlur(difference * difference, (0, 0), AROUND)
    alike: Float32[np.ndarray, "h w"] = 1 / (1 + squared / np.float32(HALF_ALIKE**2))
    return alike


def resized(values: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """At (width, height): without aliasing where that is smaller, else smoothly."""
    if values.shape[1::-1] == size:
        return values
    smaller = size[0] < values.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size, interpolation=how))


def _warped(
    reference: Grey, flow: Float32[np.ndarray, "m n 2"], *, every: int = 1
) -> UInt8[np.ndarray, "m n"]:
    """What the flow of every so many rows and columns leads to."""
    cv2.setNumThreads(1)
    height, width = reference.shape
    columns = np.arange(0, width, every, dtype=np.float32)
    rows = np.arange(0, height, every, dtype=np.float32)
    x, y = flow[..., 0] + columns, flow[..., 1] + rows[:, None]
    border = cv2.BORDER_REPLICATE
    return np.asarray(cv2.remap(reference, x, y, cv2.INTER_LINEAR, borderMode=border))
