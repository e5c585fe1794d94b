"""Frames between two frames, along optical flow and aware of what covers what."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from bluref.degrade.paths import halved, length, path_back, resized
from bluref.degrade.warp import inside, warp

FlowEstimator = Callable[[Tensor, Tensor], Tensor]
"""(target, reference) -> flow `1 2 h w`: the target's pixel p is seen in the reference at
p + flow(p); both pictures are `1 3 h w`."""

_UNSETTLED = 2.0  # half-size pixels: residual of the fixed point at which a path hardly exists
_DOUBT = 1.0  # half-size pixels: a path that misses its start by this on the way back is doubtful
_DOUBTFUL = 0.05  # weight left to a path that the other frame does not confirm


@dataclass(frozen=True)
class Interval:
    """Two consecutive frames and what moved between them.

    Attributes:
        first: the frame at time 0.
        second: the frame at time 1.
        forward: flow with `first` as the target; its pixel p is in `second` at p + forward(p).
        backward: the same with the roles swapped.
    """

    first: Float[Tensor, "1 3 h w"]
    second: Float[Tensor, "1 3 h w"]
    forward: Float[Tensor, "1 2 h w"]
    backward: Float[Tensor, "1 2 h w"]

    def speed(self) -> float:
        """Length of the motion in pixels per interval, nearly the fastest (99th percentile)."""
        flows = torch.cat((self.forward, self.backward))[..., ::4, ::4]
        return float(length(flows).quantile(0.99))


def join(
    first: Float[Tensor, "1 3 h w"], second: Float[Tensor, "1 3 h w"], flow: FlowEstimator
) -> Interval:
    """Estimate the motion between two consecutive frames, both ways."""
    return Interval(first, second, flow(first, second), flow(second, first))


def between(interval: Interval, times: Sequence[float]) -> Iterator[Float[Tensor, "1 3 h w"]]:
    """What the camera saw at the given times, each in [0, 1].

    Both frames are warped to the time along straight paths and blended. A path that ends at q
    solves q = p + time * flow(p), by fixed point. A frame is silent where there is no solution,
    since the surface is covered at that time, and where the path leaves the frame. A path that
    the other frame's flow does not confirm, since something else covers its end, yields to one
    that is confirmed. Else the frame nearer in time weighs more.

    Raises:
        ValueError: a time outside [0, 1].
    """
    forward, backward = halved(interval.forward), halved(interval.backward)
    doubt_early, doubt_late = _doubt(forward, backward), _doubt(backward, forward)
    for time in times:
        if not 0 <= time <= 1:
            raise ValueError(f"times must lie in [0, 1], got {time}")
        early, trust_early = _arrive(interval.first, forward, doubt_early, time)
        late, trust_late = _arrive(interval.second, backward, doubt_late, 1 - time)
        weight_early, weight_late = (1 - time) * trust_early, time * trust_late
        yield (weight_early * early + weight_late * late) / (weight_early + weight_late)


def _arrive(
    frame: Float[Tensor, "1 3 H W"],
    flow: Float[Tensor, "1 2 h w"],
    doubt: Float[Tensor, "1 1 h w"],
    time: float,
) -> tuple[Float[Tensor, "1 3 H W"], Float[Tensor, "1 1 H W"]]:
    """The frame moved a share `time` of its flow, and how far each pixel is to be believed."""
    here, residual = path_back(flow, time)
    settled = torch.exp(-((residual / _UNSETTLED) ** 2))
    confirmed = torch.exp(-((warp(doubt, here, mode="bilinear") / _DOUBT) ** 2))
    seen = inside(here, (flow.shape[-2], flow.shape[-1]))
    trust = seen * settled * (_DOUBTFUL + confirmed) + 1e-4  # never silent on both sides
    full = frame.shape[-2:]
    return warp(frame, resized(here, full)), F.interpolate(trust, full, mode="bilinear")


def _doubt(
    flow: Float[Tensor, "1 2 h w"], back: Float[Tensor, "1 2 h w"]
) -> Float[Tensor, "1 1 h w"]:
    """Distance in pixels between a pixel and where its flow there and back again ends."""
    return length(flow + warp(back, flow, mode="bilinear"))
