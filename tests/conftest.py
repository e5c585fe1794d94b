import json
import os
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from jaxtyping import config

from bluref.restore.networks.backbones import BACKBONES
from bluref.restore.networks.nafnet import NAFNetConfig


@dataclass(frozen=True)
class Parity:
    """Answers of reference networks for weights that anyone can regenerate.

    The folder comes from BLUREF_PARITY, the tag of the weights from BLUREF_PARITY_TAG.
    """

    folder: Path
    tag: str

    def weights(self, name):
        """The state dict that `name`, a JSON file of shapes, means and deviations, describes."""
        told = json.loads((self.folder / name).read_text("utf-8"))
        return {key: self._weight(key, **about) for key, about in told.items()}

    def outputs(self, name):
        """The arrays of an .npz file."""
        with np.load(self.folder / name) as file:
            return {key: torch.from_numpy(file[key]) for key in file}

    def _weight(self, key, shape, mean, std):
        if key.endswith("num_batches_tracked"):
            return torch.zeros(shape, dtype=torch.long)
        random = np.random.RandomState(zlib.crc32((self.tag + key).encode()) & 0x7FFFFFFF)
        values = np.asarray(mean) + np.asarray(std) * random.standard_normal(shape)
        return torch.from_numpy(np.asarray(values, dtype=np.float32))


@pytest.fixture(scope="session")
def parity():
    default = Path(__file__).parents[2] / "shared" / "parity"
    folder = Path(os.environ.get("BLUREF_PARITY", default))
    if not folder.is_dir():
        pytest.skip(f"no parity fixtures in {folder}; set BLUREF_PARITY to their folder")
    return Parity(folder, os.environ.get("BLUREF_PARITY_TAG", "public"))


@pytest.fixture(scope="module")
def thin():
    """What tests train in this process: `small` by name, at a fraction of its cost."""
    small = BACKBONES["small"]
    BACKBONES["small"] = NAFNetConfig(width=4, encoder=(1,), middle=0, decoder=(1,))
    yield
    BACKBONES["small"] = small


@pytest.fixture(scope="module")
def unchecked():
    """No checks of shapes, for what is trained many times over: others train it under them."""
    before = config.jaxtyping_disable
    config.update("jaxtyping_disable", True)
    yield
    config.update("jaxtyping_disable", before)
