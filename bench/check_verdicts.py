"""What `bluref check` says of footage whose worth is known.

    python bench/check_verdicts.py davis_blur --photographs stills

`davis_blur` is a paired data set of several scenes in the layout `gopro`. Frames of it are put
together as separate blurry and sharp clips, or as plain clips, such that one knows what ought to be
said: references next to the blurry frames, few, far, of other scenes; blur that is motion, or a
lens out of focus, or noise; sets that share their pictures. `--all` matches every blurry frame.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import torch
import torch.nn.functional as F

from bluref.frames.store import FrameStore
from bluref.media.picture import list_pictures, read_picture, write_picture
from bluref.train.checking import check as checking
from bluref.train.checking.check_cost import Cost
from bluref.train.recipe import Recipe

Change = Callable[[torch.Tensor], torch.Tensor]
Sets = dict[str, Iterable[Path]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", type=Path)
    parser.add_argument("--photographs", type=Path)
    parser.add_argument("--sample", type=int, default=20)
    parser.add_argument("--all", action="store_true")
    given = parser.parse_args()
    torch.set_num_threads(1)
    checking.measure_cost = lambda *arguments: Cost(0.0, 0.0, 0.0, 0.0, 0)
    print("| footage | verdict | coverage | usable | blur | blurred | first problem | s |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        tell("as it is", given.data, given.sample)
        if given.all:
            tell("as it is, every frame", given.data, 10**6)
        for number, (name, data) in enumerate(situations(given.data, given.photographs)):
            tell(name, data(work / str(number)), given.sample)


def situations(data: Path, photographs: Path | None) -> list[tuple[str, Callable[[Path], Path]]]:
    """Names, and what builds the footage in a folder."""
    scenes = sorted(path for path in (data / "train").iterdir() if path.is_dir())
    some, others = scenes[: len(scenes) // 2], scenes[len(scenes) // 2 :]
    blurry = {scene.name: list_pictures(scene / "blur")[::2] for scene in scenes}
    sharp = {scene.name: list_pictures(scene / "sharp") for scene in scenes}
    mine = {scene.name: blurry[scene.name] for scene in some}

    def apart(of: Sets, by: Sets) -> Callable[[Path], Path]:
        return lambda root: linked(root, {"blurry": of, "sharp": by})

    def changed(change: Change) -> Callable[[Path], Path]:
        return lambda root: degraded(root, some, change)

    noise = torch.Generator().manual_seed(0)
    return [
        ("sharp frames of other scenes", apart(mine, {s.name: sharp[s.name] for s in others})),
        *(
            [("photographs", lambda root: with_photographs(root, mine, photographs))]
            * bool(photographs)
        ),
        (
            "three sharp frames a scene",
            apart(blurry, {k: v[5 :: len(v) // 3][:3] for k, v in sharp.items()}),
        ),
        ("one sharp frame a scene", apart(blurry, {k: v[:1] for k, v in sharp.items()})),
        (
            "half the scenes have sharp frames",
            apart(blurry, {s.name: sharp[s.name][1::2] for s in some}),
        ),
        ("the truth is in the sharp set", apart(mine, {s.name: sharp[s.name] for s in some})),
        (
            "plain clips, all blurred",
            lambda root: linked(root, {"": {s.name: list_pictures(s / "blur") for s in scenes}}),
        ),
        (
            "plain clips, all sharp",
            lambda root: linked(root, {"": {s.name: sharp[s.name] for s in some}}),
        ),
        ("out of focus, 4 px", changed(lambda image: filtered(image, disc(4)))),
        ("motion along a line, 10 px", changed(lambda image: filtered(image, line(10, 0.6)))),
        (
            "noise of 15 grey levels",
            changed(lambda image: image + 0.06 * torch.randn(image.shape, generator=noise)),
        ),
    ]


def tell(name: str, data: Path, sample: int) -> None:
    """A row of the table."""
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        found = checking.check(data, Recipe(), FrameStore(Path(folder)), sample=sample)
    first = found.problems[0].problem if found.problems else ""
    figures = f"{found.coverage or 0:.3f} | {found.usable_blurry} of {found.blurry} | {found.blur}"
    blurred = "" if found.blurred is None else f"{found.blurred:.2f}"
    seconds = time.monotonic() - started
    print(
        f"| {name} | {found.verdict} | {figures} | {blurred} | {first} | {seconds:.0f} |",
        flush=True,
    )


def linked(root: Path, sets: dict[str, Sets]) -> Path:
    """ROOT/SET/CLIP/FRAME, as links."""
    for role, clips in sets.items():
        for clip, paths in clips.items():
            for path in paths:
                link = root / role / clip / path.name
                link.parent.mkdir(parents=True, exist_ok=True)
                link.symlink_to(path.resolve())
    return root


def with_photographs(root: Path, mine: Sets, photographs: Path | None) -> Path:
    """Photographs of the size of the frames as the sharp set."""
    linked(root, {"blurry": mine})
    first = next(iter(next(iter(mine.values()))))
    height, width = read_picture(first).shape[-2:]
    for path in list_pictures(photographs or root):
        image = read_picture(path)
        image = image.transpose(-1, -2) if image.shape[-2] > image.shape[-1] else image
        scale = max(height / image.shape[-2], width / image.shape[-1])
        size = [math.ceil(side * scale) for side in image.shape[-2:]]
        image = F.interpolate(image, size, mode="bilinear", antialias=True)
        write_picture(image[..., :height, :width], root / "sharp" / "photographs" / path.name)
    return root


def degraded(root: Path, scenes: list[Path], change: Change) -> Path:
    """The first 40 frames of some scenes, the even ones, which `alternating` takes, changed."""
    for scene in scenes:
        for path in list_pictures(scene / "sharp")[:40]:
            image = read_picture(path)
            ours = change(image).clamp(0, 1) if int(path.stem) % 2 == 0 else image
            write_picture(ours, root / scene.name / "blur" / path.name, quality=90)
            write_picture(image, root / scene.name / "sharp" / path.name)
    return root


def filtered(image: torch.Tensor, kernel: torch.Tensor) -> torch.Tensor:
    """Blurred in linear light."""
    margin = kernel.shape[-1] // 2
    light = F.pad(image**2.2, (margin,) * 4, mode="reflect").transpose(0, 1)
    return F.conv2d(light, (kernel / kernel.sum())[None, None]).transpose(0, 1).clamp(0, 1) ** (
        1 / 2.2
    )


def disc(radius: float) -> torch.Tensor:
    reach = torch.arange(-math.ceil(radius), math.ceil(radius) + 1.0)
    return (radius + 0.5 - torch.hypot(reach[:, None], reach[None])).clamp(0, 1)


def line(length: float, angle: float) -> torch.Tensor:
    reach = torch.arange(-math.ceil(length / 2), math.ceil(length / 2) + 1.0)
    along = reach[None] * math.cos(angle) + reach[:, None] * math.sin(angle)
    across = reach[:, None] * math.cos(angle) - reach[None] * math.sin(angle)
    return (1 - across.abs()).clamp(0, 1) * (length / 2 + 0.5 - along.abs()).clamp(0, 1)


if __name__ == "__main__":
    main()
