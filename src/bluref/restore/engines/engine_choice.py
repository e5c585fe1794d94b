"""The fastest engine on this machine for a network: measured once, and remembered.

What was measured lies in one JSON file in the user's cache folder. Its keys are digests of all
that the answer depends on; it may be deleted or damaged at any time, and is then made again.
"""

import hashlib
import importlib.metadata
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import nn

from bluref.errors import UserError
from bluref.media.whole import write_text_whole
from bluref.restore.engines.engine import Engine, EngineName, Setting, build_engine, why_not
from bluref.restore.fingerprint import fingerprint

CANDIDATES: tuple[EngineName, ...] = ("eager", "openvino", "onnxruntime")
"""`compile` has to be asked for: it pays its minute again at every start and for every size."""

AGAIN = "BLUREF_MEASURE_AGAIN"
"""Environment variable that, set to anything, makes `auto` measure anew."""

_SIDES = (384, 512)
_ROUNDS = 3
_WORTH = 0.9  # of the time of an engine before it in the list: less gain is not worth a start
_PACKAGES = ("torch", "onnxruntime", "openvino")


def fastest_engine(model: nn.Module, setting: Setting, *, file: Path | None = None) -> EngineName:
    """The name of the engine that runs `model` fastest here.

    Engines that are not installed, or cannot run this network, are passed over.

    Args:
        model: the network.
        setting: what is asked of the engine.
        file: where measurements are kept; in the user's cache folder when None.
    """
    file = file or cache_folder() / "engines.json"
    names = [name for name in CANDIDATES if why_not(name, setting) is None]
    if len(names) == 1:
        return names[0]
    key, known = _key(model, setting, names), _read(file)
    if not os.environ.get(AGAIN) and known.get(key) in names:
        return next(name for name in names if name == known[key])
    seconds = _measure(model, setting, names)
    best: EngineName = names[0]
    for candidate in names:
        if seconds.get(candidate, float("inf")) < _WORTH * seconds[best]:
            best = candidate
    _remember(file, {**known, key: best})
    return best


def cache_folder() -> Path:
    """Where this user's programs keep what can be made again; `BLUREF_CACHE` overrides it."""
    told = os.environ.get("BLUREF_CACHE")
    if told:
        return Path(told)
    home = Path.home()
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local")) / "bluref"
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "bluref"
    return Path(os.environ.get("XDG_CACHE_HOME", home / ".cache")) / "bluref"


def processor() -> str:
    """The name of this machine's processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor())


def _key(model: nn.Module, setting: Setting, names: Sequence[str]) -> str:
    told = {
        "weights": fingerprint(model),
        "setting": repr(setting),
        "engines": list(names),
        "versions": [_version(package) for package in _PACKAGES],
        "processor": [processor(), os.cpu_count(), torch.get_num_threads()],
    }
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _measure(model: nn.Module, setting: Setting, names: Sequence[EngineName]) -> dict[str, float]:
    """Median seconds per picture, in turns; engines that fail are left out."""
    image = torch.rand(1, 3, *_SIDES, generator=torch.Generator().manual_seed(0))
    engines: dict[EngineName, Engine] = {}
    for name in names:
        try:
            engine = build_engine(name, model, setting)
            engine(image)
        except Exception:  # not for this network: engines raise types of their own
            if name == names[0]:
                raise
            continue
        engines[name] = engine
    taken: dict[str, list[float]] = {name: [] for name in engines}
    for _ in range(_ROUNDS):
        for name, engine in engines.items():
            start = time.perf_counter()
            engine(image)
            taken[name].append(time.perf_counter() - start)
    return {name: statistics.median(times) for name, times in taken.items()}


def _read(file: Path) -> dict[str, str]:
    try:
        known = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(known, dict):
        return {}
    return {k: v for k, v in known.items() if isinstance(v, str)}


def _remember(file: Path, known: Mapping[str, str]) -> None:
    try:
        write_text_whole(file, json.dumps(known, indent=1) + "\n")
    except (OSError, UserError):
        return  # a folder that cannot be written: measure again next time
