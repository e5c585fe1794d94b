"""A process that holds one engine for `restore.engines.bench`: told by lines, answers in JSON."""

import copy
import json
import sys
import time
from pathlib import Path
from typing import get_args

import numpy as np
import torch
from torch import Tensor

from bluref.errors import UserError
from bluref.media.picture import read_picture
from bluref.restore.deblurrer import Deblurrer, Precision
from bluref.restore.engines.bench import CUDA, PLAIN
from bluref.restore.engines.engine import ENGINES, Engine
from bluref.restore.files import SavedNetwork
from bluref.restore.models import IDENTITY, find_model
from bluref.restore.networks import nafnet
from bluref.restore.networks.backbones import BACKBONES, build_backbone
from bluref.restore.networks.padding import pad_to_multiple
from bluref.restore.networks.pooling import local_pooling
from bluref.restore.tiling.memory import highest

RANDOM_CROP = 128
"""Training crop that networks with random weights are given, for local pooling."""


def network_of(name: str) -> SavedNetwork:
    """The network to measure: one that `find_model` finds, or a backbone with random weights.

    Raises:
        UserError: neither, a file that was exported, or `identity`.
    """
    if name == IDENTITY:
        raise UserError("the identity has no network to measure", "name a network")
    if name in BACKBONES:
        torch.manual_seed(0)
        model = build_backbone(name)
        with torch.no_grad():
            for value in model.parameters():
                value.add_(torch.randn_like(value), alpha=0.02)
        return SavedNetwork(model, RANDOM_CROP, {})
    found = find_model(name)
    if not isinstance(found, SavedNetwork):
        raise UserError(f"{name} brings its own engine", "give the network that it came from")
    return found


def plain(saved: SavedNetwork) -> Engine:
    """The network as torch runs it when nobody has done anything to it."""
    nafnet.STRIP_BYTES = sys.maxsize  # whole maps; this process measures nothing else
    model = copy.deepcopy(saved.model).eval()
    local_pooling(model, saved.training_size)

    def run(image: Tensor) -> Tensor:
        h, w = image.shape[-2:]
        with torch.no_grad():
            sharp: Tensor = model(pad_to_multiple(image, model.multiple))
        return sharp[..., :h, :w].clamp(0, 1)

    return run


def engine_of(model: str, name: str, precision: str) -> Engine:
    """What a column of the table measures."""
    saved = network_of(model)
    if name == PLAIN:
        return plain(saved)
    known = "eager" if name == CUDA else next(engine for engine in ENGINES if engine == name)
    exact: Precision = next(p for p in get_args(Precision) if p == precision)
    return Deblurrer(
        saved.model,
        training_size=saved.training_size,
        precision=exact,
        device=CUDA if name == CUDA else "cpu",
        engine=known,
    )


def main(arguments: list[str]) -> None:
    """Serve until stdin ends: `warm`, `run` and `peak`."""
    model, name, precision, folder, threads = arguments
    torch.set_num_threads(int(threads))
    answers, sys.stdout = sys.stdout, sys.stderr  # what libraries print is no answer
    image = read_picture(Path(folder) / "in.png")
    engine: Engine | None = None
    for line in sys.stdin:
        told: dict[str, object]
        if line.strip() == "peak":
            told = {"bytes": highest() + (torch.cuda.max_memory_allocated() if name == CUDA else 0)}
        else:
            try:
                engine = engine or engine_of(model, name, precision)
                start = time.perf_counter()
                sharp = engine(image)
                told = {"seconds": time.perf_counter() - start}
            except UserError as error:
                told = {"error": error.problem}
            except Exception as error:  # whatever this engine has: the others go on
                told = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
            if line.strip() == "warm" and "error" not in told:
                np.save(Path(folder) / f"{name}-{precision}.npy", sharp.float().numpy())
        answers.write(json.dumps(told) + "\n")
        answers.flush()


if __name__ == "__main__":
    main(sys.argv[1:])
