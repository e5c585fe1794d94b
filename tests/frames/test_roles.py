import numpy as np
import pytest
import torch
from skimage import data
from tests.frames.shaken import blurred, panned, textured

from bluref.frames.measured import Looked, Row, as_told, from_told, measure
from bluref.frames.roles import judge

pytestmark = pytest.mark.slow

WAVE = [1, 1, 1, 3, 5, 9, 13, 9, 5, 3] * 4


def looked(images, every=1, files=False):
    for place, image in enumerate(images):
        grey = 255 * image.mean(dim=1)[0]
        name = f"{place}.png" if files else None
        yield Looked(place * every, place * every / 25, grey, 1, tuple(grey.shape), name)


def judged(images, **how):
    found, kind = judge(list(measure(looked(images, **how))))
    return np.array([one.role for one in found]), kind, found


@pytest.fixture(scope="module")
def shaken():
    return panned(WAVE)


def test_blur_that_comes_and_goes_is_followed(shaken):
    roles, kind, found = judged(shaken)
    lengths = np.array(WAVE)
    assert kind == "mixed"
    assert set(roles[lengths == 1]) == {"sharp"}
    assert set(roles[lengths >= 5]) == {"blurry"}
    sharpness = np.array([one.sharpness for one in found])
    means = [sharpness[lengths == n].mean() for n in (1, 3, 5, 9, 13)]
    assert means == sorted(means, reverse=True)


def test_texture_is_not_taken_for_focus():
    # From rich to poor texture: sharp frames of the end have less fine energy than the blurred
    # ones of the beginning.
    lengths = np.array(WAVE)
    images = panned(WAVE, step=6, contrast=(1.0, 0.15))
    rows = list(measure(looked(images)))
    assert rows[-10].energy < rows[3].energy  # lengths 1 and 3
    roles, _, _ = judged(images)
    assert np.mean(roles[lengths == 1] == "sharp") > 0.8
    assert "sharp" not in roles[lengths >= 5]


def test_light_that_changes_is_not_taken_for_blur():
    images = panned([1] * 40)
    dimmed = [(0.4 + 0.6 * abs(np.cos(k / 6))) * image for k, image in enumerate(images)]
    roles, _, _ = judged(dimmed)
    assert "blurry" not in roles


def test_an_all_sharp_clip_has_nothing_blurry():
    roles, kind, _ = judged(panned([1] * 40))
    assert kind == "all sharp"
    assert "blurry" not in roles
    assert np.mean(roles == "sharp") > 0.95


def test_an_all_blurred_clip_yields_its_sharpest_moments():
    lengths = np.array([9, 9, 11, 15, 19, 23, 19, 15, 11, 9] * 4)
    roles, kind, _ = judged(panned(list(lengths)))
    assert kind == "all blurred"
    assert (roles == "sharp").sum() >= 4
    assert lengths[roles == "sharp"].max() <= 11
    assert (roles == "blurry").sum() >= 16
    assert np.median(lengths[roles == "blurry"]) >= 15


@pytest.mark.parametrize("texture", ["grass", "gravel", "brick"])
@pytest.mark.parametrize(("length", "kind"), [(1, "all sharp"), (9, "all blurred")])
def test_blur_that_never_ends_is_told_in_rich_texture_too(texture, length, kind):
    """Grass has more fine detail under 9 pixels of blur than a face has without any."""
    grey = torch.from_numpy(getattr(data, texture)()).float() / 255
    moved = torch.stack([grey.roll(i, dims=1) for i in range(length)]).mean(dim=0)
    frames = [moved[:384, 4 * i : 4 * i + 384].expand(1, 3, -1, -1) for i in range(30)]
    assert judged(frames)[1] == kind


def test_a_black_clip_is_of_no_use():
    roles, kind, found = judged([torch.zeros(1, 3, 96, 128)] * 8)
    assert kind == "empty"
    assert set(roles) == {"skip"}
    assert {one.why for one in found} == {"too dark to see anything"}


def test_ten_frames_are_enough():
    roles, _, _ = judged(panned(WAVE[:10]))
    assert (roles[:3] == "sharp").all()
    assert (roles[4:9] == "blurry").all()


def test_cuts_part_the_clip_and_each_piece_has_its_own_measure():
    pieces = [panned(WAVE[:10], seed=seed) for seed in range(4)]
    dull = [0.5 + 0.2 * (image - 0.5) for image in pieces[1]]
    _, _, found = judged(pieces[0] + dull + pieces[2] + pieces[3])
    assert [one.shot for one in found] == [1] * 10 + [2] * 10 + [3] * 10 + [4] * 10
    for shot in range(4):
        roles = [one.role for one in found[10 * shot : 10 * shot + 10]]
        assert roles[:3] == ["sharp"] * 3
        assert roles[6] == "blurry"
        assert "sharp" not in roles[5:8]


def test_a_flash_is_no_cut():
    images = panned([1] * 20)
    images[9] = 1 - textured(*images[9].shape[-2:], seed=9)
    _, _, found = judged(images)
    assert {one.shot for one in found} == {1}
    assert found[9].role == "skip"


def test_a_change_of_size_is_a_cut(shaken):
    images = shaken[:10] + panned(WAVE[:10], size=(96, 128))
    _, _, found = judged(images)
    assert [one.shot for one in found] == [1] * 10 + [2] * 10


def test_what_stands_still_is_kept_once_but_a_blurred_view_of_it_is_no_duplicate():
    still = panned([1])[0]
    shaken = blurred(still, 9)
    order = [still, still, still, shaken, shaken, still]
    noise = torch.Generator().manual_seed(0)
    images = [i + torch.randn(i.shape, generator=noise) / 255 for i in order]
    _, _, found = judged(images)
    assert [one.duplicate for one in found] == [None, 0, 0, None, 3, None]
    assert [one.role for one in found][1:3] == ["skip", "skip"]


def test_photographs_of_different_things_are_judged_one_by_one():
    pictures = [blurred(textured(192, 256, seed), 15 if seed % 2 else 1) for seed in range(6)]
    roles, kind, found = judged(pictures, files=True)
    assert kind == "album"
    assert {one.shot for one in found} == {1}
    assert list(roles) == ["sharp", "blurry"] * 3


@pytest.mark.parametrize("known", [1, 7, 20, 39])
def test_measuring_goes_on_where_it_stopped(shaken, known):
    straight = list(measure(looked(shaken)))
    first = [from_told(as_told(row) | {"size": list(row.size), "changes": [list(c) for c in
             row.changes]}) for row in straight[:known]]  # fmt: skip
    assert first == straight[:known]
    assert first + list(measure(looked(shaken), first)) == straight


def test_pictures_of_two_sizes_are_cut_apart_though_they_look_alike_when_reduced():
    grey = 255 * panned([1])[0].mean(dim=1)[0]
    frames = [Looked(i, i / 25, grey, 1, (128, 192 + (i >= 4)), None) for i in range(8)]
    found, _ = judge(list(measure(frames)))
    assert [one.shot for one in found] == [1] * 4 + [2] * 4


def stretch(levels):
    """Roles of frames of which each is as much sharper than the one before as the levels say."""
    rows = [
        Row(i, i / 25, None, (90, 160), 0.5, 0.2, level, -2.0, 0.3, 1.0, 3.0, 1.0, 20.0,
            ((1, level - levels[i - 1], 1.0),) if i else ())
        for i, level in enumerate(levels)
    ]  # fmt: skip
    found, _ = judge(rows)
    return [one.role for one in found]


def test_a_scene_that_changes_slowly_is_not_blurred_and_one_that_changes_at_once_is():
    slowly = list(np.linspace(0, -1.0, 125))  # five seconds
    assert set(stretch(slowly)) == {"sharp"}
    at_once = [0.0] * 10 + [-0.75] * 40 + [0.0] * 10
    assert stretch(at_once) == ["sharp"] * 10 + ["blurry"] * 40 + ["sharp"] * 10
