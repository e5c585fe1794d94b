import json

import pytest
import torch

from bluref.cli.main import main
from bluref.media.picture import read_picture, write_picture
from bluref.restore.files import save_network
from bluref.restore.nafnet import NAFNet, NAFNetConfig

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
    assert set(told) == {"done", "skipped", "failed", "seconds"}
    assert (told["done"], told["skipped"]) == (1, 0)
    assert [set(failure) for failure in told["failed"]] == [{"path", "reason"}]
    assert told["failed"][0]["path"].endswith("bad.png")
    assert (scene / "there" / "good.png").is_file()


def test_failures_are_named_on_stderr(scene, capsys):
    assert main(["deblur", "in", "missing.png", "--model", "net"]) == 1
    assert "missing.png does not exist" in capsys.readouterr().err


def test_file_names_cannot_break_the_line_or_reach_the_terminal(scene, capsys):
    (scene / "in" / "a\n\x1b[31m.png").write_text("x")
    assert main(["deblur", "in", "--model", "net"]) == 1
    assert "a??[31m.png" in capsys.readouterr().err


def test_a_second_run_skips_and_overwrite_does_it_again(scene, capsys):
    line = ["deblur", "in", "--model", "net", "--json"]
    told = []
    for more in ([], [], ["--overwrite"]):
        assert main([*line, *more]) == 0
        told.append(json.loads(capsys.readouterr().out))
    assert [(t["done"], t["skipped"]) for t in told] == [(1, 0), (0, 1), (1, 0)]


def test_precision_and_pooling_reach_the_deblurrer(scene, monkeypatch):
    from bluref.restore.deblurrer import Deblurrer

    seen, create = [], Deblurrer.from_pretrained
    monkeypatch.setattr(
        Deblurrer, "from_pretrained", lambda path, **how: seen.append(how) or create(path, **how)
    )
    line = ["deblur", "in", "--model", "net", "--overwrite"]
    assert main(line) == 0
    assert main([*line, "--precision", "fp32", "--no-local-pooling"]) == 0
    assert seen == [
        {"local_pooling": True, "precision": "auto", "engine": "eager"},
        {"local_pooling": False, "precision": "fp32", "engine": "eager"},
    ]


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        (["in", "--model", "nothing"], "no model 'nothing'"),
        (["in", "--model", "in"], "no model.safetensors in in"),
        (["--model", "net"], "no pictures given"),
        (["in", "--model", "net", "-o", "in"], "would replace the input"),
    ],
)
def test_mistakes_are_one_line_and_a_fix(scene, capsys, arguments, problem):
    assert main(["deblur", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    first, fix = err.splitlines()[-2:]
    assert problem in first
    assert fix.startswith("  fix: ")
