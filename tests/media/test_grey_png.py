import numpy as np
import pytest
import torch
from PIL import Image

from bluref.media.grey_png import grey_png


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (257, 3)])
def test_rows_come_back_as_another_library_reads_them(tmp_path, size):
    image = torch.rand(1, 1, *size)
    with grey_png(tmp_path / "a.png", *size) as write:
        for start in range(0, size[0], 5):
            write(image[:, :, start : start + 5])
    with Image.open(tmp_path / "a.png") as file:
        assert file.mode == "L"
        read = np.asarray(file)
    assert np.array_equal(read, (image[0, 0] * 255).round().byte().numpy())


def test_values_outside_the_range_are_clamped(tmp_path):
    with grey_png(tmp_path / "a.png", 1, 2) as write:
        write(torch.tensor([[[[-1.0, 2.0]]]]))
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 255]]


@pytest.mark.parametrize("rows", [1, 3])
def test_a_wrong_number_of_rows_leaves_no_file(tmp_path, rows):
    with pytest.raises(ValueError, match=f"2 rows, got {rows}"), \
            grey_png(tmp_path / "a.png", 2, 4) as write:  # fmt: skip
        write(torch.rand(1, 1, rows, 4))
    with pytest.raises(ValueError, match="4 px wide, got 5"), \
            grey_png(tmp_path / "a.png", 2, 4) as write:  # fmt: skip
        write(torch.rand(1, 1, 2, 5))
    assert list(tmp_path.iterdir()) == []
