"""What pages are made of, as tests make it up."""

from bluref.report.page.page_judged import Judged


def judged(gain=1.0, clip="clip", index=0, **more):
    return Judged(clip, index, before=30.0, after=30.0 + gain, coverage=0.9, **more)
