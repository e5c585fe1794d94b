"""How to do a run again: its command, and its recipe."""

import dataclasses
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from bluref.errors import UserError, as_command
from bluref.frames.frame_table import read_table
from bluref.media.video import is_video
from bluref.report.mended import DATA, RUN
from bluref.report.page.page_facts import RunFacts
from bluref.report.page.page_markup import Child, put, tag
from bluref.train.matcher_recipe import MatcherRecipe
from bluref.train.recipe import Recipe
from bluref.train.with_references import MENDED


def recipe_section(facts: RunFacts) -> ET.Element:
    """The command that does the run again, and every choice in it."""
    told = yaml.safe_dump(facts.told, sort_keys=False, allow_unicode=True, width=88)
    section = tag("section", tag("h2", "Do it again"), id="recipe")
    put(
        section,
        tag("p", "The same choices on the same footage, into a new folder:"),
        _to_copy("command", _unbroken(command(facts)), "Copy the command"),
        tag(
            "details",
            tag("summary", "recipe.yaml: every choice, footage, versions"),
            _to_copy("yaml", [told], "Copy the recipe"),
        ),
    )
    return section


def command(facts: RunFacts) -> str:
    """The command line of the run, as a shell reads it; options that say what is usual left out."""
    recipe = facts.told["recipe"]
    kind = Recipe if facts.deblurs else MatcherRecipe
    words = ["bluref", *_whole(facts)]
    usual = {f.name: f.default for f in dataclasses.fields(kind)}
    for name, value in recipe.items():
        if name in usual and value != _plain(usual[name]):
            words += _option(name, value)
    return as_command(words)


def _whole(facts: RunFacts) -> list[str]:
    """Verb, what it learns from, and where to: of a film that was mended, the film itself."""
    folder = str(facts.told["data"].get("folder", ""))
    if not facts.deblurs:
        folders = facts.told["data"].get("folders") or folder.split(", ")
        return ["train-matcher", *folders, "-o", _again(facts.run)]
    clips = _mended_clips(facts)
    if not clips:
        return ["train", folder, "-o", _again(facts.run)]
    last = ["--with-references"] if (facts.run / MENDED).is_dir() else []
    return ["mend", *clips, "-o", _again(facts.run.resolve().parent), *last]


def _mended_clips(facts: RunFacts) -> list[str]:
    """The clips that `bluref mend` was given, if it made this run; their table tells them."""
    out = facts.run.resolve().parent
    if facts.run.resolve() != out / RUN or facts.data.resolve() != out / DATA:
        return []
    with suppress(UserError):
        rows = read_table(out / DATA)
        return list(dict.fromkeys(str(r.file if is_video(r.file) else r.file.parent) for r in rows))
    return []


def _again(run: Path) -> str:
    """A folder for the next run: runs are never overwritten."""
    return f"{run.resolve()}-again"


def _option(name: str, value: Any) -> list[str]:  # noqa: ANN401 - what YAML holds
    flag = name.replace("_", "-")
    if isinstance(value, bool):
        return [f"--{flag}" if value else f"--no-{flag}"]
    if value is None:
        return []
    values = value if isinstance(value, list) else [value]
    return [f"--{flag}", *map(str, values)]


def _plain(value: object) -> object:
    """As YAML gives it back, which knows lists but no tuples."""
    return list(value) if isinstance(value, tuple) else value


def _to_copy(name: str, said: Sequence[Child], label: str) -> ET.Element:
    button = tag("button", label, type="button", class_="copy", data_copies=name)
    status = tag("span", class_="copied", role="status")
    return tag("div", tag("pre", *said, id=name, tabindex="0"), button, status, class_="to-copy")


def _unbroken(words: str) -> list[Child]:
    """The command, to be broken into lines before an option and not within."""
    parts = words.split(" --")
    said: list[Child] = [parts[0]]
    for part in parts[1:]:
        said += [" ", tag("span", f"--{part}", class_="word")]
    return said
