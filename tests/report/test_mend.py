"""A film is mended with nothing but itself."""

import json
import re
import shlex
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.report.glide import FRAMES, write_film

from bluref.cli.main import main
from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.frames.curate import is_edited
from bluref.frames.frame_table import read_table
from bluref.frames.split import Footage
from bluref.media.picture import read_picture, write_picture
from bluref.media.pixels import to_array
from bluref.media.video import stream_video
from bluref.report.mend import MendConfig, mend
from bluref.report.page.page_examples import find_examples
from bluref.report.page.page_facts import read_facts
from bluref.report.page.page_recipe import command
from bluref.restore.deblurrer import Deblurrer
from bluref.train.observe import Observer
from bluref.train.recipe import Recipe
from bluref.train.with_references import prepare_references, with_those_between

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin", "unchecked")]

RECIPE = Recipe(
    steps=4,
    warm_start=2,
    refresh_every=2,
    refs=2,
    batch=1,
    crop=48,
    matcher="dis-fast",
    save_every=2,
    snapshot_every=4,
    log_every=1,
)


class Heard(Observer):
    def __init__(self):
        self.messages = []

    def on_message(self, text):
        self.messages.append(text)


class Aside(torch.nn.Module):
    """A network that puts everything somewhere else."""

    def forward(self, image):
        return image.roll(4, dims=-1)


@pytest.fixture(scope="module")
def film(tmp_path_factory):
    return write_film(tmp_path_factory.mktemp("clip") / "drive.mp4")


@pytest.fixture(scope="module")
def mended(thin, unchecked, film, tmp_path_factory):
    out = tmp_path_factory.mktemp("mended") / "out"
    config = MendConfig(recipe=RECIPE, with_references=True, check=False)
    return out, mend([film], out, config)


def frames_of(path):
    return [
        torch.from_numpy(to_array(frame.image).astype(np.float32)) for frame in stream_video(path)
    ]


def test_one_call_gives_film_network_and_page(film, mended):
    out, report = mended
    assert report.outputs == (out / "drive.mp4",)
    assert len(frames_of(out / "drive.mp4")) == FRAMES
    assert (out / "data" / "frames.csv").is_file()
    assert Deblurrer.from_pretrained(report.run).multiple >= 1
    assert report.report.read_text("utf-8").startswith("<!DOCTYPE html>")
    assert report.from_references[str(out / "drive.mp4")] > 0


def test_references_have_a_word_on_blurred_frames_alone(film, mended, tmp_path):
    out, _ = mended
    network = Deblurrer.from_pretrained(out / "run")
    finish = prepare_references(out / "run", film, network)
    assert 0 < len(finish.samples) < FRAMES
    changed = {}
    for frame in stream_video(film):
        result = network(frame.image)
        changed[frame.index] = (finish(frame.index, frame.image, result) - result).abs().max()
    assert {number for number, most in changed.items() if most > 0} <= finish.samples.keys()
    assert max(changed.values()) > 0.1
    # A frame that is not what was matched under its number is left to the network.
    number = max(changed, key=changed.__getitem__)
    other = 1 - next(frame.image for frame in stream_video(film) if frame.index == number)
    assert torch.equal(finish(number, other, other), other)


def test_matches_with_references_are_refined_as_in_training(film, mended, tmp_path):
    out, _ = mended
    run = tmp_path / "run"
    shutil.copytree(out / "run", run)
    network = Deblurrer.from_pretrained(run)
    for kept in ("mended", "motion"):
        shutil.rmtree(run / kept)
    first = prepare_references(run, film, network)
    sample = next(iter(first.samples.values()))
    flow, identity = first.targets.bank.matches(0, sample).flow, first.identity
    told = (run / "recipe.yaml").read_text("utf-8")
    (run / "recipe.yaml").write_text(told.replace("refine: true", "refine: false"), "utf-8")
    plain = prepare_references(run, film, network)
    assert not torch.equal(plain.targets.bank.matches(0, sample).flow, flow)
    assert plain.identity != identity
    (run / "recipe.yaml").write_text(told, "utf-8")
    assert prepare_references(run, film, network).identity == identity


def test_frames_kept_as_their_own_targets_in_training_are_not_kept_blurry(film, mended, tmp_path):
    out, _ = mended
    run = tmp_path / "run"
    shutil.copytree(out / "run", run)
    network = Deblurrer.from_pretrained(run)
    told = (run / "recipe.yaml").read_text("utf-8")
    told = re.sub("exposure: .*", "exposure: 0.3", told)  # blurred by a few pixels, not by many
    results = []
    for keep in ("false", "true"):
        changed = re.sub("keep_sharp: .*", f"keep_sharp: {keep}", told)
        (run / "recipe.yaml").write_text(changed, "utf-8")
        finish = prepare_references(run, film, network)
        frames = [f for f in stream_video(film) if f.index in finish.samples]
        results.append([finish(f.index, f.image, network(f.image)) for f in frames])
    plain, kept = map(torch.cat, results)
    assert (plain - torch.cat([network(f.image) for f in frames])).abs().max() > 0.1
    assert torch.equal(plain, kept)


def test_the_page_shows_what_references_made_of_a_frame(film, mended, tmp_path):
    out, report = mended
    assert "mended, with references" in report.report.read_text("utf-8")
    run = tmp_path / "run"
    shutil.copytree(out / "run", run)
    facts = read_facts(run)
    shown = find_examples(facts, step=None).shown
    assert any(example.mended not in (None, example.output) for example in shown)
    shutil.rmtree(run / "mended")  # as where nobody asked the references
    assert all(example.mended is None for example in find_examples(facts, step=None).shown)


def test_pictures_in_a_folder_are_mended_with_references_and_what_is_broken_is_told(film, tmp_path):
    broken = tmp_path / "broken.mp4"
    broken.write_bytes(film.read_bytes()[:2000])
    pictures = tmp_path / "my clip"
    for frame in stream_video(film):
        write_picture(frame.image, pictures / f"{frame.index:03}.png")
    config = MendConfig(recipe=RECIPE, with_references=True, check=False)
    report = mend([broken, pictures], tmp_path / "out", config)
    mended = tmp_path / "out" / "my clip"
    assert report.outputs == (mended,)
    assert [failure.path for failure in report.failed] == [str(broken)]
    network = Deblurrer.from_pretrained(report.run)
    known = prepare_references(report.run, pictures, network)
    assert report.from_references == {str(mended): len(known.samples)}
    # Neighbours that training did not know, some being held back: kept apart from what it knew.
    matches = known.targets.moving.motion.bank
    assert matches.folder == report.run / "mended" / "motion"
    for sample in known.targets.moving.motion.samples:
        assert len(matches.matches(0, sample).flow) == len(sample.references)
    assert 0 < len(known.samples) < FRAMES
    rows = [r for r in read_table(tmp_path / "out" / "data") if r.role != "skip"]
    given = {r.index: r.role for r in rows if r.clip.startswith("my clip")}
    beside = {
        sample.blurry.index: {frame.index for frame in sample.references}
        for sample in known.targets.moving.motion.samples
    }
    # Whatever the role of those beside it.
    for here, found in beside.items():
        assert found >= {here - 1, here + 1} & given.keys()
    assert any(given[n] == "sharp" for found in beside.values() for n in found)
    changed = set()
    for path in sorted(pictures.iterdir()):
        alone = network(read_picture(path))
        if (read_picture(mended / path.name) - alone).abs().max() > 0.05:
            changed.add(path)
    assert changed
    assert changed <= set(known.samples)
    assert "mended, with references" in report.report.read_text("utf-8")
    words = shlex.split(command(read_facts(report.run)))
    assert words[:3] == ["bluref", "mend", str(pictures)]


def test_the_command_on_the_page_mends_the_film_again(film, mended, monkeypatch):
    seen = []
    monkeypatch.setattr("bluref.cli.mend.run", lambda options: seen.append(options) or 0)
    out, _ = mended
    words = shlex.split(command(read_facts(out / "run")))
    assert main(words[1:]) == 0
    assert seen[0].clips == (film,)
    assert seen[0].output == out.with_name(f"{out.name}-again")
    assert seen[0].with_references
    assert replace(seen[0].recipe, hold_out=None) == replace(RECIPE, hold_out=None)


def test_what_references_say_changes_with_the_network(film, mended):
    out, _ = mended
    network = Deblurrer.from_pretrained(out / "run")
    first = prepare_references(out / "run", film, network).identity
    assert prepare_references(out / "run", film, network).identity == first
    aside = Deblurrer(Aside(), training_size=None, precision="fp32")
    assert prepare_references(out / "run", film, aside).identity != first


def test_the_same_call_again_finds_all_done(film, mended, monkeypatch):
    out, first = mended
    written = (out / "drive.mp4").stat().st_mtime_ns
    config = MendConfig(recipe=RECIPE, with_references=True, check=False)
    again = mend([film], out, config)
    assert (out / "drive.mp4").stat().st_mtime_ns == written
    assert again.deblurred[0].skipped == 1
    assert again.agreement_after == first.agreement_after


def test_without_references_the_film_is_the_networks_own(film, mended, tmp_path):
    out, _ = mended
    plain = tmp_path / "plain.mp4"
    Deblurrer.from_pretrained(out / "run").video(film, plain)
    pairs = zip(frames_of(plain), frames_of(out / "drive.mp4"), strict=True)
    assert max((a - b).abs().max().item() for a, b in pairs) > 5


def test_another_recipe_in_the_same_folder_is_refused(film, mended):
    out, _ = mended
    with pytest.raises(UserError, match="steps"):
        mend([film], out, MendConfig(recipe=replace(RECIPE, steps=6), check=False))


def test_other_clips_are_refused_before_anything_changes(film, mended, tmp_path):
    out, _ = mended
    before = (out / "data" / "frames.csv").read_bytes()
    other = shutil.copy(film, tmp_path / "other.mp4")
    with pytest.raises(UserError, match="made from other clips"):
        mend([Path(other)], out, MendConfig(recipe=RECIPE, check=False))
    assert (out / "data" / "frames.csv").read_bytes() == before


def test_a_clip_that_came_later_is_refused_and_nothing_changes(film, mended, tmp_path, monkeypatch):
    out, report = mended
    config = MendConfig(recipe=RECIPE, with_references=True, check=False)
    before = (out / "data" / "frames.csv").read_bytes()
    later = Path(shutil.copy(film, tmp_path / "later.mp4"))
    with pytest.raises(UserError, match="begun with other frames") as caught:
        mend([film, later], out, config)
    assert "deblur --model" in caught.value.fix
    assert (out / "data" / "frames.csv").read_bytes() == before
    for _ in range(4):  # however often it is tried
        with pytest.raises(UserError, match="begun with other frames"):
            mend([film, later], out, config)
    assert not is_edited(out / "data")
    # The first call goes on, wherever it is given from.
    monkeypatch.chdir(film.parent)
    away = Path("..") / film.parent.name / film.name
    assert mend([away], out, config).outputs == report.outputs
    assert (out / "data" / "frames.csv").read_bytes() == before


def test_the_command_tells_machines_where_all_is(film, mended, capsys):
    out, report = mended
    given = ["--steps 4 --warm-start 2 --refresh-every 2 --refs 2 --batch 1 --crop 48"]
    given += ["--matcher dis-fast --save-every 2 --snapshot-every 4 --log-every 1"]
    words = " ".join(given).split()
    status = main(["mend", str(film), "-o", str(out), "--with-references", "--json", *words])
    told = json.loads(capsys.readouterr().out)
    assert status == 0
    assert told["outputs"] == [str(out / "drive.mp4")]
    assert told["run"] == str(out / "run")
    assert told["report"] == str(report.report)
    assert told["agreement_after"] == report.agreement_after


def test_references_also_help_a_run_that_never_left_its_warm_start(film, tmp_path):
    recipe = replace(RECIPE, steps=2)
    config = MendConfig(recipe=recipe, check=False, with_references=True)
    report = mend([film], tmp_path / "out", config)
    assert report.outputs[0].is_file()
    assert report.from_references[str(report.outputs[0])] > 0


def test_roles_that_a_person_changed_are_obeyed(film, mended, tmp_path):
    shutil.copytree(mended[0], tmp_path / "out")
    table = tmp_path / "out" / "data" / "frames.csv"
    table.write_text(table.read_text("utf-8").replace(",blurry,", ",skip,", 1), "utf-8")
    heard = Heard()
    with pytest.raises(UserError, match="not what"):  # the run learnt from other frames
        mend([film], tmp_path / "out", MendConfig(recipe=RECIPE, check=False), observer=heard)
    assert any("changed by hand" in text for text in heard.messages)


def test_frames_that_nobody_looked_at_go_with_those_around_them(film):
    def seen(*positions):
        return tuple(Frame("drive", n, film, n) for n in positions)

    footage = Footage(seen(3, 6, 21), seen(9, 12), {})
    assert [f.index for f in with_those_between(footage, film)] == [2, 3, 4, 5, 6, 7, 20, 21, 22]
    whole = Footage(seen(3, 4, 39), seen(5), {})
    assert [f.position for f in with_those_between(whole, film)] == [3, 4, 39]
