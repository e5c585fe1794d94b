"""The bank: what the matcher found, frame by frame, kept on disk and renewed round by round.

Matching runs on whole frames once per round; crops, warps and fusion happen on the fly while
training. A round lies in a folder of its own, one file per blurry frame. An entry is keyed by all
that its content depends on, so that a refresh that was interrupted goes on where it was, and a torn
or stale entry is computed anew, never used.
"""

import hashlib
import json
import os
import re
import shutil
from collections import OrderedDict
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.crops import Crop
from bluref.frames.references import Sample
from bluref.frames.store import FrameStore
from bluref.frames.workers import one_core_each
from bluref.match.protocol import Match, Matcher
from bluref.media.whole import remove_leftovers, whole_file
from bluref.pseudo.colour import evened, gains
from bluref.pseudo.compact import CompactMatches, compact
from bluref.pseudo.sharper import Sharper
from bluref.pseudo.strategy import Strategy
from bluref.pseudo.target import PseudoSharp
from bluref.pseudo.targets import target_in_box

Image = Float[Tensor, "1 3 h w"]

# References kept encoded during a refresh: consecutive blurry frames share most of theirs.
ENCODED_KEPT = 24


@runtime_checkable
class Teacher(Protocol):
    """The network whose output is matched: I_deblur of Eq. 1, for round 0 the picture itself."""

    @property
    def identity(self) -> str:
        """Changes whenever the output would, but for the rounding of another device."""
        ...

    def __call__(self, image: Image) -> Image:
        """Deblur one picture."""
        ...


@dataclass(frozen=True)
class BlurryItself:
    """The teacher before there is one: I_deblur^(0) = I_blur (paper Sec. 3.1)."""

    identity: str = "blurry itself"

    def __call__(self, image: Image) -> Image:
        """The picture as it came."""
        return image


@runtime_checkable
class Refiner(Protocol):
    """Moves matches after they were found."""

    def identity(self, frame: Frame) -> str:
        """Changes whenever a blurry frame's matches would be moved otherwise."""
        ...

    def __call__(
        self, frame: Frame, blurry: Image, references: Sequence[Image], found: Sequence[Match]
    ) -> list[Match]:
        """The matches of a blurry frame with its references, moved."""
        ...


@dataclass(frozen=True)
class Encoded:
    """A reference, and what the matcher has made of it once for all its matches."""

    image: Image
    features: Any


class Bank:
    """Cached matches of every sample, by round.

    Args:
        folder: holds one folder per round; made when needed.
        matcher: finds the references in the deblurred frame.
        strategy: how references are matched and fused.
        threshold: smallest confidence that may speak.
        store: where frames are read from.
        even: bring brightness and white balance of references to those of the blurry frame.

    Attributes:
        sharper: believes references only where they are sharper than the blurry frame, if anything;
            banks beside this one do without, unless told.
        refine: moves matches to where they explain the blurry frame best, if anything; banks beside
            this one do without.
    """

    def __init__(
        self,
        folder: Path,
        *,
        matcher: Matcher[Any],
        strategy: Strategy,
        threshold: float,
        store: FrameStore,
        even: bool = False,
    ) -> None:
        self.folder = folder
        self.matcher = matcher
        self.strategy = strategy
        self.threshold = threshold
        self.store = store
        self.even = even
        self.sharper: Sharper | None = None
        self.refine: Refiner | None = None
        self._encoded: OrderedDict[Frame, Encoded] = OrderedDict()
        self._whole: dict[Path, tuple[int, int]] = {}

    def beside(
        self,
        folder: Path,
        *,
        strategy: Strategy | None = None,
        threshold: float | None = None,
        even: bool | None = None,
        sharper: Sharper | None = None,
    ) -> "Bank":
        """Another bank of the same matcher and frames, alike but for what is given."""
        bank = Bank(
            folder,
            matcher=self.matcher,
            strategy=strategy or self.strategy,
            threshold=self.threshold if threshold is None else threshold,
            store=self.store,
            even=self.even if even is None else even,
        )
        bank.sharper = sharper
        return bank

    def refresh(
        self,
        round_: int,
        samples: Sequence[Sample],
        teacher: Teacher,
        *,
        tell: Callable[[int, int], None] = lambda done, all_: None,
    ) -> None:
        """Match every sample on the teacher's output. Entries that are there and whole are kept.

        The answer is the same for any number of processor cores.

        Args:
            round_: number of the round, from 0.
            samples: what will be trained on.
            teacher: deblurs the frame before it is matched.
            tell: called with (done, all) as entries are ready.

        Raises:
            UserError: a reference differs in size from its blurry frame, or the disk is full.
        """
        try:
            self._renew(round_, samples, teacher, tell)
        finally:
            self._encoded.clear()

    def _renew(
        self,
        round_: int,
        samples: Sequence[Sample],
        teacher: Teacher,
        tell: Callable[[int, int], None],
    ) -> None:
        remove_leftovers(self.round_folder(round_))
        workers = os.cpu_count() or 1
        waiting: list[Future[None]] = []
        with one_core_each(workers) as pool:
            for done, sample in enumerate(samples):
                key = self._key(sample, teacher)
                if not _is_whole(self._path(round_, sample), key):
                    target = teacher(self.store.image(sample.blurry))
                    references = [self._encode(frame, sample) for frame in sample.references]
                    waiting.append(
                        pool.submit(self._write, round_, sample, key, target, references)
                    )
                # A short queue keeps memory at a few frames, however many samples there are.
                while len(waiting) > 2 * workers:
                    waiting.pop(0).result()
                tell(done + 1, len(samples))
            for future in waiting:
                future.result()

    def matches(self, round_: int, sample: Sample) -> CompactMatches:
        """The cached matches of a sample.

        Raises:
            UserError: the entry is not there; `refresh` the round first.
        """
        path = self._path(round_, sample)
        size = self.store.size(sample.blurry)
        try:
            # Training comes back for crop after crop: a file is looked through once.
            if self._whole.get(path) != (state := _state(path)):
                _key_of(path)
                self._whole[path] = state
            with safe_open(path, framework="pt") as file:
                gain = file.get_tensor("gain") if self.even else None
                flow, confidence = file.get_tensor("flow"), file.get_tensor("confidence")
            if len(flow) != len(sample.references):
                raise OSError(f"{path} is of other references")
            return CompactMatches(flow, confidence, size, gain)
        except (OSError, SafetensorError):
            raise UserError(
                f"{path} is missing or torn",
                "run the same command with --resume to compute it anew",
            ) from None

    def digest(self, round_: int, sample: Sample) -> str:
        """Of the cached matches of a sample, whatever they were computed from.

        Raises:
            UserError: the entry is not there.
        """
        found = self.matches(round_, sample)
        tensors = {"flow": found.flow, "confidence": found.confidence}
        return _seal(tensors if found.gain is None else {**tensors, "gain": found.gain})

    def target(
        self, round_: int, sample: Sample, crop: Crop, *, threshold: float | None = None
    ) -> PseudoSharp:
        """The pseudo-sharp target of a box of the blurry frame, flips applied.

        Args:
            round_: number of the round.
            sample: blurry frame and references.
            crop: the box.
            threshold: smallest confidence that may speak, if another than the bank's.

        Raises:
            UserError: the entry is not there; `refresh` the round first.
        """
        return target_in_box(
            self.matches(round_, sample),
            sample.references,
            crop,
            store=self.store,
            strategy=self.strategy,
            threshold=self.threshold if threshold is None else threshold,
        )

    def forget(self, before: int) -> None:
        """Remove the rounds before this one."""
        for round_ in self.rounds():
            if round_ < before:
                shutil.rmtree(self.round_folder(round_))
        self._whole.clear()

    def rounds(self) -> list[int]:
        """Numbers of the rounds that are there, whole or begun, in order."""
        return sorted(int(p.name.removeprefix("round-")) for p in self.folder.glob("round-*"))

    def round_folder(self, round_: int) -> Path:
        """Where a round lies."""
        return self.folder / f"round-{round_:04d}"

    def _write(
        self,
        round_: int,
        sample: Sample,
        key: str,
        target: Image,
        references: Sequence[Encoded],
    ) -> None:
        found = self.strategy.match(self.matcher, target, references, self.threshold)
        images = [reference.image for reference in references]
        blurry = self.store.image(sample.blurry)
        if self.refine is not None:
            found = self.refine(sample.blurry, blurry, images, found)
        tensors: dict[str, Tensor] = {}
        if self.even or self.sharper is not None:
            warped = torch.cat([m.warp(image) for m, image in zip(found, images, strict=True)])
            if self.even:
                tensors["gain"] = gains(warped, found, blurry)
                warped, _ = evened(warped, tensors["gain"])
            if self.sharper is not None:
                found = self.sharper(found, warped, blurry, threshold=self.threshold)
        matches = compact(found)
        tensors |= {"flow": matches.flow, "confidence": matches.confidence}
        # In memory first: safetensors reports a full disk as an error of its own.
        # One text: safetensors writes several in any order, and entries must not differ by that.
        entry = save(tensors, {"seal": f"{key} {_seal(tensors)}"})
        with whole_file(self._path(round_, sample)) as partial:
            partial.write_bytes(entry)

    def _encode(self, frame: Frame, sample: Sample) -> Encoded:
        (h, w), (h1, w1) = self.store.size(frame), self.store.size(sample.blurry)
        if (h, w) != (h1, w1):
            raise UserError(
                f"{frame} is {w}x{h}, but the blurry frame {sample.blurry} is {w1}x{h1}",
                "use references of the same camera and size, or resize them",
            )
        if frame in self._encoded:
            self._encoded.move_to_end(frame)
            return self._encoded[frame]
        image = self.store.image(frame)
        self._encoded[frame] = Encoded(image, self.matcher.encode(image))
        if len(self._encoded) > ENCODED_KEPT:
            self._encoded.popitem(last=False)
        return self._encoded[frame]

    def _path(self, round_: int, sample: Sample) -> Path:
        return self.round_folder(round_) / entry_name(sample.blurry)

    def _key(self, sample: Sample, teacher: Teacher) -> str:
        """Everything an entry depends on, as one digest."""
        frames = (sample.blurry, *sample.references)
        parts = {
            "matcher": self.matcher.identity,
            "strategy": self.strategy.name,
            "threshold": self.threshold,
            "even": self.even,
            "teacher": teacher.identity,
            "frames": [self.store.identity(frame) for frame in frames],
        }
        if self.sharper is not None:
            parts["sharper"] = self.sharper.identity
        if self.refine is not None:
            parts["refine"] = self.refine.identity(sample.blurry)
        return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def entry_name(blurry: Frame) -> str:
    """The file of a frame's matches, in the folder of their round; no two frames share one."""
    # Two underscores stand for a slash: of its own a name keeps none before another or a slash.
    alone = re.sub("_(?=[_/])", "%5F", blurry.key.replace("%", "%25"))
    return alone.replace("/", "__") + ".safetensors"


def _is_whole(path: Path, key: str) -> bool:
    """Whether the entry is there, made from the same things, and unharmed."""
    try:
        return _key_of(path) == key
    except (OSError, SafetensorError):
        return False


def _key_of(path: Path) -> str:
    """What an entry was made from; OSError where it is not as it was sealed."""
    with safe_open(path, framework="pt") as file:
        metadata: dict[str, str] = file.metadata() or {}
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
    key, _, seal = metadata.get("seal", "").partition(" ")
    if seal != _seal(tensors):
        raise OSError(f"the seal of {path} is broken")
    return key


def _state(path: Path) -> tuple[int, int]:
    """Changes when a file is written to."""
    told = path.stat()
    return told.st_mtime_ns, told.st_size


def _seal(tensors: dict[str, Tensor]) -> str:
    """Digest of what an entry holds."""
    digest = hashlib.blake2b(digest_size=16)
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        digest.update(tensor.view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
