"""Maps beside photographs."""

import os

import numpy as np
import pytest
import torch
from PIL import Image, ImageOps

from bluref.media.photos import vips
from bluref.media.photos.grey_map import grey_map


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (257, 3)])
def test_rows_come_back_as_another_library_reads_them(tmp_path, size):
    values = torch.rand(1, *size)
    with grey_map(tmp_path / "a.png", *size, 1) as write:
        for start in range(0, size[0], 5):
            write(values[:, start : start + 5])
    with Image.open(tmp_path / "a.png") as file:
        assert file.mode == "L"
        read = np.asarray(file)
    assert np.array_equal(read, (values[0] * 255).round().byte().numpy())


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_map_is_turned_as_its_photograph_is(tmp_path, orientation):
    photograph = Image.new("L", (8, 4))
    photograph.putpixel((7, 0), 255)
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph.save(tmp_path / "photo.png", exif=exif)
    values = torch.zeros(1, 4, 8)
    values[0, 0, 7] = 1
    with grey_map(tmp_path / "map.png", 4, 8, orientation) as write:
        write(values)
    shown = [
        np.asarray(ImageOps.exif_transpose(Image.open(tmp_path / f"{name}.png")))
        for name in ("photo", "map")
    ]
    assert np.array_equal(*shown)


def test_values_outside_the_range_are_clamped(tmp_path):
    with grey_map(tmp_path / "a.png", 1, 2, 1) as write:
        write(torch.tensor([[[-1.0, 2.0]]]))
    assert np.asarray(Image.open(tmp_path / "a.png")).tolist() == [[0, 255]]


def test_missing_rows_leave_no_file(tmp_path):
    with (
        pytest.raises(ValueError, match="1 rows for a picture of 2"),
        grey_map(tmp_path / "a.png", 2, 4, 1) as write,
    ):
        write(torch.rand(1, 1, 4))
    assert list(tmp_path.iterdir()) == []


def test_a_folder_may_have_a_name_that_is_no_text(tmp_path):
    folder = tmp_path / os.fsdecode(b"caf\xe9")
    folder.mkdir()
    with grey_map(folder / "a.png", 1, 2, 1) as write:
        write(torch.tensor([[[0.0, 1.0]]]))
    assert np.asarray(Image.open(folder / "a.png")).tolist() == [[0, 255]]


def test_ctrl_c_stops_a_map_that_is_being_encoded(tmp_path, monkeypatch):
    def interrupt(_image, _work):  # `run_stoppably` is tested with a real signal
        raise KeyboardInterrupt

    monkeypatch.setattr(vips, "run_stoppably", interrupt)
    with pytest.raises(KeyboardInterrupt), grey_map(tmp_path / "a.png", 1, 2, 1) as write:
        write(torch.rand(1, 1, 2))
    assert list(tmp_path.iterdir()) == []
