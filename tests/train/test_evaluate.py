"""What cannot be measured is told by name."""

import pytest
import torch

from bluref.errors import UserError
from bluref.media.picture import write_picture
from bluref.train.evaluate import evaluate_pairs, paired_frames


@pytest.fixture
def data(tmp_path):
    for kind in ("blur", "sharp"):
        for index in range(4):
            write_picture(torch.rand(1, 3, 10, 40), tmp_path / "scene" / kind / f"{index}.png")
    return tmp_path


@pytest.mark.parametrize("every", [0, -1])
def test_a_step_below_one_is_refused(data, every):
    with pytest.raises(UserError, match=f"every is {every}"):
        paired_frames(data, part="test", layout="auto", every=every)


def test_every_second_pair_is_taken(data):
    pairs = paired_frames(data, part="test", layout="auto", every=2)
    assert [blurry.index for blurry, _ in pairs] == [0, 2]


def test_a_picture_too_small_to_be_measured_is_named(data):
    pairs = paired_frames(data, part="test", layout="auto")
    with pytest.raises(UserError, match=r"0\.png is too small") as caught:
        evaluate_pairs(lambda image: image, pairs)
    assert "11 pixels" in caught.value.fix
