"""Is the expected PSNR of pairs the true one? Fits its line, and judges it on scenes left out.

    python bench/expected_error.py PAIRS DATA

PAIRS is what `bluref pairs` made of a run on DATA, a paired data set: its truth is only compared
with. Prints what `OFFSET` of pseudo/pairs/completion.py would suit PAIRS best, how the one that
stands there does, and how one does that never saw the scene in question.
"""

import sys
from pathlib import Path

import numpy as np

from bluref.frames.clip import Frame
from bluref.frames.layouts import find_clips
from bluref.measure.psnr import psnr
from bluref.media.picture import read_picture
from bluref.pseudo.pairs.completion import OFFSET, expected_psnr
from bluref.pseudo.pairs.record import TABLE, PairRecord, read_records

SHARES = (1.0, 0.8, 0.5, 0.25)


def truth_of(record: PairRecord, data: Path) -> Frame:
    """The true sharp version of a pair's blurry frame."""
    for clip in find_clips(data, part="train"):
        if clip.name == record.clip:
            return clip.truth[record.index]
    raise SystemExit(f"{data} has no clip {record.clip}")


def against(image: Path, truth: Path) -> float:
    """PSNR of a file against another, in dB."""
    return psnr(read_picture(image), read_picture(truth)).item()


def ranks(values: np.ndarray) -> np.ndarray:
    """Places in order."""
    return np.argsort(np.argsort(values))


def tell(name: str, expected: np.ndarray, true: np.ndarray) -> None:
    """A row of the table."""
    error = expected - true
    print(
        f"| {name} | {error.mean():+.2f} | {np.sqrt((error**2).mean()):.2f} |"
        f" {np.corrcoef(expected, true)[0, 1]:.3f} |"
        f" {np.corrcoef(ranks(expected), ranks(true))[0, 1]:.3f} |"
    )


def left_out(expected: np.ndarray, true: np.ndarray, scenes: np.ndarray) -> np.ndarray:
    """What is expected of a scene with the offset that suits the others, each counting alike."""
    errors = {scene: (expected - true)[scenes == scene].mean() for scene in np.unique(scenes)}
    bias = {s: np.mean([e for other, e in errors.items() if other != s]) for s in errors}
    return expected - np.array([bias[scene] for scene in scenes])


def expected_of(record: PairRecord, pairs: Path) -> float:
    """The expected PSNR, from the files of a pair."""
    sharp, trust = (read_picture(record.file(pairs, kind)) for kind in ("sharp", "trust"))
    return expected_psnr(sharp, trust[:, :1])


def main() -> None:
    """Measure and print."""
    pairs, data = map(Path, sys.argv[1:3])
    records = read_records(pairs / TABLE)
    files = [(r, truth_of(r, data).path) for r in records]
    true = np.array([against(r.file(pairs, "sharp"), t) for r, t in files])
    blurry = np.array([against(r.file(pairs, "blur"), t) for r, t in files])
    expected = np.array([expected_of(r, pairs) for r in records])
    scenes = np.array([r.clip for r in records])
    suits = OFFSET - (expected - true).mean()
    print(f"{len(records)} pairs: input {blurry.mean():.2f} dB, pairs {true.mean():.2f} dB")
    print(f"an OFFSET of {suits:.1f} would suit them, {OFFSET:.1f} stands\n")
    print("| offset | bias, dB | RMS error, dB | correlation | of ranks |\n|---|---|---|---|---|")
    tell("as it stands", expected, true)
    if len(np.unique(scenes)) > 1:
        tell("fitted on the other scenes", left_out(expected, true, scenes), true)
    print("\n| kept | PSNR, dB | over the input, dB |\n|---|---|---|")
    for share in SHARES:
        kept = ranks(-expected) < share * len(expected)
        print(f"| {share:.0%} | {true[kept].mean():.2f} | {(true - blurry)[kept].mean():+.2f} |")


if __name__ == "__main__":
    main()
