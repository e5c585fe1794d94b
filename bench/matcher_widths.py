"""What each part of `compact` is worth: trained alike from nothing, thinner in one part at a time.

    python bench/matcher_widths.py OUT --held-out STILLS... --sharp FOLDER... [--steps 1600]

Each variant is trained on pairs of 128 px by the recipe of the first stage, seed 0, and judged on
synthetic pairs of frames that it never saw, the network alone (not polished). A variant that stands
in OUT is not trained again, one that was begun goes on. GFLOP are of one pair of 856x480 pixels.
"""

import argparse
import tempfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

import torch
from torch.utils.flop_counter import FlopCounterMode

from bluref.frames.sharp import sharp_frames
from bluref.frames.store import FrameStore
from bluref.match.files import load_matcher
from bluref.match.pdcnet.config import COMPACT, PDCNetConfig
from bluref.match.pdcnet.network import PDCNet
from bluref.match.scoring import blurred_pairs, score_synthetic
from bluref.train import matcher_run
from bluref.train.matcher_recipe import MatcherRecipe

BLUR = (0.0, 5.0, 20.0)


def scaled(channels, factor):
    """Thinner layers, in whole eights."""
    return tuple(max(8, 8 * round(c * factor / 8)) for c in channels)


def thinner(channels, factor):
    """All but the last, which decoder and refinement have in common."""
    return (*scaled(channels[:-1], factor), channels[-1])


def decoders(factor) -> Callable[[PDCNetConfig], PDCNetConfig]:
    return lambda c: replace(c, decoder={k: thinner(v, factor) for k, v in c.decoder.items()})


def refinement(factor) -> Callable[[PDCNetConfig], PDCNetConfig]:
    return lambda c: replace(
        c, refinement={k: (thinner(v, factor), d) for k, (v, d) in c.refinement.items()}
    )


VARIANTS: dict[str, Callable[[PDCNetConfig], PDCNetConfig]] = {
    "as it ships": lambda c: c,
    "pyramid 3/4": lambda c: replace(c, pyramid=scaled(c.pyramid, 0.75)),
    "decoders 3/4": decoders(0.75),
    "decoders 1/2": decoders(0.5),
    "refinement 1/2": refinement(0.5),
    "uncertainty and scores 1/2": lambda c: replace(c, uncertainty=(16, 8), score_width=16),
    "no GOCor steps at levels 3, 2": lambda c: replace(c, local_steps=dict.fromkeys((3, 2, 1), 0)),
    "all 3/4": lambda c: replace(
        decoders(0.75)(refinement(0.75)(c)), pyramid=scaled(c.pyramid, 0.75)
    ),
}


def cost(config: PDCNetConfig) -> tuple[float, float]:
    """Million parameters, and GFLOP of one pair."""
    network = PDCNet(config).eval()
    picture = torch.rand(1, 3, 480, 856)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(network.encode(picture), network.encode(picture))
    return sum(p.numel() for p in network.parameters()) / 1e6, counter.get_total_flops() / 1e9


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--sharp", type=Path, nargs="+", required=True)
    parser.add_argument("--held-out", type=Path, nargs="+", required=True)
    parser.add_argument("--steps", type=int, default=1600)
    parser.add_argument("--pairs", type=int, default=32, help="to judge by, per length of blur")
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    options = parser.parse_args()
    recipe = MatcherRecipe(
        steps=options.steps, first_steps=options.steps, max_shift=40, footage=0, ema=0.99
    )
    print("| variant | M parameters | GFLOP | EPE at", ", ".join(f"{b:g}" for b in BLUR), "px |")
    print("|---|---|---|---|")
    for name in options.variants:
        config = VARIANTS[name](COMPACT)
        run = options.out / name.replace("/", "_").replace(" ", "-")
        with patch.dict(matcher_run.CONFIGS, {"compact": config}):
            resume = (run / "recipe.yaml").is_file()
            matcher_run.train_matcher(options.sharp, run, recipe, resume=resume)
        matcher = load_matcher(run, use_bf16=True)
        errors = []
        with tempfile.TemporaryDirectory() as folder:
            frames = sharp_frames(options.held_out, most=options.pairs)
            store = FrameStore(Path(folder))
            store.prepare(frames)
            for blur in BLUR:
                pairs = blurred_pairs(frames, store, blur, count=options.pairs, seed=0)
                errors.append(score_synthetic(matcher, pairs).epe)
        parameters, flops = cost(config)
        shown = ", ".join(f"{error:.3f}" for error in errors)
        print(f"| {name} | {parameters:.2f} | {flops:.1f} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
