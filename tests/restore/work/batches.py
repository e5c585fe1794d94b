"""Small pictures in folders, a network whose work is easily seen, and what came out."""

from functools import partial

import torch

from bluref.media.picture import read_picture, write_picture
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.work import batch
from bluref.restore.work.ledger import NAME
from bluref.restore.work.one_photo import PhotoOptions

# The guard would not let a picture be inverted.
UNGUARDED = PhotoOptions(guard=False)
deblur_files = partial(batch.deblur_files, options=UNGUARDED)


class Invert(torch.nn.Module):
    def forward(self, x):
        return 1 - x


def inverter():
    return Deblurrer(Invert(), training_size=None, precision="fp32")


def paint(path, level=0.25, size=(6, 9)):
    path.parent.mkdir(parents=True, exist_ok=True)
    write_picture(torch.full((1, 3, *size), level), path)
    return path


def is_inverted(path, level=0.25):
    return bool(((read_picture(path) - (1 - level)).abs() < 0.02).all())


def tree(folder):
    names = (p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
    return sorted(name for name in names if name != NAME)
