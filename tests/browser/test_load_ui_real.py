"""Locust's web UI over real runs of a real Locust with our plugin, in a real Chromium: what a person does with it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from browser.test_load_ui import CELLS, INSIDE, TABS, cells_of, choose, start
from support.chromium import Page
from support.locusts import serving
from support.web import web
from tidegauge.load import lane

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

HOSTILE = "<script>document.title='owned'</script>"
SUBJECTS = 120
THEIRS = f"""
from itertools import count
from locust import FastHttpUser, HttpUser, task

class Theirs(HttpUser):
    @task
    def look(self):
        self.client.get("/look", name={HOSTILE!r})

class Many(FastHttpUser):
    numbers = count()

    @task
    def thing(self):
        self.client.get("/thing", name=f"thing {{next(self.numbers) % {SUBJECTS}}}")
"""
FILL = """((name, value) => {
  const field = document.querySelector(`form [name=${name}]`);
  Object.getOwnPropertyDescriptor(HTMLInputElement.prototype, 'value').set.call(field, value);
  field.dispatchEvent(new Event('input', {bubbles: true}));
})"""
OFFERED = f"{INSIDE}?.querySelector('path[data-name=offered]')?.getAttribute('d')"


def press(page: Page, title: str) -> None:
    page.ask(f"[...document.querySelectorAll('button')].find(one => one.textContent === '{title}').click()")


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]], ids=["alone", "workers"])
def test_browser_real_run(page: Page, tmp_path: Path, processes: list[str]) -> None:
    """START with our options, every tab fills, the rate changes while it runs, STOP ends it, and JSON and CSV agree."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    arguments = ["-f", f"{lane.PLUGIN},theirs.py", "-u", "30", "-r", "100", *processes]
    with serving(tmp_path) as server, web(tmp_path, *arguments, "--host", server.url) as locust:
        page.open(locust.url)
        page.wait("document.querySelector('form [name=tidegaugeSeed]')")
        page.ask(f"{FILL}('tidegaugeWarmUp', '1')")
        start(page, "")
        choose(page, "Live charts")
        page.wait(f"{OFFERED}?.split('L').length > 4")
        page.screenshot(tmp_path / "real Live charts.png")
        seen = {title: cells_of(page, title) for title in TABS[1:]}
        assert seen["Verdicts"][0] in {"pass", "not measured"}  # a busy machine says so
        assert "look" in seen["Workflows"]
        assert f"GET {HOSTILE.replace('/', '|')}" in seen["From due time"]
        assert seen["Generator"][:1] == ["scheduled"]
        assert "rss_bytes" in seen["Server"]

        press(page, "Edit")
        page.wait("document.querySelector('form [name=userCount]')")
        page.ask(f"{FILL}('userCount', '90')")
        page.ask("document.querySelector('form button[type=submit]').click()")
        choose(page, "Live charts")
        page.wait(f"[...({INSIDE}?.querySelectorAll('figure:nth-of-type(2) text.y') ?? [])].at(-1)?.textContent >= 90")
        press(page, "Stop")
        page.wait("document.body.innerText.includes('STOPPED')")
        page.wait(f"{INSIDE}.querySelector('#state').textContent.startsWith('stopped')")

        told = json.loads(locust.get("/tidegauge/json").text)
        assert told["generator"]["scheduled"] >= told["generator"]["started"] > 100
        assert [row["t_s"] for row in told["series"]] == sorted({row["t_s"] for row in told["series"]})
        csv = locust.get("/tidegauge/csv/series").text
        assert len(csv.splitlines()) == len(told["series"]) + 1
        assert page.ask("document.title") != "owned"
        assert page.ask(f"{INSIDE}.title") == "tidegauge: live"
        assert page.faults == []


def test_browser_many_subjects(page: Page, tmp_path: Path) -> None:
    """Of many names as many are shown as one can read, the others are a word or a click away, and it stays quick."""
    (tmp_path / "theirs.py").write_text(THEIRS)
    with (
        serving(tmp_path) as server,
        web(tmp_path, "-f", f"{lane.PLUGIN},theirs.py", "-u", "100", "-r", "100", "--host", server.url) as locust,
    ):
        start(page, locust.url)
        page.open(f"{locust.url}/tidegauge?view=percentiles")
        page.wait("document.querySelector('.note')?.textContent.startsWith('2')")
        assert page.ask("document.querySelectorAll('tbody tr').length") == 50
        page.ask("document.querySelector('section > button').click()")
        page.wait("document.querySelectorAll('tbody tr').length > 200")
        page.ask("""(() => {
          const search = document.querySelector('input[type=search]');
          search.value = 'thing 77 due';
          search.dispatchEvent(new Event('input'));
        })()""")
        cells = page.ask(CELLS)
        assert cells[:2] == ["GET thing 77", "due"]
        assert page.ask("[...document.querySelectorAll('tbody tr')].every(r => r.textContent.includes('thing 77'))")
        page.ask("""(() => {
          const search = document.querySelector('input[type=search]');
          search.value = 'thing';
          search.dispatchEvent(new Event('input'));
          [...document.querySelectorAll('th button')].find(one => one.textContent.startsWith('p99 ')).click();
        })()""")
        column = (
            "(() => { const at = [...document.querySelectorAll('th')].findIndex(th => th.ariaSort);"
            "return [...document.querySelectorAll('tbody tr')]"
            ".map(row => +row.cells[at].textContent.replaceAll(',', '')) })()"
        )
        figures = page.ask(column)
        assert figures == sorted(figures, reverse=True)
        assert page.faults == []
