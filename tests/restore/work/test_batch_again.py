"""Runs that come after other runs: what is skipped, what is done anew, and what is left alone."""

import os
from contextlib import suppress

import pytest
import torch
from tests.media.films.films import Film
from tests.restore.work.batches import UNGUARDED, deblur_files, inverter, is_inverted, paint, tree

import bluref
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.work.ledger import Ledger
from bluref.restore.work.one_photo import PhotoOptions
from bluref.restore.work.video import VideoOptions


@pytest.fixture
def invert():
    return inverter()


def test_what_is_there_for_an_unknown_reason_is_neither_reused_nor_replaced(tmp_path, invert):
    source, out = paint(tmp_path / "a.png"), tmp_path / "out"
    deblur_files([source], out, invert)
    edited = paint(out / "a.png", level=0.5).read_bytes()
    report = deblur_files([source], out, invert)
    assert (report.done, report.skipped) == (0, 0)
    (failure,) = report.failed
    assert "out/a.png is there, and not known to be made from" in failure.reason
    assert "--overwrite" in failure.reason
    report = deblur_files([source], out, invert, existing="skip")
    assert (report.done, report.skipped, report.failed) == (0, 1, ())
    assert report.kept == (str(out / "a.png"),)
    assert (out / "a.png").read_bytes() == edited
    report = deblur_files([source], out, invert, existing="overwrite")
    assert (report.done, report.skipped) == (1, 0)
    assert is_inverted(out / "a.png")


def test_a_source_that_has_changed_is_done_anew(tmp_path, invert):
    source, other = paint(tmp_path / "in" / "a.png"), paint(tmp_path / "in" / "b.png")
    deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    times = other.stat()
    paint(source, level=0.75)
    os.utime(source, ns=(times.st_atime_ns, times.st_mtime_ns))  # content counts, and not time
    os.utime(other)
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert (report.done, report.skipped) == (1, 1)
    assert is_inverted(tmp_path / "out" / "a.png", 0.75)


class Scale(torch.nn.Module):
    def __init__(self, factor):
        super().__init__()
        self.factor = torch.nn.Parameter(torch.tensor(factor))

    def forward(self, x):
        return x * self.factor


@pytest.mark.slow
def test_another_network_or_other_options_do_it_anew(tmp_path, monkeypatch):
    source = paint(tmp_path / "a.jpg")

    def run(factor, size=8, precision="fp32", **how):
        deblurrer = Deblurrer(Scale(factor), training_size=size, precision=precision)
        report = deblur_files([source], tmp_path / "out", deblurrer, **how)
        assert report.failed == ()
        return report.done

    assert [run(0.5), run(0.5)] == [1, 0]
    assert [run(0.25), run(0.25)] == [1, 0]
    assert [run(0.25, size=16), run(0.25, size=16)] == [1, 0]
    assert [run(0.25, 16, "bf16"), run(0.25, 16, "bf16")] == [1, 0]
    finer = {"options": PhotoOptions(quality=77)}
    assert [run(0.25, 16, "bf16", **finer), run(0.25, 16, "bf16", **finer)] == [1, 0]
    unguarded = {"options": PhotoOptions(quality=77, guard=False)}
    assert [run(0.25, 16, "bf16", **unguarded), run(0.25, 16, "bf16", **unguarded)] == [1, 0]
    trusting = {"options": PhotoOptions(quality=77, guard=False, trust=True)}
    assert [run(0.25, 16, "bf16", **trusting), run(0.25, 16, "bf16", **trusting)] == [1, 0]
    limits = {"options": PhotoOptions(quality=77, guard=False, max_pixels=10**6)}
    assert run(0.25, 16, "bf16", **limits) == 0
    monkeypatch.setattr(bluref, "__version__", "0")
    assert [run(0.25, 16, "bf16", **limits), run(0.25, 16, "bf16", **limits)] == [1, 0]


@pytest.mark.slow
def test_a_film_is_done_anew_for_what_changes_it_and_for_nothing_else(tmp_path, monkeypatch):
    source = Film("libx264", size=(24, 32), frames=2).write(tmp_path / "a.mp4")

    def run(factor=0.5, codec=None, max_pixels=10**6, **how):
        deblurrer = Deblurrer(Scale(factor), training_size=8, precision="fp32")
        films, photos = VideoOptions(codec, max_pixels=max_pixels), PhotoOptions(**how)
        report = deblur_files([source], tmp_path / "out", deblurrer, options=photos, video=films)
        assert report.failed == ()
        return report.done

    assert [run(), run()] == [1, 0]
    assert run(quality=50, trust=True, max_pixels=10**7) == 0
    assert [run(strength=0.5), run(strength=0.5)] == [1, 0]
    assert [run(), run(), run(guard=False), run(guard=False)] == [1, 0, 1, 0]
    assert [run(0.25, guard=False), run(0.25, guard=False)] == [1, 0]
    assert [run(0.25, "mpeg4", guard=False), run(0.25, "mpeg4", guard=False)] == [1, 0]
    monkeypatch.setattr(bluref, "__version__", "0")
    assert [run(0.25, "mpeg4", guard=False), run(0.25, "mpeg4", guard=False)] == [1, 0]


def test_a_run_that_dies_between_output_and_ledger_does_that_one_again(
    tmp_path, invert, monkeypatch
):
    source = paint(tmp_path / "a.png")

    def die(_self, _target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Ledger, "finish", die)
        with pytest.raises(KeyboardInterrupt):
            deblur_files([source], tmp_path / "out", invert)
    assert tree(tmp_path / "out") == ["a.png"]
    report = deblur_files([source], tmp_path / "out", invert)
    assert (report.done, report.failed) == (1, ())


def test_interrupted_work_goes_on_where_it_was(tmp_path, invert):
    for i in range(4):
        paint(tmp_path / "in" / f"{i}.png")

    def interrupt(behind, _total):
        if behind == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        deblur_files([tmp_path / "in"], tmp_path / "out", invert, tell=interrupt)
    assert tree(tmp_path / "out") == ["0.png", "1.png"]
    report = deblur_files([tmp_path / "in"], tmp_path / "out", invert)
    assert (report.done, report.skipped) == (2, 2)


@pytest.mark.parametrize("error", [MemoryError, ZeroDivisionError, KeyboardInterrupt])
def test_work_that_failed_lays_no_claim_to_what_is_put_in_its_place(tmp_path, invert, error):
    class Failing(torch.nn.Module):
        def forward(self, x):
            raise error

    source = paint(tmp_path / "a.png")
    failing = Deblurrer(Failing(), training_size=None, precision="fp32")
    with suppress(ZeroDivisionError, KeyboardInterrupt):
        assert len(deblur_files([source], tmp_path / "out", failing).failed) == 1
    mine = paint(tmp_path / "out" / "a.png", level=0.5).read_bytes()
    report = deblur_files([source], tmp_path / "out", invert)
    assert report.done == 0
    assert "not known to be made from" in report.failed[0].reason
    assert (tmp_path / "out" / "a.png").read_bytes() == mine


def test_an_old_result_stays_known_when_making_it_anew_fails(tmp_path, invert):
    source = paint(tmp_path / "a.png")
    deblur_files([source], tmp_path / "out", invert)
    small = PhotoOptions(guard=False, max_pixels=1)
    report = deblur_files([source], tmp_path / "out", invert, options=small, existing="overwrite")
    assert len(report.failed) == 1
    report = deblur_files([source], tmp_path / "out", invert)
    assert (report.done, report.skipped, report.failed) == (0, 1, ())


TRUSTING = PhotoOptions(guard=False, trust=True)


def test_a_map_of_trust_that_is_missing_is_made_again(tmp_path, invert):
    source, map_of = paint(tmp_path / "a.png"), tmp_path / "out" / "a.png.trust.png"

    def run(options=TRUSTING):
        report = deblur_files([source], tmp_path / "out", invert, options=options)
        assert report.failed == ()
        return report.done

    assert [run(UNGUARDED), run(), run(), run(UNGUARDED)] == [1, 1, 0, 0]
    map_of.unlink()
    assert [run(UNGUARDED), run(), run()] == [0, 1, 0]
    assert map_of.is_file()


def test_a_file_that_only_looks_like_a_map_of_trust_is_never_replaced_unasked(tmp_path, invert):
    source, foreign = paint(tmp_path / "a.png"), paint(tmp_path / "out" / "a.png.trust.png")
    mine = foreign.read_bytes()
    report = deblur_files([source], tmp_path / "out", invert, options=TRUSTING)
    (failure,) = report.failed
    assert "a.png.trust.png is there, and not known" in failure.reason
    assert tree(tmp_path / "out") == ["a.png.trust.png"]
    for done, skipped in ((1, 0), (0, 1)):  # the picture is made, without a map
        report = deblur_files([source], tmp_path / "out", invert, options=TRUSTING, existing="skip")
        assert (report.done, report.skipped, report.failed) == (done, skipped, ())
        assert report.kept == (str(foreign),)
    assert is_inverted(tmp_path / "out" / "a.png")
    assert foreign.read_bytes() == mine
    report = deblur_files(
        [source], tmp_path / "out", invert, options=TRUSTING, existing="overwrite"
    )
    assert report.done == 1
    assert foreign.read_bytes() != mine


def test_what_killed_runs_left_behind_is_removed(tmp_path, invert):
    paint(tmp_path / "in" / "sub" / "a.png")
    left = [
        tmp_path / "out" / folder / ".0123456789abcdef.partial.values" for folder in ("", "sub")
    ]
    for path in left:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (0, 0))
    assert deblur_files([tmp_path / "in"], tmp_path / "out", invert).done == 1
    assert tree(tmp_path / "out") == ["sub/a.png"]
