"""The Deblurrer: any picture in, a sharper one out, in one pass of a network."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn

from bluref.errors import UserError
from bluref.media.whole import write_text_whole
from bluref.restore.card import KEPT, Facts, facts_of, model_card
from bluref.restore.engines.engine import Eager, Engine, EngineName, Setting, build_engine
from bluref.restore.engines.engine_choice import fastest_engine
from bluref.restore.engines.exported import open_exported, refuse_wishes
from bluref.restore.engines.graph_files import read_card
from bluref.restore.engines.runtimes import OpenVINO
from bluref.restore.files import SavedNetwork, save_network
from bluref.restore.fingerprint import fingerprint, hash_of
from bluref.restore.models import find_model
from bluref.restore.networks.backbones import Backbone
from bluref.weights.device import usable_device
from bluref.weights.precision import prefers_bf16

if TYPE_CHECKING:
    from bluref.restore.work.video import VideoOptions, VideoReport

# Of an exported file without a card of ours: no network here wants more.
_UNKNOWN: Facts = {"multiple": 64, "receptive_radius": 1024}

MARGIN = 48
"""Pixels; what lies farther from a pixel hardly matters to it, whatever a network could see."""

Precision = Literal["auto", "fp32", "bf16", "fp16"]
"""`auto` is bf16 where `prefers_bf16` says so; `bf16` insists, and is slow on other hardware;
`fp16` is for graphics cards."""

LEVELS = 8.0
"""Values above are none in [0, 1], however far a picture overshoots: they are levels of 255."""

_TYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


class Deblurrer:
    """Runs a network on whole pictures of any size.

    Sides are made multiples of what the network wants by reflecting the right and bottom edges, and
    cut back.

    Args:
        model: the network; it is taken over: moved to the device, set to evaluation, kept in
            channels_last. Its weights are never written, so an average that goes on changing may
            be given; only the engine `eager` follows it.
        training_size: side of the training crops, px; None switches local pooling off.
        local_pooling: take means or attention around each pixel, as wide as training was (see
            `bluref.restore.networks.pooling`). Sharper; on rare photographs it makes coloured
            mosaics.
        precision: of the arithmetic inside.
        device: where to run, as torch names it.
        engine: what runs it (`bluref.restore.engines.engine`); `auto` takes the fastest here,
            measured once per machine and network (`bluref.restore.engines.engine_choice`).

    Attributes:
        auto: whether the engine was left to us; then `eager` may stand in where memory is short.

    Raises:
        ValueError: an unknown precision.
        UserError: the engine cannot run here, or not with this precision or network.
    """

    def __init__(
        self,
        model: nn.Module,
        *,
        training_size: int | None,
        local_pooling: bool = True,
        precision: Precision = "auto",
        device: str | torch.device = "cpu",
        engine: EngineName = "eager",
    ) -> None:
        if precision not in ("auto", *_TYPES):
            raise ValueError(f"precision must be auto, fp32, bf16 or fp16, got {precision!r}")
        self.device = torch.device(device)
        self._precision: Precision = precision
        self.window_of = training_size if local_pooling else None
        self.bf16 = prefers_bf16(self.device) if precision == "auto" else precision == "bf16"
        self._dtype = torch.bfloat16 if self.bf16 else _TYPES.get(precision, torch.float32)
        self._digest = ""
        setting = Setting(self.window_of, self._dtype, self.device)
        self._run: Engine = Eager(model, setting)
        self.model = model
        self._saved: SavedNetwork | None = None
        self._facts: Facts = {}
        self.auto = engine == "auto"
        self._engine: EngineName = fastest_engine(model, setting) if self.auto else engine
        if self._engine != "eager":
            self._run = build_engine(self._engine, model, setting)
        self._twins: dict[int | None, Deblurrer] = {}
        self._ran: list[str] = []

    @classmethod
    def from_pretrained(
        cls,
        name: Path | str,
        *,
        local_pooling: bool = True,
        precision: Precision = "auto",
        device: str | torch.device = "cpu",
        engine: EngineName | None = None,
        revision: str | None = None,
    ) -> "Deblurrer":
        """The network that `name` means: a path, a shipped one, `identity`, a repository.

        Args:
            name: see `bluref.restore.models.find_model`.
            local_pooling: as for the class, and so are the next three.
            precision: see above.
            device: see above.
            engine: see above; `eager` when None. An exported file brings its own.
            revision: of a repository on the Hugging Face Hub; its newest when None.

        Raises:
            UserError: no usable network there, an exported file that is not what is asked for, or
                no such device.
        """
        found = find_model(name, revision=revision)
        if found is None:
            return cls.identity()
        if isinstance(found, Path):
            refuse_wishes(found, engine=engine, precision=precision, device=torch.device(device))
            return cls._exported(found, precision, local_pooling=local_pooling)
        deblurrer = cls(
            found.model,
            training_size=found.training_size,
            local_pooling=local_pooling,
            precision=precision,
            device=usable_device(device),
            engine=engine or "eager",
        )
        deblurrer._saved, deblurrer._facts = found, facts_of(found)
        return deblurrer

    @classmethod
    def _exported(cls, path: Path, precision: Precision, *, local_pooling: bool) -> "Deblurrer":
        """Runs a file of `bluref export`, whose local pooling was decided then."""
        deblurrer = cls.identity()
        bf16 = prefers_bf16() if precision == "auto" else precision == "bf16"
        run, deblurrer._engine, deblurrer.bf16 = open_exported(path, bf16=bf16)
        card = read_card(path)
        if card.get("local_pooling") is True and not local_pooling:
            raise UserError(
                f"{path} was exported with local pooling, which cannot be switched off",
                "export it again with --no-local-pooling",
            )
        size = card.get("training_size") if card.get("local_pooling") else None
        deblurrer.window_of = size if isinstance(size, int) else None
        deblurrer._facts = _UNKNOWN | card
        deblurrer._run, deblurrer._digest = run, f"{_hash_of_export(path)} {bf16}"
        return deblurrer

    @classmethod
    def identity(cls) -> "Deblurrer":
        """Does nothing: the row that every table begins with."""
        return cls(nn.Identity(), training_size=None, precision="fp32")

    def save_pretrained(self, folder: Path | str) -> None:
        """Write the network, what is known of it, and its card into `folder`.

        Raises:
            UserError: it has no weights of its own here (an exported file, `identity`), or `folder`
                cannot be written.
        """
        if not isinstance(self.model, Backbone):
            raise UserError("this model has no weights to save", "save the network it came from")
        saved = self._saved or SavedNetwork(self.model, self.window_of, {})
        meta = {**saved.meta, **{k: v for k, v in self._facts.items() if k in KEPT}}
        save_network(self.model, Path(folder), training_size=saved.training_size, meta=meta)
        write_text_whole(Path(folder) / "README.md", model_card(Path(folder)))

    def _told(self, name: str) -> int:
        """What a network says of itself; that of an exported file stands in its card."""
        told = getattr(self.model, name, self._facts.get(name, 0))
        return told if isinstance(told, int) else 0

    def eagerly(self, *, local_pooling: bool) -> "Deblurrer | None":
        """The same network run by torch itself; None where it lies in an exported file."""
        if self._digest:
            return None
        window = self.window_of if local_pooling else None
        if self._engine == "eager" and window == self.window_of:
            return self
        if window not in self._twins:  # one for all pictures: what it costs is measured once
            self._twins[window] = Deblurrer(
                self.model, training_size=window, precision=self._precision, device=self.device
            )
        return self._twins[window]

    @property
    def engine(self) -> str:
        """What ran pictures in tiles so far, see `note`; before the first, what was chosen."""
        return ", ".join(self._ran) or self._engine

    def note(self, runner: "Deblurrer") -> None:
        """Remember that a picture was run by this one, which may be a twin."""
        if runner._engine not in self._ran:
            self._ran.append(runner._engine)

    @property
    def tried(self) -> "Deblurrer":
        """What tells what a call takes in memory.

        `compile` takes about what `eager` does, and minutes to tell so for each size.
        """
        twin = self.eagerly(local_pooling=True) if self._engine == "compile" else None
        return twin or self

    @property
    def held(self) -> int:
        """Bytes that the engine keeps for sizes of picture that it has met, about."""
        return self._run.held if isinstance(self._run, OpenVINO) else 0

    def forget(self) -> None:
        """Have the engine drop that."""
        if isinstance(self._run, OpenVINO):
            self._run.forget()

    @property
    def fingerprint(self) -> str:
        """Changes whenever the output for a picture might: weights, engine, precision, device."""
        how = {"window": self.window_of, "precision": self._dtype, "device": self.device.type}
        return fingerprint(self.model, **how, engine=self._engine, file=self._digest)

    @property
    def does_nothing(self) -> bool:
        """Whether this is `identity`."""
        return isinstance(self.model, nn.Identity) and not self._digest

    @property
    def multiple(self) -> int:
        """Tiles that start at multiples of this, in pixels, see the grid of the whole picture."""
        return max(1, self._told("multiple"))

    @property
    def margin(self) -> int:
        """Pixels from the end of a tile at which the rest of the picture hardly matters any more.

        Half a window of local pooling, or else the receptive radius, but at most MARGIN: what a
        trained network sees farther away has little weight. See docs/experiments.md.
        """
        reach = min(MARGIN, self._told("receptive_radius"))
        return reach if self.window_of is None else max(reach, 3 * self.window_of // 4)

    def pooled_globally(self) -> "Deblurrer | None":
        """The same network with means over all it is shown, or None if it has those already."""
        return None if self.window_of is None else self.eagerly(local_pooling=False)

    @torch.no_grad()
    def __call__(self, image: Float[Tensor, "b 3 h w"]) -> Float[Tensor, "b 3 h w"]:
        """Deblur pictures, [0, 1] in and out, returned on the device they came from.

        Raises:
            ValueError: no RGB pictures of fractions, or values that are levels of 255.
        """
        _check_pictures(image)
        return self._run(image)

    def video(
        self,
        path: Path | str,
        out: Path | str,
        *,
        options: "VideoOptions | None" = None,
        tell: Callable[[int, int], None] = lambda _behind, _total: None,
    ) -> "VideoReport":
        """Deblur a film; see `bluref.restore.work.video.deblur_video`.

        The network sees each frame whole, which for 4K takes some 10 GB; `bluref deblur` and
        `restore.work.batch.deblur_files` do it in tiles, under a budget and a guard.
        """
        from bluref.restore.work.video import deblur_video

        return deblur_video(path, out, self, identity=self.fingerprint, options=options, tell=tell)


def _check_pictures(image: object) -> None:
    """Refuse what is no `Float[Tensor, "b 3 h w"]` in [0, 1]: a network would make white of it.

    Raises:
        ValueError: it is not.
    """
    if not isinstance(image, Tensor) or not image.is_floating_point():
        kind = getattr(image, "dtype", type(image).__name__)
        raise ValueError(f"need a tensor of fractions, got {kind}; `read_picture` gives one")
    if image.ndim != 4 or image.shape[1] != 3 or min(image.shape) < 1:
        raise ValueError(f"need the shape b 3 h w, got {tuple(image.shape)}")
    if image.amax() > LEVELS:
        raise ValueError(f"values must lie in [0, 1], got up to {image.amax():g}; divide by 255?")


def _hash_of_export(path: Path) -> str:
    """Of the file, and of the weights that OpenVINO keeps beside it."""
    beside = path.with_suffix(".bin")
    files = [path, beside] if path.suffix.lower() == ".xml" and beside.is_file() else [path]
    return "".join(map(hash_of, files))
