import json

import pytest
import torch
from tests.media.films.films import Film, look

from bluref.cli.main import main
from bluref.media.picture import read_picture, write_picture
from bluref.restore.files import save_network
from bluref.restore.networks.nafnet import NAFNet, NAFNetConfig

TINY = NAFNetConfig(width=2, encoder=(1,), middle=1, decoder=(1,))


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """A working folder with a network, a good picture and a broken one."""
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    save_network(NAFNet(TINY), tmp_path / "net", training_size=8, meta={})
    (tmp_path / "in").mkdir()
    write_picture(torch.rand(1, 3, 12, 15), tmp_path / "in" / "good.png")
    return tmp_path


def test_pictures_are_deblurred_into_the_default_folder(scene, capsys):
    assert main(["deblur", "in", "--model", "net"]) == 0
    assert read_picture(scene / "deblurred" / "good.png").shape == (1, 3, 12, 15)
    out, err = capsys.readouterr()
    assert out == ""
    assert "1 deblurred, 0 already there, 0 failed" in err


def test_json_is_one_object_with_the_promised_entries(scene, capsys):
    (scene / "in" / "bad.png").write_text("x")
    assert main(["deblur", "in", "--model", "net", "-o", "there", "--json"]) == 1
    told = json.loads(capsys.readouterr().out)
    promised = "done skipped failed seconds peak_memory_bytes tiles engine guard films"
    assert set(told) == set(promised.split())
    assert (told["tiles"], told["engine"]) == (1, "eager")
    assert [note["path"] for note in told["guard"]] == ["in/good.png"]  # its weights are random
    assert {"finding", "action"} <= set(told["guard"][0])
    assert (told["done"], told["skipped"]) == (1, 0)
    assert [set(failure) for failure in told["failed"]] == [{"path", "reason"}]
    assert told["failed"][0]["path"].endswith("bad.png")
    assert (scene / "there" / "good.png").is_file()


def test_failures_are_named_on_stderr(scene, capsys):
    assert main(["deblur", "in", "missing.png", "--model", "net"]) == 1
    assert "cannot open missing.png: no such file" in capsys.readouterr().err


def test_file_names_cannot_break_the_line_or_reach_the_terminal(scene, capsys):
    (scene / "in" / "a\n\x1b[31m.png").write_text("x")
    assert main(["deblur", "in", "--model", "net"]) == 1
    assert r"a\n\x1b[31m.png" in capsys.readouterr().err


def test_a_second_run_skips_and_overwrite_does_it_again(scene, capsys):
    line = ["deblur", "in", "--model", "net", "--json"]
    told = []
    for more in ([], [], ["--overwrite"]):
        assert main([*line, *more]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [(t["done"], t["skipped"]) for t in told] == [(1, 0), (0, 1), (1, 0)]


def test_identity_changes_nothing(scene):
    assert main(["deblur", "in", "--model", "identity"]) == 0
    before, after = (scene / folder / "good.png" for folder in ("in", "deblurred"))
    assert torch.equal(read_picture(before), read_picture(after))


def test_quality_and_limits_reach_the_pictures(scene, capsys):
    write_picture(torch.rand(1, 3, 40, 40), scene / "in" / "big.jpg")
    line = ["deblur", "in/big.jpg", "--model", "identity", "--overwrite"]
    sizes = []
    for quality in ("10", "90"):
        assert main([*line, "--quality", quality]) == 0
        sizes.append((scene / "deblurred" / "big.jpg").stat().st_size)
    assert sizes[0] < sizes[1]
    for limit in ("--max-pixels", "--max-bytes"):
        assert main([*line, limit, "100"]) == 1
        assert limit in capsys.readouterr().err


def test_what_is_there_for_an_unknown_reason_needs_a_word(scene, capsys):
    (scene / "deblurred").mkdir()
    (scene / "deblurred" / "good.png").write_text("mine")
    line = ["deblur", "in", "--model", "identity"]
    assert main(line) == 1
    assert "--skip-existing" in capsys.readouterr().err
    assert main([*line, "--skip-existing"]) == 0
    assert "left as it is, of unknown origin: deblurred/good.png" in capsys.readouterr().err
    assert (scene / "deblurred" / "good.png").read_text() == "mine"
    assert main([*line, "--overwrite"]) == 0
    assert read_picture(scene / "deblurred" / "good.png").shape == (1, 3, 12, 15)


def test_what_is_not_read_here_is_counted(scene, capsys):
    (scene / "in" / "a.cr2").write_text("raw")
    assert main(["deblur", "in", "--model", "identity"]) == 0
    assert "1 .cr2 not read here" in capsys.readouterr().err


@pytest.mark.slow
def test_precision_and_pooling_reach_the_deblurrer(scene, monkeypatch):
    from bluref.restore.deblurrer import Deblurrer

    seen, create = [], Deblurrer.from_pretrained
    monkeypatch.setattr(
        Deblurrer, "from_pretrained", lambda path, **how: seen.append(how) or create(path, **how)
    )
    line = ["deblur", "in", "--model", "net", "--overwrite"]
    assert main(line) == 0
    other = ["--precision", "fp32", "--no-local-pooling", "--engine", "onnxruntime"]
    assert main([*line, *other]) == 0
    assert main([*line, "--device", "cuda:77"]) == 2
    seen.pop()
    assert seen == [
        {"local_pooling": True, "precision": "auto", "device": "cpu", "engine": None},
        {"local_pooling": False, "precision": "fp32", "device": "cpu", "engine": "onnxruntime"},
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["in", "--model", "nothing"], "no model 'nothing'"),
        (["in", "--model", "in"], "no model.safetensors in in"),
        (["--model", "net"], "no pictures given"),
        (["in", "--model", "net", "-o", "in"], "would replace the input"),
        (["in", "--model", "identity", "--overwrite", "--skip-existing"], "contradict"),
        (["in", "--model", "identity", "--quality", "0"], "out of range"),
        (["in", "--model", "identity", "--max-pixels", "0"], "allows nothing"),
        (["in", "--model", "identity", "--crf", "-5"], "--crf -5 is out of range"),
        (["", "--model", "identity"], "an empty argument"),
    ],
)
def test_mistakes_are_one_line_and_a_fix(scene, capsys, arguments, problem):
    assert main(["deblur", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, fix = err.splitlines()[-2:]
    assert problem in first
    assert fix.startswith("  fix: ")


def test_a_video_is_deblurred_and_what_happened_is_told(scene, capsys):
    film = Film("libx264", size=(24, 32), frames=4, sound="aac").write(scene / "clip.mp4")
    line = ["deblur", "clip.mp4", "--model", "net", "--json"]
    assert main([*line, "--codec", "aac", "-o", "x"]) == 1
    assert "no encoder 'aac' here" in capsys.readouterr().err
    assert main([*line, "--crf", "20"]) == 0
    err = capsys.readouterr().err
    before, after = look(film), look(scene / "deblurred" / "clip.mp4")
    assert after.times == before.times
    assert after.packets == before.packets
    assert "clip.mp4: 4 frames" in err
    assert "4 deblurred, 0 left alone as sharp, written by libx264" in err


def test_a_film_for_whose_quality_there_is_no_number_is_told_what_can_be_done(scene, capsys):
    Film("libx264", size=(24, 32), frames=2).write(scene / "clip.mp4")
    Film("libvpx-vp9", size=(24, 32), frames=2).write(scene / "clip.webm")
    line = ["deblur", "--model", "identity"]
    assert main([*line, "clip.mp4", "--crf", "52"]) == 1
    assert "--crf 52 is out of the range of libx264; choose 0 to 51" in capsys.readouterr().err
    assert main([*line, "clip.webm", "--codec", "ffv1"]) == 1
    assert "choose a --codec that they hold (vp9, av1)" in capsys.readouterr().err
    assert not list((scene / "deblurred").glob("clip.*"))


def test_strength_trust_memory_and_guard_are_as_asked(scene, capsys):
    line = ["deblur", "in", "--model", "net", "--no-guard"]
    assert main([*line, "-o", "full", "--trust", "--memory", "3GiB"]) == 0
    assert main([*line, "-o", "half", "--strength", "0.5"]) == 0
    assert main([*line, "-o", "none", "--strength", "0"]) == 0
    names = ("in", "full", "half", "none")
    before, full, half, none = (read_picture(scene / name / "good.png") for name in names)
    assert torch.equal(none, before)
    assert (full - before).abs().max() > 0.1
    torch.testing.assert_close(half, (before + full) / 2, atol=1.01 / 255, rtol=0)
    trust = read_picture(scene / "full" / "good.png.trust.png")
    assert trust.shape == before.shape
    assert trust.min() < 0.5  # where so much was changed
    assert not (scene / "half" / "good.png.trust.png").exists()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        (["--strength", "1.5"], "--strength 1.5 is out of range"),
        (["--memory", "lots"], "'lots' is no size of memory"),
    ],
)
def test_impossible_wishes_are_told(scene, capsys, options, problem):
    assert main(["deblur", "in", "--model", "net", *options]) == 2
    first, fix = capsys.readouterr().err.splitlines()[-2:]
    assert problem in first
    assert fix.strip().startswith("fix:")


def test_memory_that_is_too_little_says_how_much_would_do(scene, capsys):
    assert main(["deblur", "in", "--model", "net", "--memory", "64MiB"]) == 1
    assert "64MiB of memory are too little" in capsys.readouterr().err
