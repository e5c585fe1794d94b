"""The bank that a recipe asks for."""

from pathlib import Path

import torch

from bluref.frames.store import FrameStore
from bluref.match.named import matcher_named
from bluref.pseudo.bank import Bank
from bluref.pseudo.gate import THRESHOLD, Gate
from bluref.pseudo.refine import Refine
from bluref.pseudo.sharper import Sharper
from bluref.pseudo.strategy import strategy_named
from bluref.train.batches import ThresholdCourse
from bluref.train.moving import Moving
from bluref.train.recipe import Recipe


def bank_of(
    run: Path, recipe: Recipe, store: FrameStore, *, device: str | torch.device = "cpu"
) -> Bank:
    """The bank of a run, empty or not.

    Args:
        run: its folder.
        recipe: of it.
        store: where frames are read from.
        device: where the matcher's network computes.

    Raises:
        UserError: unknown strategy or matcher.
    """
    strategy = strategy_named(recipe.strategy)
    matcher = matcher_named(recipe.matcher, device=device)
    chosen = recipe.threshold
    bank = Bank(
        run / "bank",
        matcher=matcher,
        strategy=strategy,
        threshold=strategy.threshold_for(matcher) if chosen is None else chosen,
        store=store,
        even=recipe.even,
    )
    bank.sharper = sharper_of(recipe)
    return bank


def sharper_of(recipe: Recipe) -> Sharper | None:
    """How much sharper than the frame a recipe has references, if it asks."""
    if not recipe.sharper:
        return None
    return Sharper(0.0) if recipe.keep_sharp and recipe.gate else Sharper()


def gate_of(recipe: Recipe) -> Gate | None:
    """How a recipe has targets judged by the motion of their frames, if at all."""
    return Gate(recipe.gate, keep_sharp=recipe.keep_sharp) if recipe.gate else None


def course_of(bank: Bank, recipe: Recipe) -> ThresholdCourse | None:
    """How the threshold of a bank, which must heed the motion already, changes in training."""
    if recipe.first_threshold is None:
        return None
    return ThresholdCourse(recipe.first_threshold, bank.threshold, recipe.warm_start, recipe.steps)


def heed_motion(bank: Bank, recipe: Recipe, moving: Moving | None) -> None:
    """What the motion of the frames, where it is known and a gate judges by it, changes in a bank.

    References speak at a lower confidence, since the gate judges afterwards, and their matches are
    refined.
    """
    if moving is None or not recipe.gate:
        return
    if recipe.threshold is None:
        bank.threshold = min(bank.threshold, THRESHOLD)
    if recipe.refine:
        bank.refine = Refine(moving.motion, moving.exposure)
