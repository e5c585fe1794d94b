"""How much of a network's own rate is left when it deblurs a film: decoding, encoding, joining.

    python bench/video_rate.py --backbone small --frames 24 --rounds 3

The film is a photograph that moves, 1280x720, H.264 with sound. Both are run in turn; medians. On a
busy machine look at the processor's time: it says what the rest costs beside the network.
"""

import argparse
import tempfile
import time
from pathlib import Path
from statistics import median

import av
import numpy as np
import torch
from skimage import data, transform

from bluref.media.films.planes import to_image
from bluref.media.films.recording import open_recording
from bluref.restore.deblurrer import Deblurrer
from bluref.restore.networks.backbones import build_backbone
from bluref.restore.work.video import VideoOptions

SIZE = (720, 1280)


def write_film(path: Path, frames: int) -> Path:
    height, width = SIZE
    picture = transform.resize(data.astronaut(), (height * 2, width * 2))
    picture = (picture * 255).astype(np.uint8)
    with av.open(str(path), "w") as container:
        film = container.add_stream("libx264", rate=25, options={"crf": "18"})
        film.height, film.width, film.pix_fmt = height, width, "yuv420p"
        sound = container.add_stream("aac", rate=48000)
        for i in range(frames):
            shown = np.ascontiguousarray(picture[3 * i :][:height, 5 * i :][:, :width])
            container.mux(film.encode(av.VideoFrame.from_ndarray(shown, "rgb24")))
            for k in range(2):
                tone = np.sin(np.arange(960) / 9).astype(np.float32)
                piece = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
                piece.sample_rate, piece.pts = 48000, (2 * i + k) * 960
                container.mux(sound.encode(piece))
        container.mux([*film.encode(), *sound.encode()])
    return path


def alone(path: Path, deblurrer: Deblurrer) -> tuple[float, float]:
    """Seconds, and of the processor, that the network spends on the film's frames alone."""
    seconds = busy = 0.0
    with open_recording(path) as recording:
        for shown in recording.frames():
            image = to_image(shown.frame)
            start, begun = time.perf_counter(), time.process_time()
            deblurrer(image)
            seconds += time.perf_counter() - start
            busy += time.process_time() - begun
    return seconds, busy


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--backbone", default="small")
    parser.add_argument("--frames", type=int, default=24)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--codec")
    options = parser.parse_args()
    torch.manual_seed(0)
    deblurrer = Deblurrer(build_backbone(options.backbone), training_size=None, precision="auto")
    with tempfile.TemporaryDirectory() as folder:
        path = write_film(Path(folder) / "film.mp4", options.frames)
        network, whole = [], []
        for number in range(options.rounds):
            network.append(alone(path, deblurrer))
            out = path.with_name(f"out{number}.mp4")
            begun = time.process_time()
            report = deblurrer.video(path, out, options=VideoOptions(codec=options.codec))
            whole.append((report.seconds, time.process_time() - begun))
    a, b = (median(seconds for seconds, _ in runs) for runs in (network, whole))
    cpu_a, cpu_b = (median(busy for _, busy in runs) for runs in (network, whole))
    count, threads = options.frames, torch.get_num_threads()
    print(f"{options.backbone}, {SIZE[1]}x{SIZE[0]}, {count} frames, {threads} threads")
    print("\n| what | s a frame | frames a second | s of processor a frame |\n|---|---|---|---|")
    for name, seconds, busy in (("network alone", a, cpu_a), (f"film, {report.codec}", b, cpu_b)):
        print(f"| {name} | {seconds / count:.3f} | {count / seconds:.2f} | {busy / count:.3f} |")
    shares = [n / w for (n, _), (w, _) in zip(network, whole, strict=True)]
    print(f"\nshare of the network's own rate: {a / b:.1%} (rounds: {min(shares):.1%} to", end="")
    print(f" {max(shares):.1%}); share of the processor's time: {cpu_a / cpu_b:.1%}")


if __name__ == "__main__":
    main()
