"""The `bluref` command: finds the verb, reads its options, runs it, and turns errors into words.

A verb is a module with `SUMMARY` (one line), `Options` (a frozen dataclass whose attribute
docstrings are the help) and `run(options) -> exit status`; where defaults depend on other options,
also `options_type(arguments)`, a subclass of `Options`. Verb modules import the library only
inside `run`, so that help answers at once.

Exit status: 0 done, 1 part of the work failed, 2 the user can fix it. An error that nobody foresaw
keeps its traceback.
"""

import difflib
import errno
import importlib
import os
import select
import sys
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import bluref
from bluref.errors import UserError, one_line

VERBS = {
    "demo": "bluref.cli.demo",
    "mend": "bluref.cli.mend",
    "curate": "bluref.cli.curate",
    "check": "bluref.cli.check",
    "train": "bluref.cli.train",
    "report": "bluref.cli.report",
    "pairs": "bluref.cli.pairs",
    "deblur": "bluref.cli.deblur",
    "eval": "bluref.cli.evaluate",
    "study": "bluref.cli.study",
    "simulate": "bluref.cli.simulate",
    "match": "bluref.cli.match",
    "train-matcher": "bluref.cli.train_matcher",
    "eval-matcher": "bluref.cli.eval_matcher",
    "import": "bluref.cli.import_",
    "export": "bluref.cli.export",
    "bench": "bluref.cli.bench",
}
"""Every verb and the module that carries it out, in the order of the help."""

EXTRAS = {
    "cv2": "train",
    "matplotlib": "train",
    "onnx": "export",
    "onnxruntime": "export",
    "openvino": "export",
    "skimage": "train",
}
"""Modules that the base install leaves out, and the extra that brings them."""

_INTERRUPTED = 130  # 128 + SIGINT, as shells report it
_READER_LEFT = 141  # 128 + SIGPIPE
_STREAMS = (1, 2)  # descriptors of stdout and stderr
# What the system says of a path that was not even looked at.
_REFUSED = {
    errno.EACCES: "choose a place that you may read and write, or change its permissions",
    errno.ENAMETOOLONG: "choose a shorter name",
    errno.EPERM: "choose a place that you may read and write, or change its permissions",
    errno.EROFS: "choose a place that is not mounted read-only",
}


@runtime_checkable
class Verb(Protocol):
    """What a verb's module must offer."""

    SUMMARY: str
    Options: type[Any]

    def run(self, options: Any) -> int:  # noqa: ANN401 - each verb has its own options
        """Do the work and return the exit status."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: what follows `bluref`; those of the process when None.

    Raises:
        SystemExit: with status 0 after a verb's help, 2 after options that cannot be read.
    """
    try:
        status = _dispatch(list(sys.argv[1:] if arguments is None else arguments))
        sys.stdout.flush()
    except KeyboardInterrupt:
        sys.stderr.write("bluref: interrupted\n")
        return _INTERRUPTED
    except BrokenPipeError:
        if not any(map(_lost_its_reader, _STREAMS)):  # some other pipe broke, which is a bug
            raise
        for stream in _STREAMS:  # else Python complains when it flushes them at exit
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream)
        return _READER_LEFT
    except (UserError, ModuleNotFoundError, OSError) as error:
        mistake = _mistake(error)
        if mistake is None:
            raise
        _complain(mistake)
        return 2
    return status


def _mistake(error: Exception) -> UserError | None:
    """What a person can mend of an error; None where nobody foresaw it."""
    if isinstance(error, UserError):
        return error
    if isinstance(error, ModuleNotFoundError) and error.name in EXTRAS:
        fix = f"pip install 'bluref[{EXTRAS[error.name]}]'"
        return UserError(f"this needs {error.name}, which is not installed", fix)
    if isinstance(error, OSError) and error.filename and error.errno in _REFUSED:
        why, place = os.strerror(error.errno).lower(), error.filename2 or error.filename
        return UserError(f"cannot use {place}: {why}", _REFUSED[error.errno])
    return None


def load_verb(name: str) -> Verb:
    """The module of a verb.

    Raises:
        UserError: there is no such verb.
    """
    if name not in VERBS:
        close = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"did you mean `bluref {close[0]}`?" if close else "`bluref --help` lists the verbs"
        raise UserError(f"there is no verb {name!r}", hint)
    verb: Verb = importlib.import_module(VERBS[name])
    return verb


def _dispatch(arguments: list[str]) -> int:
    if not arguments:
        sys.stderr.write(_overview())
        return 2
    name, *rest = arguments
    if name in ("-h", "--help"):
        sys.stdout.write(_overview())
        return 0
    if name == "--version":
        sys.stdout.write(f"bluref {bluref.__version__}\n")
        return 0
    verb = load_verb(name)
    _refuse_empty(rest)
    import tyro

    options_type = getattr(verb, "options_type", lambda arguments: verb.Options)
    options = tyro.cli(
        options_type(rest),
        prog=f"bluref {name}",
        description=verb.SUMMARY,
        args=rest,
        config=(
            tyro.conf.DisallowNone,  # None is a default, not a word to type
            tyro.conf.FlagCreatePairsOff,  # --json, without a --no-json beside it
            tyro.conf.OmitArgPrefixes,
            tyro.conf.PositionalMetavarFromFieldName,
        ),
    )
    return verb.run(options)


def _refuse_empty(arguments: Sequence[str]) -> None:
    """An empty path would mean the current folder, and mostly comes from an unset variable."""
    for before, argument in zip(["", *arguments], arguments, strict=False):
        if not argument:
            where = f" after {before}" if before.startswith("-") else ""
            problem = f"there is an empty argument{where}"
        elif argument.startswith("-") and argument.partition("=")[1:] == ("=", ""):
            problem = f"{argument} has no value"
        else:
            continue
        raise UserError(problem, "name it; in a script, see whether all variables are set")


def _overview() -> str:
    width = max(map(len, VERBS))
    verbs = "\n".join(f"  {name:<{width}}  {load_verb(name).SUMMARY}" for name in VERBS)
    return (
        "usage: bluref VERB [OPTIONS]\n\n"
        f"{bluref.__doc__}\n\n"
        f"verbs:\n{verbs}\n\n"
        "`bluref VERB --help` explains a verb's options; `bluref --version` prints the version.\n"
    )


def _complain(error: UserError) -> None:
    sys.stderr.write(f"bluref: {one_line(error.problem)}\n  fix: {one_line(error.fix)}\n")


def _lost_its_reader(descriptor: int) -> bool:
    if not hasattr(select, "poll"):  # Windows
        return False
    poll = select.poll()
    poll.register(descriptor, 0)  # POLLERR is reported unasked
    return any(event & select.POLLERR for _, event in poll.poll(0))
