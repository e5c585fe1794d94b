"""The demo, shrunk."""

from dataclasses import replace

import pytest

from bluref.errors import UserError
from bluref.report import demo

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(demo, "PHOTOGRAPHS", ("coffee",))
    monkeypatch.setattr(demo, "FOOTAGE", replace(demo.FOOTAGE, frames=6, size=(96, 112)))
    small = replace(
        demo.RECIPE, refs=2, steps=6, warm_start=2, refresh_every=2, batch=1, crop=48, save_every=3
    )
    monkeypatch.setattr(demo, "RECIPE", small)


def test_the_demo_goes_the_whole_way(tiny, tmp_path):
    found = demo.run_demo(tmp_path / "demo", with_bound=True)
    assert found.picture == tmp_path / "demo" / "before_after.jpg"
    assert found.picture.stat().st_size > 1000
    # After six steps from doing nothing, every network is still near the input.
    for value in (found.psnr_output, found.psnr_warm_start, found.psnr_bound):
        assert value == pytest.approx(found.psnr_input, abs=3)
    assert found.psnr_warm_start != found.psnr_output


def test_a_demo_run_again_finds_its_work_done(tiny, tmp_path):
    first = demo.run_demo(tmp_path / "demo")
    before = (tmp_path / "demo" / "run" / "last" / "meta.json").stat().st_mtime_ns
    again = demo.run_demo(tmp_path / "demo")
    assert replace(again, seconds=0.0) == replace(first, seconds=0.0)
    assert (tmp_path / "demo" / "run" / "last" / "meta.json").stat().st_mtime_ns >= before


def test_a_demo_that_was_interrupted_while_it_filmed_begins_anew(tmp_path, monkeypatch):
    def films(stills, out, config):
        assert not out.exists()
        (out / "train").mkdir(parents=True)
        if not filmed:
            filmed.append(out)
            raise KeyboardInterrupt

    filmed = []
    monkeypatch.setattr(demo, "simulate_stills", films)
    with pytest.raises(KeyboardInterrupt):
        demo._film(tmp_path / "demo" / "footage")
    assert not (tmp_path / "demo" / "footage").exists()
    demo._film(tmp_path / "demo" / "footage")
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["footage"]


def test_the_bound_is_left_out_unless_asked_for(tiny, tmp_path):
    assert demo.run_demo(tmp_path / "demo").psnr_bound is None


def test_nothing_is_overwritten(tmp_path):
    (tmp_path / "mine").write_text("keep")
    with pytest.raises(UserError, match="not an empty folder"):
        demo.run_demo(tmp_path)
    assert (tmp_path / "mine").read_text() == "keep"
