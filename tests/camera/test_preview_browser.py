"""The preview in a real Chromium: the picture moves, the slider changes the policy, and the page fits a phone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import pytest
from preview_loop import PreviewLoop

pytest.importorskip("starlette", reason="needs starlette: pip install 'edge-iqa[watch]'")
pytest.importorskip("uvicorn", reason="needs uvicorn: pip install 'edge-iqa[watch]'")
playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright")

PIXELS = """() => { const canvas = document.getElementById('picture');
  return Array.from(canvas.getContext('2d').getImageData(0, canvas.height / 2, canvas.width, 1).data).join() }"""


@pytest.fixture
def loop() -> Iterator[PreviewLoop]:
    running = PreviewLoop()
    yield running
    running.close()


def until(condition: Callable[[], object], timeout_s: float = 180.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return bool(condition())


def open_page(browser: playwright.Browser, url: str, width: int = 1280, scheme: str = "light") -> playwright.Page:
    """Open the preview, wait for its first picture; the page fails the test if a script of it fails."""
    page = browser.new_page(viewport={"width": width, "height": 800}, color_scheme=scheme)
    page.set_default_timeout(180_000)
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.on("console", lambda message: page.errors.append(message.text) if message.type == "error" else None)
    page.goto(url)
    page.wait_for_selector("#badge:not([hidden])")
    return page


def test_picture_changes_and_counters_run(browser: playwright.Browser, loop: PreviewLoop) -> None:
    page = open_page(browser, loop.preview.url)
    before, frames = page.evaluate(PIXELS), int(page.inner_text("#counters dd >> nth=0"))
    assert until(lambda: page.evaluate(PIXELS) != before)
    assert until(lambda: int(page.inner_text("#counters dd >> nth=0")) > frames)
    assert page.inner_text("#state") == "running"
    assert page.inner_text("#source") == "synthetic"
    assert page.errors == []
    page.close()


def test_badge_tells_what_became_of_the_picture_shown(browser: playwright.Browser, loop: PreviewLoop) -> None:
    page = open_page(browser, loop.preview.url)
    words = page.inner_text("#badge")
    assert ("kept" in words) != ("dropped" in words)
    for expected in ("kept: good", "dropped: below threshold"):
        page.wait_for_function("words => document.getElementById('badge').textContent.includes(words)", arg=expected)
    page.close()


def test_slider_changes_the_policy_of_the_running_loop(browser: playwright.Browser, loop: PreviewLoop) -> None:
    page = open_page(browser, loop.preview.url)
    assert page.inner_text("#threshold-value") == "0.50"
    page.focus("#threshold")
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    assert until(lambda: loop.policy.threshold == 0.57)
    assert until(lambda: "0.57 applied" in page.inner_text("#note"))
    page.mouse.click(**_right_end(page))
    assert until(lambda: loop.policy.threshold > 0.9)
    changed_at = loop.status.frames_in
    assert until(lambda: loop.status.frames_in > changed_at + 60)
    strict = [item for item in loop.preview.snapshot(0)["decisions"] if item["threshold"] > 0.9]
    assert len(strict) >= 50
    assert {item["decision"] for item in strict} == {"drop"}
    assert page.errors == []
    page.close()


def _right_end(page: playwright.Page) -> dict[str, float]:
    box = page.locator("#threshold").bounding_box()
    assert box is not None
    return {"x": box["x"] + box["width"] - 12, "y": box["y"] + box["height"] / 2}


def test_slider_follows_a_policy_changed_elsewhere(browser: playwright.Browser, loop: PreviewLoop) -> None:
    page = open_page(browser, loop.preview.url)
    loop.preview.set_threshold(0.31)
    assert until(lambda: page.inner_text("#threshold-value") == "0.31")
    assert page.input_value("#threshold") == "0.31"
    page.close()


@pytest.mark.parametrize("width", [375, 1280])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_page_fits_and_can_be_read(browser: playwright.Browser, loop: PreviewLoop, width: int, scheme: str) -> None:
    page = open_page(browser, loop.preview.url, width, scheme)
    assert page.evaluate("document.documentElement.scrollWidth") == width
    slider = page.locator("#threshold").bounding_box()
    assert slider is not None
    assert slider["height"] >= 44  # a finger
    paper, ink = (page.evaluate(f"getComputedStyle(document.body).{name}") for name in ("backgroundColor", "color"))
    assert contrast(paper, ink) >= 7
    assert (brightness(paper) < 0.2) == (scheme == "dark")
    page.close()


def brightness(colour: str) -> float:
    """Return the relative luminance of ``rgb(r, g, b)``, by WCAG 2."""
    parts = [int(part) / 255 for part in colour[4:-1].split(",")]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    low, high = sorted([brightness(one), brightness(other)])
    return (high + 0.05) / (low + 0.05)


def test_page_says_so_when_the_program_ends(browser: playwright.Browser) -> None:
    running = PreviewLoop()
    page = open_page(browser, running.preview.url)
    running.close()
    assert until(lambda: page.inner_text("#state") == "not connected")
    page.close()


def test_link_with_a_token_opens_the_page_and_the_address_bar_hides_it(browser: playwright.Browser) -> None:
    running = PreviewLoop("0.0.0.0:0")
    try:
        page = open_page(
            browser, f"http://127.0.0.1:{running.preview.address.port}/?token={running.preview.guard.token}"
        )
        assert "token" not in page.url
        assert until(lambda: page.inner_text("#state") == "running")
        page.close()
    finally:
        running.close()


def test_page_of_another_site_sees_and_changes_nothing(browser: playwright.Browser, loop: PreviewLoop) -> None:
    """A page from elsewhere tries a picture, a request and a form against the preview on loopback."""
    page = browser.new_page()
    page.set_default_timeout(60_000)
    page.route("http://evil.example/", lambda route: route.fulfill(body="<title>x</title>", content_type="text/html"))
    page.goto("http://evil.example/")
    outcome = page.evaluate(
        """async (url) => {
          const image = new Image();
          const shown = await new Promise((done) => {
            image.onload = () => done(true); image.onerror = () => done(false); image.src = url + 'frame.jpg';
          });
          const sent = await fetch(url + 'policy', {method: 'POST', mode: 'no-cors', body: '{"threshold": 0.01}'})
            .then(() => 'sent', () => 'blocked');
          return {shown, sent};
        }""",
        loop.preview.url,
    )
    assert outcome["shown"] is False
    assert loop.policy.threshold == 0.5
    page.close()
