"""The console in a real Chromium: by mouse, by keyboard alone, and with nothing from elsewhere."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest

from console.visit import History

PATH = "/console/audit"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture(scope="module")  # while it lives, no other test can run an event loop
def chromium() -> Iterator[Any]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="needs the package playwright")
    if CHROMIUM is None:
        pytest.skip("needs a Chromium on the path (apt-get install chromium)")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


class Watched:
    """A page, and everything it asked for or complained of."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.hosts: set[str] = set()
        self.urls: list[str] = []
        self.complaints: list[str] = []
        page.on("request", self._asked)
        page.on("console", lambda message: self.complaints.append(message.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))

    def _asked(self, request: Any) -> None:
        self.urls.append(request.url)
        parts = urlsplit(request.url)
        if parts.scheme != "data":
            self.hosts.add(parts.netloc)


@pytest.fixture
def watched(chromium: Any, history: History) -> Iterator[Watched]:
    """Signed in through the page itself."""
    context = chromium.new_context(base_url=history.base, locale="en-GB", timezone_id="UTC")
    one = Watched(context.new_page())
    one.page.goto(PATH)
    one.page.get_by_label("Access token").fill(history.gateway.tokens["privacy-officer"])
    one.page.get_by_role("button", name="Sign in").click()
    one.complaints.clear()  # Chromium reports the 401 of the sign-in page
    yield one
    assert one.hosts == {urlsplit(history.base).netloc}
    assert one.complaints == []
    context.close()


def expect(locator: Any) -> Any:
    from playwright.sync_api import expect as expected

    return expected(locator)


def test_search_story_and_back(watched: Watched, history: History) -> None:
    page = watched.page
    expect(page.get_by_role("heading", name="The record")).to_be_visible()

    page.get_by_label("Patient", exact=True).fill(history.patient)
    page.get_by_label("Outcome").select_option("degraded")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_text("One patient, keyed hash")).to_be_visible()
    expect(page.get_by_text("Answered: degraded")).to_have_count(1)
    assert not any(history.patient.split("/")[1] in url for url in watched.urls)

    page.get_by_role("link", name="Story of question").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Emergency physician asked")
    expect(page.get_by_role("heading", name=re.compile("Sent 10 fields to acme"))).to_be_visible()
    expect(page.get_by_role("heading", name="Answer: degraded")).to_be_visible()

    page.go_back()
    expect(page.get_by_text("One patient, keyed hash")).to_be_visible()


def test_pages_forward_and_back(watched: Watched) -> None:
    page = watched.page
    cells = page.locator("td.what")
    first = cells.all_inner_texts()

    page.get_by_role("link", name="Older").click()
    expect(page.get_by_role("heading", name="Further back")).to_be_visible()
    page.get_by_role("link", name="Newer").click()
    page.wait_for_load_state()

    assert cells.all_inner_texts() == first
    assert len(first) == 25


def test_the_badge_changes_when_the_record_was_verified(watched: Watched) -> None:
    page = watched.page

    page.get_by_role("navigation", name="Console").get_by_role("link", name="Integrity").click()
    page.get_by_role("button", name="Verify now").click()

    expect(page.get_by_role("heading", name="Intact")).to_be_visible(timeout=30_000)
    page.get_by_role("link", name="Record", exact=True).click()
    expect(page.get_by_role("link", name="✓ Intact")).to_be_visible()


def test_a_download_arrives_as_a_file(watched: Watched, tmp_path: Any) -> None:
    with watched.page.expect_download() as waiting:
        watched.page.get_by_role("link", name="CSV").click()
    file = tmp_path / waiting.value.suggested_filename
    waiting.value.save_as(file)

    assert re.fullmatch(r"careweir-audit-\d{8}T\d{6}Z\.csv", file.name)
    assert file.read_text().startswith("recorded,type,what,actor")


def test_the_timeline_has_words_and_links(watched: Watched) -> None:
    page = watched.page

    expect(page.get_by_role("img", name="Entries over time")).to_be_visible()
    page.get_by_text("The same in words").click()
    page.locator("figure table a").first.click()

    expect(page.locator("td.what").first).to_be_visible()
    assert "since=" in page.url
    assert "until=" in page.url


def test_the_keyboard_alone_is_enough(watched: Watched) -> None:
    page = watched.page
    page.goto(PATH)

    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    expect(page.get_by_label("Patient", exact=True)).to_be_focused()
    page.keyboard.press("Tab")
    page.keyboard.type("Practitioner/demo-scheduler")
    page.keyboard.press("Enter")

    expect(page.locator("td.what")).to_have_count(1)
    expect(page.get_by_label("Person or service")).to_have_value("Practitioner/demo-scheduler")
    story = page.get_by_role("link", name="Story of question")
    for _ in range(60):
        if story.evaluate("one => one === document.activeElement"):
            break
        page.keyboard.press("Tab")
    outline = story.evaluate("one => getComputedStyle(one).outlineStyle")
    page.keyboard.press("Enter")

    assert outline == "solid"
    expect(page.get_by_role("heading", name="Decision: refused")).to_be_visible()


def test_a_screen_reader_finds_landmarks_names_and_one_main_heading(watched: Watched) -> None:
    page = watched.page
    for path in (PATH, f"{PATH}/verify", f"{PATH}/break-glass"):
        page.goto(path)
        for role in ("banner", "main", "contentinfo"):
            expect(page.get_by_role(role)).to_have_count(1)
        expect(page.get_by_role("heading", level=1)).to_have_count(1)
        assert page.locator("table:not(:has(caption))").count() == 0
        for field in page.locator("input:not([type=hidden]), select, textarea").all():
            assert field.evaluate("one => one.labels.length") == 1


def test_on_a_telephone_nothing_is_cut_off(watched: Watched, history: History) -> None:
    page = watched.page
    page.set_viewport_size({"width": 360, "height": 740})
    beyond = "one => one.scrollWidth - one.clientWidth"
    for path in (PATH, f"{PATH}/{history.degraded}", f"{PATH}/break-glass"):
        page.goto(path)
        assert page.locator("html").evaluate(beyond) <= 0
        for region in page.locator(".scroll:has(.rows)").all():
            assert region.evaluate(beyond) <= 0
    page.goto(PATH)
    assert page.locator("td.what").first.bounding_box()["width"] > 300  # type: ignore[index]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_has_contrast_of_4_5_to_1(chromium: Any, history: History, scheme: str) -> None:
    """WCAG 2.2, 1.4.3 (AA), measured on what is drawn."""
    context = chromium.new_context(base_url=history.base, color_scheme=scheme)
    page = context.new_page()
    page.goto(PATH)
    page.get_by_label("Access token").fill(history.gateway.tokens["auditor"])
    page.get_by_role("button", name="Sign in").click()
    for path in (PATH, f"{PATH}/{history.degraded}", f"{PATH}/{history.contested}"):
        page.goto(path)
        too_faint = page.evaluate(CONTRAST)
        assert too_faint == []
    context.close()


# For each element with text of its own: the ratio of its colour to the nearest opaque background.
CONTRAST = """() => {
  const channel = v => v / 255 <= 0.03928 ? v / 255 / 12.92 : ((v / 255 + 0.055) / 1.055) ** 2.4;
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const numbers = colour => colour.match(/[\\d.]+/g).map(Number);
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = numbers(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] === 1) return c;
    }
    return [255, 255, 255];
  };
  const faint = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some(n => n.nodeType === 3 && n.data.trim());
    if (!own || e.closest('svg')) continue;
    const a = light(numbers(getComputedStyle(e).color)), b = light(behind(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    if (ratio < 4.5) faint.push(e.tagName + ' ' + e.className + ' ' + ratio.toFixed(2));
  }
  return faint;
}"""


def test_a_clinician_settles_a_conflict_by_keyboard(chromium: Any, history: History) -> None:
    context = chromium.new_context(base_url=history.base, locale="en-GB", timezone_id="UTC")
    one = Watched(context.new_page())
    page = one.page
    page.goto("/console/conflicts")
    page.get_by_label("Access token").fill(history.gateway.tokens["radiologist"])
    page.get_by_role("button", name="Sign in").click()
    one.complaints.clear()  # the 401 of the sign-in page

    link = page.get_by_role("link", name=re.compile("Laterality mismatch"))
    link.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Settle it")).to_be_visible()
    page.get_by_role("radio").first.focus()
    page.keyboard.press("Space")
    page.get_by_label("Why").fill("The report says left; I looked at the film.")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")

    expect(page.get_by_text("One finding is right")).to_have_count(2)
    expect(page.get_by_text("I looked at the film")).to_have_count(2)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert page.evaluate(overflow) <= 0
    page.set_viewport_size({"width": 375, "height": 800})
    assert page.evaluate(overflow) <= 0
    assert one.complaints == []
    assert one.hosts == {urlsplit(history.base).netloc}
    context.close()
