"""References chosen by coverage before training begins, and remembered with the run."""

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from bluref.frames.references import Sample
from bluref.media.whole import write_text_whole
from bluref.pseudo.bank import Bank
from bluref.pseudo.coverage import most_covering
from bluref.train.data import TrainingData
from bluref.train.observe import Observer
from bluref.train.processes import Processes
from bluref.train.recipe import Recipe

CHOSEN = "references.json"


def choose_by_coverage(
    run: Path,
    recipe: Recipe,
    found: TrainingData,
    bank: Bank,
    observer: Observer,
    processes: Processes,
) -> TrainingData:
    """Of the candidates found, those that together show most of each blurry frame.

    Args:
        run: the run folder; `references.json` in it says what was chosen, and why it is still so.
        recipe: of the run.
        found: blurry frames with candidates instead of references.
        bank: of the run's targets: its matcher looks, at reduced size.
        observer: watches.
        processes: who else trains; the first of them chooses.

    Raises:
        UserError: frames cannot be read, or the disk is full.
    """
    path = run / CHOSEN
    key: list[str | int] = [found.fingerprint, bank.matcher.identity, recipe.refs]
    with processes.first_goes_first():
        samples = _remembered(path, key, found)
        if samples is None:
            samples = most_covering(
                found.samples,
                recipe.refs,
                matcher=bank.matcher,
                store=bank.store,
                tell=observer.on_references,
            )
            chosen = [[frame.key for frame in sample.references] for sample in samples]
            write_text_whole(path, json.dumps({"key": key, "chosen": chosen}, indent=1) + "\n")
    return replace(found, samples=samples)


def _remembered(path: Path, key: list[str | int], found: TrainingData) -> list[Sample] | None:
    """What was chosen of the same candidates, by the same matcher, unless the file is damaged."""
    with suppress(OSError, ValueError, TypeError, KeyError):
        told = json.loads(path.read_text("utf-8"))
        if told["key"] == key:
            pairs = zip(found.samples, told["chosen"], strict=True)
            return [_narrowed(sample, keys) for sample, keys in pairs]
    return None


def _narrowed(sample: Sample, keys: list[str]) -> Sample:
    by_key = {frame.key: frame for frame in sample.references}
    return replace(sample, references=tuple(by_key[key] for key in keys))
