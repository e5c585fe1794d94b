"""The page of figures that nobody trained for: what it says of them, and how large it gets."""

import math

import pytest
import torch
from tests.report.page.pieces import EVIL, Reader, example, facts, judged

from bluref.frames.crops import Crop
from bluref.report.page.page import LIMIT, render
from bluref.report.page.page_examples import SHOWN, Example, Examples
from bluref.report.page.page_judged import from_validation
from bluref.report.page.page_markup import as_document, name_of, tag
from bluref.report.page.page_pictures import PICTURE, picture_uri, thumbnail_uri, trust_uri

pytestmark = pytest.mark.slow


def test_what_is_no_text_is_replaced_and_names_keep_their_direction_to_themselves():
    html = as_document("t", [name_of("a\udcff\x00b\u202e"), tag("p", "x", title="\x1b\udc80")])
    html.encode()
    assert "<bdi" in html
    assert not any(ord(c) < 32 and c not in "\n\t" for c in html)


def test_a_picture_takes_no_more_than_its_share_whatever_it_shows():
    noise = torch.rand(1, 3, 480, 640)
    assert len(picture_uri(noise)) < 4 / 3 * PICTURE + 100
    assert len(picture_uri(noise, most=2000)) < 2800
    assert len(trust_uri(torch.rand(1, 1, 480, 640))) < 45_000
    assert len(thumbnail_uri(noise, Crop(0, 0, 100, 100))) < 17_000


def test_a_page_stays_below_its_limit_whatever_the_run():
    noise = torch.rand(1, 3, 480, 640)
    uri, veil = picture_uri(noise), trust_uri(noise[:, :1])
    long = EVIL * 6
    shown = [
        Example(judged(-1, f"{long}{n}"), (480, 640), uri, uri, uri, veil, uri, uri, True)
        for n in range(SHOWN)
    ]
    every = [judged(n / 100, f"{long}{n}", n) for n in range(2000)]
    numbers = {"round": "0", "loss": "0.123456", "agreement": "30.1234", "coverage": "0.98765"}
    numbers |= {"shift_x": "0.12345", "shift_y": "0.54321", "trust": "0.8", "epe": "1.2345"}
    frames = [
        {"clip": f"{long}{n // 100}", "index": f"{n}", "time": f"{n / 30}", "motion": f"{n % 7}"}
        | {"sharpness": f"{n % 11}", "role": ("sharp", "blurry", "skip")[n % 3]}
        for n in range(6000)
    ]
    problem = {"path": long, "problem": "p" * 300, "fix": "f" * 300}
    told = facts(
        metrics=[{"step": f"{n}", **numbers} for n in range(3000)],
        frames=frames,
        check={"verdict": "thin", "problems": [problem] * 20_000},
    )
    html = render(told, Examples(every, shown, True))
    assert len(html.encode()) < LIMIT


def test_the_check_and_the_timeline_are_shown_where_there_are_any():
    frames = [
        {"clip": EVIL, "index": f"{n}", "time": f"{n / 30}", "sharpness": f"{n}", "motion": "nan"}
        | {"role": "sharp" if n < 30 else "blurry"}
        for n in range(90)
    ]
    check = {"verdict": "thin", "usable_blurry": 12, "coverage": 0.61}
    check["problems"] = [{"path": "a<b>.mp4", "problem": "too dark", "fix": "leave it out"}]
    read = Reader(render(facts(frames=frames, check=check), Examples([], [], False)))
    assert "Checked before training: thin" in read.text
    assert "a<b>.mp4: too dark. Fix: leave it out" in read.text
    assert "30 sharp, 60 blurry, 0 skip" in read.text
    bands = [a for a in read.all("rect") if a.get("class") in ("sharp", "blurry")]
    assert [float(a["width"]) for a in bands] == pytest.approx([240, 480])
    assert EVIL in read.text


def test_held_out_frames_give_their_own_curve_and_no_figure_is_called_psnr():
    rows = [
        {"step": f"{s}", "clip": "a", "index": f"{n}", "coverage": "1"}
        | {"agreement_before": "20", "agreement_after": f"{20 + s}"}
        for s in (1, 2)
        for n in range(3)
    ]
    told = facts(validation=rows)
    held = from_validation(rows, None)
    read = Reader(render(told, Examples(held, [example(held[0], held_out=True)], True)))
    assert "output from 21 at step 1 to 22 at step 2" in read.text
    assert "It worked" in read.text
    assert "PSNR against" not in read.text


@pytest.mark.parametrize(
    ("gains", "said"),
    [
        ((1.0, 2.0, 0.5), "It worked"),
        ((1.0, -2.0, 0.5), "It worked in part"),
        ((-1.0, -2.0, 0.5), "It did not work"),
        ((math.nan,), "Not judged"),
    ],
)
def test_the_verdict_follows_from_the_frames(gains, said):
    frames = [judged(g, index=n) for n, g in enumerate(gains)]
    html = render(facts(), Examples(frames, [], True))
    assert f"<h2>{said}</h2>" in html
