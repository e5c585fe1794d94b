"""On an accelerator: a pretended one (`tests/accelerator.py`), since few machines have a card."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bluref.cli.main import main
from bluref.media.picture import read_picture

SCRIPT = Path(__file__).parents[1] / "accelerator.py"
CHOICES = (
    "--matcher compact --steps 4 --warm-start 2 --refresh-every 1 --batch 2 --crop 32 --refs 2"
    " --reblur 0.3 --learning-rate 0.01 --ramp 1 --hold-out 0 --log-every 3 --no-check"
)


def contents(folder):
    """Of the files with tensors in a folder, by name."""
    found = {path.name: path.read_bytes() for path in folder.rglob("*.safetensors")}
    assert found
    return found


def pictures(place):
    """Of a picture, or of those in a folder, in their order."""
    found = [p.read_bytes() for p in (sorted(place.iterdir()) if place.is_dir() else [place])]
    assert found
    return found


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_what_is_computed_there_is_the_same_as_here(other_footage, tmp_path, monkeypatch):
    # The pretended one has float32 alone, where this processor may be faster at bfloat16.
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict, raising=False)
    scene = other_footage / "train" / "other"
    blurry, sharp = scene / "blur" / "000000.png", scene / "sharp" / "000001.png"
    there, here = tmp_path / "there", tmp_path / "here"

    def commands(place, device):
        lines = (
            f"train {other_footage} {CHOICES} -o {place}/run",
            f"deblur {blurry} -o {place} --model {place}/run --no-guard",
            f"pairs {place}/run -o {place}/pairs",
            f"eval {other_footage} --part train --every 8 --model {place}/run",
            f"match {blurry} {sharp} -o {place}/match.png",
            f"eval-matcher {other_footage} --part train --every 8 --delta 1 --matcher compact",
        )
        return [f"{line} --device {device}" for line in lines]

    told = " then ".join(commands(there, "pretend")).split(" ")
    done = subprocess.run(
        [sys.executable, SCRIPT, *told], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in commands(here, "cpu"):
        assert main(command.split(" ")) == 0
    for part in ("motion", "bank", "last"):
        assert contents(here / "run" / part) == contents(there / "run" / part)
    for part in ("000000.png", "match.png", "pairs/sharp", "pairs/trust"):
        ours, theirs = (pictures(place / part) for place in (here, there))
        assert ours == theirs
    assert not read_picture(here / "000000.png").equal(read_picture(blurry))
