"""The page a run ends in: one file that opens anywhere, with no network and nothing to install.

It says first whether the run worked, then shows where it failed. It is made from what lies in the
run folder, and leaves out what is not there.
"""

import json
import xml.etree.ElementTree as ET
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

from bluref.errors import UserError, as_command
from bluref.media.whole import write_text_whole
from bluref.report.page.page_clips import clips_section
from bluref.report.page.page_curves import curves_section
from bluref.report.page.page_examples import Examples, find_examples
from bluref.report.page.page_facts import RunFacts, read_facts
from bluref.report.page.page_input import input_section
from bluref.report.page.page_markup import as_document, name_of, put, tag
from bluref.report.page.page_recipe import recipe_section
from bluref.report.page.page_verdict import verdict_section
from bluref.report.page.page_viewer import viewer
from bluref.weights.folder import DESCRIPTION

PAGE = "report.html"
LIMIT = 8_000_000
"""Bytes of a page at most, whatever the run."""


def write_page(
    run: Path,
    *,
    output: Path | None = None,
    data: Path | None = None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Path:
    """Write the page of a run.

    Frames are deblurred for it with the network that the run folder offers. Where the footage is
    gone it has no pictures, and says so; it then replaces no page that has.

    Args:
        run: the run folder; nothing in it changes but the page, and frames that were decoded.
        output: where to; `report.html` in the run folder where None.
        data: where its footage lies now, if it was moved.
        tell: called with (done, all) as frames are looked at.

    Returns:
        the page: one file of at most LIMIT bytes.

    Raises:
        UserError: no run or footage there, the page cannot be written, or it would replace one
            with pictures by one without.
    """
    if data is not None and not data.is_dir():
        raise UserError(f"{data} is not a folder", "say where the footage of the run lies")
    facts = read_facts(run, data=data)
    examples = Examples([], [], held_out=False)
    if facts.deblurs:
        examples = find_examples(facts, step=saved_step(run), tell=tell)
    path = output or run / PAGE
    if examples.problem is not None and _has_pictures(path):
        raise UserError(
            f"{path} stays as it is, a new one would have no pictures: {examples.problem}",
            "mend that, or write a page without pictures elsewhere: -o PAGE",
        )
    write_text_whole(path, render(facts, examples))
    return path


def _has_pictures(page: Path) -> bool:
    try:
        return b"<img" in page.read_bytes()
    except OSError:  # there is none
        return False


def render(facts: RunFacts, examples: Examples) -> str:
    """The page as HTML."""
    sections = [
        _examples_section(examples) if facts.deblurs else None,
        curves_section(facts),
        clips_section(examples),
        input_section(facts, examples),
        recipe_section(facts),
    ]
    there = [section for section in sections if section is not None]
    name = facts.run.resolve().name
    body = [
        _masthead(name, there),
        tag("main", verdict_section(facts, examples), *there),
        _colophon(facts),
    ]
    return as_document(f"{name} \u00b7 BluRef", body)


def saved_step(run: Path) -> int | None:
    """The step at which the network was saved that people use: the best one, else the last."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((run / "best" / DESCRIPTION).read_text("utf-8"))["meta"]["step"])
    with suppress(OSError, ValueError, KeyError, TypeError):
        return int(json.loads((run / "last" / "meta.json").read_text("utf-8"))["step"])
    return None


def _masthead(name: str, sections: Sequence[ET.Element]) -> ET.Element:
    links = tag("nav", aria_label="On this page")
    for section in sections:
        title = "".join(section[0].itertext())
        put(links, tag("a", title, href=f"#{section.get('id')}"))
    theme = tag("button", "Light or dark", type="button", class_="theme")
    brand = tag("p", "BluRef", class_="brand")
    return tag("header", tag("div", brand, tag("h1", name_of(name)), links, theme), class_="top")


def _examples_section(examples: Examples) -> ET.Element | None:
    if not examples.shown:
        if examples.problem is None:
            return None
        return tag(
            "section",
            tag("h2", "Before and after"),
            tag("p", f"No pictures: {examples.problem}.", class_="note"),
            id="frames",
        )
    failed = sum(example.judged.failed for example in examples.shown)
    title = "Failures first" if failed else "Before and after"
    said = (
        "A frame failed where the output agrees less with the sharp frames than the input did, or"
        " moved away from them. The others follow, the least gain first."
        if failed
        else "No judged frame got worse or moved. The least gain first."
    )
    section = tag("section", tag("h2", title), tag("p", said), id="frames")
    put(section, tag("p", _how(), class_="quiet hint"))
    for place, example in enumerate(examples.shown, start=1):
        put(section, viewer(example, place))
    return section


def _how() -> str:
    return (
        "Drag the divider, or reach it by Tab and use the arrow keys. Hold F to flicker. Pink marks"
        " what no sharp frame vouches for. Pictures are compressed for this page."
    )


def _colophon(facts: RunFacts) -> ET.Element:
    version = facts.told["versions"].get("bluref", "")
    text = (
        f"BluRef {version}. This file holds pictures, names and folders of your footage; it sends"
        " nothing and fetches nothing."
    )
    return tag("footer", tag("p", text), class_="end")


def try_page(
    run: Path,
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
    complain: Callable[[str], None] = lambda text: None,
) -> Path | None:
    """The page, for a run that has cost hours and must not fail for a page.

    Args:
        run: the run folder.
        tell: called with (done, all) as frames are looked at.
        complain: hears in words why there is none.
    """
    try:
        return write_page(run, tell=tell)
    except UserError as error:
        complain(f"no report: {error.problem} (fix: {error.fix})")
    except OSError as error:
        reason = f"{error.strerror or error}: {error.filename or 'a temporary file'}"
        complain(
            f"no report: {reason} (fix: mend that, and run {as_command(['bluref', 'report', run])})"
        )
    return None
