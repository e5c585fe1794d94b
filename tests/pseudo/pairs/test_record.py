import csv

import pytest

from bluref.errors import UserError
from bluref.frames.clip import Frame
from bluref.pseudo.pairs.record import pair_names, read_records, write_records


def named(tmp_path, *clips):
    return pair_names([Frame(clip, 7, tmp_path / "x.png") for clip in clips])


@pytest.mark.parametrize("clip", ["blurry/a b", "v1.2.final", "Łódź", "a;b,c", "..", "-x", 'q"'])
def test_a_name_has_no_folder_and_no_dot(tmp_path, clip):
    """WebDataset takes all that follows the first dot for the kind of a file."""
    (name,) = named(tmp_path, clip)
    assert not set(name) & set("/\\. ;,\"'")
    assert name.endswith("__000007")


def test_clips_whose_files_would_be_the_same_are_refused(tmp_path):
    with pytest.raises(UserError, match=r"'a\.b' and 'a_b'") as raised:
        named(tmp_path, "a.b", "a_b")
    assert "rename" in raised.value.fix
    with pytest.raises(UserError, match="share the file name"):
        named(tmp_path, "Walk", "walk")  # one file on Windows and on macOS


def test_the_table_is_read_as_it_was_written(pairs, tmp_path):
    _, records = pairs
    write_records(tmp_path / "pairs.csv", records)
    assert read_records(tmp_path / "pairs.csv") == records


def test_rows_may_be_removed_and_sorted_by_hand(pairs, tmp_path):
    _, records = pairs
    write_records(tmp_path / "pairs.csv", records)
    header, first, second = (tmp_path / "pairs.csv").read_text("utf-8").splitlines()
    (tmp_path / "pairs.csv").write_text("\n".join((header, second, first)), "utf-8")
    assert read_records(tmp_path / "pairs.csv") == records[::-1]
    (tmp_path / "pairs.csv").write_text(f"{header}\n{second}\n", "utf-8")
    assert read_records(tmp_path / "pairs.csv") == records[1:]


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("index", "two"),
        ("coverage", "1.5"),
        ("mean_trust", "nan"),
        ("expected_psnr", ""),
        ("expected_psnr", "inf"),
        ("references", "none"),
        ("references", "3"),
        ("name", "../../secret"),
        ("name", ""),
    ],
)
def test_a_mistake_is_told_with_its_line(pairs, tmp_path, column, value):
    _, records = pairs
    path = tmp_path / "pairs.csv"
    write_records(path, records)
    with path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    rows[1][column] = value
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    with pytest.raises(UserError, match=r"pairs\.csv line 3: ") as raised:
        read_records(path)
    assert "line" in raised.value.fix


def test_a_row_cut_short_and_a_missing_column_are_told(pairs, tmp_path):
    _, records = pairs
    path = tmp_path / "pairs.csv"
    write_records(path, records)
    text = path.read_text("utf-8")
    path.write_text(text[: len(text) - 60], "utf-8")
    with pytest.raises(UserError, match="line 3"):
        read_records(path)
    path.write_text(text.replace("coverage", "cover", 1), "utf-8")
    with pytest.raises(UserError, match="no column 'coverage'"):
        read_records(path)
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="cannot be read"):
        read_records(path)
