"""What a photograph holds in memory while it is read and written, whatever its size."""

import json
import os
import signal
import subprocess
import sys
import time

import pytest
from tests.media.photos.pictures import noise, pillow

from bluref.media.photos import vips
from bluref.media.photos.photo import open_photo

pytestmark = pytest.mark.slow

LONG = pytest.mark.skipif(
    "BLUREF_LONG" not in os.environ, reason="takes minutes; set BLUREF_LONG=1"
)

COPY = """
import json, resource, sys
from pathlib import Path
import torch
from bluref.media.photos.photo import open_photo

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

with open_photo(sys.argv[1]) as photo, photo.rewrite(sys.argv[2]) as sink:
    before, told = peak(), photo.decoder_bytes
    for top in range(0, photo.height, 32):
        sink.write(photo.read(min(32, photo.height - top)))
    print("read", flush=True)
print(json.dumps({"rise": peak() - before, "told": told}))
"""


def painted(path, side, *, noisy=500, **options):
    """Squares of 500 pixels, so many lines of each noise, written by libvips in stripes."""
    square = noise(height=500, width=500)
    square[noisy:] = 0
    squares = vips.from_array(square).replicate(side // 500, side // 500)
    squares.copy(interpretation="srgb").write_to_file(str(path), **options)
    return path


def copy(source):
    """Rise of the peak and `decoder_bytes`, in bytes, of a process that writes the file anew."""
    out = source.with_name(f"out{source.suffix}")
    line = [sys.executable, "-c", COPY, str(source), str(out)]
    done = subprocess.run(line, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout.splitlines()[-1])
    return told["rise"], told["told"]


@pytest.mark.parametrize(
    ("side", "most"), [(7_000, 250), pytest.param(10_000, 350, marks=LONG)], ids=["49", "100"]
)
@pytest.mark.parametrize(
    ("suffix", "options"), [("png", {"compression": 1, "filter": 8}), ("jpg", {"Q": 50})]
)
def test_many_megapixels_stream(tmp_path, suffix, options, side, most):
    rise, told = copy(painted(tmp_path / f"a.{suffix}", side, noisy=50, **options))
    assert rise < told < most << 20
    assert rise < 3 * side**2  # which the picture would take as 8 bit


@pytest.mark.parametrize(
    ("suffix", "options"),
    [
        ("png", {"compression": 1, "interlace": True}),
        ("jpg", {"Q": 90, "interlace": True}),
        ("webp", {"Q": 80, "effort": 0}),
    ],
)
def test_what_pictures_that_do_not_stream_hold_is_known_beforehand(tmp_path, suffix, options):
    rise, told = copy(painted(tmp_path / f"a.{suffix}", 2_000, **options))
    assert rise < told


def test_what_is_held_is_told_by_the_header(tmp_path):
    values = noise(height=600, width=800)
    held = {}
    for name, options in (
        ("plain.jpg", {}),
        ("progressive.jpg", {"progressive": True}),
        ("a.webp", {"lossless": True}),
        ("a.avif", {}),
    ):
        with open_photo(pillow(tmp_path / name, values, **options)) as photo:
            held[name] = photo.decoder_bytes
    assert held["plain.jpg"] < held["progressive.jpg"] < held["a.webp"] < held["a.avif"]


def test_ctrl_c_stops_an_encoder_at_once(tmp_path):
    image = vips.Image.gaussnoise(20_000, 20_000).cast("uchar")  # half a minute's work
    ended = []

    def work():
        try:
            image.pngsave(str(tmp_path / "a.png"), filter=0xF8)
        finally:
            ended.append(True)

    before = signal.signal(signal.SIGALRM, signal.default_int_handler)
    start = time.monotonic()
    signal.setitimer(signal.ITIMER_REAL, 0.4)
    try:
        with pytest.raises(KeyboardInterrupt):
            vips.run_stoppably(image, work)
    finally:
        signal.signal(signal.SIGALRM, before)
    assert ended == [True]
    assert time.monotonic() - start < 5


def test_an_error_of_an_encoder_is_raised_where_it_was_asked_for(tmp_path):
    image = vips.Image.black(10, 10)
    with pytest.raises(vips.Error):
        vips.run_stoppably(image, lambda: image.pngsave(str(tmp_path / "no" / "a.png")))
