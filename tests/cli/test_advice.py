"""What messages, help and documents tell people to type exists."""

import ast
import dataclasses
import importlib
import re
import shlex
import typing
from pathlib import Path

import pytest

import bluref
from bluref.cli.main import VERBS
from bluref.errors import as_command

SOURCES = sorted(Path(bluref.__file__).parent.rglob("*.py"))
ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / name for name in ("README.md", "CHANGELOG.md", "docs/faithfulness.md")]
OPTION = re.compile(r"(?<![\w-])--([a-z][a-z0-9]*(?:-[a-z0-9]+)*)(?![\w-])(?:[ =](True|False))?")
OF_OTHERS = {"help", "version", "num-processes"}
"""Of the command line itself, and of launchers."""


def spelled(kind: type) -> set[str]:
    """Options by field, `no-` included where a switch is on by itself, groups of them opened."""
    found, hints = set(), typing.get_type_hints(kind)
    for field in dataclasses.fields(kind):
        if dataclasses.is_dataclass(hints[field.name]):
            found |= spelled(hints[field.name])
        name = field.name.replace("_", "-")
        found |= {name, f"no-{name}"} if field.default is True else {name}
    return found


def options() -> set[str]:
    """Every option of every verb."""
    return OF_OTHERS.union(
        *(spelled(importlib.import_module(module).Options) for module in VERBS.values())
    )


def told(path: Path) -> list[str]:
    """Texts that a reader may see: strings of a module, docstrings too, or a whole document."""
    text = path.read_text("utf-8")
    if path.suffix != ".py":
        return [text]
    nodes = ast.walk(ast.parse(text))
    return [n.value for n in nodes if isinstance(n, ast.Constant) and isinstance(n.value, str)]


@pytest.mark.parametrize("path", [*SOURCES, *DOCUMENTS], ids=lambda path: path.name)
def test_every_option_that_is_named_exists(path):
    known = options()
    for text in told(path):
        for match in OPTION.finditer(text):
            assert match[1] in known, match[0]
            assert match[2] is None, f"{match[0]}: switches take no value"


def test_an_option_that_nobody_has_would_be_seen():
    assert not {"even-more", "no-anchor"} & options()
    assert {"even", "no-even", "anchor", "still"} <= options()
    assert [m.groups() for m in OPTION.finditer("leave out --even False, or (--no-even)")] == [
        ("even", "False"),
        ("no-even", None),
    ]


def test_a_command_to_copy_is_read_as_it_was_meant(monkeypatch):
    words = ["bluref", "report", Path("my runs") / "it's"]
    assert shlex.split(as_command(words)) == [str(word) for word in words]
    monkeypatch.setattr("os.name", "nt")
    assert as_command(["bluref", "C:\\my runs\\a"]) == 'bluref "C:\\my runs\\a"'
    assert as_command(["report", "C:\\R&D\\a"]) == 'report "C:\\R&D\\a"'
