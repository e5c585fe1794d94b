import av
import pytest

from bluref.media.films.pixel_formats import loses, nearest


def offered(encoder):
    return [video.name for video in av.Codec(encoder, "w").video_formats]


@pytest.mark.parametrize(
    ("wanted", "encoder", "given"),
    [
        ("yuv420p", "libx264", "yuv420p"),
        ("yuvj420p", "libx264", "yuvj420p"),
        ("yuvj420p", "mjpeg", "yuvj420p"),
        ("yuv420p10le", "libx264", "yuv420p10le"),
        ("yuv410p", "libx264", "yuv420p"),
        ("gray", "libx264", "gray"),
        ("gray", "libvpx-vp9", "yuv420p"),
        ("gbrp", "libx264", "yuv444p"),
        ("gbrp", "qtrle", "rgb24"),
        ("gbrap", "png", "rgba"),
        ("gbrp16le", "png", "rgb48be"),
        ("gbrp", "ffv1", "bgr0"),
        ("yuva420p", "libx264", "yuv420p"),
        ("yuv444p12le", "libx265", "yuv444p12le"),
    ],
)
def test_the_nearest_format_is_taken(wanted, encoder, given):
    assert nearest(wanted, offered(encoder)) == given


def test_losses_are_ranked_by_what_hurts_most():
    order = ["yuva422p10le", "yuv422p10le", "yuv420p10le", "gray10le", "yuv422p"]
    found = [loses("yuva422p10le", name) for name in order]
    assert found == sorted(found)
    assert len(set(found)) == len(order)
    assert found[0] == 0
    assert loses("gbrp", "rgb24") == loses("yuv420p", "yuv444p10le") == 0
