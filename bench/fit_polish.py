"""Fit the odds with which `match.polish` reconsiders a network's confidence.

    python bench/fit_polish.py SHARP... --matcher RUN_OR_FOLDER

On warped pairs of the sharp frames given (those the network was trained on, never those it is
judged on), blurred by 0, 5, 10, 20 and 40 px alike, a and b maximise the likelihood of which
polished flows are right. They belong into `polish` of the network's configuration.
"""

import argparse
import tempfile
from pathlib import Path

import torch
import torch.nn.functional as F

from bluref.frames.sharp import sharp_frames
from bluref.frames.store import FrameStore
from bluref.match.files import load_matcher
from bluref.match.pdcnet.matcher import PDCMatcher
from bluref.match.polish import PolishedMatcher, reconsidered
from bluref.match.scoring import blurred_pairs
from bluref.measure.matching import correct_within
from bluref.weights.precision import prefers_bf16

SEED = 777
LENGTHS = (0.0, 5.0, 10.0, 20.0, 40.0)
TAKEN = 4000  # pixels of each pair
STARTING = (0.51, 1.16)  # odds by which neighbours are believed meanwhile; they matter little


def gather(matcher: PDCMatcher, pairs) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What is claimed of the polished flow, its likeness, and whether it is right."""
    polished = PolishedMatcher(matcher, STARTING)
    rows = []
    for pair in pairs:
        target, reference = polished.encode(pair.target), polished.encode(pair.reference)
        found = matcher.match(target.features, reference.features)
        flow, claimed, alike = polished.judged(target, reference, found)
        valid = (pair.valid & (claimed > 0))[0, 0]
        errors = (flow - pair.flow)[0].permute(1, 2, 0)[valid]
        right = correct_within(errors, matcher.radius).float()
        chosen = torch.randperm(len(right))[:TAKEN]
        rows.append([x[chosen] for x in (claimed[0, 0][valid], alike[0, 0][valid], right)])
    claimed, alike, right = (torch.cat(column) for column in zip(*rows, strict=True))
    return claimed, alike, right


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sharp", type=Path, nargs="+")
    parser.add_argument("--matcher", type=Path, required=True)
    parser.add_argument("--count", type=int, default=40, help="pairs per length of blur")
    options = parser.parse_args()
    torch.manual_seed(SEED)
    matcher = load_matcher(options.matcher, use_bf16=prefers_bf16())
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        store = FrameStore(Path(folder))
        frames = sharp_frames(options.sharp, part="train")
        store.prepare(frames)
        found = [
            gather(matcher, blurred_pairs(frames, store, length, count=options.count, seed=SEED))
            for length in LENGTHS
        ]
    claimed, alike, right = (torch.cat(column) for column in zip(*found, strict=True))
    odds = torch.tensor([0.0, 1.0], requires_grad=True)
    solver = torch.optim.LBFGS([odds], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> torch.Tensor:
        solver.zero_grad()
        likely = reconsidered(claimed, alike, (odds[0], odds[1])).clamp(1e-6, 1 - 1e-6)
        value = F.binary_cross_entropy(likely, right)
        value.backward()
        return value

    solver.step(loss)
    print(f"odds ({odds[0].item():.2f}, {odds[1].item():.2f}), loss {loss().item():.4f}")


if __name__ == "__main__":
    main()
