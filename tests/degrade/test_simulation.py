import subprocess
import sys

import pytest

from bluref.degrade.simulation import ClipReport, SimulateConfig, SimulateReport


@pytest.mark.parametrize(
    "wrong",
    [
        {"noise": -1.0},
        {"jpeg": 101},
        {"test": 1.5},
        {"frames": 0},
        {"rate": 0.0},
        {"exposure": 0.0},
        {"size": (240, 8)},
        {"speed": -0.5},
        {"subframes": 0},
        {"noise": float("nan")},
    ],
)
def test_choices_out_of_bounds_are_refused_by_name(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        SimulateConfig(**wrong)


def test_a_report_counts_the_frames_of_all_clips():
    clips = (ClipReport("train", "a", 3), ClipReport("test", "b", 4))
    assert SimulateReport("stills", clips, (), 0.0).frames == 7


def test_the_choices_are_there_without_torch():
    code = "import sys, bluref.degrade.simulation; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
