import json

import pytest

from bluref.errors import UserError
from bluref.restore.fingerprint import hash_of
from bluref.restore.work.workplace import open_workplace


def test_it_is_hidden_beside_the_target_whatever_that_is_called(tmp_path):
    for name in ("b.mp4", "x" * 250 + ".mp4", "line\nbreak.mp4"):
        with open_workplace(tmp_path / name, {"a": 1}) as workplace:
            assert workplace.folder.parent == tmp_path
            assert workplace.folder.name.startswith(".")
            workplace.remove()
    assert list(tmp_path.iterdir()) == []


def test_it_is_gone_on_with_only_where_it_was_begun_with_the_same(tmp_path):
    target = tmp_path / "b.mp4"
    with open_workplace(target, {"a": 1, "b": (2, 3)}) as workplace:
        assert workplace.anew == ""
        workplace.end({"notes": ["x"]})
    with open_workplace(target, {"a": 1, "b": [2, 3]}) as workplace:
        assert workplace.anew == ""
        assert workplace.ended() == {"notes": ["x"]}
    with open_workplace(target, {"a": 1, "b": [2, 4]}) as workplace:
        assert workplace.anew == "b"
        assert workplace.ended() is None


def test_what_a_killed_process_left_half_written_is_removed(tmp_path):
    with open_workplace(tmp_path / "b.mp4", {}) as workplace:
        (workplace.folder / ".0123.partial.segment").write_bytes(b"x")
        workplace.segment(0).write_bytes(b"no segment")
        (workplace.folder / "begun.json").write_text(json.dumps({"format": 1}))
    with open_workplace(tmp_path / "b.mp4", {}) as workplace:
        assert not list(workplace.folder.glob(".*.partial*"))
        assert workplace.segments() == []


def test_it_is_lent_to_one_at_a_time(tmp_path):
    with (
        open_workplace(tmp_path / "b.mp4", {}),
        pytest.raises(UserError, match="another process"),
        open_workplace(tmp_path / "b.mp4", {}),
    ):
        pass
    with open_workplace(tmp_path / "b.mp4", {}):
        pass


def test_a_hash_is_of_the_content(tmp_path):
    (tmp_path / "a").write_bytes(b"abc" * 500_000)
    (tmp_path / "b").write_bytes(b"abc" * 499_999 + b"abd")
    assert hash_of(tmp_path / "a") != hash_of(tmp_path / "b")
    (tmp_path / "c").write_bytes(b"abc")
    assert hash_of(tmp_path / "c").startswith("ba7816bf8f01cfea")  # FIPS 180-4, example
