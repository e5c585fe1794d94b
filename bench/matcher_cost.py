"""What matching costs: the tiled correlation, the paper's network, and `compact` beside DIS.

    python bench/matcher_cost.py [--threads 2]

Every comparison is interleaved in one process; medians. The loop over shifts is the definition of
the local correlation and the oracle of its tests; here it serves as the slow formulation.
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from functools import partial
from unittest.mock import patch

import torch
import torch.nn.functional as F

from bluref.match.dis import DISMatcher
from bluref.match.named import matcher_named
from bluref.match.pdcnet import gocor as gocor_module
from bluref.match.pdcnet import network as network_module
from bluref.match.pdcnet.config import PAPER
from bluref.match.pdcnet.correlation import local_correlation
from bluref.match.pdcnet.network import PDCNet
from bluref.match.pdcnet.pyramid import VGGPyramid
from bluref.match.protocol import MatchesMany


def loop_of_shifts(target, reference, radius):
    """Local correlation, one shift after the other."""
    padded = F.pad(reference, (radius,) * 4)
    h, w = target.shape[-2:]
    reach = range(2 * radius + 1)
    shifts = [(target * padded[..., y : y + h, x : x + w]).mean(1) for y in reach for x in reach]
    return torch.stack(shifts, dim=1)


class LoopGOCor(gocor_module.LocalGOCor):
    """Local GOCor with every correlation and its adjoint as a loop over shifts."""

    def forward(self, target, reference, *, steps):
        """As the tiled one."""
        radius, channels = self.radius, target.shape[1]
        reach = range(2 * radius + 1)
        h, w = target.shape[-2:]
        padded = F.pad(target, (radius,) * 4)
        offsets = gocor_module._offsets(radius, self.scaling)
        label, weight, mask = (v.view(1, -1, 1, 1) for v in self.distance_functions(offsets))
        damping = self.regularisation.square() / channels
        filters = self.scaling * target / (target.square().mean(1, keepdim=True) + 1e-6)
        for _ in range(steps):
            residual, slope = self.residual(
                loop_of_shifts(filters, target, radius), label, weight, mask
            )
            gradient = damping * filters
            for n, (y, x) in enumerate((y, x) for y in reach for x in reach):
                shifted = padded[..., y : y + h, x : x + w]
                gradient = gradient + residual[:, n : n + 1] * shifted / channels
            steepness = gradient.square().sum(1, keepdim=True)
            answer = slope * loop_of_shifts(gradient, target, radius)
            curvature = answer.square().sum(1, keepdim=True) + damping * steepness
            length = self.log_step.exp() * steepness / curvature.clamp(min=1e-8)
            filters = filters - length * gradient
        return loop_of_shifts(filters, reference, radius)


def interleaved(rounds: int, **variants: Callable[[], object]) -> dict[str, float]:
    """Median seconds of each, taken in turns."""
    times: dict[str, list[float]] = {name: [] for name in variants}
    for call in variants.values():
        call()
    for _ in range(rounds):
        for name, call in variants.items():
            start = time.perf_counter()
            call()
            times[name].append(time.perf_counter() - start)
    return {name: statistics.median(values) for name, values in times.items()}


def correlation() -> None:
    """128 channels, 128 x 128, radius 4, as pictures lie in memory in either layout and precision.

    The last ratio of a kind is between the loop and the tiles where each of them is fastest.
    """
    pictures = torch.randn(2, 1, 128, 128, 128).unbind()
    in_turn = {"memory_format": torch.channels_last}
    formats = {
        "float32": {},
        "float32, channels last": in_turn,
        "bfloat16, channels last": {"dtype": torch.bfloat16, **in_turn},
    }
    for what, run in {"forward": only_forward, "forward and backward": with_gradient}.items():
        fastest = {"loop": float("inf"), "tiled": float("inf")}
        for name, how in formats.items():
            a, b = (picture.to(**how).requires_grad_() for picture in pictures)
            found = interleaved(
                7,
                loop=partial(run, loop_of_shifts, a, b),
                tiled=partial(run, local_correlation, a, b),
            )
            fastest = {kind: min(fastest[kind], found[kind]) for kind in fastest}
            show_correlation(f"{what}, {name}", found)
        show_correlation(f"{what}, each at its best", fastest)


def only_forward(correlate, a, b):
    with torch.no_grad():
        correlate(a, b, 4)


def with_gradient(correlate, a, b):
    correlate(a, b, 4).float().square().sum().backward()
    a.grad = b.grad = None


def show_correlation(what, seconds):
    ratio = seconds["loop"] / seconds["tiled"]
    loop, tiled = (seconds[name] * 1e3 for name in ("loop", "tiled"))
    print(f"local correlation, {what}: loop {loop:.0f} ms, tiled {tiled:.1f} ms, {ratio:.1f}x")


def paper() -> None:
    """PDC-Net+ at 480 x 640, one pair, features given."""
    torch.manual_seed(0)
    network = PDCNet(PAPER).eval()
    assert isinstance(network.pyramid, VGGPyramid)
    slow = LoopGOCor(radius=PAPER.radius)
    slow.load_state_dict(network.local_gocor.state_dict())
    fast = network.local_gocor
    with torch.inference_mode():
        a, b = (torch.rand(1, 3, 480, 640) for _ in "ab")

        def tiled():
            network.local_gocor = fast
            return network(network.encode(a), network.encode(b))[1].flow

        def loops():
            network.local_gocor = slow
            with patch.object(network_module, "local_correlation", loop_of_shifts):
                return network(network.encode(a), network.encode(b))[1].flow

        print(f"same answer to {(tiled() - loops()).abs().max():.1e} px")
        found = interleaved(3, loops=loops, tiled=tiled)
    print(
        f"PDC-Net+ at 480x640: loops {found['loops']:.2f} s, tiled {found['tiled']:.2f} s,"
        f" {found['loops'] / found['tiled']:.1f}x"
    )


def six_references(name: str) -> None:
    """854 x 480, one target and six references, encoding included."""
    pictures = [torch.rand(1, 3, 60, 107) for _ in range(7)]
    target, *references = (
        F.interpolate(x, (480, 854), mode="bicubic").clamp(0, 1) for x in pictures
    )

    def match(matcher):
        encoded = matcher.encode(target)
        others = [matcher.encode(reference) for reference in references]
        if isinstance(matcher, MatchesMany):
            return matcher.match_many(encoded, others)
        return [matcher.match(encoded, other) for other in others]

    matchers = {name: matcher_named(name), "dis": DISMatcher()}
    found = interleaved(5, **{k: lambda m=m: match(m) for k, m in matchers.items()})
    for key, seconds in found.items():
        print(f"{key}: six references of 854x480 in {seconds:.2f} s")
    print(f"{found[name] / found['dis']:.2f} of DIS")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"peak memory of the process {peak:.2f} GiB")


def main() -> None:
    """Print everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--matcher", default="compact")
    parser.add_argument("--only", choices=("correlation", "paper", "references"))
    told = parser.parse_args()
    torch.set_num_threads(told.threads)
    if told.only in (None, "references"):
        six_references(told.matcher)
    if told.only in (None, "correlation"):
        correlation()
    if told.only in (None, "paper"):
        paper()


if __name__ == "__main__":
    main()
