from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.warp import warp
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
from bluref.pseudo.compact import CELL, CompactMatches, expand
from bluref.pseudo.strategy import STRATEGIES
from bluref.pseudo.target import Warped
from bluref.pseudo.targets import target_in_box, whole_frame

SIZE = (37, 45)
FIELDS = ("image", "weight", "support")


@pytest.fixture(scope="module")
def footage(tmp_path_factory):
    """Three references of noise, the hardest thing to resample."""
    folder = tmp_path_factory.mktemp("targets")
    frames = []
    for index in range(3):
        image = torch.rand(1, 3, *SIZE, generator=torch.Generator().manual_seed(index))
        write_picture(image, folder / f"{index}.png")
        frames.append(Frame("a", index, folder / f"{index}.png"))
    return SimpleNamespace(store=FrameStore(folder / "store"), frames=tuple(frames))


def some_matches(seed, *, wild):
    """Flows of a few pixels; where nothing is trusted they may be anything."""
    generator = torch.Generator().manual_seed(seed)
    shape = (3, 1, -(-SIZE[0] // CELL), -(-SIZE[1] // CELL))
    flow = 3 * torch.randn(3, 2, 1, 1, generator=generator)
    flow = flow + 0.5 * torch.randn(3, 2, *shape[2:], generator=generator)
    confidence = torch.randint(100, 256, shape, generator=generator)
    silent = torch.rand(shape, generator=generator) < 0.3
    flow = torch.where(silent, flow + wild * torch.randn(flow.shape, generator=generator), flow)
    kept = (confidence * ~silent).to(torch.uint8)
    return CompactMatches(flow.to(torch.float16), kept, SIZE)


def target(footage, matches, crop, name="robust", threshold=0.3):
    return target_in_box(
        matches,
        footage.frames,
        crop,
        store=footage.store,
        strategy=STRATEGIES[name],
        threshold=threshold,
    )


@st.composite
def boxes(draw):
    top, left = draw(st.integers(0, SIZE[0] - 1)), draw(st.integers(0, SIZE[1] - 1))
    return Crop(
        top,
        left,
        draw(st.integers(1, SIZE[0] - top)),
        draw(st.integers(1, SIZE[1] - left)),
        draw(st.booleans()),
        draw(st.booleans()),
    )


@pytest.mark.slow
@settings(max_examples=150, deadline=None, database=None)
@given(
    seed=st.integers(0, 2**32),
    wild=st.sampled_from([0.0, 5.0, 50.0]),
    box=boxes(),
    name=st.sampled_from(list(STRATEGIES)),
)
def test_the_target_of_a_box_is_that_of_the_frame_cut_and_flipped(footage, seed, wild, box, name):
    matches = some_matches(seed, wild=wild)
    part = target(footage, matches, box, name)
    frame = target(footage, matches, whole_frame(SIZE), name)
    for field in FIELDS:
        cut = getattr(frame, field)[
            ..., box.top : box.top + box.height, box.left : box.left + box.width
        ]
        difference = (getattr(part, field) - box.flip(cut)).abs()
        # `progressive` decides by a threshold on colours, which rounding may tip at a pixel.
        assert (difference > 2e-3).sum() <= (3 if name in ("progressive", "robust") else 0)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_target_is_the_fusion_of_the_warped_references(footage, name):
    matches = some_matches(0, wild=5.0)
    dense = expand(matches, whole_frame(SIZE))
    pictures = torch.cat([footage.store.image(frame) for frame in footage.frames])
    warped = Warped(
        warp(pictures, dense.flow).clamp(0, 1)[None], dense.confidence[None], dense.inside[None]
    )
    expected = STRATEGIES[name].fuse(warped, threshold=0.3)
    found = target(footage, matches, whole_frame(SIZE), name)
    for field in FIELDS:
        torch.testing.assert_close(
            getattr(found, field), getattr(expected, field), atol=2e-3, rtol=0
        )


def test_the_target_has_no_flow_of_its_own(footage):
    still = CompactMatches(
        torch.zeros(1, 2, 10, 12, dtype=torch.float16),
        torch.full((1, 1, 10, 12), 255, dtype=torch.uint8),
        SIZE,
    )
    frame, crop = footage.frames[0], Crop(7, 9, 16, 20, mirror=True)
    found = target_in_box(
        still,
        (frame,),
        crop,
        store=footage.store,
        strategy=STRATEGIES["average"],
        threshold=0.7,
    )
    torch.testing.assert_close(found.image, footage.store.cut(frame, crop), atol=1e-4, rtol=0)
    assert found.weight.min() == 1


def test_only_what_the_box_reaches_is_read(footage, monkeypatch):
    flow = torch.zeros(3, 2, 10, 12, dtype=torch.float16)
    flow[:, 0] = 10.0
    matches = CompactMatches(flow, torch.full((3, 1, 10, 12), 255, dtype=torch.uint8), SIZE)
    read = []
    cut = footage.store.cut
    monkeypatch.setattr(footage.store, "cut", lambda f, crop: read.append(crop) or cut(f, crop))
    target(footage, matches, Crop(12, 8, 8, 8))
    for crop in read:
        assert 10 <= crop.left <= 18 - 1
        assert crop.height <= 8 + 6
        assert crop.width <= 8 + 6


def test_a_box_that_nothing_is_trusted_in_is_silent(footage):
    matches = some_matches(0, wild=5.0)
    nothing = CompactMatches(matches.flow, torch.zeros_like(matches.confidence), SIZE)
    found = target(footage, nothing, Crop(3, 5, 16, 16))
    for field in FIELDS:
        assert getattr(found, field).abs().max() == 0
