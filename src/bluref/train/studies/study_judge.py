"""What a network, or a copied reference, is worth on the two sets of frames that a study judges."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from jaxtyping import Float
from torch import Tensor

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.layouts import find_clips
from bluref.frames.references import ReferenceRule, choose_references
from bluref.frames.sharpness import image_sharpness
from bluref.frames.split import Footage, split_clips
from bluref.measure.psnr import psnr
from bluref.media.picture import picture_size, read_picture
from bluref.restore.deblurrer import Deblurrer
from bluref.train.data import spread
from bluref.train.evaluate import Evaluation, evaluate_pairs
from bluref.train.recipe import Recipe
from bluref.train.studies.study_file import Study
from bluref.train.studies.study_grid import Run
from bluref.train.studies.study_results import Measured

Image = Float[Tensor, "1 3 h w"]
Pairs = Sequence[tuple[Frame, Frame]]
Tell = Callable[[int, int], None]

PARTS = ("test", "train")


class Judge:
    """Compares with the truth: of the test scenes, and of the blurry training frames.

    Training frames are the blurry ones that the recipe's split and `most` give, whatever Delta:
    every row with these is judged on the same ones, held back or not (`hold_out`).

    Args:
        study: says where the data is, and how many frames are taken.
        runs: of the study; the frames of all their layouts and splits are looked for at once.

    Raises:
        UserError: there is no data, no test part of its own, or no truth to compare with.
    """

    def __init__(self, study: Study, runs: Sequence[Run]) -> None:
        self._every = {"test": study.every_test, "train": study.every_train}
        missing = [part for part in PARTS if not (study.data / part).is_dir()]
        if missing and study.data.is_dir():  # or networks would be judged on what they have seen
            raise UserError(
                f"{study.data} has no {' and no '.join(f'{part}/' for part in missing)}",
                "a study needs a paired data set, such as train|test/SCENE/{blur,sharp}",
            )
        self._footage: dict[tuple[str, str, str], Footage] = {}
        self._fingerprints: dict[tuple[str, str], str] = {}
        for recipe in (run.recipe for run in runs):
            for part in PARTS:
                key = (part, recipe.layout, recipe.split)
                if key not in self._footage:
                    self._footage[key] = _footage(study.data, recipe, part)

    def network(
        self,
        deblur: Callable[[Image], Image],
        recipe: Recipe,
        *,
        tell: Tell,
        **figures: float | None,
    ) -> tuple[Measured, list[tuple[str, Evaluation]]]:
        """The figures of a network, and what they are the means of, part by part.

        Args:
            deblur: the network.
            recipe: says which frames are blurry.
            tell: called with (done, all).
            figures: of training, as `Measured` names them.
        """
        test, train = _compare(deblur, *(self._pairs(recipe, part) for part in PARTS), tell=tell)
        measured = _measured(
            test,
            train,
            input_psnr_test=test.identity.psnr,
            input_psnr_train_frames=train.identity.psnr,
            **figures,
        )
        return measured, list(zip(PARTS, (test, train), strict=True))

    def copies(self, recipe: Recipe, *, tell: Tell) -> Measured:
        """The figures of the reference that is nearest to the truth in PSNR, copied as it is.

        The truth chooses, which nobody has: this is what copying could reach at best. In test
        scenes every sharp frame may serve. A frame without a reference is left as it is.
        """
        copied = []
        for part in PARTS:
            references = _references(self._footage[part, recipe.layout, recipe.split], recipe)
            copied.append(
                [
                    (_nearest(references.get(blurry, ()), truth, otherwise=blurry), truth)
                    for blurry, truth in self._pairs(recipe, part)
                ]
            )
        return _measured(*_compare(Deblurrer.identity(), *copied, tell=tell))

    def fingerprint(self, recipe: Recipe) -> str:
        """Digest of the footage of both parts: which frames are what, and sizes of the files."""
        key = (recipe.layout, recipe.split)
        if key not in self._fingerprints:
            self._fingerprints[key] = self._digest(*key)
        return self._fingerprints[key]

    def _digest(self, layout: str, split: str) -> str:
        digest = hashlib.blake2b(digest_size=16)
        for part in PARTS:
            footage = self._footage[part, layout, split]
            truth = [footage.truth[key] for key in sorted(footage.truth)]
            for role, frames in enumerate((footage.blurry, footage.sharp, truth)):
                for frame in frames:
                    told = f"{part}{role}{frame.key}|{frame.path.stat().st_size}|"
                    digest.update(told.encode())
        return digest.hexdigest()

    def _pairs(self, recipe: Recipe, part: str) -> Pairs:
        """Every n-th blurry frame of each clip, and its truth."""
        footage = self._footage[part, recipe.layout, recipe.split]
        by_clip: dict[str, list[tuple[Frame, Frame]]] = {}
        most = (recipe.most or 0) if part == "train" else 0
        for frame in spread(footage.blurry, most):
            if frame.key in footage.truth:
                by_clip.setdefault(frame.clip, []).append((frame, footage.truth[frame.key]))
        return [pair for pairs in by_clip.values() for pair in pairs[:: self._every[part]]]


def _footage(data: Path, recipe: Recipe, part: str) -> Footage:
    """Frames with roles; those of test scenes may be both input and reference."""
    clips = find_clips(data, part=part, layout=recipe.layout)
    if part == "train":
        footage = split_clips(
            clips, recipe.split, lambda frame: image_sharpness(read_picture(frame.path))
        )
    else:
        paired = [(clip, i) for clip in clips for i in sorted(clip.blurry) if i in clip.truth]
        footage = Footage(
            blurry=tuple(clip.blurry[i] for clip, i in paired),
            sharp=tuple(clip.sharp[i] for clip in clips for i in sorted(clip.sharp)),
            truth={clip.blurry[i].key: clip.truth[i] for clip, i in paired},
        )
    if not footage.truth:
        raise UserError(
            f"{data} holds no pairs to measure on ({part} part)",
            "a study needs a paired data set, such as train|test/SCENE/{blur,sharp}",
        )
    return footage


def _references(footage: Footage, recipe: Recipe) -> dict[Frame, tuple[Frame, ...]]:
    rule = ReferenceRule(
        choice=recipe.choice, delta=recipe.delta, refs=recipe.refs, seed=recipe.seed
    )
    # Where the best are chosen by what they show there are more to begin with, the nearest first.
    samples = choose_references(footage, rule, size_of=lambda frame: picture_size(frame.path))
    return {s.blurry: s.references[: recipe.refs] for s in samples}


def _nearest(references: Sequence[Frame], truth: Frame, *, otherwise: Frame) -> Frame:
    """The reference whose picture is nearest to the truth; `otherwise` if there is none."""
    if not references:
        return otherwise
    sharp = read_picture(truth.path)
    return max(references, key=lambda frame: psnr(read_picture(frame.path), sharp).item())


def _compare(
    deblur: Callable[[Image], Image], test: Pairs, train: Pairs, *, tell: Tell
) -> tuple[Evaluation, Evaluation]:
    both = len(test) + len(train)
    return (
        evaluate_pairs(deblur, test, tell=lambda done, _: tell(done, both)),
        evaluate_pairs(deblur, train, tell=lambda done, _: tell(len(test) + done, both)),
    )


def _measured(test: Evaluation, train: Evaluation, **figures: float | None) -> Measured:
    return Measured(
        psnr_test=test.scores.psnr,
        ssim_test=test.scores.ssim,
        ssim3d_test=test.scores.ssim3d,
        psnr_train_frames=train.scores.psnr,
        **figures,
    )
