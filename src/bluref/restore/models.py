"""What the name of a deblurring model means: one place for all verbs and for Python."""

import importlib.resources
import re
import zipfile
from pathlib import Path
from typing import TypeAlias

from bluref.errors import UserError
from bluref.restore.files import ARCHITECTURES, SavedNetwork, load_network
from bluref.weights.folder import DESCRIPTION, WEIGHTS

IDENTITY = "identity"
"""The model that changes nothing."""

EXPORTED = (".onnx", ".xml")
"""How the names of exported networks end."""

Found: TypeAlias = SavedNetwork | Path | None
"""A network; an exported file, for an engine to open; None for `identity`."""

_PUBLISHED = (".pth", ".pt", ".ckpt", ".tar", ".pkl", ".bin")
_TORCHSCRIPT = (".pt", ".ts")
_REPOSITORY = re.compile(r"[\w][\w.-]*/[\w][\w.-]*", re.ASCII)


def is_published(path: Path) -> bool:
    """Whether others have saved that file: a pickle, or tensors without our description."""
    suffix = path.suffix.lower()
    return suffix in _PUBLISHED or (
        suffix == ".safetensors" and path.is_file() and not path.with_suffix(".json").exists()
    )


def find_model(name: Path | str, *, revision: str | None = None) -> Found:
    """What `name` means: the first of these that is there.

    * `identity`;
    * a path: a run folder, a network's folder, a `.safetensors` file with its JSON, or an exported
      `.onnx` or `.xml` file;
    * a network that comes with BluRef;
    * `owner/name` or `owner/name@revision`, a repository on the Hugging Face Hub, of which
      `model.safetensors` and `model.json` are downloaded and nothing else.

    Args:
        name: as a user gives it.
        revision: of a repository: branch, tag or commit.

    Raises:
        UserError: nothing there, and where it was looked for; or what is there is no usable model.
    """
    text = str(name)
    if text == IDENTITY:
        return None
    path = Path(name)
    if path.exists():
        return _at(path)
    shipped = shipped_models()
    if text in shipped:
        return load_network(shipped[text])
    repository, _, pinned = text.partition("@")
    if isinstance(name, str) and _REPOSITORY.fullmatch(repository):
        return load_network(_download(repository, revision or pinned or None, shipped))
    raise UserError(
        f"no model {text!r}: there is no such path, {_not_shipped(shipped)},"
        " and it is no owner/name of a repository",
        "give a run folder, a .safetensors file, an exported .onnx or .xml, or one of these names",
    )


def shipped_models() -> dict[str, Path]:
    """Folders of the deblurring networks that come with BluRef, by name."""
    weights = Path(str(importlib.resources.files("bluref") / "weights"))
    found = {}
    for description in sorted(weights.glob(f"*/{DESCRIPTION}")):
        text = description.read_text("utf-8")
        if any(f'"architecture": "{name}"' in text for name in ARCHITECTURES):
            found[description.parent.name] = description.parent
    return found


def _at(path: Path) -> SavedNetwork | Path:
    suffix = path.suffix.lower()
    if path.is_file() and suffix in EXPORTED:
        return path
    if path.is_file() and suffix in (*_PUBLISHED, *_TORCHSCRIPT) and _is_torchscript(path):
        raise UserError(
            f"{path} is TorchScript, for other programs",
            "give the network that it came from, or export that as .onnx or .xml",
        )
    if path.is_file() and suffix in _PUBLISHED:
        raise UserError(
            f"{path} is a pickle, which is never opened to deblur",
            f"convert it once: bluref import {path} -o FOLDER, then give FOLDER",
        )
    if path.is_file() and suffix == ".safetensors" and not path.with_suffix(".json").is_file():
        raise UserError(
            f"{path} has no {path.stem}.json beside it, which says what network it is",
            f"if others published it, convert it once: bluref import {path} -o FOLDER",
        )
    return load_network(path)


def _is_torchscript(path: Path) -> bool:
    """By the names inside, of which nothing is opened."""
    try:
        with zipfile.ZipFile(path) as file:
            return any("/code/" in name for name in file.namelist())
    except (OSError, zipfile.BadZipFile):
        return False


def _not_shipped(shipped: dict[str, Path]) -> str:
    names = ", ".join([IDENTITY, *shipped])
    return f"no such name among those that come with BluRef ({names})"


def _download(repository: str, revision: str | None, shipped: dict[str, Path]) -> Path:
    """The folder that holds a repository's network, fetched if it was not before."""
    tried = f"there is no such path, {_not_shipped(shipped)}"
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import (
            HfHubHTTPError,
            HFValidationError,
            LocalEntryNotFoundError,
        )
    except ModuleNotFoundError as error:
        raise UserError(
            f"no model {repository!r}: {tried},"
            " and to look on the Hugging Face Hub needs huggingface_hub",
            "check the path, or pip install 'bluref[hub]'",
        ) from error
    try:
        folder = snapshot_download(
            repository, revision=revision, allow_patterns=[WEIGHTS, DESCRIPTION]
        )
    except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        at = f" at revision {revision}" if revision else ""
        raise UserError(
            f"no model {repository!r}: {tried}, and the Hugging Face Hub gave none{at}: {reason}",
            "check the path, or the repository's name, its revision and your connection",
        ) from error
    return Path(folder)
