"""Which frames of a run its page shows, judged and cut out."""

import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bluref.errors import UserError
from bluref.frames.references import Sample
from bluref.report.page.page_facts import RunFacts
from bluref.report.page.page_footage import Look, RunFootage, busiest_box
from bluref.report.page.page_judged import Judged, chosen_to_show, from_validation, worst_first
from bluref.report.page.page_pictures import picture_uri, thumbnail_uri, trust_uri
from bluref.train.agreement import agreement
from bluref.train.recipe import Recipe
from bluref.train.recipe_file import recipe_from

# Frames that are shown, and that are judged where none were held out.
SHOWN, LOOKED_AT = 8, 24
# Height and width in pixels of what is shown of a frame.
BOX = (480, 640)


@dataclass(frozen=True)
class Example:
    """A frame on the page; pictures as data URIs.

    Attributes:
        judged: what is said of it.
        size: (height, width) of the pictures, px.
        blurry: the input.
        output: of the network.
        target: what references made of it.
        trust: to be laid over, covering what is not trusted.
        truth: the true sharp frame, where there is one.
        thumbnail: the whole frame.
        held_out: whether training never saw it, and its figures come from validation.
        mended: the output with the references' last word, where a film was mended with them.
    """

    judged: Judged
    size: tuple[int, int]
    blurry: str
    output: str
    target: str
    trust: str
    truth: str | None
    thumbnail: str
    held_out: bool
    mended: str | None = None


@dataclass(frozen=True)
class Examples:
    """What was judged, and what of it is shown.

    Attributes:
        judged: every judged frame, failures first.
        shown: some of them.
        held_out: whether they were held out from training, and judged by validation.
        problem: why there are none, or no pictures of them, and what to do.
    """

    judged: Sequence[Judged]
    shown: Sequence[Example]
    held_out: bool
    problem: str | None = None


def find_examples(
    facts: RunFacts,
    *,
    step: int | None,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> Examples:
    """Judge frames, and show those that say most: failures first.

    Args:
        facts: of the run.
        step: at which the network that is used was saved.
        tell: called with (done, all) as frames are looked at.
    """
    validated = from_validation(facts.validation, step)
    try:
        _refuse_without_footage(facts)
        recipe = recipe_from(facts.told["recipe"], Recipe, where=str(facts.run / "recipe.yaml"))
        with tempfile.TemporaryDirectory(prefix="bluref-page-") as scratch:
            footage = RunFootage(facts.run, recipe, facts.data, Path(scratch))
            _refuse_other_footage(facts, footage)
            looked_at = _looked_at(footage, validated, tell)
    except UserError as error:
        problem = f"{error.problem} ({error.fix})"
        return Examples(worst_first(validated), [], bool(validated), problem)
    by_key = {example.judged.key: example for example in looked_at}
    judged = [by_key[one.key].judged if one.key in by_key else one for one in validated]
    judged = judged or [example.judged for example in looked_at]
    chosen = chosen_to_show([example.judged for example in looked_at], SHOWN)
    shown = [by_key[one.key] for one in chosen]
    return Examples(worst_first(judged), shown, bool(validated))


def _refuse_without_footage(facts: RunFacts) -> None:
    if not facts.data.is_dir():
        raise UserError(
            f"the footage of {facts.run.resolve().name} is no longer in {facts.data}",
            "say where it is now: bluref report RUN --data FOLDER",
        )


def _refuse_other_footage(facts: RunFacts, footage: RunFootage) -> None:
    if footage.found.fingerprint != facts.told["data"].get("fingerprint"):
        raise UserError(
            f"the footage in {facts.data} is not what {facts.run.resolve().name} was trained on",
            "bring the frames back, or say where they are: bluref report RUN --data FOLDER; where"
            " no frame has changed, the version of BluRef has, and chooses them otherwise",
        )


def _looked_at(
    footage: RunFootage, validated: Sequence[Judged], tell: Callable[[int, int], None]
) -> list[Example]:
    """Frames that were held out; or some that were not, all over the footage."""
    known = {one.key: one for one in chosen_to_show(validated, SHOWN)}
    keys = [key for key in known if key in footage.held] or _spread(list(footage.samples))
    samples = [footage.held.get(key) or footage.samples[key] for key in keys]
    footage.prepare(samples)
    examples = []
    for done, (key, sample) in enumerate(zip(keys, samples, strict=True), start=1):
        examples.append(_example(footage, sample, known.get(key)))
        tell(done, len(keys))
    return examples


def _example(footage: RunFootage, sample: Sample, validated: Judged | None) -> Example:
    frame = footage.store.image(sample.blurry)
    crop = busiest_box(frame, BOX)
    look = footage.look(sample, crop)
    return Example(
        judged=_judged(sample, look) if validated is None else replace(validated, apart=look.apart),
        size=(crop.height, crop.width),
        blurry=picture_uri(look.blurry),
        output=picture_uri(look.output),
        target=picture_uri(look.target),
        trust=trust_uri(look.trust),
        truth=None if look.truth is None else picture_uri(look.truth),
        mended=None if look.mended is None else picture_uri(look.mended),
        thumbnail=thumbnail_uri(frame, crop),
        held_out=validated is not None,
    )


def _judged(sample: Sample, look: Look) -> Judged:
    """What can be said of the box that is shown."""
    everywhere = look.trust.new_ones(look.trust.shape)
    return Judged(
        clip=sample.blurry.clip,
        index=sample.blurry.index,
        before=agreement(look.blurry, look.shown, look.trust).item(),
        after=agreement(look.output, look.shown, look.trust).item(),
        coverage=look.coverage,
        apart=look.apart,
        truth=None
        if look.truth is None
        else (
            agreement(look.blurry, look.truth, everywhere).item(),
            agreement(look.output, look.truth, everywhere).item(),
        ),
    )


def _spread(keys: Sequence[tuple[str, int]]) -> list[tuple[str, int]]:
    """At most LOOKED_AT of them, evenly."""
    count = min(LOOKED_AT, len(keys))
    return [keys[(2 * n + 1) * len(keys) // (2 * count)] for n in range(count)]
