import ast
import dataclasses
import errno
import importlib.metadata
import importlib.util
import inspect
import os
import resource
import subprocess
import sys
import textwrap
import types
import typing
from typing import Annotated

import pytest
import tyro

import bluref
from bluref.cli import main as command
from bluref.errors import UserError

pytestmark = pytest.mark.slow

PRESENT = {verb: name for verb, name in command.VERBS.items() if importlib.util.find_spec(name)}
HEAVY = ("torch", "numpy", "cv2", "PIL", "av", "matplotlib", "skimage", "kornia", "accelerate")


def bluref_process(*arguments, python=(), **options):
    """Run the command in a fresh interpreter, as a user would."""
    line = [sys.executable, *python, "-m", "bluref", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False, **options)


def cpu_seconds(*arguments):
    """The least processor time of three runs: unlike the clock, it ignores a busy machine."""
    taken = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        assert bluref_process(*arguments).returncode == 0
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        taken.append(after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime)
    return min(taken)


def heavy_imports(*arguments):
    trace = bluref_process(*arguments, python=("-X", "importtime")).stderr
    imported = {line.rsplit("|", 1)[-1].strip() for line in trace.splitlines() if "|" in line}
    assert "bluref.cli.main" in imported or "bluref.cli" in imported
    return {name for name in imported if name.split(".")[0] in HEAVY}


@pytest.fixture
def verb(monkeypatch):
    """A verb `paint` whose behaviour a test sets as `verb.act`."""

    @dataclasses.dataclass(frozen=True)
    class Options:
        """Paint."""

        subject: tyro.conf.Positional[str]
        """What to paint."""
        output: Annotated[str, tyro.conf.arg(aliases=("-o",))] = "out"
        """Where to."""
        json: bool = False
        """Print one JSON object."""

    module = types.ModuleType("paint_verb")
    module.SUMMARY, module.Options, module.act = "Paint a subject.", Options, lambda _options: 0
    module.run = lambda options: module.act(options)
    monkeypatch.setitem(sys.modules, "paint_verb", module)
    monkeypatch.setattr(command, "VERBS", {"paint": "paint_verb", "paste": "paint_verb"})
    return module


def raising(error):
    def act(_options):
        raise error

    return act


def test_the_overview_names_every_verb_with_its_summary(verb, capsys):
    assert command.main(["--help"]) == 0
    out, err = capsys.readouterr()
    assert "  paint  Paint a subject.\n  paste  Paint a subject.\n" in out
    assert err == ""


def test_without_a_verb_the_overview_goes_to_stderr_as_an_error(verb, capsys):
    assert command.main([]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "usage: bluref VERB" in err


def test_the_version_is_that_of_the_package(capsys):
    assert command.main(["--version"]) == 0
    assert capsys.readouterr().out == f"bluref {bluref.__version__}\n"
    assert importlib.metadata.version("bluref") == bluref.__version__


@pytest.mark.parametrize(
    ("name", "hint"),
    [("pain", "did you mean `bluref paint`?"), ("zzz", "--help"), ("--verbose", "--help")],
)
def test_an_unknown_verb_is_one_line_and_a_fix(verb, capsys, name, hint):
    assert command.main([name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    problem, fix = err.splitlines()
    assert problem == f"bluref: there is no verb {name!r}"
    assert fix.startswith("  fix: ")
    assert hint in fix


@pytest.mark.parametrize(
    "arguments",
    [
        ["a cat", "-o", "x", "--json"],
        ["--json", "--output", "x", "a cat"],
        ["a cat", "-o=x", "--json"],
    ],
)
def test_options_reach_the_verb_in_any_order(verb, arguments):
    seen = []
    verb.act = lambda options: seen.append(options) or 0
    assert command.main(["paint", *arguments]) == 0
    assert seen == [verb.Options(subject="a cat", output="x", json=True)]


@pytest.mark.parametrize("status", [0, 1])
def test_the_status_of_the_verb_is_the_status_of_the_command(verb, status):
    verb.act = lambda _options: status
    assert command.main(["paint", "a"]) == status


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ([""], "there is an empty argument"),
        (["a", ""], "there is an empty argument"),
        (["a", "-o", ""], "there is an empty argument after -o"),
        (["a", "--output="], "--output= has no value"),
        (["a", "-o="], "-o= has no value"),
    ],
)
def test_a_variable_that_is_not_set_is_not_taken_for_the_current_folder(
    verb, capsys, arguments, problem
):
    verb.act = lambda _options: pytest.fail("work was done")
    assert command.main(["paint", *arguments]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines()[0] == f"bluref: {problem}"
    assert "variables are set" in err


@pytest.mark.parametrize("arguments", [[], ["a", "--jsom"], ["a", "b"]])
def test_wrong_options_exit_with_status_2_and_a_word_on_stderr(verb, capsys, arguments):
    with pytest.raises(SystemExit) as caught:
        command.main(["paint", *arguments])
    assert caught.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "bluref paint" in err


def test_the_help_of_a_verb_explains_its_options(verb, capsys):
    with pytest.raises(SystemExit) as caught:
        command.main(["paint", "--help"])
    assert caught.value.code == 0
    out = capsys.readouterr().out
    for words in ("Paint a subject.", "SUBJECT", "What to paint.", "-o", "--json", "Where to."):
        assert words in out
    assert "--no-json" not in out


@pytest.mark.parametrize("json", [[], ["--json"]])
def test_a_user_error_is_one_line_and_a_fix_on_stderr(verb, capsys, json):
    verb.act = raising(UserError("a.png is empty", "remove it"))
    assert command.main(["paint", "a", *json]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == "bluref: a.png is empty\n  fix: remove it\n"


def test_file_names_cannot_break_the_line_or_reach_the_terminal(verb, capsys):
    verb.act = raising(UserError("a\n\x1b[31m\udc80.png is empty", "remove it"))
    assert command.main(["paint", "a"]) == 2
    problem, fix = capsys.readouterr().err.splitlines()
    assert problem == r"bluref: a\n\x1b[31m\udc80.png is empty"
    assert fix == "  fix: remove it"


def test_an_interrupt_is_one_line_and_the_status_of_a_shell(verb, capsys):
    verb.act = raising(KeyboardInterrupt())
    assert command.main(["paint", "a"]) == 130
    assert capsys.readouterr().err == "bluref: interrupted\n"


@pytest.mark.parametrize("number", [errno.ENAMETOOLONG, errno.EACCES])
def test_a_path_that_the_system_refuses_is_one_line_and_a_fix(verb, capsys, number):
    verb.act = raising(OSError(number, os.strerror(number), "a/place"))
    assert command.main(["paint", "a"]) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"bluref: cannot use a/place: {os.strerror(number).lower()}\n")
    assert "fix: choose" in told


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.EINVAL, "a bug", "a/place"),  # of a place, but nobody's mistake
        OSError(errno.EACCES, "a bug"),  # of no place
    ],
)
def test_other_errors_of_the_system_keep_their_traceback(verb, error):
    verb.act = raising(error)
    with pytest.raises(OSError, match="a bug"):
        command.main(["paint", "a"])


@pytest.mark.parametrize("error", [RuntimeError, ValueError, BrokenPipeError])
def test_an_unforeseen_error_keeps_its_traceback(verb, error):
    verb.act = raising(error("a bug"))
    with pytest.raises(error, match="a bug"):
        command.main(["paint", "a"])


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_left_ends_the_command_quietly(monkeypatch, unbuffered):
    monkeypatch.setenv("PYTHONUNBUFFERED", unbuffered)
    reader, writer = os.pipe()
    os.close(reader)
    line = [sys.executable, "-m", "bluref", "--version"]
    with os.fdopen(writer, "wb") as output:
        done = subprocess.run(line, stdout=output, stderr=subprocess.PIPE, check=False)
    assert (done.returncode, done.stderr) == (141, b"")


def test_the_module_and_the_installed_command_are_the_same():
    done = bluref_process("--version")
    assert (done.returncode, done.stdout) == (0, f"bluref {bluref.__version__}\n")
    scripts = importlib.metadata.entry_points(group="console_scripts", name="bluref")
    assert {script.value for script in scripts} == {"bluref.cli.main:main"}


@pytest.mark.parametrize("arguments", [["nonsense"], []])
def test_a_failing_command_shows_no_traceback(arguments):
    done = bluref_process(*arguments)
    assert done.returncode == 2
    assert done.stdout == ""
    assert "Traceback" not in done.stderr


def test_the_overview_answers_at_once_and_without_the_library():
    assert heavy_imports("--help") == set()
    assert cpu_seconds("--help") < 0.3


@pytest.mark.parametrize("name", PRESENT)
def test_the_help_of_every_verb_answers_at_once_and_without_the_library(name):
    assert heavy_imports(name, "--help") == set()
    assert cpu_seconds(name, "--help") < 0.5


@pytest.mark.parametrize("name", PRESENT)
def test_every_verb_keeps_the_contract(name):
    verb = command.load_verb(name)
    assert verb.SUMMARY.endswith(".")
    assert "\n" not in verb.SUMMARY
    assert len(verb.SUMMARY) <= 80
    assert dataclasses.is_dataclass(verb.Options)
    assert verb.Options.__dataclass_params__.frozen
    (parameter,) = inspect.signature(verb.run).parameters.values()
    assert parameter.annotation is verb.Options
    assert inspect.signature(verb.run).return_annotation is int


@pytest.mark.parametrize("name", PRESENT)
def test_every_option_of_every_verb_has_help(name):
    for options in with_parts(command.load_verb(name).Options):
        documented = documented_fields(options)
        assert [f.name for f in dataclasses.fields(options) if f.name not in documented] == []


def with_parts(options):
    """A dataclass of options and the dataclasses that its fields are made of."""
    yield options
    for kind in typing.get_type_hints(options).values():
        if dataclasses.is_dataclass(kind):
            yield from with_parts(kind)


def documented_fields(options):
    """Names of the fields with a docstring below them, here or in a parent class."""
    names = set()
    for parent in options.__mro__[:-1]:
        (definition,) = ast.parse(textwrap.dedent(inspect.getsource(parent))).body
        for field, below in zip(definition.body, definition.body[1:], strict=False):
            is_text = isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant)
            if isinstance(field, ast.AnnAssign) and is_text:
                names.add(field.target.id)
    return names


def test_all_verbs_are_present():
    assert PRESENT == command.VERBS
