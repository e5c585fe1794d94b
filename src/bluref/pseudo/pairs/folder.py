"""A folder of pairs while it is made: what stands is kept, what was torn is made anew."""

import hashlib
import json
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from bluref.errors import UserError
from bluref.media.picture import write_map, write_picture
from bluref.media.whole import append_text, write_text_whole
from bluref.pseudo.pairs.completion import Completed
from bluref.pseudo.pairs.record import KINDS, TABLE, PairRecord, read_records, record_from
from bluref.restore.fingerprint import hash_of

ABOUT = "pairs.yaml"
"""What all pairs of a folder were made from."""
PROGRESS = ".progress.jsonl"


class PairsFolder:
    """Pairs on disk, one after the other.

    Args:
        folder: new, empty, or one to go on with.
        about: what all its pairs are made from, as YAML has it; a folder made from anything else is
            refused.

    Raises:
        UserError: the folder holds something else, or pairs of something else.
    """

    def __init__(self, folder: Path, about: dict[str, Any]) -> None:
        self.folder = folder
        _settle(folder, about)
        self._known = {record.name: record for record in self._read()}

    def standing(self, name: str, key: str) -> PairRecord | None:
        """What is known of a pair whose files are whole and made from the same things."""
        record = self._known.get(name)
        if record is None or record.key != key:
            return None
        with suppress(UserError):
            if all(hash_of(record.file(self.folder, k)) == record.sha256(k) for k in KINDS):
                return record
        return None

    def write(self, blurry: Any, sharp: Completed, trust: Any, told: dict[str, Any]) -> PairRecord:  # noqa: ANN401
        """Write the three files of a pair, and remember them.

        Args:
            blurry: the blurry frame, `1 3 h w`.
            sharp: its completed target.
            trust: in it, `1 1 h w`.
            told: the record's fields but for the digests of the files.

        Raises:
            UserError: the disk is full, or the place may not be written to.
        """
        files = {kind: self.folder / kind / f"{told['name']}.png" for kind in KINDS}
        write_picture(blurry, files["blur"])
        write_picture(sharp.image, files["sharp"])
        write_map(trust[0], files["trust"])
        digests = {f"{kind}_sha256": hash_of(path) for kind, path in files.items()}
        record = record_from({**told, **digests})
        self._known[record.name] = record
        append_text(self.folder / PROGRESS, json.dumps(record.told(), ensure_ascii=False) + "\n")
        return record

    def keep_only(self, records: Sequence[PairRecord]) -> None:
        """Remove the files of pairs that are not among these: trainers take all that is there."""
        kept = {record.name for record in records}
        for kind in KINDS:
            for path in (self.folder / kind).glob("*.png"):
                if path.stem not in kept:
                    path.unlink()

    def close(self) -> None:
        """All is written down elsewhere."""
        (self.folder / PROGRESS).unlink(missing_ok=True)

    def _read(self) -> list[PairRecord]:
        """Pairs of an earlier call, finished or not; lines that were torn are left out."""
        records: list[PairRecord] = []
        with suppress(UserError):
            records += read_records(self.folder / TABLE)
        with suppress(OSError, UnicodeDecodeError):
            for line in (self.folder / PROGRESS).read_text("utf-8").splitlines():
                with suppress(ValueError, KeyError, TypeError):
                    records.append(record_from(json.loads(line)))
        return records


def digest_of(told: Any) -> str:  # noqa: ANN401 - anything JSON can hold
    """Of plain values."""
    return hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=16).hexdigest()


def _settle(folder: Path, about: dict[str, Any]) -> None:
    path = folder / ABOUT
    try:
        if folder.exists() and not path.is_file() and any(folder.iterdir()):
            raise UserError(f"{folder} holds something else than pairs", "name another folder")
        if path.is_file() and yaml.safe_load(path.read_text("utf-8")) != about:
            raise UserError(
                f"{folder} holds pairs of another run, or of another moment of this one",
                "name another folder, or remove it",
            )
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise UserError(f"cannot use {folder}: {error}", "name another folder") from None
    if not path.is_file():
        write_text_whole(path, yaml.safe_dump(about, sort_keys=False))
