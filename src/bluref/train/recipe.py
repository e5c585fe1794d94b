"""The recipe of a run: every choice, one field each. Imports no torch, so that help stays quick."""

import contextlib
import dataclasses
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from bluref.errors import UserError


@dataclass(frozen=True)
class Recipe:
    """Every choice that a training run makes. Read from YAML, overridden on the command line."""

    layout: str = "auto"
    """How the data folder is read: auto, gopro, rb2v, phonecraft, clips."""

    split: str = "auto"
    """Which frames are blurry and which sharp: auto, alternating, halves, sharpness."""

    choice: str = "auto"
    """How references are chosen: near (both sides in time), random, or auto."""

    delta: int = 1
    """Smallest distance in frames between a blurry frame and its references."""

    refs: int = 6
    """Number of references per blurry frame."""

    matcher: str = "dis"
    """Dense matcher: dis, dis-fast, compact, or the folder of a trained one."""

    strategy: str = "robust"
    """How references become one target: robust, average, sequential, progressive."""

    threshold: float | None = None
    """Confidence in [0, 1] from which a reference may speak; the strategy's own if not given."""

    backbone: str = "small"
    """Deblurring network: small, light, nafnet-w32, nafnet-w64."""

    steps: int = 5000
    """Optimizer steps, warm start included."""

    warm_start: int = 500
    """First steps on sharp frames blurred by random kernels, no pairs involved; 0 for none."""

    refresh_every: int = 1500
    """Steps between two refreshes of the targets with the improved network."""

    anchor: float = 0.25
    """Share of every later batch that stays synthetic: exact truth beside pseudo-sharp targets."""

    supervised: bool = False
    """Train on the true sharp frames of a paired data set instead: the upper bound."""

    batch: int = 8
    """Crops per step."""

    crop: int = 128
    """Side of the crops in pixels."""

    loss: str = "l1"
    """Reconstruction loss: l1 or psnr."""

    learning_rate: float = 1e-3
    """Of Adam, at its highest."""

    final_rate: float = 1e-6
    """Learning rate at the last step; a half cosine leads there."""

    ramp: int = 100
    """First steps in which the learning rate rises from zero."""

    grad_norm: float = 0.1
    """Gradients are scaled down to this norm where they exceed it."""

    ema: float = 0.999
    """Decay of the averaged copy of the network that refreshes targets and is saved."""

    min_coverage: float = 0.05
    """Share of a crop that references must cover, or the crop does not count."""

    precision: str = "auto"
    """bf16 where the hardware is fast at it (auto), or fp32."""

    seed: int = 0
    """Of everything that is drawn at random."""

    save_every: int = 250
    """Steps between two checkpoints."""

    log_every: int = 50
    """Steps between two rows of metrics.csv."""

    snapshot_every: int = 500
    """Steps between two contact sheets."""

    def __post_init__(self) -> None:
        """Refuse what no run could do.

        Raises:
            UserError: names the field and its bounds.
        """
        for name, least in AT_LEAST.items():
            self._require(name, getattr(self, name) >= least, f"at least {least}")
        for name in SHARES:
            value = getattr(self, name)
            self._require(name, value is None or 0 <= value <= 1, "in [0, 1]")
        for name in ABOVE_ZERO:
            self._require(name, getattr(self, name) > 0, "above 0")
        self._require("seed", -(2**63) <= self.seed < 2**63, "a number of 64 bits")
        for name, choices in CHOICES.items():
            self._require(name, getattr(self, name) in choices, f"one of {', '.join(choices)}")

    def _require(self, name: str, holds: bool, what: str) -> None:
        if not holds:
            raise UserError(f"{name} is {getattr(self, name)!r}", f"it must be {what}")


AT_LEAST = {
    "delta": 1,
    "refs": 1,
    "steps": 1,
    "warm_start": 0,
    "refresh_every": 1,
    "batch": 1,
    "crop": 32,
    "ramp": 0,
    "save_every": 1,
    "log_every": 1,
    "snapshot_every": 1,
}
SHARES = ("threshold", "anchor", "ema", "min_coverage")
ABOVE_ZERO = ("learning_rate", "final_rate", "grad_norm")
# Written out, since the rooms that know them import torch; a test holds them against those.
CHOICES = {
    "layout": ("auto", "gopro", "rb2v", "phonecraft", "clips"),
    "split": ("auto", "alternating", "halves", "sharpness"),
    "choice": ("auto", "near", "random"),
    "backbone": ("small", "light", "nafnet-w32", "nafnet-w64"),
    "strategy": ("robust", "average", "sequential", "progressive"),
    "loss": ("l1", "psnr"),
    "precision": ("auto", "fp32"),
}


def read_recipe(path: Path) -> Recipe:
    """A recipe from YAML: a mapping of field names to values; fields left out keep their default.

    Raises:
        UserError: unreadable, not a mapping, an unknown field or a value of the wrong kind.
    """
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"{path} cannot be read as YAML: {error}", "mend or replace it") from None
    if not isinstance(loaded, dict):
        raise UserError(f"{path} is not a recipe", "write one `field: value` per line")
    return recipe_from(loaded, where=str(path))


def recipe_from(values: dict[str, Any], *, where: str) -> Recipe:
    """A recipe from plain values.

    Raises:
        UserError: an unknown field, a value of the wrong kind or out of bounds, with `where` it was
            found.
    """
    kinds = {
        f.name: f.type.__name__ if isinstance(f.type, type) else str(f.type)
        for f in dataclasses.fields(Recipe)
    }
    read: dict[str, Any] = {}
    for name, value in values.items():
        if name not in kinds:
            raise UserError(f"{where}: no such field {name!r}", f"use {', '.join(kinds)}")
        read[name] = _number(value) if kinds[name].startswith("float") else value
        if not _fits(read[name], kinds[name]):
            raise UserError(f"{where}: {name} is {value!r}", f"it must be of type {kinds[name]}")
    try:
        return Recipe(**read)
    except UserError as error:
        raise UserError(f"{where}: {error.problem}", error.fix) from None


def _number(value: object) -> object:
    """Whole numbers as fractions, and 1e-3, which YAML takes for a word since it has no point."""
    if isinstance(value, int | str) and not isinstance(value, bool):
        with contextlib.suppress(ValueError, OverflowError):
            return float(value)
    return value


def _fits(value: object, kind: str) -> bool:
    """Whether a value may stand for a field."""
    if value is None:
        return "None" in kind
    return kind.startswith(type(value).__name__)


def read_run(run: Path) -> dict[str, Any]:
    """What the recipe.yaml of a run says: `recipe`, `data` and `versions`.

    Raises:
        UserError: no run there, or its recipe.yaml was damaged.
    """
    path = run / "recipe.yaml"
    if not path.is_file():
        raise UserError(f"{run} holds no run", "start it without --resume, or name another folder")
    try:
        loaded = yaml.safe_load(path.read_text("utf-8"))
        return {part: dict(loaded[part]) for part in ("recipe", "data", "versions")}
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError, ValueError) as error:
        raise UserError(
            f"{path} is damaged: {error}", "start a new run in another folder"
        ) from None


def read_run_recipe(run: Path) -> Recipe:
    """The recipe of an existing run.

    Raises:
        UserError: no run there, or its recipe.yaml was damaged.
    """
    return recipe_from(read_run(run)["recipe"], where=str(run / "recipe.yaml"))


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """Lines `name: old -> new` for every value that differs, for a person to read."""
    return [
        f"{name}: {old.get(name)} -> {new.get(name)}"
        for name in sorted(old.keys() | new.keys())
        if old.get(name) != new.get(name)
    ]
