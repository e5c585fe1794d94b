"""The page of a run: what it says, and that nothing in it can do harm."""

import base64
import hashlib
import json
import shlex
import shutil
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from tests.report.page.pieces import EVIL, Reader

from bluref.cli.main import main
from bluref.errors import UserError
from bluref.frames.crops import Crop
from bluref.frames.store import FrameStore
from bluref.media.picture import write_picture
from bluref.report.page import page as page_module
from bluref.report.page import page_input
from bluref.report.page.page import render, saved_step, try_page, write_page
from bluref.report.page.page_examples import Examples, find_examples
from bluref.report.page.page_facts import read_facts
from bluref.report.page.page_footage import RunFootage
from bluref.report.page.page_recipe import command
from bluref.restore.networks.backbones import build_backbone
from bluref.train import checkpoint
from bluref.train.banks import bank_of
from bluref.train.data import find_training_data
from bluref.train.deblurring import DeblurringFiles
from bluref.train.held import hold_ready
from bluref.train.moving import find_moving
from bluref.train.observe import Observer
from bluref.train.processes import Alone
from bluref.train.recipe import Recipe
from bluref.train.run import train

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("thin", "unchecked")]

RECIPE = Recipe(
    matcher="dis",
    steps=6,
    warm_start=2,
    refresh_every=2,
    batch=1,
    crop=32,
    refs=2,
    ramp=2,
    save_every=3,
    log_every=1,
    snapshot_every=6,
    exposure=0.8,
)


class Keeper(Observer):
    def on_snapshot(self, snapshot):
        self.snapshot = snapshot


@pytest.fixture(scope="module")
def trained(thin, unchecked, tmp_path_factory):
    """A run on two clips, one of an evil name, and the last picture of where it stood."""
    root = tmp_path_factory.mktemp("page")
    for seed, clip in enumerate(("calm", EVIL)):
        generator = torch.Generator().manual_seed(seed)
        strip = F.interpolate(torch.rand(1, 3, 20, 30, generator=generator), (80, 120))
        for index in range(5):
            sharp = strip[..., 4 * index : 4 * index + 80]
            write_picture(sharp, root / "data" / clip / "sharp" / f"{index:06d}.png")
            blurry = F.avg_pool2d(F.pad(sharp, (2, 2, 0, 0), mode="replicate"), (1, 5), stride=1)
            write_picture(blurry, root / "data" / clip / "blur" / f"{index:06d}.png")
    keeper = Keeper()
    train(root / "data", root / "run", RECIPE, observer=keeper)
    return root / "run", keeper.snapshot


@pytest.fixture(scope="module")
def page(trained):
    return Reader(write_page(trained[0]).read_text("utf-8"))


def test_the_page_is_well_formed_and_says_what_it_is(page):
    assert page.open == []
    assert [a["lang"] for a in page.all("html")] == ["en"]
    assert "BluRef" in page.text
    assert all(image.get("alt") is not None for image in page.all("img"))


def test_everything_a_link_or_a_picture_needs_is_in_the_page(page):
    ids = {a["id"] for _, a in page.elements if "id" in a}
    assert len(page.all("img")) > 10
    for _, attributes in page.elements:
        assert attributes.keys() & {"srcset", "action", "formaction", "style", "data"} == set()
        for where in (attributes.get("src"), attributes.get("href")):
            inside = where is None or where.startswith("data:") or where.removeprefix("#") in ids
            assert inside, where
    assert "url(" not in page.raw["style"][0]
    assert "@import" not in page.raw["style"][0]


def test_the_policy_allows_the_pages_own_script_and_style_and_nothing_else(page):
    (policy,) = [a["content"] for a in page.all("meta") if "http-equiv" in a]
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("default-src") == "'none'"
    assert rules.pop("img-src") == "data:"
    for kind in ("script", "style"):
        (text,) = page.raw[kind]
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert rules.pop(f"{kind}-src") == f"'sha256-{digest}'"
    assert set(rules.values()) == {"'none'"}


def test_a_clip_called_script_is_a_name_and_nothing_more(page):
    assert EVIL in page.text
    assert len(page.all("script")) == 1
    assert not [a for _, attributes in page.elements for a in attributes if a.startswith("on")]


def test_trust_and_target_are_those_that_training_used(trained, tmp_path):
    run, snapshot = trained
    footage = RunFootage(run, RECIPE, run.parent / "data", tmp_path)
    samples = list(footage.samples.values())
    side = snapshot.blurry.shape[-1]
    spread = max(len(samples) // len(snapshot.blurry), 1)
    followed = samples[spread // 2 :: spread][: len(snapshot.blurry)]
    assert snapshot.trust.unique().numel() > 10
    for n, sample in enumerate(followed):
        look = footage.look(sample, Crop((80 - side) // 2, (80 - side) // 2, side, side))
        assert torch.equal(look.blurry[0], snapshot.blurry[n])
        assert torch.equal(look.trust[0], snapshot.trust[n])
        spoken = (look.trust[0] > 0).expand(3, -1, -1)
        assert torch.equal(look.target[0][spoken], snapshot.target[n][spoken])


def test_a_frame_that_is_its_own_target_is_not_judged_by_itself(trained, tmp_path):
    """It would agree with itself, and whatever a network does to it would be a failure."""
    run, _ = trained
    still = replace(RECIPE, exposure=0.01, keep_sharp=True)  # so that nothing counts as blurred
    shutil.copytree(run, tmp_path / "run")
    (tmp_path / "run" / "exposure.json").unlink(missing_ok=True)
    footage = RunFootage(tmp_path / "run", still, run.parent / "data", tmp_path / "scratch")
    sample = next(iter(footage.samples.values()))
    look = footage.look(sample, Crop(8, 8, 64, 64))
    spoken = (look.trust > 0).expand_as(look.target)
    assert spoken.float().mean() > 0.3
    torch.testing.assert_close(look.target[spoken], look.blurry[spoken])
    assert (look.shown[spoken] - look.blurry[spoken]).abs().mean() > 0.005


def test_frames_held_back_are_shown_with_what_validation_judged_them_by(tmp_path):
    generator = torch.Generator().manual_seed(3)
    strip = F.interpolate(torch.rand(1, 3, 16, 60, generator=generator), (64, 240))
    for index in range(36):
        sharp = strip[..., 4 * index : 4 * index + 64]
        blurry = F.avg_pool2d(F.pad(sharp, (2, 2, 0, 0), mode="replicate"), (1, 5), stride=1)
        role, image = ("blur", blurry) if index % 3 else ("sharp", sharp)
        write_picture(image, tmp_path / "data" / "clip" / f"{index:06d}-{role}.png")
    data, run, scratch = tmp_path / "data", tmp_path / "run", tmp_path / "scratch"
    recipe = replace(RECIPE, strategy="average", threshold=0.9, most=8, validate_every=6)
    train(data, run, recipe)
    store = FrameStore(run / "frames")
    found = find_training_data(data, recipe, store)
    footage = RunFootage(run, recipe, data, scratch)
    assert len(found.held) > 0
    assert list(footage.samples.values()) == list(found.samples)
    assert list(footage.held.values()) == list(found.held)
    bank = bank_of(run, recipe, store)
    moving = find_moving(run, recipe, found, bank, Observer(), Alone())
    judged_by = hold_ready(run, recipe, found, bank, moving, Observer())
    assert max(one.coverage for one in judged_by) > 0.3
    for one in judged_by:
        look = footage.look(footage.held[one.frame.clip, one.frame.index], one.crop)
        spoken = one.target.mask.expand_as(look.target)
        assert torch.equal(look.trust, one.target.weight)
        assert torch.equal(look.target[spoken], one.target.image[spoken])
    page = find_examples(read_facts(run), step=6)
    assert page.problem is None
    assert {one.judged.key for one in page.shown} <= set(footage.held)
    assert all(one.held_out for one in page.shown)


def test_a_page_judges_the_network_that_people_use(tmp_path):
    """The best one, as the loop saves it; where none was chosen, the last."""
    run = tmp_path / "run"
    assert saved_step(run) is None
    (run / "last").mkdir(parents=True)
    (run / "last" / "meta.json").write_text('{"step": 10}')
    assert saved_step(run) == 10
    files, network = DeblurringFiles(32), build_backbone("light")
    checkpoint.save_network(run / "best", network, files=files, meta={"step": 4})
    assert saved_step(run) == 4
    (run / "best" / "model.json").write_text("torn")
    assert saved_step(run) == 10


def test_making_a_page_changes_nothing_else_in_the_run_not_even_what_is_torn(trained, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(trained[0], run, ignore=shutil.ignore_patterns("report.html"))
    torn = next(run.glob("bank/round-*/calm*.safetensors"))
    torn.write_bytes(torn.read_bytes()[:100])
    before = {p: p.read_bytes() for p in run.rglob("*") if p.is_file()}
    page = write_page(run)
    assert {p: p.read_bytes() for p in run.rglob("*") if p.is_file() and p != page} == before


def test_frames_that_training_never_saw_are_matched_for_the_page(trained, tmp_path):
    run = trained[0]
    footage = RunFootage(run, RECIPE, run.parent / "data", tmp_path)
    footage.run = tmp_path / "elsewhere"  # a bank that holds nothing
    look = footage.look(next(iter(footage.samples.values())), Crop(0, 0, 80, 80))
    assert look.coverage > 0.5


def test_without_its_footage_a_run_has_a_page_that_says_why_there_are_no_pictures(
    trained, tmp_path
):
    copied = tmp_path / "run"
    copied.mkdir()
    for name in ("recipe.yaml", "metrics.csv"):
        text = (trained[0] / name).read_text("utf-8")
        (copied / name).write_text(text.replace("/data", "/moved"))
    read = Reader(write_page(copied).read_text("utf-8"))
    assert "No pictures" in read.text
    assert "--data" in read.text
    assert "Not judged" in read.text
    assert "Curves" in read.text


def moved_away(run, root):
    """A copy of a run whose footage lies elsewhere now; the two."""
    copied, data = root / "run", root / "elsewhere"
    shutil.copytree(run, copied)
    shutil.copytree(run.parent / "data", data)
    recipe = copied / "recipe.yaml"
    recipe.write_text(recipe.read_text("utf-8").replace("/data\n", "/moved\n"))
    return copied, data


def test_a_page_with_pictures_is_not_replaced_by_one_without(trained, tmp_path, capsys):
    run, data = moved_away(trained[0], tmp_path)
    earlier = write_page(trained[0], output=run / "report.html").read_bytes()
    assert main(["report", str(run)]) == 2
    said = capsys.readouterr().err
    assert "/moved" in said
    assert "--data" in said
    assert (run / "report.html").read_bytes() == earlier
    assert main(["report", str(run), "--data", str(data)]) == 0
    page = (run / "report.html").read_text("utf-8")
    assert len(Reader(page).all("img")) > 10
    assert "/moved" not in page


def test_other_footage_than_the_runs_is_told(trained, tmp_path):
    run, data = moved_away(trained[0], tmp_path)
    with pytest.raises(UserError, match="nowhere is not a folder"):
        write_page(run, data=tmp_path / "nowhere")
    (data / "calm" / "blur" / "000001.png").unlink()
    (data / "calm" / "sharp" / "000001.png").unlink()
    read = Reader(write_page(run, output=tmp_path / "new.html", data=data).read_text("utf-8"))
    assert "is not what run was trained on" in read.text


def test_a_folder_without_a_run_is_told(tmp_path):
    with pytest.raises(UserError, match="holds no run"):
        write_page(tmp_path)
    said = []
    assert try_page(tmp_path, complain=said.append) is None
    assert "holds no run" in said[0]


def test_a_full_disk_takes_the_page_and_not_the_run(trained, monkeypatch):
    def full(run, **options):
        raise OSError(28, "No space left on device", "/tmp/x")

    monkeypatch.setattr(page_module, "write_page", full)
    said = []
    assert try_page(trained[0], complain=said.append) is None
    assert "No space left on device: /tmp/x" in said[0]
    assert "bluref report" in said[0]


def test_the_table_of_roles_is_read_as_training_reads_it(trained, tmp_path):
    (tmp_path / "recipe.yaml").write_text((trained[0] / "recipe.yaml").read_text("utf-8"))
    for name in "abc":
        (tmp_path / f"{name}.png").touch()
    lines = [
        "clip;index;role;file",
        "one;3;Sharp;a.png",
        "two;0;blurry;b.png",
        "one;1;blurry;c.png",
    ]
    (tmp_path / "frames.csv").write_text("\n".join(lines) + "\n")
    read = read_facts(tmp_path, data=tmp_path)
    assert not [note for note in read.notes if "frames.csv" in note]
    assert [(row["clip"], row["index"], row["role"]) for row in read.frames] == [
        ("one", "3", "sharp"), ("two", "0", "blurry"), ("one", "1", "blurry"),
    ]  # fmt: skip
    drawn = page_input._timelines(read.frames)
    words = ["".join(figure.itertext()) for figure in drawn if figure.tag == "figure"]
    assert ["1 sharp, 1 blurry" in text for text in words] == [True, False]
    (tmp_path / "frames.csv").write_text("clip;index;role\n")
    assert "no column 'file'" in read_facts(tmp_path, data=tmp_path).notes[-1]


def test_damaged_files_are_left_out_and_named(trained, tmp_path):
    (tmp_path / "recipe.yaml").write_text((trained[0] / "recipe.yaml").read_text("utf-8"))
    (tmp_path / "check.json").write_text("[1, 2")
    (tmp_path / "validation.csv").write_bytes(b"\xff\xfe\x00")
    (tmp_path / "metrics.csv").write_text("step,loss\nten,1\n20,nonsense\n30,0.5\n")
    read = read_facts(tmp_path)
    assert [note.split()[0] for note in read.notes] == ["check.json", "validation.csv"]
    assert [row["step"] for row in read.metrics] == ["20", "30"]
    Reader(render(read, Examples([], [], False)))
    (tmp_path / "validation.csv").write_text("step,clip,index\n10,a,3\n20,a,3")
    again = read_facts(tmp_path)
    assert [row["step"] for row in again.validation] == ["10"]  # the last line may be torn
    assert [note.split()[0] for note in again.notes] == ["check.json"]


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(),
        Recipe(steps=7, even=False, supervised=True, exposure=0.25, learning_rate=3e-4),
        Recipe(threshold=0.0, init="my network's folder", blur="kernels", seed=-3),
    ],
)
def test_the_command_on_the_page_is_the_run(recipe, trained, monkeypatch, tmp_path):
    import dataclasses

    read = read_facts(trained[0])
    read.told["recipe"] = json.loads(json.dumps(dataclasses.asdict(recipe)))
    read.told["data"]["folder"] = "/films/it's mine"
    seen = []
    monkeypatch.setattr("bluref.cli.train.run", lambda options: seen.append(options) or 0)
    words = shlex.split(command(read))
    assert words[0] == "bluref"
    assert main(words[1:]) == 0
    assert seen[0].recipe == recipe
    assert str(seen[0].data) == "/films/it's mine"


def test_the_command_of_a_matcher_names_each_of_its_folders(trained):
    read = read_facts(trained[0])
    folders = ["/films/day 1, evening", "/photos"]
    data = {"folder": ", ".join(folders), "folders": folders}
    of_matcher = replace(read, told={**read.told, "recipe": {}, "data": data})
    assert shlex.split(command(of_matcher))[:4] == ["bluref", "train-matcher", *folders]


def test_report_is_made_by_hand_too(trained, tmp_path, capsys):
    page = tmp_path / "mine.html"
    assert main(["report", str(trained[0]), "-o", str(page), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert told == {"report": str(page), "bytes": page.stat().st_size}
    assert main(["report", str(tmp_path)]) == 2
    assert "fix:" in capsys.readouterr().err
