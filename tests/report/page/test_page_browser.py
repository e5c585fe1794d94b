"""The page of a run in a real browser: what moves, and that nothing leaves the machine.

Left out where there is no playwright or no Chromium: `apt-get install chromium`, or any Chromium
whose path is in BLUREF_CHROMIUM.
"""

import io
import os
import shutil
import socket

import pytest
import torch
from PIL import Image

from bluref.frames.crops import Crop
from bluref.report.page.page import render
from bluref.report.page.page_examples import Example, Examples
from bluref.report.page.page_facts import RunFacts
from bluref.report.page.page_judged import Judged
from bluref.report.page.page_pictures import picture_uri, thumbnail_uri, trust_uri

playwright = pytest.importorskip("playwright.sync_api")

CHROMIUM = os.environ.get("BLUREF_CHROMIUM") or next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None
)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium on this machine")

EVIL = "<script>window.harmed=1</script><img src=x onerror=window.harmed=1>"
DESKTOP, PHONE = (1280, 900), (390, 844)
RED, GREEN, BLUE = (200, 30, 30), (30, 160, 30), (30, 30, 200)


def plain(colour):
    return (torch.tensor(colour) / 255).view(1, 3, 1, 1).expand(1, 3, 480, 640).contiguous()


def example(n):
    """Red before, green after, blue as the target; the lower half is not trusted."""
    trust = torch.ones(1, 1, 480, 640)
    trust[..., 240:, :] = 0
    return Example(
        judged=Judged(f"{EVIL}{n}", n, before=30.0, after=29.0 + n, coverage=0.5),
        size=(480, 640),
        blurry=picture_uri(plain(RED)),
        output=picture_uri(plain(GREEN)),
        target=picture_uri(plain(BLUE)),
        trust=trust_uri(trust),
        truth=None,
        thumbnail=thumbnail_uri(plain(GREEN), Crop(0, 0, 240, 320)),
        held_out=True,
    )


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    shown = [example(n) for n in range(3)]
    clips = [
        Judged(f"clip {n}", 0, 30.0, 30 + gain, 0.9) for n, gain in enumerate((2.0, -1.0, 10.0))
    ]
    rows = [{"step": f"{n}", "round": "0", "loss": f"{1 / (n + 1)}"} for n in range(50)]
    facts = RunFacts(
        run=tmp_path_factory.mktemp("run") / EVIL.replace("/", ""),
        told={"recipe": {"backbone": "small"}, "data": {"folder": EVIL}, "versions": {}},
        metrics=rows,
        check={"verdict": "thin", "problems": [{"path": EVIL, "problem": EVIL, "fix": EVIL}]},
        validation=[],
        frames=[{"clip": EVIL, "index": f"{n}", "role": "sharp"} for n in range(9)],
    )
    path = tmp_path_factory.mktemp("page") / "report.html"
    judged = [*clips, *(one.judged for one in shown)]
    path.write_text(render(facts, Examples(judged, shown, True)), "utf-8")
    return path


@pytest.fixture(scope="module")
def browser():
    with playwright.sync_playwright() as started:
        chromium = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield chromium
        chromium.close()


@pytest.fixture(
    params=[
        pytest.param(DESKTOP, id="desktop"),
        pytest.param(PHONE, id="phone", marks=pytest.mark.slow),
    ]
)
def page(request, browser, file):
    """The opened page; afterwards nothing was asked of any network, and nothing complained."""
    width, height = request.param
    context = browser.new_context(
        viewport={"width": width, "height": height}, reduced_motion="reduce"
    )
    opened = context.new_page()
    complaints, requests = [], []
    opened.on("console", lambda message: complaints.append(message.text))
    opened.on("pageerror", lambda error: complaints.append(str(error)))
    opened.on("request", lambda asked: requests.append(asked.url))
    opened.goto(file.as_uri())
    yield opened
    assert complaints == []
    assert [url for url in requests if not url.startswith("data:")] == [file.as_uri()]
    assert opened.evaluate("window.harmed") is None
    context.close()


def colours(page, *places):
    """Colours of a viewer's picture at (across, down), as shares of its size."""
    shot = Image.open(io.BytesIO(page.locator(".stage").first.screenshot())).convert("RGB")
    return [shot.getpixel((int(x * shot.width), int(y * shot.height))) for x, y in places]


def near(colour, other):
    return max(abs(a - b) for a, b in zip(colour, other, strict=True)) < 12


def test_the_page_fits_its_window_and_names_are_only_text(page):
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1]
    assert page.locator("script").count() == 1
    assert page.locator("h3 .name").first.text_content() == f"{EVIL}0"


def test_the_divider_follows_the_mouse(page):
    stage = page.locator(".stage").first
    stage.scroll_into_view_if_needed()
    box = stage.bounding_box()
    down = box["y"] + 0.8 * box["height"]
    assert [near(c, RED) for c in colours(page, (0.4, 0.2), (0.6, 0.2))] == [True, False]
    page.mouse.move(box["x"] + 0.5 * box["width"], down)
    page.mouse.down()
    for share in (0.6, 0.7, 0.8):
        page.mouse.move(box["x"] + share * box["width"], down)
    page.mouse.up()
    left, middle, right = colours(page, (0.4, 0.2), (0.75, 0.2), (0.85, 0.2))
    assert near(left, RED)
    assert near(middle, RED)
    assert near(right, GREEN)


def test_the_divider_follows_the_arrow_keys(page):
    divide = page.get_by_role("slider", name="Divider").first
    divide.focus()
    for _ in range(4):
        page.keyboard.press("ArrowRight")
    assert divide.input_value() == "52"
    page.keyboard.press("Home")
    assert all(near(c, GREEN) for c in colours(page, (0.05, 0.3), (0.95, 0.3)))
    page.keyboard.press("End")
    assert all(near(c, RED) for c in colours(page, (0.05, 0.3), (0.95, 0.3)))


@pytest.mark.parametrize("how", ["F", "mouse", "Space"])
def test_a_held_key_or_button_switches_in_place(page, how):
    button = page.get_by_role("button", name="Hold to flicker").first
    for _ in range(2):
        if how == "mouse":
            button.hover()  # taking a picture may have moved the page
            page.mouse.down()
        else:
            button.focus()
            page.keyboard.down(how)
        assert all(near(c, RED) for c in colours(page, (0.05, 0.3), (0.95, 0.3)))
        page.mouse.up() if how == "mouse" else page.keyboard.up(how)
        assert all(near(c, GREEN) for c in colours(page, (0.05, 0.3), (0.95, 0.3)))


def test_what_the_input_is_compared_with_can_be_chosen(page):
    page.get_by_role("button", name="what sharp frames show").first.click()
    (right,) = colours(page, (0.8, 0.3))
    assert near(right, BLUE)
    assert page.locator(".label.right").first.text_content() == "what sharp frames show"


def test_the_overlay_covers_what_is_not_trusted_as_much_as_asked(page):
    trusted, guessed = (0.8, 0.3), (0.8, 0.7)
    page.get_by_label("Mark what is guessed").first.check()
    upper, lower = colours(page, trusted, guessed)
    assert near(upper, GREEN)
    assert not near(lower, GREEN)
    opacity = page.get_by_role("slider", name="Opacity").first
    opacity.focus()
    page.keyboard.press("Home")
    assert all(near(c, GREEN) for c in colours(page, trusted, guessed))
    page.keyboard.press("End")
    assert near(colours(page, guessed)[0], (222, 0, 138))


def test_the_table_is_sorted_by_any_heading_in_either_direction(page):
    def column(n):
        return page.locator(f"tbody tr > :nth-child({n})").all_text_contents()

    gains = [float(text.replace("\u2212", "-")) for text in column(2)]
    assert gains == sorted(gains)
    heading = page.get_by_role("columnheader", name="Change, dB")
    heading.get_by_role("button").click()
    assert heading.get_attribute("aria-sort") == "descending"
    assert [float(t.replace("\u2212", "-")) for t in column(2)] == sorted(gains, reverse=True)
    page.get_by_role("columnheader", name="Clip").get_by_role("button").click()
    assert column(1)[-3:] == ["clip 0", "clip 1", "clip 2"]


def test_the_command_is_copied(page):
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.get_by_role("button", name="Copy the command").click()
    page.get_by_text("Copied").wait_for()
    assert page.evaluate("navigator.clipboard.readText()") == page.locator("#command").inner_text()


def test_light_and_dark_follow_the_system_and_the_button(page):
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.emulate_media(color_scheme="dark")
    dark = page.evaluate(ground)
    assert dark != light
    page.get_by_role("button", name="Light or dark").click()
    assert page.evaluate(ground) == light


def knocked(listener):
    """Whether anybody asked to connect."""
    try:
        listener.accept()[0].close()
    except BlockingIOError:
        return False
    return True


def test_what_is_slipped_in_can_neither_run_nor_call_home(browser, file):
    opened = browser.new_page()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        call = "at => fetch(at, {mode: 'no-cors', signal: AbortSignal.timeout(500)})"
        call += ".then(() => 'sent', error => error.name)"
        opened.goto("about:blank")
        opened.evaluate(call, address)
        assert knocked(listener)  # from a page without a policy

        opened.goto(file.as_uri())
        opened.evaluate(
            """at => {
                const script = document.createElement("script");
                script.textContent = "window.harmed = 1";
                const image = new Image();
                image.src = at;
                document.body.append(script, image);
            }""",
            address,
        )
        assert opened.evaluate(call, address) == "TypeError"
        assert opened.evaluate("window.harmed") is None
        assert not knocked(listener)
    opened.close()
