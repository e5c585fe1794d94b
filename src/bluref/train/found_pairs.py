"""Pairs on disk as samples: what `bluref train --pairs` learns from."""

from collections.abc import Sequence
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.pseudo.pairs.record import KINDS, TABLE, read_records


def find_pairs(folder: Path) -> list[Sample]:
    """The pairs that pairs.csv lists, each as a blurry frame whose references are sharp and trust.

    Raises:
        UserError: no pairs there, a mistake in pairs.csv, or a picture that it lists is missing.
    """
    if not (folder / TABLE).is_file():
        raise UserError(f"{folder} holds no pairs", "make them: bluref pairs RUN -o PAIRS")
    samples = []
    for record in read_records(folder / TABLE):
        files = [record.file(folder, kind) for kind in KINDS]
        for path in files:
            if not path.is_file():
                raise UserError(
                    f"{path} is missing, though {folder / TABLE} lists it",
                    "remove that line, or run `bluref pairs` again, which makes it anew",
                )
        blurry, sharp, trust = (
            Frame(f"{kind}/{record.clip}", record.index, path)
            for kind, path in zip(KINDS, files, strict=True)
        )
        samples.append(Sample(blurry, (sharp, trust), None))
    if not samples:
        raise UserError(f"{folder / TABLE} lists no pair", "run `bluref pairs` again")
    return samples


def check_pair_sizes(samples: Sequence[Sample], store: FrameStore) -> None:
    """Refuse a pair whose pictures differ in size.

    Raises:
        UserError: names the two.
    """
    for sample in samples:
        for frame in sample.references:
            if store.size(frame) != store.size(sample.blurry):
                raise UserError(
                    f"{frame} and {sample.blurry} differ in size",
                    "run `bluref pairs` again, or remove the pair's line from pairs.csv",
                )


def refuse_pairs(data: Path) -> None:
    """Refuse to take pairs for footage.

    Raises:
        UserError: `data` is a folder of pairs.
    """
    if (data / TABLE).is_file():
        raise UserError(
            f"{data} holds pairs, no footage", "learn from them: bluref train DATA --pairs"
        )
