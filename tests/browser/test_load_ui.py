"""Locust's web UI as we extend it, in a real Chromium: over a session of looks, and over real runs.

Screenshots of what was seen are left in the test's folder: run with `--basetemp=FOLDER` to look at them.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from support.chromium import Page
from support.looks import HOSTILE

if TYPE_CHECKING:
    from support.web import Locust

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

TABS = ["Live charts", "Verdicts", "From due time", "Workflows", "Generator", "Server"]
LINES = ["p50", "p99", "offered", "achieved", "errors", "cpu", "machine cpu", "rss", "loop lag", "bus", "fds"]
LINE_NAMES = (
    "[...document.querySelectorAll('path.line')].filter(line => line.getAttribute('d')).map(l => l.dataset.name)"
)
TAB_TITLES = "[...document.querySelectorAll('[role=tab]')].map(tab => tab.textContent)"
CELLS = "[...document.querySelectorAll('tbody td')].map(cell => cell.textContent)"
FRAME = "document.querySelector('iframe#tidegauge')"
INSIDE = f"{FRAME}?.contentDocument"
FRAMED_CELLS = f"[...{INSIDE}.querySelectorAll('tbody td')].map(cell => cell.textContent)"
TIMES = "[...document.querySelectorAll('figure:first-of-type text.x')].map(text => text.textContent)"


def start(page: Page, url: str) -> None:
    """As a person does it: in Locust's form, which is open where no address is given."""
    if url:
        page.open(url)
    page.wait("document.querySelector('form button[type=submit]')")
    # Its first look at the figures still says "ready": coming after START, it would bring the form back.
    page.wait("performance.getEntriesByType('resource').some(asked => asked.name.includes('stats/requests'))")
    page.ask("document.querySelector('form button[type=submit]').click()")
    page.wait("document.querySelectorAll('[role=tab]').length > 0")


def choose(page: Page, title: str) -> None:
    page.ask(f"[...document.querySelectorAll('[role=tab]')].find(tab => tab.textContent === '{title}').click()")


def cells_of(page: Page, title: str) -> list[str]:
    """What stands in a tab's table, once anything does."""
    choose(page, title)
    page.wait(f"{INSIDE}?.querySelector('h2')?.textContent === '{title}' && {FRAMED_CELLS}.length > 1")
    cells: list[str] = page.ask(FRAMED_CELLS)
    return cells


def test_browser_form(locust_ui: Locust, page: Page) -> None:
    """An option that a locustfile adds stands in Locust's form with its default, and only this machine is served."""
    page.open(locust_ui.url)
    page.wait("document.querySelector('form [name=arrivalsPerS]')")
    assert page.ask("document.querySelector('form [name=arrivalsPerS]').value") == "12.5"
    assert locust_ui.listens_on == {"127.0.0.1"}
    assert f"Starting web interface at {locust_ui.url}" in locust_ui.log.read_text()


def test_browser_tabs(locust_ui: Locust, page: Page, tmp_path: Path) -> None:
    """Our tabs stand behind Locust's own, each with its rows; a name that is markup is shown, not obeyed."""
    start(page, locust_ui.url)
    assert page.ask(TAB_TITLES)[-len(TABS) :] == TABS
    seen = {}
    for title in TABS[1:]:
        seen[title] = cells_of(page, title)
        page.screenshot(tmp_path / f"tab {title}.png")
    assert HOSTILE in seen["From due time"]
    assert seen["Workflows"][0] == "entry"
    assert seen["Verdicts"][:2] == ["fail", "load/entry/p99_due_ms"]
    assert "lag_p99" in seen["Generator"]
    assert "rss_bytes" in seen["Server"]
    assert page.ask(f"{INSIDE}.title") == "tidegauge: live"
    assert page.ask("document.title") != "owned"
    assert page.faults == []


def test_browser_charts_tab(locust_ui: Locust, page: Page, tmp_path: Path) -> None:
    """The tab of the live charts shows them while it is chosen, and nothing of them when another is."""
    start(page, locust_ui.url)
    choose(page, "Live charts")
    page.wait(f"{FRAME}?.contentDocument.querySelectorAll('path.line').length >= {len(LINES)}")
    # As high as what is in it, so that there is one scroll bar and not two.
    page.wait(f"{FRAME}.clientHeight >= {FRAME}.contentDocument.body.offsetHeight")
    page.screenshot(tmp_path / "tab Live charts.png")
    choose(page, "Verdicts")
    page.wait(f"{INSIDE}?.querySelectorAll('path.line').length === 0")
    choose(page, "Statistics")
    page.wait(f"{FRAME} === null")
    choose(page, "Live charts")
    page.wait(f"{FRAME}?.contentDocument.querySelectorAll('path.line').length >= {len(LINES)}")
    assert page.faults == []


@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 390)])
def test_browser_page(locust_ui: Locust, page: Page, tmp_path: Path, scheme: str, width: int) -> None:
    """The page draws every line and goes on drawing as data come, light or dark, and as wide as a phone."""
    page.size(width, 844)
    page.prefer(scheme)
    page.open(f"{locust_ui.url}/tidegauge")
    page.wait(f"{LINE_NAMES}.length >= {len(LINES)}")
    page.screenshot(tmp_path / f"page {scheme} {width}.png")
    assert page.ask(LINE_NAMES) == LINES
    drawn = "document.querySelector('path[data-name=p99]').getAttribute('d')"
    page.ask(f"window.before = {drawn}")
    page.wait(f"{drawn} !== window.before")
    assert page.ask("document.documentElement.dataset.theme") == scheme
    brightness = (
        "getComputedStyle(document.body).backgroundColor.match(/\\d+/g).reduce((sum, one) => sum + Number(one), 0)"
    )
    assert (page.ask(brightness) > 380) == (scheme == "light")
    assert page.ask("document.documentElement.scrollWidth") <= width
    assert page.ask("document.querySelector('#verdict').textContent") == "fail"
    assert HOSTILE in page.ask(CELLS)
    assert page.ask("document.title") == "tidegauge: live"
    assert page.faults == []


def test_browser_log_scale(locust_ui: Locust, page: Page) -> None:
    """Latencies stand on a log scale: each power of ten as far from the next; a second without one breaks a line."""
    page.open(f"{locust_ui.url}/tidegauge")
    page.wait(f"{LINE_NAMES}.length >= {len(LINES)}")
    ticks = (
        "[...document.querySelectorAll('figure:first-of-type text.y')].map(t => [t.textContent, +t.getAttribute('y')])"
    )
    places = dict(page.ask(ticks))
    assert list(places) == ["1", "10", "100", "1,000"]
    gaps = [places[low] - places[high] for low, high in (("1", "10"), ("10", "100"), ("100", "1,000"))]
    assert max(gaps) - min(gaps) < 0.01
    assert page.ask("document.querySelector('path[data-name=p99]').getAttribute('d').split('M').length - 1") == 2
    assert page.ask("document.querySelector('path[data-name=p50]').getAttribute('d').split('M').length - 1") == 1


def test_browser_pointer(locust_ui: Locust, page: Page) -> None:
    """A pointer over one chart shows the figures of that moment in all of them."""
    page.open(f"{locust_ui.url}/tidegauge")
    page.wait(f"{LINE_NAMES}.length >= {len(LINES)}")
    page.ask("window.box = document.querySelector('svg').getBoundingClientRect()")
    box = page.ask("[box.x + box.width / 2, box.y + box.height / 2]")
    page.call("Input.dispatchMouseEvent", type="mouseMoved", x=box[0], y=box[1])
    shown = "[...document.querySelectorAll('li.when')].map(entry => entry.textContent.split(' at ')[1])"
    page.wait(f"{shown}.every(moment => moment) && new Set({shown}).size <= 2")
    assert page.ask("document.querySelectorAll('.cursor[visibility=visible]').length") == page.ask(
        "document.querySelectorAll('figure').length"
    )


def test_browser_downloads(locust_ui: Locust, page: Page) -> None:
    """Locust's tab of downloads offers ours, and the page its own; each is a file."""
    start(page, locust_ui.url)
    choose(page, "Download Data")
    offered = (
        "[...document.querySelectorAll('main a')].filter(a => a.textContent.startsWith('tidegauge')).map(a => a.href)"
    )
    page.wait(f"{offered}.length > 0")
    links = page.ask(offered)
    assert {link.rpartition("/")[2] for link in links} >= {"json", "series", "server", "verdicts", "percentiles"}
    page.open(f"{locust_ui.url}/tidegauge")
    page.wait("document.querySelectorAll('#tables a').length > 0")
    links[1:] += page.ask("[...document.querySelectorAll('a[download]')].map(a => a.href)")
    for link in links[1:]:
        told = page.ask(f"fetch('{link}').then(a => [a.status, a.headers.get('Content-Disposition')])")
        assert told[0] == 200, link
        assert "attachment" in told[1], link


def test_browser_run_begins_again(locust_ui: Locust, page: Page) -> None:
    """When another run begins, the page forgets the one before instead of drawing both in one line."""
    start(page, locust_ui.url)
    page.open(f"{locust_ui.url}/tidegauge")
    page.wait(f"{TIMES}.includes('1:30')")
    page.ask("fetch('./stop', {method: 'POST'}).then(() => 1)")
    page.wait(f"{TIMES}.length && !{TIMES}.includes('1:30')")
    page.wait("document.querySelector('path[data-name=p50]')?.getAttribute('d')")
    assert "1:30" not in page.ask(TIMES)


def test_browser_locust_gone(locust_ui: Locust, page: Page) -> None:
    """When Locust is gone the page keeps what it has and says of when it is."""
    page.open(f"{locust_ui.url}/tidegauge")
    page.wait(f"{LINE_NAMES}.length >= {len(LINES)}")
    locust_ui.kill()
    page.wait("!document.querySelector('#stale').hidden")
    assert "What you see is of" in page.ask("document.querySelector('#stale').textContent")
    assert page.ask(LINE_NAMES) == LINES
