"""What a terminal, or a log file in its place, is told."""

import io

import pytest
from rich.console import Console

from bluref.frames.frame_table import FrameRow
from bluref.report.timeline import draw_timeline
from bluref.report.watch import Watch


@pytest.fixture
def watch():
    return Watch(Console(file=io.StringIO(), width=80))


@pytest.mark.parametrize(
    "text",
    [
        "pip install 'bluref[train]'",
        "/data/[raw] trip/[/take] a.mp4 cannot be read",
        "go on with: bluref train " + "a" * 100 + " -o " + "b" * 100,
    ],
)
def test_lines_are_printed_letter_by_letter(watch, text):
    watch.on_message(text)
    assert watch.console.file.getvalue() == text + "\n"


def test_a_bar_learns_how_much_there_is(watch):
    for total in (None, 10, 200, None):
        watch.show("decoding [frames]", 5, total)
    (task,) = watch.progress.tasks
    assert (task.completed, task.total) == (5, 200)
    assert str(watch.progress.columns[0].render(task)) == "decoding [frames]"


@pytest.mark.slow
def test_a_clip_may_be_called_like_a_formula(tmp_path):
    rows = [
        FrameRow(clip="a$b_^$c", index=i, time=i / 25, sharpness=20.0, below=0.0, motion=1.0,
                 exposure=0.5, shot=1, duplicate=None, role="sharp", why="", file=tmp_path / "a",
                 position=i)
        for i in range(3)
    ]  # fmt: skip
    draw_timeline(rows, tmp_path / "timeline.png")
    assert (tmp_path / "timeline.png").stat().st_size > 1000
