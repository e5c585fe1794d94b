"""A study whose networks are not trained: what carries it out is tested by itself."""

from dataclasses import asdict

import pytest
import yaml

from bluref.errors import UserError
from bluref.restore.deblurrer import Deblurrer
from bluref.train.evaluate import Evaluation, Scores
from bluref.train.named_files import named_files
from bluref.train.recipe import Recipe
from bluref.train.run import TrainResult
from bluref.train.studies import study as module
from bluref.train.studies.study_file import Study
from bluref.train.studies.study_judge import Judge
from bluref.train.studies.study_results import Measured

HEADER = "step,phase,round,coverage,target_psnr_truth,seconds\n"


class FakeTraining:
    """In the place of `train`: writes what a run leaves, and can be told to fail or to stop."""

    def __init__(self):
        self.calls = []
        self.data = {}
        self.fails = set()
        self.stops = set()
        self.devices = set()

    def __call__(self, data, run, recipe, *, resume=False, observer=None, device="cpu"):
        self.calls.append((run.name, resume))
        self.data[run.name] = data
        self.devices.add(device)
        assert resume == (run / "recipe.yaml").exists()
        assert observer is not None
        (run / "recipe.yaml").write_text(
            yaml.safe_dump(
                {
                    "recipe": asdict(recipe),
                    "data": {},
                    "versions": {},
                    "files": named_files(recipe),
                }
            )
        )
        if run.name in self.fails:
            raise UserError("the disk is full", "free some space")
        if run.name in self.stops:
            return TrainResult(run, 1, False, 1.0)
        (run / "metrics.csv").write_text(HEADER + "5,pseudo,0,0.5,26.5,1800\n")
        return TrainResult(run, recipe.steps, True, 1.0)


class FakeJudge(Judge):
    """In the place of `Judge`: figures that depend on the recipe and on which frames are taken."""

    def __init__(self, study, runs):
        self.every = study.every_test

    def fingerprint(self, recipe):
        return "the same frames"

    def network(self, deblur, recipe, *, tell, **figures):
        tell(1, 1)
        psnr = 20.0 + recipe.seed + self.every / 8
        scores = Scores(psnr, 0.9, 0.95)
        of_test = Evaluation(1, scores, scores, per_clip={}, count={}, below={}, worst={})
        return Measured(psnr, 0.9, 0.95, 22.0, 20.0, 19.0, **figures), [("test", of_test)]

    def copies(self, recipe, *, tell):
        return Measured(15.0 + recipe.delta, 0.8, 0.85, 16.0)


@pytest.fixture
def training(monkeypatch):
    fake = FakeTraining()

    def from_pretrained(path, *, device):
        fake.devices.add(device)
        return Deblurrer.identity()

    monkeypatch.setattr(module, "train", fake)
    monkeypatch.setattr(module, "Judge", FakeJudge)
    monkeypatch.setattr(Deblurrer, "from_pretrained", from_pretrained)
    return fake


@pytest.fixture
def study(footage):
    return Study(
        file=footage / "mine.yaml",
        data=footage,
        recipe=Recipe(steps=5, delta=2),
        grid={"seed": (0, 1)},
        rows=("identity", "copy-neighbour", "supervised"),
        every_test=4,
        every_train=4,
    )
