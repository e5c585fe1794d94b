"""What each encoder is told: its quality, its threads, and what the source's frames say."""

import math

import av

from bluref.errors import UserError
from bluref.media.films.hdr import hdr_options
from bluref.media.films.recording import Recording

THREADS = 4
"""Fixed, since what an encoder writes depends on it."""

QUALITY = {
    "libx264": (14, 21),
    "libx265": (15, 22),
    "libvpx": (4, 20),
    "libvpx-vp9": (15, 30),
    "libsvtav1": (14, 28),
}
"""The best and the worst that is chosen for the encoders of constant quality, lower is better."""

_RANGES = {"libx264": 51, "libx265": 51, "libvpx": 63, "libvpx-vp9": 63, "libsvtav1": 63}
_WORST_QUANTISER = 31
_BEST_QUANTISER = 2  # of the others
_USUAL = 0.1  # bits per pixel of well encoded video; half of them are worth 3 steps of quality
_PRORES = ("Proxy", "LT", "Standard", "HQ", "4444", "XQ")  # by the number of their option


def fitting_quality(recording: Recording, encoder: str) -> int:
    """Between best and worst, by the bits that the source spends on a pixel."""
    best, worst = QUALITY.get(encoder, (_BEST_QUANTISER, _BEST_QUANTISER))
    stream = recording.stream
    bits = stream.codec_context.bit_rate or recording.container.bit_rate
    spent = bits / float(stream.width * stream.height * recording.rate)
    if spent <= 0:
        return best
    return round(min(max(best + 3 - 3 * math.log2(spent / _USUAL), best), worst))


def asked_quality(crf: int, encoder: str) -> int:
    """A quality in an encoder's own numbers, if it lies within them.

    Raises:
        UserError: it does not; encoders would take it for another one, or fail without a word.
    """
    worst = _RANGES.get(encoder, _WORST_QUANTISER)
    if not 0 <= crf <= worst:
        raise UserError(f"--crf {crf} is out of the range of {encoder}", f"choose 0 to {worst}")
    return crf


def encoder_options(
    encoder: str, quality: int, profile: str | None, frame: av.VideoFrame
) -> dict[str, str]:
    """The options of an encoder.

    Args:
        encoder: its name.
        quality: in its own numbers; 0 is lossless where it can be.
        profile: of the source, as FFmpeg names it.
        frame: the first of the source, for what it says of its display.
    """
    hdr = hdr_options(encoder, frame)
    crf = {"crf": str(quality)}
    if encoder == "libx264":
        # With its tree of macroblocks x264 gives other bytes at every call, on one thread too.
        told = ":".join(["mbtree=0", *hdr.values()])
        return {"preset": "faster", "x264-params": told, **(crf if quality else {"qp": "0"})}
    if encoder == "libx265":
        more = [f"pools={THREADS}", "frame-threads=2", "open-gop=0", "log-level=none"]
        more += [] if quality else ["lossless=1"]
        told = ":".join([*more, *hdr.values()])
        return {"preset": "medium", "x265-params": told, **(crf if quality else {})}
    if encoder == "libsvtav1":
        more = [f"lp={THREADS}", *([] if quality else ["lossless=1"]), *hdr.values()]
        return {"preset": "7", "svtav1-params": ":".join(more), **(crf if quality else {})}
    if encoder == "libvpx-vp9":
        return {"cpu-used": "3", **(crf if quality else {"lossless": "1"})}
    if encoder == "libvpx":  # it takes no better than 4; frames that are not shown would be counted
        return {"cpu-used": "3", "auto-alt-ref": "0", "crf": str(max(quality, 4))}
    return _of_mastering(encoder, profile)


def _of_mastering(encoder: str, profile: str | None) -> dict[str, str]:
    """Of encoders that are lossless, or of one quality for each profile."""
    if encoder == "ffv1":
        return {"level": "3", "slicecrc": "1"}
    if encoder == "prores_ks":
        chosen = _PRORES.index(profile) if profile in _PRORES else _PRORES.index("HQ")
        return {"profile": str(chosen), "vendor": "apl0"}
    if encoder == "dnxhd":
        name = (profile or "").lower().replace(" ", "_")
        return {"profile": name if name.startswith("dnxhr") else "dnxhr_hq"}
    return {}
