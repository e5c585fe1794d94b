from pathlib import Path

from bluref.frames.clip import Frame


def test_a_frame_names_the_file_and_within_a_video_the_frame():
    assert str(Frame("a", 7, Path("a/000007.png"))) == str(Path("a/000007.png"))
    assert str(Frame("a", 7, Path("a.mp4"), 7)) == "a.mp4 frame 7"


def test_the_key_knows_nothing_of_the_machine():
    assert Frame("a", 7, Path("/here/7.png")).key == Frame("a", 7, Path("/there/7.jpg")).key
    assert Frame("a", 7, Path("x")).key != Frame("a", 8, Path("x")).key
