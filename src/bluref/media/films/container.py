"""Which container a film is written into."""

from pathlib import Path

from av.container import InputContainer

from bluref.errors import UserError

_MUXERS = {
    "asf": "asf",
    "avi": "avi",
    "h264": "h264",
    "hevc": "hevc",
    "matroska,webm": "matroska",
    "mjpeg": "mjpeg",
    "mpeg": "mpeg",
    "mpegts": "mpegts",
    "mpegvideo": "mpeg2video",
}
_BY_SUFFIX = {
    ".3gp": "3gp",
    ".avi": "avi",
    ".m2ts": "mpegts",
    ".m4v": "mp4",
    ".mkv": "matroska",
    ".mov": "mov",
    ".mp4": "mp4",
    ".mpeg": "mpeg",
    ".mpg": "mpeg",
    ".mts": "mpegts",
    ".ts": "mpegts",
    ".webm": "webm",
    ".wmv": "asf",
}


def container_for(container: InputContainer, source: Path, target: Path) -> str:
    """Name of the format to write: the source's own, or else by another suffix of the target."""
    if target.suffix.lower() != source.suffix.lower():
        try:
            return _BY_SUFFIX[target.suffix.lower()]
        except KeyError:
            raise UserError(
                f"{target} has a suffix that is no video's", "name it .mp4, .mov, .mkv or .webm"
            ) from None
    name = container.format.name
    if name.startswith("mov"):
        brand = container.metadata.get("major_brand", "")
        return "mov" if brand.startswith("qt") else "3gp" if brand.startswith("3g") else "mp4"
    if name.startswith("matroska") and source.suffix.lower() == ".webm":
        return "webm"
    return _MUXERS[name]
