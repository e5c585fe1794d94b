"""From a run to a data set of pairs that any trainer can learn from (paper Sec. 4.5)."""

import math
import shutil
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

import bluref
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.layouts import find_clips
from bluref.frames.references import Sample
from bluref.media.whole import decimal_bytes
from bluref.pseudo.pairs.completion import completed
from bluref.pseudo.pairs.folder import PairsFolder, digest_of
from bluref.pseudo.pairs.leaks import Leak, find_leaks, pixel_hash, without
from bluref.pseudo.pairs.manifests import write_manifests
from bluref.pseudo.pairs.record import TABLE, PairRecord, pair_names, write_records
from bluref.pseudo.pairs.shards import FOLDER as SHARDS
from bluref.pseudo.pairs.shards import write_shards
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.files import load_network
from bluref.restore.fingerprint import fingerprint
from bluref.train.observe import Observer
from bluref.train.run_folder import locked
from bluref.train.run_targets import RunTargets, about_source, open_targets, plain_recipe

FORMAT = 1
"""Raised when the files of a pair would come out otherwise."""
# Bytes a pixel that the three PNG files of a pair need, and as many again in shards.
PER_PIXEL = 5


@dataclass(frozen=True)
class PairsConfig:
    """What to make.

    Attributes:
        keep: share of the pairs to keep, the best ones by expected PSNR, above 0 and up to 1.
        shards: write WebDataset shards as well.
        validation: a data folder that networks will be judged by; the test part of the run's own
            data is looked through in any case.
    """

    keep: float = 1.0
    shards: bool = False
    validation: Path | None = None

    def __post_init__(self) -> None:
        if not 0 < self.keep <= 1:
            raise UserError(f"keep is {self.keep:g}", "it must be above 0, and 1 at most")


@dataclass(frozen=True)
class PairsReport:
    """What was made.

    Attributes:
        out: the folder.
        pairs: how many it holds.
        made: how many of them were made by this call; the others stood already.
        worse: pairs that were not kept, since others are better.
        leaks: pictures that validation shows too. Pairs with the very same one are left out.
        leaked: pairs left out for that.
        coverage: mean over pairs.
        expected_psnr: mean over pairs, in dB.
        bytes: of all files.
        seconds: of this call.
    """

    out: Path
    pairs: int
    made: int
    worse: int
    leaks: tuple[Leak, ...]
    leaked: int
    coverage: float
    expected_psnr: float
    bytes: int
    seconds: float


@torch.no_grad()
def make_pairs(
    run: Path,
    out: Path,
    config: PairsConfig | None = None,
    *,
    data: Path | None = None,
    observer: Observer | None = None,
    device: str = "cpu",
) -> PairsReport:
    """Write a pair for every blurry frame of a run: blurry, pseudo-sharp, trust, provenance.

    Interrupted, it goes on where it was; called again it makes nothing twice, and the same bytes.

    Args:
        run: the run folder.
        out: the folder of pairs: new, empty, or the one to go on with.
        config: what to make.
        data: where the run's footage lies now, if it was moved.
        observer: watches.
        device: where networks compute, as torch names it.

    Raises:
        UserError: the run has no targets or its footage is gone, `out` holds something else, every
            pair leaks into validation, or the disk is full.
    """
    started, config, observer = time.monotonic(), config or PairsConfig(), observer or Observer()
    with locked(run, resume=True):
        targets = open_targets(run, data=data, observer=observer, device=device)
        leaks = find_leaks(targets.found.samples, _validation(targets, config), targets.store)
        samples = without(targets.found.samples, leaks)
        if not samples:
            raise UserError(
                f"every blurry frame of {run} is one of validation, or has a reference that is",
                "give footage that nothing is judged by, or another --validation",
            )
        maker = _Maker(run, targets)
        _check_space(out, samples, targets, config)
        folder = PairsFolder(out, maker.about)
        targets.refresh(samples, partial(observer.on_refresh, targets.round))
        records = maker.make_all(samples, folder, observer.on_export)
    best = _best(records, config.keep)
    _write_lists(folder, best, shards=config.shards)
    return PairsReport(
        out=out,
        pairs=len(best),
        made=maker.made,
        worse=len(records) - len(best),
        leaks=tuple(leaks),
        leaked=len(targets.found.samples) - len(samples),
        coverage=statistics.fmean(record.coverage for record in best),
        expected_psnr=statistics.fmean(record.expected_psnr for record in best),
        bytes=sum(path.stat().st_size for path in out.rglob("*") if path.is_file()),
        seconds=time.monotonic() - started,
    )


def _write_lists(folder: PairsFolder, records: Sequence[PairRecord], *, shards: bool) -> None:
    """All that speaks of the pairs together; what is not among them goes."""
    folder.keep_only(records)
    write_records(folder.folder / TABLE, records)
    write_manifests(folder.folder, records, version=bluref.__version__)
    if shards:
        write_shards(folder.folder, records)
    else:
        shutil.rmtree(folder.folder / SHARDS, ignore_errors=True)  # they may be of other pairs
    folder.close()


class _Maker:
    """Makes the pairs of a run that do not stand yet, and counts them."""

    def __init__(self, run: Path, targets: RunTargets) -> None:
        self.targets, self.made = targets, 0
        network = load_network(run)
        self._deblur = Deblurrer(
            network.model, training_size=network.training_size, device=targets.device
        )
        self.about = {
            "format": FORMAT,
            "round": targets.round,
            "network": fingerprint(network.model, training_size=network.training_size)[:32],
            "matcher": digest_of(targets.bank.matcher.identity),
            "exposure": targets.moving.exposure if targets.moving else None,
            "recipe": plain_recipe(asdict(targets.recipe)),
        }
        self._hashes: dict[Frame, str] = {}

    def make_all(
        self, samples: Sequence[Sample], folder: PairsFolder, tell: Callable[[int, int], None]
    ) -> list[PairRecord]:
        names = pair_names([sample.blurry for sample in samples])
        records = []
        for done, (name, sample) in enumerate(zip(names, samples, strict=True), start=1):
            key = self._key(sample)
            record = folder.standing(name, key)
            if record is None:
                record = self._make(name, key, sample, folder)
                self.made += 1
            records.append(record)
            tell(done, len(samples))
        return records

    def _make(self, name: str, key: str, sample: Sample, folder: PairsFolder) -> PairRecord:
        store, target = self.targets.store, self.targets.target(sample)
        blurry = store.image(sample.blurry)
        sharp = completed(target, self._deblur(blurry))
        told = {
            "name": name,
            "clip": sample.blurry.clip,
            "index": sample.blurry.index,
            "width": blurry.shape[-1],
            "height": blurry.shape[-2],
            "coverage": _short(target.mask.float().mean().item()),
            "mean_trust": _short(target.weight.mean().item()),
            "completed": _short(1 - sharp.share.mean().item()),
            "expected_psnr": round(sharp.expected_psnr, 3),
            "round": self.targets.round,
            "source": about_source(sample.blurry, self.targets.data),
            "references": [frame.key for frame in sample.references],
            "source_hash": self._hash(sample.blurry),
            "reference_hashes": [self._hash(frame) for frame in sample.references],
            "key": key,
        }
        return folder.write(blurry, sharp, target.weight, told)

    def _key(self, sample: Sample) -> str:
        """Of all that the files of a pair depend on, wherever they lie."""
        frames = [self._hash(frame) for frame in (sample.blurry, *sample.references)]
        matched = self.targets.bank.digest(self.targets.round, sample)
        moved = self.targets.moving.digest(sample.blurry) if self.targets.moving else None
        return digest_of([self.about, frames, matched, moved])

    def _hash(self, frame: Frame) -> str:
        if frame not in self._hashes:
            self._hashes[frame] = pixel_hash(self.targets.store.pixels(frame))
        return self._hashes[frame]


def _short(share: float) -> float:
    """A share as it is written, so that what is read again is the same."""
    return min(max(round(share, 4), 0.0), 1.0)


def _best(records: Sequence[PairRecord], keep: float) -> list[PairRecord]:
    """The best share of them, in their own order; at least one."""
    count = max(math.ceil(len(records) * keep), 1)
    ranked = sorted(records, key=lambda record: (-record.expected_psnr, record.name))[:count]
    kept = {record.name for record in ranked}
    return [record for record in records if record.name in kept]


def _validation(targets: RunTargets, config: PairsConfig) -> list[Frame]:
    """What networks are judged by: held back, the test part, and what was named."""
    frames = targets.held_back
    if (targets.data / "test").is_dir():
        frames += _all_frames(targets.data, "test")
    if config.validation is not None:
        frames += _all_frames(config.validation, "test")
    return list(dict.fromkeys(frames))


def _all_frames(data: Path, part: str) -> list[Frame]:
    tables = [
        table
        for clip in find_clips(data, part=part)
        for table in (clip.blurry, clip.sharp, clip.truth)
    ]
    return [frame for table in tables for frame in table.values()]


def _check_space(
    out: Path, samples: Sequence[Sample], targets: RunTargets, config: PairsConfig
) -> None:
    if (out / TABLE).is_file():
        return  # most of it stands already
    pixels = sum(h * w for h, w in (targets.store.size(sample.blurry) for sample in samples))
    need = pixels * PER_PIXEL * (2 if config.shards else 1)
    there = next(p for p in (out.absolute(), *out.absolute().parents) if p.exists())
    free = shutil.disk_usage(there).free
    if need > free:
        raise UserError(
            f"{len(samples)} pairs need about {decimal_bytes(need)},"
            f" {there} has {decimal_bytes(free)} free",
            "free some space, or name another place",
        )
