import errno

import numpy as np
import pytest
from PIL import Image

from bluref.errors import UserError
from bluref.pseudo.pairs.folder import PROGRESS, PairsFolder
from bluref.pseudo.pairs.record import KINDS, TABLE, write_records


def test_the_files_bear_one_name_and_hold_what_was_given(pairs, target):
    folder, (record, _) = pairs
    files = {kind: Image.open(record.file(folder.folder, kind)) for kind in KINDS}
    assert files["trust"].mode == "L"
    assert {file.size for file in files.values()} == {(20, 16)}
    trust = np.asarray(files["trust"]) / 255
    assert np.abs(trust - target.weight[0, 0].numpy()).max() <= 0.5 / 255 + 1e-6
    assert (np.asarray(files["blur"]) == 153).all()
    assert (np.asarray(files["sharp"])[:, :10] == 102).all()


def test_what_stands_is_known_before_and_after_the_table_is_written(pairs):
    folder, records = pairs
    again = PairsFolder(folder.folder, {"round": 1})
    assert again.standing("clip__000002", "first") == records[0]
    write_records(folder.folder / TABLE, records)
    folder.close()
    assert not (folder.folder / PROGRESS).exists()
    again = PairsFolder(folder.folder, {"round": 1})
    assert again.standing("clip__000002", "first") == records[0]
    assert again.standing("clip__000002", "second") is None
    assert again.standing("clip__000008", "first") is None


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_that_was_harmed_or_lost_does_not_stand(pairs, kind):
    folder, (record, _) = pairs
    path = record.file(folder.folder, kind)
    whole = path.read_bytes()
    path.write_bytes(whole[:-1])
    assert folder.standing(record.name, record.key) is None
    path.unlink()
    assert folder.standing(record.name, record.key) is None
    path.write_bytes(whole)
    assert folder.standing(record.name, record.key) == record


def test_a_torn_line_of_progress_costs_its_own_pair_alone(pairs):
    folder, records = pairs
    progress = folder.folder / PROGRESS
    text = progress.read_text("utf-8")
    progress.write_text(text[: len(text) - 20], "utf-8")
    again = PairsFolder(folder.folder, {"round": 1})
    assert again.standing("clip__000002", "first") == records[0]
    assert again.standing("clip__000004", "first") is None


def test_another_runs_folder_or_anybodys_is_refused(pairs, tmp_path):
    folder, _ = pairs
    with pytest.raises(UserError, match="pairs of another run"):
        PairsFolder(folder.folder, {"round": 2})
    (tmp_path / "holiday").mkdir()
    (tmp_path / "holiday" / "beach.jpg").write_bytes(b"")
    with pytest.raises(UserError, match="something else"):
        PairsFolder(tmp_path / "holiday", {"round": 1})
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="file"):
        PairsFolder(tmp_path / "file", {"round": 1})


def test_what_is_not_kept_goes_from_all_three_folders(pairs):
    folder, records = pairs
    folder.keep_only(records[1:])
    for kind in KINDS:
        assert [p.stem for p in (folder.folder / kind).iterdir()] == ["clip__000004"]


def test_a_full_disk_is_told_and_what_stood_stays(pairs, write, monkeypatch):
    folder, records = pairs

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr("bluref.media.whole._flush", full)
        with pytest.raises(UserError, match="no space left"):
            write(folder, "clip__000006", index=6)
    again = PairsFolder(folder.folder, {"round": 1})
    assert again.standing("clip__000004", "first") is not None
    assert again.standing("clip__000006", "first") is None
    assert records[0] == again.standing("clip__000002", "first")
