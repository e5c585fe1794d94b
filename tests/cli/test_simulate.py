import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bluref.cli import simulate
from bluref.cli.main import main
from bluref.degrade.simulation import SimulateConfig
from bluref.errors import UserError
from bluref.media.picture import write_picture


@pytest.fixture
def album(tmp_path):
    for name in ("cat", "dog"):
        write_picture(torch.rand(1, 3, 60, 80), tmp_path / "album" / f"{name}.png")
    return tmp_path / "album"


def options(source, out, **choices):
    return simulate.Options(source, out, SimulateConfig(frames=2, size=(32, 40)), **choices)


def test_json_is_one_object_on_stdout(album, tmp_path, capsys):
    assert simulate.run(options(album, tmp_path / "out", json=True)) == 0
    told = json.loads(capsys.readouterr().out)
    assert told["kind"] == "stills"
    assert told["frames"] == 4
    assert told["clips"][0] == {"split": "train", "scene": "cat", "frames": 2}
    assert told["failed"] == []
    assert Path(told["out"], "train", "dog", "blur", "000001.png").is_file()


def test_people_read_on_stderr_what_was_made(album, tmp_path, capsys):
    assert simulate.run(options(album, tmp_path / "out")) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "4 frames in 2 clips of stills" in printed.err


def test_what_was_left_out_is_named_and_makes_the_status_1(album, tmp_path, capsys):
    (album / "torn.png").write_bytes(b"torn")
    assert simulate.run(options(album, tmp_path / "out")) == 1
    assert "left out torn.png" in capsys.readouterr().err


def test_an_output_in_use_is_refused(album, tmp_path):
    with pytest.raises(UserError, match="not an empty folder"):
        simulate.run(options(album, album))


def test_footage_is_moved_by_the_classical_flow(tmp_path):
    pytest.importorskip("cv2")
    x = torch.arange(96.0)
    for k in range(5):
        stripes = 0.5 + 0.3 * torch.sin((x - 3 * k) / 4) * torch.cos(x[:64, None] / 5)
        frame = stripes.expand(1, 3, 64, 96).contiguous()
        write_picture(frame, tmp_path / "clip" / f"{k}.png")
    assert simulate.run(options(tmp_path / "clip", tmp_path / "out")) == 0


def test_every_choice_of_the_library_is_an_option(capsys):
    with pytest.raises(SystemExit):
        main(["simulate", "--help"])
    shown = capsys.readouterr().out
    for name in SimulateConfig.__dataclass_fields__:
        assert f"--{name}" in shown


def test_a_choice_out_of_bounds_is_the_users_mistake(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["simulate", "in", "-o", "out", "--jpeg", "300"])
    assert stopped.value.code == 2
    assert "jpeg must lie in 1 to 100" in capsys.readouterr().err


def test_help_needs_no_torch():
    code = "import sys, bluref.cli.simulate; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
