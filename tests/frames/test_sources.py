"""What a person names, as clips."""

from bluref.frames.sources import settled


def test_a_link_keeps_its_name_wherever_it_is_named_from(tmp_path):
    (tmp_path / "cache").mkdir()
    (tmp_path / "films").mkdir()
    (tmp_path / "films" / "a.mp4").symlink_to(tmp_path / "cache" / "5f2b")
    away = tmp_path / "cache" / ".." / "films" / "a.mp4"
    assert settled(away) == settled(tmp_path / "films" / "a.mp4") == tmp_path / "films" / "a.mp4"
    assert settled(tmp_path / "cache" / "..") == tmp_path
