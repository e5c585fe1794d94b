import json

import pytest
import torch
import torch.nn.functional as F

from bluref.cli.main import main
from bluref.media.picture import read_picture, write_picture


@pytest.fixture
def pictures(tmp_path):
    """A target, and a reference in which everything lies four pixels further right."""
    coarse = torch.rand(1, 3, 16, 24, generator=torch.Generator().manual_seed(0))
    wide = F.interpolate(coarse, (64, 96), mode="bicubic").clamp(0, 1)
    write_picture(wide[..., 4:], tmp_path / "target.png")
    write_picture(wide[..., :-4], tmp_path / "reference.png")
    return str(tmp_path / "target.png"), str(tmp_path / "reference.png")


def test_the_drawing_is_written_and_the_match_told(pictures, tmp_path, capsys):
    out = tmp_path / "drawn" / "match.png"
    assert main(["match", *pictures, "-o", str(out)]) == 0
    told = capsys.readouterr()
    assert told.out == ""
    assert str(out) in told.err
    assert "median motion there 4.0 px" in told.err
    height, width = read_picture(out).shape[-2:]
    assert height >= 2 * 64
    assert width >= 3 * 92


@pytest.mark.parametrize("which", [0, 1])
def test_a_picture_is_never_drawn_over(pictures, capsys, which):
    before = read_picture(pictures[which])
    assert main(["match", *pictures, "-o", pictures[which]]) == 2
    assert "is one of the pictures" in capsys.readouterr().err
    assert torch.equal(read_picture(pictures[which]), before)


def test_json_is_one_object_on_stdout(pictures, tmp_path, capsys):
    out = tmp_path / "match.png"
    assert main(["match", *pictures, "-o", str(out), "--json", "--matcher", "dis-fast"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"picture", "coverage", "median_motion"}
    assert told["picture"] == str(out)
    assert 0.6 < told["coverage"] <= 1
    assert told["median_motion"] == pytest.approx(4, abs=0.2)


def test_pictures_of_different_sizes_are_the_users_to_fix(pictures, tmp_path, capsys):
    write_picture(torch.zeros(1, 3, 50, 60), tmp_path / "other.png")
    out = tmp_path / "match.png"
    assert main(["match", pictures[0], str(tmp_path / "other.png"), "-o", str(out)]) == 2
    assert "92x64" in (said := capsys.readouterr().err)
    assert "60x50" in said
    assert "fix:" in said
    assert not out.exists()


@pytest.mark.parametrize(
    "wrong",
    [["--matcher", "sift"], ["-o", "match.txt"]],
)
def test_what_cannot_be_done_is_the_users_to_fix(pictures, tmp_path, capsys, wrong):
    arguments = ["match", *pictures, "-o", str(tmp_path / "match.png"), *wrong]
    assert main(arguments) == 2
    assert "fix:" in capsys.readouterr().err


def test_tiny_pictures_are_the_users_to_fix(tmp_path, capsys):
    write_picture(torch.zeros(1, 3, 8, 8), tmp_path / "a.png")
    a = str(tmp_path / "a.png")
    assert main(["match", a, a, "-o", str(tmp_path / "match.png"), "--matcher", "dis"]) == 2
    assert "too small to match" in capsys.readouterr().err
