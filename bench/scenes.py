"""What studies of a network on frames with ground truth begin with: options, and the frames."""

import argparse
from pathlib import Path

from bluref.media.picture import read_picture


def parsed(about):
    """MODEL, DATA and --every from the command line."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("model", type=Path)
    parser.add_argument("data", type=Path)
    parser.add_argument("--every", type=int, default=8)
    return parser.parse_args()


def frames_of(data, every):
    """Of each SCENE/blur and SCENE/sharp in `data`: its name, a blurry frame and its truth."""
    for scene in sorted(data.iterdir()):
        for path in sorted((scene / "blur").iterdir())[::every]:
            yield scene.name, read_picture(path), read_picture(scene / "sharp" / path.name)
