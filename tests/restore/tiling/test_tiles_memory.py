"""What a process holds at most, in MiB, while a network works on a picture of any size."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

LONG = pytest.mark.skipif(
    "BLUREF_LONG" not in os.environ, reason="takes minutes; set BLUREF_LONG=1"
)

ROWS = """
import sys, torch
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.tiling.memory import highest
from bluref.restore.tiling.tiles import deblur_rows

height, width, budget, channels = map(int, sys.argv[1:5])
engine = sys.argv[5]
network = torch.nn.Sequential(
    torch.nn.Conv2d(3, channels, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(channels, 3, 1)
)
if engine != "eager":  # others run networks of ours alone
    network = NAFNet(NAFNetConfig(width=16, encoder=(1,), middle=1, decoder=(1,)))
rows = torch.rand(1, 3, 64, width)
deblurrer = Deblurrer(network, training_size=None, precision="fp32", engine=engine)
for _ in range(int(sys.argv[6])):
    report = deblur_rows(
        lambda n: rows[..., :n, :] * 1, lambda _: None, height, width, deblurrer,
        memory=budget * 2**20,
    )
print(report.tiles, highest() // 2**20)
"""

FILE = """
import sys
from pathlib import Path
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig
from bluref.restore.tiling.memory import highest
from bluref.restore.work.one_photo import PhotoOptions, deblur_photo

folder, budget = Path(sys.argv[1]), int(sys.argv[2])
network = NAFNet(NAFNetConfig(width=2, encoder=(1,), middle=1, decoder=(1,)))
for value in network.ending.parameters():
    value.data.zero_()  # it adds nothing
deblurrer = Deblurrer(network, training_size=64, precision="fp32")
report = deblur_photo(
    folder / "in.tif", folder / "out.tif", deblurrer, PhotoOptions(memory=budget * 2**20)
)
print(report.tiles, highest() // 2**20)
"""

PAINT = """
import sys
import pyvips
side = int(sys.argv[2])
ramp = pyvips.Image.xyz(side, side)
three = (ramp[0] + ramp[1]).bandjoin([ramp[0], ramp[1]]).remainder(60000)
three.cast("ushort").copy(interpretation="rgb16").tiffsave(sys.argv[1] + "/in.tif")
"""


def told(script, *arguments):
    """Tiles, and MiB that the process held at most."""
    command = [sys.executable, "-c", script, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert not done.returncode, done.stderr
    return tuple(map(int, done.stdout.split()))


def peak(height, width, budget, engine="eager", *, channels=48, pictures=1):
    return told(ROWS, height, width, budget, channels, engine, pictures)


def test_a_picture_of_one_megapixel_stays_within_its_memory():
    tiles, most = peak(1000, 1000, 400)
    assert tiles > 1
    assert most <= 400


@pytest.mark.parametrize(
    "engine", ["onnxruntime", pytest.param("openvino", marks=pytest.mark.slow)]
)
def test_every_engine_stays_within_its_memory(engine):
    pytest.importorskip(engine)
    tiles, most = peak(700, 900, 500, engine, pictures=2 if engine == "openvino" else 1)
    assert tiles > 1
    assert most <= 500


@pytest.mark.parametrize(
    ("height", "width", "budget", "channels"),
    [
        (3000, 4000, 700, 24),
        pytest.param(4000, 6000, 700, 24, marks=LONG),
        pytest.param(8000, 12500, 700, 4, marks=LONG),
        pytest.param(20000, 20000, 900, 4, marks=LONG),
    ],
    ids=["12 megapixels", "24 megapixels", "100 megapixels", "400 megapixels"],
)
def test_a_large_picture_stays_within_its_memory(height, width, budget, channels):
    tiles, most = peak(height, width, budget, channels=channels)
    assert tiles > 4
    assert most <= budget


def test_a_file_of_16_bit_stays_within_its_memory_and_keeps_every_level(tmp_path):
    side, budget = 3000, 700  # 54 MB, and 108 MB as float32
    told(PAINT, tmp_path, side)
    tiles, most = told(FILE, tmp_path, budget)
    assert tiles > 4
    assert most <= budget
    import pyvips

    before, after = (pyvips.Image.new_from_file(str(tmp_path / f"{n}.tif")) for n in ("in", "out"))
    assert after.format == "ushort"
    assert (before - after).abs().max() <= 1
