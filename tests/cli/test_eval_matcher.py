import json

import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from bluref.cli.main import main
from bluref.match.scoring import RealScore
from bluref.match.zero import ZeroMatcher
from bluref.media.picture import write_picture

pytestmark = pytest.mark.slow

REAL = {"matcher", "delta", "coverage", "psnr_confident", "psnr_at_half", "seconds_per_reference"}
SYNTHETIC = {"matcher", "blur", "epe", "pck1", "pck3", "pck5", "ause", "calibration_error"}


def texture(height, width, seed=0):
    generator = torch.Generator().manual_seed(seed)
    image = torch.zeros(1, 3, height, width)
    for cell in (3, 8, 24):
        coarse = torch.rand(1, 3, height // cell + 2, width // cell + 2, generator=generator)
        image += F.interpolate(coarse, (height, width), mode="bicubic") / 3
    return image.clamp(0, 1)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """A tree with one test scene of four frames that moves three pixels a frame."""
    folder = tmp_path_factory.mktemp("data")
    wide = texture(64, 96 + 12)
    for index in range(4):
        sharp = wide[..., 3 * index : 3 * index + 96]
        write_picture(sharp, folder / "test" / "scene" / "sharp" / f"{index:03d}.png")
        blurry = F.avg_pool2d(F.pad(sharp, (1, 1, 0, 0), mode="replicate"), (1, 3), stride=1)
        write_picture(blurry, folder / "test" / "scene" / "blur" / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    folder = tmp_path_factory.mktemp("photos")
    for seed in range(2):
        write_picture(texture(360, 400, seed), folder / f"{seed}.png")
    return folder


def rows(capsys, *arguments):
    assert main(["eval-matcher", *map(str, arguments), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told.keys() == {"rows"}
    return told["rows"]


def test_real_motion_gives_a_row_per_matcher_and_distance(data, capsys):
    found = rows(capsys, data, "--matcher", "dis", "zero", "--delta", 1, 3)
    assert [(r["matcher"], r["delta"]) for r in found] == [
        ("dis", 1), ("dis", 3), ("zero", 1), ("zero", 3),
    ]  # fmt: skip
    assert all(row.keys() == REAL for row in found)
    assert all(0 <= row["coverage"] <= 1 and row["seconds_per_reference"] > 0 for row in found)
    assert found[0]["psnr_at_half"] > found[2]["psnr_at_half"] + 5


def test_synthetic_pairs_give_a_row_per_matcher_and_blur(photos, capsys, tmp_path):
    picture = tmp_path / "reliability.png"
    found = rows(
        capsys, "--synthetic", photos, "--blur", 0, 20, "--count", 3, "--picture", picture
    )  # fmt: skip
    assert [(r["matcher"], r["blur"]) for r in found] == [
        ("compact", 0), ("compact", 20), ("dis", 0), ("dis", 20), ("zero", 0), ("zero", 20),
    ]  # fmt: skip
    assert all(row.keys() == SYNTHETIC for row in found)
    by = {(row["matcher"], row["blur"]): row for row in found}
    for name in ("compact", "dis"):
        assert by[name, 0]["epe"] < by["zero", 0]["epe"]
    # The same scenes and flows at every length: nothing moves just as wrongly.
    assert by["zero", 0]["epe"] == pytest.approx(by["zero", 20]["epe"])
    assert by["dis", 0]["pck1"] > by["dis", 20]["pck1"]
    with Image.open(picture) as drawn:
        assert drawn.width > drawn.height


def test_a_seed_gives_the_same_rows_and_another_seed_gives_others(photos, capsys):
    given = ("--synthetic", photos, "--blur", 5, "--count", 1, "--matcher", "zero")
    one, again, other = (rows(capsys, *given, "--seed", seed) for seed in (1, 1, 2))
    assert one == again != other


def test_without_json_a_table_is_for_people(data, capsys):
    assert main(["eval-matcher", str(data), "--matcher", "zero", "--delta", "1"]) == 0
    told = capsys.readouterr().out
    assert "psnr at half" in told
    assert "zero" in told
    assert "1.000" in told


def test_what_was_measured_is_told_though_the_picture_cannot_be_drawn(
    photos, capsys, monkeypatch, tmp_path
):
    """And a matcher's name is no markup."""
    matchers = {}
    monkeypatch.setattr(
        "bluref.match.named.matcher_named",
        lambda name, **_: matchers.setdefault(name, ZeroMatcher()),
    )
    given = ["--synthetic", str(photos), "--count", "1", "--blur", "0", "--matcher", "runs/[/v2]"]
    (tmp_path / "no").write_text("folder")
    assert main(["eval-matcher", *given, "--picture", str(tmp_path / "no" / "where.png")]) == 2
    told = capsys.readouterr()
    assert "runs/[/v2]" in told.out
    assert "where.png" in told.err


def test_nothing_confident_is_null(data, capsys, monkeypatch):
    nothing = RealScore(0.0, float("nan"), 20.0, 0.1)
    monkeypatch.setattr("bluref.match.scoring.score_real", lambda *_, **__: nothing)
    (row,) = rows(capsys, data, "--matcher", "zero", "--delta", 1)
    assert row["psnr_confident"] is None
    assert main(["eval-matcher", str(data), "--matcher", "zero", "--delta", "1"]) == 0
    assert " - " in capsys.readouterr().out


@pytest.mark.parametrize(
    ("wrong", "problem"),
    [
        (["DATA", "--matcher", "sift"], "unknown matcher 'sift'"),
        (["DATA", "--delta", "4"], "at distance 4"),
        (["DATA", "--delta", "0"], "delta is 0"),
        (["DATA", "--every", "0"], "every is 0"),
        (["DATA", "--part", "train"], "no train/"),
        (["DATA", "--synthetic", "PHOTOS"], "either DATA or --synthetic"),
        (["DATA", "--picture", "x.png"], "needs pairs of known flow"),
        ([], "either DATA or --synthetic"),
        (["PHOTOS"], "holds no pairs"),
        (["EMPTY"], "no clips in"),
        (["--synthetic", "EMPTY"], "no clips in"),
        (["--synthetic", "MISSING"], "is not a folder"),
        (["--synthetic", "PHOTOS", "--blur", "-1"], "--blur is -1"),
        (["--synthetic", "PHOTOS", "--blur", "nan"], "--blur is nan"),
        (["--synthetic", "PHOTOS", "--count", "0"], "--count is 0"),
        (["--synthetic", "PHOTOS", "--picture", "x.txt"], "x.txt is no name for a PNG"),
    ],
)
def test_what_cannot_be_measured_is_the_users_to_fix(
    data, photos, tmp_path, capsys, wrong, problem
):
    (tmp_path / "empty").mkdir()
    places = {"DATA": data, "PHOTOS": photos, "EMPTY": tmp_path / "empty", "MISSING": "missing"}
    assert main(["eval-matcher", *(str(places.get(word, word)) for word in wrong)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert problem in err
    assert "fix:" in err


@pytest.mark.parametrize("name", ["matcher", "delta"])
def test_an_empty_list_is_the_users_to_fix(data, capsys, name):
    assert main(["eval-matcher", str(data), f"--{name}"]) == 2
    assert f"--{name} names none" in capsys.readouterr().err
