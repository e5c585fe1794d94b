"""What pages are made of, as tests make it up, and how they are read."""

from html.parser import HTMLParser
from pathlib import Path

from bluref.report.page.page_examples import Example
from bluref.report.page.page_facts import RunFacts
from bluref.report.page.page_judged import Judged

EVIL = "<script>alert(1)<img src=x onerror=alert(2)>\"'&\u202e"
VOID = {"meta", "link", "img", "input", "br"}


class Reader(HTMLParser):
    """Reads a page as a browser would: open elements, attributes, text, scripts."""

    def __init__(self, html):
        super().__init__()
        self.open, self.elements, self.text, self.raw = [], [], "", {"script": [], "style": []}
        self.feed(html)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in self.raw:
            self.raw[self.open[-1]].append(data)
        else:
            self.text += data

    def all(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def judged(gain=1.0, clip="clip", index=0, **more):
    return Judged(clip, index, before=30.0, after=30.0 + gain, coverage=0.9, **more)


def example(one, uri="data:,", held_out=False):
    return Example(one, (48, 64), uri, uri, uri, uri, None, uri, held_out)


def facts(**changes):
    told = {"recipe": {"backbone": "small"}, "data": {"folder": "data"}, "versions": {}}
    given = {"metrics": [], "check": None, "validation": [], "frames": [], **changes}
    return RunFacts(run=Path("run"), told=told, **given)
