"""Markup as a tree: what is put into it as text can never become a tag.

A template language escapes what passes through it, if nobody forgets. Here names go into a tree of
the standard library, which knows text from tags by construction, and the page needs no dependency.
"""

import base64
import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from importlib import resources
from typing import TypeAlias

Child: TypeAlias = ET.Element | str | None
Value: TypeAlias = str | int | float | None

# Control characters, and what a file name holds that is no text.
_UNSPEAKABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def tag(name: str, /, *children: Child, **attributes: Value) -> ET.Element:
    """An element with what is in it.

    Args:
        name: of the element.
        children: elements and text, in order; None is left out.
        attributes: by name, `_` for `-` and one at the end dropped (`class_`); True for one
            without a value, False and None for none.
    """
    element = ET.Element(name)
    for key, value in attributes.items():
        if value is not None and value is not False:
            text = "" if value is True else f"{value:.6g}" if isinstance(value, float) else value
            element.set(key.rstrip("_").replace("_", "-"), safe(str(text)))
    put(element, *children)
    return element


def put(element: ET.Element, *children: Child) -> None:
    """Append elements and text."""
    for child in children:
        if isinstance(child, ET.Element):
            element.append(child)
        elif child is not None and len(element):
            element[-1].tail = (element[-1].tail or "") + safe(child)
        elif child is not None:
            element.text = (element.text or "") + safe(child)


def name_of(text: str) -> ET.Element:
    """A name somebody else chose: it cannot turn around the direction of the words beside it."""
    return tag("bdi", text, class_="name")


def safe(text: str) -> str:
    """The text with what no page can hold replaced by a mark that something was there."""
    return _UNSPEAKABLE.sub("\ufffd", text)


def as_document(title: str, body: Sequence[Child]) -> str:
    """A whole page that holds its style and script, and that may fetch and run nothing else.

    Pictures must be data URIs. The policy names style and script by their digests, so that even
    markup that came in some other way could not run.
    """
    style, script = _asset("page.css"), _asset("page.js")
    policy = (
        "default-src 'none'; img-src data:; base-uri 'none'; form-action 'none';"
        f" style-src '{_digest(style)}'; script-src '{_digest(script)}'"
    )
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=policy),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="referrer", content="no-referrer"),
        tag("meta", name="color-scheme", content="light dark"),
        tag("link", rel="icon", href="data:,"),
        tag("title", title),
        _raw("style", style),
    )
    page = tag("html", head, tag("body", *body, _raw("script", script)), lang="en")
    return "<!DOCTYPE html>\n" + ET.tostring(page, encoding="unicode", method="html") + "\n"


def _raw(name: str, text: str) -> ET.Element:
    """Style or script, which are not escaped."""
    element = ET.Element(name)
    element.text = text
    return element


def _asset(name: str) -> str:
    return (resources.files("bluref.report.page") / name).read_text("utf-8")


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
