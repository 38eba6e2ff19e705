"""Locust's web UI with our plugin, as it is driven by hand, but without a browser: real runs, master and workers."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from support.locusts import FOREIGN, serving
from support.web import Locust, web
from tidegauge.load import lane

# Locust alone takes seconds to start, three of them longer.
pytestmark = pytest.mark.timeout(240)

TWO = """
class Others(HttpUser):
    @task
    def other(self):
        self.client.get("/other")
"""


def subjects(locust: Locust, view: str) -> set[str]:
    (table,) = locust.data(view)["tables"]
    return {row["subject"] for row in table["rows"]}


def until(locust: Locust, view: str, subject: str) -> None:
    ends_s = time.monotonic() + 60
    while time.monotonic() < ends_s and subject not in subjects(locust, view):
        time.sleep(0.2)
    assert subject in subjects(locust, view), locust.log.read_text()


def rows(locust: Locust) -> list[dict[str, Any]]:
    series: list[dict[str, Any]] = locust.data("charts")["series"]
    return series


def seconds_of(locust: Locust) -> list[float]:
    return [row["t_s"] for row in rows(locust)]


def test_runs_with_workers_and_a_class_picker(tmp_path: Path) -> None:
    """Workers run the classes that were picked and no other, and of a second run every second is its own."""
    (tmp_path / "theirs.py").write_text(FOREIGN + TWO)
    files = f"{lane.PLUGIN},theirs.py"
    with (
        serving(tmp_path) as server,
        web(tmp_path, "-f", files, "--host", server.url, "--class-picker", "--processes", "2") as locust,
    ):
        while "2 workers connected" not in locust.log.read_text():
            time.sleep(0.1)
        locust.start(20, user_classes="Theirs")
        until(locust, "workflows", "look")
        time.sleep(8)
        assert subjects(locust, "workflows") == {"look"}
        (table,) = locust.data("generator")["tables"]
        lost = {row["measure"]: row for row in table["rows"]}["workers_lost"]
        assert (lost["value"], lost["verdict"]) == (0, "pass")  # while they run nobody is missed
        locust.stop()
        first = seconds_of(locust)
        locust.start(20, user_classes="Others")
        until(locust, "workflows", "other")
        time.sleep(2)
        assert subjects(locust, "workflows") == {"other"}
        second = seconds_of(locust)
        for seconds in (first, second):
            assert seconds == sorted(set(seconds))
        assert second[-1] < first[-1]  # it began anew, and no worker counts on from before
        locust.stop()


def test_a_login_guards_ours_too(tmp_path: Path) -> None:
    """With --web-login nobody sees anything of ours before he is in."""
    login = """
from flask import Blueprint, redirect
from flask_login import UserMixin, login_user
from locust import events

class Person(UserMixin):
    def get_id(self):
        return "1"

@events.init.add_listener
def let_in(environment, **_):
    ui = environment.web_ui
    ui.login_manager.user_loader(lambda _id: Person())
    ui.app.config["SECRET_KEY"] = "of a test"
    ui.auth_args = {"username_password_callback": "/in"}
    pages = Blueprint("door", __name__)

    @pages.route("/in", methods=["GET", "POST"])
    def enter():
        login_user(Person())
        return redirect("/")

    ui.app.register_blueprint(pages)
"""
    (tmp_path / "theirs.py").write_text(FOREIGN + login)
    with (
        web(tmp_path, "-f", f"{lane.PLUGIN},theirs.py", "--host", "http://127.0.0.1:1", "--web-login") as locust,
        httpx.Client(base_url=locust.url, timeout=30) as client,
    ):
        for path in ("", "/data", "/json", "/csv/verdicts", "/static/page.js"):
            answer = client.get(f"/tidegauge{path}")
            assert answer.status_code == 302, path
            assert answer.headers["location"].startswith("/login"), path
        assert "tidegauge/static" not in client.get("/login").text
        client.get("/in")
        assert client.get("/tidegauge/data").json()["state"] == "ready"
        assert "tidegauge/static/tab.js" in client.get("/").text


def test_a_late_report_is_of_its_own_run() -> None:
    """What a worker counted before it heard of a run is no part of it."""
    program = """
from types import SimpleNamespace
from tidegauge.load.plugin import Plugin
taken = []
options = SimpleNamespace(tidegauge_start_at=7.0)
master = SimpleNamespace(
    _environment=SimpleNamespace(parsed_options=options), session=SimpleNamespace(absorb=taken.extend)
)
empty = {"histograms": [], "counters": {}, "peaks": {}}
for run, second in ((0.0, 99), (6.0, 60), (7.0, 1)):
    Plugin._from_worker(master, data={"tidegauge": [[second, empty]], "tidegauge_run": run})
print([second for second, _ in taken])
"""
    told = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert told.stdout == "[1]\n", told.stderr
