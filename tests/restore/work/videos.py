"""Deblurring films in tests, and looking that nothing else about them changed."""

from tests.media.films.films import look

from bluref.restore.work.video import VideoOptions, deblur_video


def same(image):
    return image


def brighter(image):
    return (image + 0.2).clamp(0, 1)


def deblur(source, target, apply=same, **options):
    return deblur_video(source, target, apply, identity="x", options=VideoOptions(**options))


def assert_the_same_film(source, target):
    before, after = look(source), look(target)
    assert after.samples == before.samples
    assert after.times == before.times
    assert after.formats == before.formats
    assert after.tags == before.tags
    assert after.rotations == before.rotations
    assert (after.stream["aspect"] or 1) == (before.stream["aspect"] or 1)
    assert after.packets == before.packets
    return before, after
