import json
import os

import pytest

from bluref.errors import UserError
from bluref.restore.work.ledger import NAME, Ledger


@pytest.fixture
def made(tmp_path):
    """A source and an output that the ledger knows."""
    (tmp_path / "source").write_text("blurry")
    target = tmp_path / "out" / "sub" / "a.png"
    target.parent.mkdir(parents=True)
    ledger = Ledger(tmp_path / "out", {"network": 1})
    ledger.begin(target, tmp_path / "source")
    target.write_text("sharp")
    ledger.finish(target)
    return tmp_path / "source", target


def state(made, recipe=1):
    source, target = made
    return Ledger(target.parents[1], {"network": recipe}).state(target, source)


def test_an_output_is_known_again(made):
    assert state(made) == "same"


def test_a_missing_output_is_absent(made):
    made[1].unlink()
    assert state(made) == "absent"


def test_another_source_or_recipe_makes_it_stale(made):
    assert state(made, recipe=2) == "stale"
    made[0].write_text("other")
    assert state(made) == "stale"


def test_a_copy_of_the_folder_is_known_and_an_edit_is_not(made):
    os.utime(made[1])
    assert state(made) == "same"
    made[1].write_text("SHARP")
    assert state(made) == "unknown"


def test_an_output_of_the_same_size_and_time_is_believed_without_reading_it(made, monkeypatch):
    from bluref.restore.work import ledger

    read = []
    hash_of = ledger.hash_of
    monkeypatch.setattr(ledger, "hash_of", lambda p: read.append(p) or hash_of(p))
    assert state(made) == "same"
    assert read == [made[0]]


def test_what_was_begun_and_is_there_is_stale(tmp_path):
    (tmp_path / "source").write_text("blurry")
    ledger = Ledger(tmp_path, {})
    ledger.begin(tmp_path / "a.png", tmp_path / "source")
    (tmp_path / "a.png").write_text("old or new")
    assert Ledger(tmp_path, {}).state(tmp_path / "a.png", tmp_path / "source") == "stale"


def test_without_a_ledger_nothing_is_known(made):
    (made[1].parents[1] / NAME).unlink()
    assert state(made) == "unknown"


@pytest.mark.parametrize("cut", range(0, 400, 7))
def test_a_ledger_cut_anywhere_is_read_as_far_as_it_goes(made, cut):
    path = made[1].parents[1] / NAME
    data = path.read_bytes()
    path.write_bytes(data[: max(0, len(data) - cut)])
    assert state(made) in ("same", "stale", "unknown")
    assert cut == 0 or state(made) != "same"


@pytest.mark.parametrize(
    "rubbish",
    [
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"output": 1, "source": "", "recipe": ""}',
        b"[" * 100_000,
        b"\0" * 99,
    ],
)
def test_damaged_lines_cost_only_themselves(made, rubbish):
    path = made[1].parents[1] / NAME
    path.write_bytes(rubbish + path.read_bytes() + b"\n" + rubbish)
    assert state(made) == "same"


def test_the_ledger_holds_one_line_for_each_output_that_is_there(made):
    source, target = made
    path = target.parents[1] / NAME
    for _ in range(5):
        ledger = Ledger(target.parents[1], {"network": 1})
        ledger.begin(target, source)
        ledger.finish(target)
        ledger.begin(target.with_name("never.png"), source)
    Ledger(target.parents[1], {})
    lines = [json.loads(line) for line in path.read_text().splitlines() if line]
    assert [line["output"] for line in lines] == ["sub/a.png"]


def test_names_that_are_no_text_are_kept(tmp_path):
    (tmp_path / "source").write_text("blurry")
    target = tmp_path / os.fsdecode(b"\xff \n.png")
    ledger = Ledger(tmp_path, {})
    ledger.begin(target, tmp_path / "source")
    target.write_text("sharp")
    ledger.finish(target)
    assert Ledger(tmp_path, {}).state(target, tmp_path / "source") == "same"


def test_a_ledger_that_cannot_be_written_is_a_user_error(made, tmp_path):
    (tmp_path / "out" / NAME).unlink()
    (tmp_path / "out" / NAME).mkdir()
    with pytest.raises(UserError, match="cannot write"):
        Ledger(tmp_path / "out", {}).begin(made[1], made[0])


def test_what_failed_is_known_as_before_unless_it_was_touched(made):
    source, target = made
    ledger = Ledger(target.parents[1], {"network": 2})
    never, half = target.with_name("never.png"), target.with_name("half.png")

    def fail():
        with ledger.making([target, never, half], source):
            half.write_text("half of the work")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert state(made) == "same"
    never.write_text("somebody's own")
    for seen in (ledger, Ledger(target.parents[1], {"network": 2})):
        assert seen.state(never, source) == "unknown"
        assert seen.state(half, source) == "stale"


def test_what_was_made_is_known(made):
    source, target = made
    other = target.with_name("other.png")
    ledger = Ledger(target.parents[1], {"network": 1})
    with ledger.making([other], source):
        other.write_text("sharp")
    assert state((source, other)) == "same"
