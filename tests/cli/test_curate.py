import json

import pytest
from tests.frames.shaken import filmed, panned

from bluref.cli import curate
from bluref.cli.main import main
from bluref.frames.curation import CurateConfig
from bluref.frames.frame_table import TABLE
from bluref.media.picture import picture_size, read_picture

WAVE = [1, 1, 3, 9, 13, 9, 3, 1, 1, 3, 9, 13]


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return filmed(tmp_path_factory.mktemp("film") / "drive.mp4", panned(WAVE, size=(96, 128)))


def test_json_tells_counts_per_role_and_clip_and_seconds(film, tmp_path, capsys):
    options = curate.Options((film,), tmp_path, CurateConfig(), pictures=False, json=True)
    assert curate.run(options) == 0
    printed = capsys.readouterr()
    told = json.loads(printed.out)
    (clip,) = told["clips"]
    assert (clip["clip"], clip["frames"], clip["kind"]) == ("drive", 12, "mixed")
    for role in ("sharp", "blurry", "skip"):
        assert clip[role] == told[role]
    assert told["table"] == str(tmp_path / TABLE)
    assert told["failed"] == []
    assert told["seconds"] > 0


@pytest.mark.slow
def test_people_read_what_was_found_and_get_pictures(film, tmp_path, capsys):
    pytest.importorskip("matplotlib")
    assert main(["curate", str(film), "-o", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "drive: 12 frames: 4 sharp, 6 blurry, 2 of no use" in printed.err
    pictures = {path.name: picture_size(path) for path in (tmp_path / "pictures").iterdir()}
    assert set(pictures) == {"drive.timeline.png", "drive.frames.jpg"}
    sheet = read_picture(tmp_path / "pictures" / "drive.frames.jpg")
    assert sheet.std() > 0.1


def test_what_was_left_out_makes_the_status_1(film, tmp_path, capsys):
    (tmp_path / "torn.mp4").write_bytes(b"torn")
    options = curate.Options((film, tmp_path / "torn.mp4"), tmp_path / "out", pictures=False)
    assert curate.run(options) == 1
    assert "torn.mp4" in capsys.readouterr().err


def test_a_user_error_is_one_line_and_a_fix(tmp_path, capsys):
    assert main(["curate", str(tmp_path / "absent"), "-o", str(tmp_path / "out")]) == 2
    error = capsys.readouterr().err
    assert "does not exist" in error
    assert "fix:" in error
    assert "Traceback" not in error
