"""Files that may be whole, but are no footage that is read here: what they are, and what to do."""

from pathlib import Path

from bluref.errors import UserError

_CONVERT = "put it into an .mp4 or .mkv file: ffmpeg -i FILE -c copy FILE.mkv"
_RENAME = "give it the suffix of its kind, and it is read as a picture"
# How files begin that are something else, whatever their names say, what it is and what to do.
_Kinds = tuple[tuple[tuple[bytes, ...], str, str], ...]
_FILMS: _Kinds = (
    ((b"FLV\x01",), "Flash video", _CONVERT),
    ((b"\x06\x0e\x2b\x34",), "MXF", _CONVERT),
    ((b"nut/multimedia",), "NUT", _CONVERT),
    ((b"OggS",), "Ogg", _CONVERT),
)
_OTHERS: _Kinds = (
    *_FILMS,
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\x00", b"MM\x00*"), "a picture", _RENAME),
    ((b"#EXTM3U", b"ffconcat"), "a list of other files", "name those files themselves"),
)


def foreign_footage(path: Path) -> UserError | None:
    """What to tell of a film of a kind that is not read here; None where it is none of those."""
    with path.open("rb") as file:
        return _told(path, file.read(16), _FILMS)


def of_another_kind(path: Path, beginning: bytes) -> UserError | None:
    """What to tell of a file that begins so, and is no footage; None where nobody knows."""
    return _told(path, beginning, _OTHERS)


def _told(path: Path, beginning: bytes, kinds: _Kinds) -> UserError | None:
    for marks, kind, fix in kinds:
        if beginning.startswith(marks):
            return UserError(f"{path} is {kind}, which is not read here as footage", fix)
    return None
