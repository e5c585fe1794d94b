"""How long the shutter was open."""

from pathlib import Path

import pytest
import torch

from bluref.degrade.motion import Motion, Shutter, expose_along
from bluref.frames.clip import Frame
from bluref.frames.neighbours import with_neighbours
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.dis import DISMatcher
from bluref.media.picture import write_picture
from bluref.pseudo.bank import Bank
from bluref.pseudo.exposure import _briefly, _inner, exposure_between, fit_exposure
from bluref.pseudo.motion import FootageMotion
from bluref.pseudo.strategy import strategy_named

pytestmark = pytest.mark.slow

SIDE = 160
SPEED = 4


def texture(seed=0, wide=SIDE):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, SIDE // 2, wide // 2, generator=generator)
    return torch.nn.functional.interpolate(noise, (SIDE, wide), mode="bicubic").clamp(0, 1)


def turning(speed):
    """Everything turns around the middle: faster farther out, nowhere the same."""
    y, x = torch.meshgrid(*[torch.arange(SIDE) - SIDE / 2] * 2, indexing="ij")
    after = torch.stack((-y, x))[None] * speed / SIDE * 2
    return Motion(-after, after)


EVERYWHERE = torch.ones(1, 1, SIDE, SIDE, dtype=torch.bool)


@pytest.mark.parametrize("exposure", [0.3, 0.8, 1.25, 1.7])
def test_the_exposure_that_made_a_picture_is_found(exposure):
    sharp, motion = texture(), turning(10.0)
    blurry = expose_along(sharp, motion, Shutter(exposure, softness=0.1, gamma=2.0))
    noise = 0.01 * torch.randn(blurry.shape, generator=torch.Generator().manual_seed(1))
    found = exposure_between(sharp, blurry + noise, motion, EVERYWHERE)
    assert found == pytest.approx(exposure, abs=0.1)


def test_an_exposure_beyond_what_is_tried_is_no_answer():
    sharp, motion = texture(), turning(8.0)
    blurry = expose_along(sharp, motion, Shutter(2.6))
    assert exposure_between(sharp, blurry, motion, EVERYWHERE) is None


def test_a_picture_that_no_blur_explains_has_no_exposure():
    sharp, motion = texture(), turning(10.0)
    assert exposure_between(sharp, sharp, motion, EVERYWHERE) is None
    assert exposure_between(sharp, texture(seed=5), turning(0.0), EVERYWHERE) is None
    nowhere = torch.zeros_like(EVERYWHERE)
    blurry = expose_along(sharp, motion, Shutter(1.0))
    assert exposure_between(sharp, blurry, motion, nowhere) is None


@pytest.mark.parametrize("size", [(20, 30), (48, 48), (48, 200)])
def test_frames_that_are_all_border_have_no_inner_part(size):
    assert not _inner(torch.ones(1, 1, *size, dtype=torch.bool)).any()


def test_the_inner_part_keeps_away_from_holes_and_edges():
    mask = torch.ones(1, 1, 100, 120, dtype=torch.bool)
    mask[..., 50, 60] = False
    inner = _inner(mask)
    assert inner.sum() == (100 - 2 * 28) * (120 - 2 * 28) - 9 * 9
    assert not inner[..., 46:55, 56:65].any()


def test_the_nearest_references_are_asked_alone():
    def frame(index, clip="clip"):
        return Frame(clip, index, Path(f"{clip}-{index}.png"))

    order = (frame(0), frame(9), frame(3), frame(7))
    assert _briefly(Sample(frame(4), order, None)).references == (frame(3), frame(7))
    strange = (frame(3), *(frame(n, "other") for n in range(3)))
    assert _briefly(Sample(frame(4), strange, None)).references == strange


def write_footage(folder, exposure):
    """A camera that travels; even frames are exposed for longer, odd ones are not."""
    strip = texture(wide=SIDE + 16 * SPEED)
    frames = []
    for index in range(12):
        view = strip[..., SPEED * index : SPEED * index + SIDE + 16]
        after = torch.zeros(1, 2, *view.shape[-2:])
        after[:, 0] = -SPEED  # what is seen moves left
        if index % 2 == 0:
            view = expose_along(view, Motion(-after, after), Shutter(exposure))
        frame = Frame("clip", index, folder / f"{index:06d}.png")
        write_picture(view[..., 8:-8], frame.path)
        frames.append(frame)
    return frames


def fitted(frames, tmp_path):
    store = FrameStore(tmp_path / "store")

    def bank(name, strategy, threshold):
        return Bank(
            tmp_path / name,
            matcher=DISMatcher(),
            strategy=strategy_named(strategy),
            threshold=threshold,
            store=store,
        )

    motion = FootageMotion(with_neighbours(frames, frames), bank("motion", "average", 0.0))
    motion.find()
    samples = [
        Sample(f, tuple(r for r in frames if r.index % 2 and abs(r.index - f.index) <= 3), None)
        for f in frames[::2]
    ]
    return fit_exposure(samples, bank("targets", "robust", 0.3), motion)


@pytest.mark.parametrize("exposure", [1.0, 1.5])
def test_footage_tells_its_exposure_without_any_truth(tmp_path, exposure):
    fit = fitted(write_footage(tmp_path / "frames", exposure), tmp_path)
    assert len(fit.answers) >= 4
    assert fit.exposure == pytest.approx(exposure, abs=0.12)


def test_footage_that_is_sharp_throughout_does_not(tmp_path):
    fit = fitted(write_footage(tmp_path / "frames", 0.0), tmp_path)
    assert fit.exposure is None
