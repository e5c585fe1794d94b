import pytest
import torch
from PIL import Image, ImageOps

from bluref.media.pixels import from_array, to_array
from bluref.restore.tiling.turn import ORIENTATIONS, turn_back, turn_upright


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_is_what_pillow_does_for_exif(orientation):
    image = torch.rand(1, 3, 5, 8)
    stored = Image.fromarray(to_array(image))
    stored.getexif()[274] = orientation
    upright = ImageOps.exif_transpose(stored)
    expected = from_array(torch.tensor(list(upright.tobytes()), dtype=torch.uint8)
                          .reshape(upright.height, upright.width, 3).numpy())  # fmt: skip
    ours = turn_upright(from_array(to_array(image)), orientation)
    assert torch.equal(ours, expected)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_back_undoes_turning(orientation):
    image = torch.rand(3, 4, 7)
    assert torch.equal(turn_back(turn_upright(image, orientation), orientation), image)


def test_other_orientations_are_refused():
    with pytest.raises(ValueError, match="1 to 8, got 9"):
        turn_upright(torch.rand(3, 4, 7), 9)
