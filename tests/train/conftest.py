"""Footage small enough to train on within a second."""

import hashlib
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher
from bluref.media.picture import write_picture
from bluref.pseudo.bank import Bank
from bluref.pseudo.strategy import STRATEGIES, strategy_named
from bluref.train.batches import Drawing, PseudoBatches, SyntheticBatches
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.train.source import Curriculum

SIDE = 96
FRAMES = 8


class Two(Alone):
    """As the first of two processes."""

    def __init__(self):
        super().__init__()
        self.count = 2


class Other(Two):
    """The first of two processes; notes what it says of itself, and the other may have failed."""

    def __init__(self, *, failed=False):
        super().__init__()
        self.failed, self.told = failed, []

    def any(self, flag):
        self.told.append(flag)
        return flag or self.failed


@pytest.fixture
def curriculum(tmp_path):
    """Makes curricula of no frames, with a bank of its own."""

    def make(processes, **lengths):
        store, drawing = FrameStore(tmp_path), Drawing(seed=0, batch=1, crop=32)
        strategy = STRATEGIES["robust"]
        bank = Bank(tmp_path, matcher=DISMatcher(), strategy=strategy, threshold=0.3, store=store)
        pseudo = PseudoBatches((), store, drawing, bank, round=0)
        warm = SyntheticBatches((), store, drawing)
        return Curriculum(warm, pseudo, None, training_size=32, processes=processes, **lengths)

    return make


def panorama(seed: int) -> torch.Tensor:
    """A textured strip to travel along: `1 3 SIDE wide`, smooth enough to be matched."""
    generator = torch.Generator().manual_seed(seed)
    wide = SIDE + 3 * FRAMES
    coarse = torch.rand(1, 3, SIDE // 4, wide // 4, generator=generator)
    fine = torch.rand(1, 3, SIDE, wide, generator=generator)
    return (F.interpolate(coarse, (SIDE, wide), mode="bicubic") * 0.8 + fine * 0.2).clamp(0, 1)


def write_scene(scene: Path, seed: int) -> None:
    """A camera that moves three pixels per frame; blur is the mean of two pixels either side."""
    strip = panorama(seed)
    for index in range(FRAMES):
        sharp = strip[..., 3 * index : 3 * index + SIDE]
        shifted = [
            F.pad(sharp, (2, 2, 0, 0), mode="replicate")[..., d : d + SIDE] for d in range(5)
        ]
        write_picture(sharp, scene / "sharp" / f"{index:06d}.png")
        write_picture(torch.stack(shifted).mean(dim=0), scene / "blur" / f"{index:06d}.png")


@pytest.fixture(scope="session")
def other_footage(tmp_path_factory) -> Path:
    """A GoPro tree of one other scene."""
    root = tmp_path_factory.mktemp("other")
    write_scene(root / "train" / "other", 7)
    return root


@pytest.fixture(scope="session")
def footage(tmp_path_factory) -> Path:
    """A GoPro tree of two scenes."""
    root = tmp_path_factory.mktemp("footage")
    for scene in range(2):
        write_scene(root / "train" / f"scene{scene}", scene)
    write_scene(root / "test" / "scene2", 2)
    return root


@pytest.fixture(scope="session")
def recipe() -> Recipe:
    """Warm start, three rounds, several checkpoints, in twelve steps."""
    return Recipe(
        matcher="dis",
        steps=12,
        warm_start=3,
        refresh_every=4,
        batch=2,
        crop=32,
        refs=2,
        save_every=5,
        log_every=2,
        snapshot_every=6,
        ramp=2,
    )


def _digest(run: Path) -> dict[str, str]:
    names = ("model.safetensors", "training.safetensors", "optimizer.pt", "meta.json")
    return {name: hashlib.sha256((run / "last" / name).read_bytes()).hexdigest() for name in names}


@pytest.fixture(scope="session")
def digest():
    """Digests of every file of a run's last checkpoint that is not allowed to differ."""
    return _digest


@pytest.fixture
def bank(tmp_path) -> Bank:
    """An empty bank of classical matches."""
    return Bank(
        tmp_path / "bank",
        matcher=DISMatcher(),
        strategy=strategy_named("robust"),
        threshold=0.3,
        store=FrameStore(tmp_path / "store"),
    )
