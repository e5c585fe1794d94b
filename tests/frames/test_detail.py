import numpy as np
import pytest
import torch
from tests.frames.shaken import blurred, panned, textured

from bluref.frames.alongside import compare
from bluref.frames.detail import detail_of


def grey(image):
    return 255 * image.mean(dim=1)[0]


def test_blur_takes_fine_energy_and_focus_and_more_blur_takes_more():
    picture = textured(160, 224)
    found = [detail_of(grey(blurred(picture, n))) for n in (1, 3, 7, 15)]
    for name in ("energy", "focus"):
        values = [getattr(d, name) for d in found]
        assert values == sorted(values, reverse=True)


def test_focus_hardly_knows_how_rich_the_texture_is():
    picture = textured(160, 224)
    rich, poor = detail_of(grey(picture)), detail_of(grey(0.5 + 0.2 * (picture - 0.5)))
    assert rich.energy - poor.energy > 2  # a fifth of the contrast is a 25th of the energy
    assert abs(rich.focus - poor.focus) < 0.1


@pytest.mark.parametrize("slope", [(0, 4), (4, 0), (2, 2), (2, -2)])
def test_energy_is_that_of_the_slope_whichever_way_it_goes(slope):
    """Squared, halved once at the fine size, four times that at the next; diagonals by distance."""
    y, x = torch.meshgrid(torch.arange(160.0), torch.arange(224.0), indexing="ij")
    ramp = 200 + slope[0] * y + slope[1] * x
    squared = slope[0] ** 2 + slope[1] ** 2
    found = detail_of(ramp, noise=0.0).fine[:, 1:-1, 1:-1]
    assert np.exp(found[0]) == pytest.approx(squared / 2, rel=0.01)
    assert np.exp(found[1]) == pytest.approx(4 * squared / 2, rel=0.01)


def test_brightness_and_spread_are_those_of_the_picture():
    picture = textured(160, 224)
    found = detail_of(grey(picture))
    assert found.exposure == pytest.approx(float(picture.mean()), abs=1e-5)
    assert found.spread == pytest.approx(float(np.std(picture.numpy())), abs=1e-5)


def test_noise_that_is_known_is_no_detail():
    picture = blurred(textured(160, 224), 15)
    noisy = picture + torch.randn(picture.shape[-2:], generator=torch.manual_seed(0)) * 5 / 255
    plain = detail_of(grey(picture), noise=0.0).energy
    # Two frames' noise adds up in a difference.
    known, unknown = (detail_of(grey(noisy), noise=n).energy for n in (2 * 25.0 * 0.75, 0.0))
    assert abs(known - plain) < 0.5 * abs(unknown - plain)


@pytest.mark.parametrize("size", [(1, 1), (5, 90), (24, 36), (63, 65)])
def test_tiny_and_flat_pictures_have_finite_figures(size):
    for picture in (torch.zeros(size), 255 * torch.rand(size)):
        found = detail_of(picture)
        assert np.isfinite(found.fine).all()
        assert np.isfinite([found.energy, found.focus, found.noise]).all()
        beside = compare(found, found)
        assert np.isfinite([beside.x, beside.y, beside.likeness, beside.length]).all()


@pytest.mark.parametrize(("dx", "dy"), [(0, 0), (7, -4), (-12, 9), (30, 3)])
def test_a_shift_of_the_whole_is_found_to_a_pixel(dx, dy):
    scene = grey(textured(300, 420))
    a = scene[60:220, 80:304]
    b = scene[60 - dy : 220 - dy, 80 - dx : 304 - dx]  # what lay at p lies at p + (dx, dy)
    found = compare(detail_of(a), detail_of(b))
    assert (found.x, found.y) == (pytest.approx(dx, abs=1), pytest.approx(dy, abs=1))
    assert found.length == pytest.approx(np.hypot(dx, dy), abs=1.2)
    assert found.likeness > 0.9


def test_what_moves_without_a_shift_of_the_whole_has_a_length():
    scene = textured(160, 224)
    left, right = scene[..., :112], scene[..., 112:]
    apart = torch.cat((left.roll(-5, -1), right.roll(5, -1)), dim=-1)
    found = compare(detail_of(grey(scene)), detail_of(grey(apart)))
    assert found.length > 2.5
    assert compare(detail_of(grey(scene)), detail_of(grey(scene))).length < 0.1


def test_the_same_things_are_compared_whatever_else_came_into_view():
    # The camera pans from rich to poor texture: fine energy of the frame falls, nothing is blurred.
    scene = textured(160, 420)
    scene[..., 210:] = 0.5 + 0.15 * (scene[..., 210:] - 0.5)
    a, b = (detail_of(grey(scene[..., x : x + 224])) for x in (0, 60))
    assert np.exp(b.fine).mean() < 0.8 * np.exp(a.fine).mean()
    assert compare(a, b).change == pytest.approx(0, abs=0.1)
    blurry = detail_of(grey(blurred(scene, 7)[..., 60:284]))
    assert compare(a, blurry).change < -0.5


def test_an_object_that_changes_does_not_decide():
    frame = grey(panned([1])[0])
    other = frame.clone()
    other[30:80, 40:90] = grey(blurred(panned([1])[0], 15))[30:80, 40:90]
    assert abs(compare(detail_of(frame), detail_of(other)).change) < 0.05


def test_other_scenes_are_not_alike():
    a, b = (detail_of(grey(textured(160, 224, seed))) for seed in (1, 2))
    assert compare(a, b).likeness < 0.5


def test_flat_areas_beside_strong_contrast_leave_motion_to_be_seen():
    """Lights in the night: nothing at all, and next to it as much as there can be."""
    y, x = torch.meshgrid(torch.arange(540.0), torch.arange(1000.0), indexing="ij")
    places = torch.rand(12, 2, generator=torch.manual_seed(0)) * torch.tensor([540.0, 1000.0])
    lights = [255 * (6 - ((y - a) ** 2 + (x - b) ** 2).sqrt() / 4).clamp(0, 1) for a, b in places]
    night = torch.stack(lights).amax(dim=0)
    before, after = detail_of(night[:, :960]), detail_of(night[:, 24:984])
    assert np.isfinite(before.even).all()
    assert np.isfinite(after.even).all()
    found = compare(before, after)
    assert (found.x, found.y) == (pytest.approx(-24, abs=1), pytest.approx(0, abs=1))
    assert found.likeness > 0.9
