import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bluref.degrade.stage import HandheldConfig, fits, set_up


def scene(h=200, w=260, seed=0, **choices):
    config = HandheldConfig(**{"size": (96, 128), **choices})
    return set_up(torch.rand(1, 3, h, w), torch.Generator().manual_seed(seed), config)


@settings(max_examples=15, deadline=None, database=None)
@given(seed=st.integers(0, 1000), w=st.integers(180, 900))
def test_the_scene_never_folds_over_itself(seed, w):
    made = scene(w=w, seed=seed, parallax=0.5)
    gradient = torch.hypot(*torch.gradient(made.near, dim=(2, 3))).max()
    assert gradient * made.parallax * max(made.room) <= 0.5 + 1e-4
    assert 0 <= made.near.min() <= made.near.max() <= 1


def test_there_are_two_layers():
    near = scene(h=400, w=500).near
    assert (near == 0).float().mean() > 0.1
    assert (near == 1).float().mean() > 0.1


def test_large_photographs_are_made_smaller_and_small_ones_larger():
    assert scene(h=1200, w=1600).picture.shape[-2] < 300
    as_it_is = scene(h=150, w=200)
    assert as_it_is.picture.shape[-2:] == (150, 200)
    grown = scene(h=100, w=140).picture.shape[-2]
    assert 100 < grown <= 150


def test_the_view_keeps_room_on_every_side():
    for h, w in ((100, 140), (200, 200), (1200, 1600), (150, 900)):
        assert min(scene(h=h, w=w).room) > 0.1 * 96


def test_too_small_a_photograph_is_refused():
    config = HandheldConfig(size=(96, 128))
    assert not fits((80, 80), config)
    assert fits((200, 260), config)
    with pytest.raises(ValueError, match="80 x 80 is too small"):
        scene(h=80, w=80)


@pytest.mark.parametrize(
    "wrong",
    [{"size": (8, 8)}, {"frames": 0}, {"rate": 0.0}, {"exposure": 0.0}, {"readout": -1.0}],
)
def test_impossible_clips_are_refused(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        HandheldConfig(**wrong)
