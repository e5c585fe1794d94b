"""Pairs as WebDataset shards: plain tar files that stream, the same bytes whenever written."""

import io
import json
import tarfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from bluref.media.whole import whole_file
from bluref.pseudo.pairs.record import KINDS, PairRecord

FOLDER = "shards"
LARGEST = 512 * 2**20
"""Bytes of pictures after which a new shard begins."""


def write_shards(
    folder: Path,
    records: Sequence[PairRecord],
    *,
    tell: Callable[[int, int], None] = lambda done, total: None,
) -> list[Path]:
    """Write `shards/pairs-NNNNNN.tar`: of each pair NAME.blur.png, .sharp.png, .trust.png, .json.

    The files of a pair follow one another, and their name up to the first dot is the pair's, as
    WebDataset has it. Owner and time are left out of the headers.

    Args:
        folder: of the pairs; their files are there.
        records: of the pairs.
        tell: called with (done, all).

    Returns:
        the shards; those of an earlier writing that are not among them are removed.

    Raises:
        UserError: the disk is full, or the place may not be written to.
    """
    written: list[Path] = []
    done = 0
    for place, part in enumerate(_parts(folder, records)):
        path = folder / FOLDER / f"pairs-{place:06d}.tar"
        with (
            whole_file(path) as partial,
            tarfile.open(partial, "w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for record in part:
                _add_pair(tar, folder, record)
                tell(done := done + 1, len(records))
        written.append(path)
    for path in set((folder / FOLDER).glob("pairs-*.tar")) - set(written):
        path.unlink()
    return written


def _parts(folder: Path, records: Sequence[PairRecord]) -> Iterator[list[PairRecord]]:
    part: list[PairRecord] = []
    held = 0
    for record in records:
        size = sum(record.file(folder, kind).stat().st_size for kind in KINDS)
        if part and held + size > LARGEST:
            yield part
            part, held = [], 0
        part.append(record)
        held += size
    if part:
        yield part


def _add_pair(tar: tarfile.TarFile, folder: Path, record: PairRecord) -> None:
    for kind in KINDS:
        _add(tar, f"{record.name}.{kind}.png", record.file(folder, kind).read_bytes())
    told = json.dumps(record.told(), ensure_ascii=False) + "\n"
    _add(tar, f"{record.name}.json", told.encode())


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    header = tarfile.TarInfo(name)  # made from nothing: mode 0644, no owner, time 0
    header.size = len(content)
    tar.addfile(header, io.BytesIO(content))
