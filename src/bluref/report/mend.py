"""Mending films with nothing but themselves: curate, train, deblur, in one go.

Each part keeps what it has done, so that the same call goes on where one was interrupted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.curate import curate
from bluref.frames.curation import CurateReport
from bluref.media.video import is_video
from bluref.report.curated_pictures import draw_curated
from bluref.report.page import write_page
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.guard import GuardNote, summed
from bluref.restore.one_photo import deblur_image
from bluref.restore.tile import TileOptions
from bluref.restore.video import VideoReport, deblur_video
from bluref.restore.workplace import is_finished
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import read_run_recipe
from bluref.train.run import TrainResult, train
from bluref.train.with_references import prepare_references

DATA, RUN = "data", "run"
"""What the folders are called, in the folder of the results."""

Tell = Callable[[str, int, int], None]
"""Called with (what is done, how much of it, of how much)."""


@dataclass(frozen=True)
class MendReport:
    """What became of the films.

    Attributes:
        outputs: the mended films, in the order of the clips.
        run: the run folder, whose network deblurs other footage of the camera too.
        report: the run's page.
        agreement_before: of frames held back with their references, in dB, as they were; None
            where nothing could be held back.
        agreement_after: and as the network makes them.
        films: what was done to each, by the path of its output.
        from_references: frames of each film that references had a word on.
        guard: what was found in frames of each film and done about it.
        seconds: of this call.
    """

    outputs: tuple[Path, ...]
    run: Path
    report: Path
    agreement_before: float | None
    agreement_after: float | None
    films: dict[str, VideoReport]
    from_references: dict[str, int]
    guard: tuple[dict[str, object], ...]
    seconds: float
