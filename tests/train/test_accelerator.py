"""On an accelerator: a pretended one (`tests/accelerator.py`), since few machines have a card."""

import subprocess
import sys
from pathlib import Path

import pytest
from safetensors.torch import load_file

from bluref.cli.main import main
from bluref.media.picture import read_picture

SCRIPT = Path(__file__).parents[1] / "accelerator.py"
CHOICES = (
    "--matcher dis --steps 4 --warm-start 1 --refresh-every 2 --batch 2 --crop 32 --refs 2"
    " --reblur 0.3 --learning-rate 0.01 --ramp 1 --hold-out 0 --log-every 2 --no-check"
)


@pytest.mark.slow
@pytest.mark.usefixtures("thin")
def test_what_is_trained_and_deblurred_there_is_the_same_as_here(footage, tmp_path):
    blurry = footage / "test" / "scene2" / "blur" / "000000.png"

    def commands(place, device):
        train = f"train {footage} {CHOICES} -o {place}/run --device {device}"
        return (
            train,
            f"deblur {blurry} -o {place}/out --model {place}/run --no-guard --device {device}",
        )

    there, here = tmp_path / "there", tmp_path / "here"
    told = " then ".join(commands(there, "pretend")).split(" ")
    done = subprocess.run(
        [sys.executable, SCRIPT, *told], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for command in commands(here, "cpu"):
        assert main(command.split(" ")) == 0
    for name in ("model", "training"):
        ours, theirs = (
            load_file(place / "run" / "last" / f"{name}.safetensors") for place in (here, there)
        )
        assert ours.keys() == theirs.keys()
        assert all(ours[key].equal(theirs[key]) for key in ours)
    pictures = [read_picture(place / "out" / "000000.png") for place in (here, there)]
    assert pictures[0].equal(pictures[1])
    assert not pictures[0].equal(read_picture(blurry))
