"""A reference that is no sharper than the frame has nothing to say."""

import pytest
import torch
import torch.nn.functional as F

from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.match.protocol import Match
from bluref.match.zero import ZeroMatcher
from bluref.media.picture import write_picture
from bluref.pseudo.bank import Bank, BlurryItself
from bluref.pseudo.sharper import Sharper, detail
from bluref.pseudo.strategy import strategy_named
from bluref.train.banks import sharper_of
from bluref.train.recipe import Recipe

SIDE = 96
MIDDLE = (..., slice(24, -24), slice(24, -24))


def texture(seed=0):
    generator = torch.Generator().manual_seed(seed)
    noise = torch.rand(1, 3, SIDE // 2, SIDE // 2, generator=generator)
    return F.interpolate(noise, (SIDE, SIDE), mode="bicubic").clamp(0, 1)


def blurred(image, length):
    reach = length // 2
    return F.avg_pool2d(F.pad(image, (reach, reach, 0, 0), mode="replicate"), (1, length), stride=1)


def match(confidence=0.9):
    flow = torch.zeros(1, 2, SIDE, SIDE)
    sure = torch.full_like(flow[:, :1], confidence)
    return Match(flow, sure, sure > 0)


def left(references, blurry, confidences=None):
    """The least and the largest confidence in the middle of each reference."""
    confidences = confidences or [0.9] * len(references)
    found = Sharper()([match(c) for c in confidences], torch.cat(references), blurry, threshold=0.5)
    return [(m.confidence[MIDDLE].min().item(), m.confidence[MIDDLE].max().item()) for m in found]


def test_detail_falls_with_blur_and_not_with_brightness():
    image = texture()
    assert detail(blurred(image, 9))[MIDDLE].max() < detail(image)[MIDDLE].min()
    torch.testing.assert_close(detail(0.5 * image + 0.4), 0.25 * detail(image))


def test_a_sharp_reference_speaks_and_one_as_blurred_as_the_frame_does_not():
    sharp, blurry = texture(), blurred(texture(), 9)
    assert left([sharp], blurry) == [pytest.approx((0.9, 0.9))]
    assert left([blurry], blurry) == [(0.0, 0.0)]
    assert left([blurred(sharp, 15)], blurry) == [(0.0, 0.0)]


def test_one_that_is_sharper_than_the_frame_gives_way_to_one_that_is_far_sharper():
    sharp, better, blurry = texture(), blurred(texture(), 5), blurred(texture(), 15)
    assert left([better], blurry) == [pytest.approx((0.9, 0.9))]
    assert left([better, sharp], blurry) == [(0.0, 0.0), pytest.approx((0.9, 0.9))]
    # But not to one that nobody believes there.
    assert left([better, sharp], blurry, [0.9, 0.4])[0] == pytest.approx((0.9, 0.9))


@pytest.mark.parametrize("noise", [0.0, 0.5, 1.0])
def test_calm_places_keep_their_references(noise):
    """Resampling takes away a part of what noise a reference has."""
    generator = torch.Generator().manual_seed(0)

    def calm(deviation):
        grain = torch.randn(1, 1, SIDE, SIDE, generator=generator)
        return (0.5 + grain * deviation / 255).expand(1, 3, -1, -1)

    assert left([calm(0.7 * noise)], calm(noise)) == [pytest.approx((0.9, 0.9))]


def test_where_frames_are_their_own_targets_nothing_need_be_sharper_than_they_are():
    sharp = texture()
    (found,) = Sharper(0.0)([match()], sharp, sharp, threshold=0.5)
    assert (found.confidence[MIDDLE] > 0.8).all()
    blurry, (one, other) = blurred(sharp, 9), (blurred(sharp, 15), sharp)
    found = Sharper(0.0)([match(), match()], torch.cat((one, other)), blurry, threshold=0.5)
    assert (found[0].confidence[MIDDLE] == 0).all()
    assert sharper_of(Recipe(keep_sharp=True)) == Sharper(0.0)
    assert sharper_of(Recipe(keep_sharp=True, gate=0.0)) == sharper_of(Recipe()) == Sharper()
    assert sharper_of(Recipe(sharper=False)) is None
    assert Sharper(0.0).identity != Sharper().identity


def test_where_only_one_thing_is_blurred_the_rest_is_believed():
    sharp = texture()
    blurry, reference = blurred(sharp, 9), sharp.clone()
    reference[..., : SIDE // 2] = blurry[..., : SIDE // 2]
    (found,) = Sharper()([match()], reference, blurry, threshold=0.5)
    assert (found.confidence[..., 20:-20, 20 : SIDE // 2 - 10] == 0).all()
    assert (found.confidence[..., 20:-20, SIDE // 2 + 10 : -20] > 0).all()


@pytest.mark.parametrize("exposure", [1.0, 0.45])
def test_a_bank_asks_for_it_and_knows_that_it_did(tmp_path, exposure):
    """A darker reference has less energy, but is evened out before it is judged."""
    sharp, blurry = texture(), blurred(texture(), 9)
    frames = []
    for index, image in enumerate((blurry, sharp * exposure, blurry * exposure)):
        frames.append(Frame("clip", index, tmp_path / f"{index}.png"))
        write_picture(image, frames[-1].path)
    sample = Sample(frames[0], tuple(frames[1:]), None)

    def confidence(asked):
        bank = Bank(
            tmp_path / "bank",
            matcher=ZeroMatcher(),
            strategy=strategy_named("average"),
            threshold=0.5,
            store=FrameStore(tmp_path / "store"),
            even=True,
        )
        bank.sharper = Sharper() if asked else None
        bank.refresh(0, [sample], BlurryItself())
        found = bank.matches(0, sample).confidence
        return [(found[n, 0, 6:-6, 6:-6] > 0).all().item() for n in range(2)]

    assert confidence(asked=False) == [True, True]
    assert confidence(asked=True) == [True, False]
    assert confidence(asked=False) == [True, True]
