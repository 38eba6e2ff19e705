"""Our routes and what we add to Locust's, over a Flask application that has Locust's names and a session of looks."""

from __future__ import annotations

import argparse
import csv
import io
import json
import re
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gevent
import pytest
from flask import Blueprint, Flask, abort
from flask.testing import FlaskClient

from support.looks import FORMULA, HOSTILE, Looks, finding
from tidegauge.load import ui
from tidegauge.load.judging.session import LoadSession
from tidegauge.load.ui.extending import PREFIX
from tidegauge.load.ui.source import KEPT_S, Source
from tidegauge.load.ui.views import DOWNLOADS, SERVER_ROWS_MAX, STATIC

ROUTES = ("", "/data", "/json", "/csv/verdicts", "/static/page.js")


class WebUI:
    """Locust's, as far as we touch it; while `is_closed` nobody is logged in."""

    def __init__(self, base: str = "") -> None:
        self.app = Flask(__name__)
        self.template_args: dict[str, Any] = {"extended_tabs": [{"key": "theirs", "title": "Theirs"}]}
        self.is_closed = False
        pages = Blueprint("locust", __name__, url_prefix=base)
        pages.add_url_rule("/", "index", self.auth_required_if_enabled(lambda: "<html><body><p></p></body></html>"))
        self.app.register_blueprint(pages)

    def auth_required_if_enabled(self, view: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(view)
        def guarded(*args: Any, **kwargs: Any) -> Any:
            return abort(401) if self.is_closed else view(*args, **kwargs)

        return guarded


class Bench:
    """An environment with our UI in it."""

    def __init__(self, base: str = "") -> None:
        self.now_s = 1_000.0
        self.session = Looks(lambda: self.now_s, head_start_s=60)
        self.web_ui = WebUI(base)
        runner = SimpleNamespace(state="running")
        self.environment = SimpleNamespace(
            tidegauge=self.session, web_ui=self.web_ui, runner=runner, host="http://127.0.0.1:1"
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(ui, "Source", lambda environment: Source(environment, lambda: self.now_s, lambda: 0.0))
            ui.install(self.environment)
        self.client: FlaskClient = self.web_ui.app.test_client()


@pytest.fixture
def bench() -> Bench:
    return Bench()


def rows_of(response: Any) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(response.get_data(as_text=True))))


def test_ui_without_web_ui() -> None:
    """A worker and a headless run have no web UI, and nothing is installed there."""
    ui.install(SimpleNamespace(web_ui=None))


def test_ui_tabs(bench: Bench) -> None:
    """Our tabs stand behind those of the locustfile, and each names a view that the page has data for."""
    keys = [tab["key"] for tab in bench.web_ui.template_args["extended_tabs"]]
    assert keys[:2] == ["theirs", f"{PREFIX}charts"]
    for key in keys[2:]:
        view = key.removeprefix(PREFIX)
        told = bench.client.get(f"/tidegauge/data?view={view}").get_json()
        assert [table["key"] for table in told["tables"]] == [view]
        assert told["tables"][0]["rows"], view
        assert "series" not in told  # nobody looks at the charts
    charts = bench.client.get("/tidegauge/data?view=charts").get_json()
    assert (len(charts["series"]), len(charts["server"]), charts["tables"]) == (60, 60, [])


def test_ui_newest(bench: Bench) -> None:
    """What is told is the newest there is."""

    def scheduled() -> list[Any]:
        (table,) = bench.client.get("/tidegauge/data?view=generator").get_json()["tables"]
        return [row["value"] for row in table["rows"] if row["measure"] == "scheduled"]

    assert scheduled() == [6_000]
    bench.now_s += 10
    assert scheduled() == [7_000]


def test_ui_order_of_verdicts(bench: Bench) -> None:
    """The worst verdict comes first, of equal ones what was promised, and the page says what it hangs on."""
    told = bench.client.get("/tidegauge/data?view=verdicts").get_json()
    rows = told["tables"][0]["rows"]
    assert [row["verdict"] for row in rows] == ["fail", "undecided", "not_measured", "pass", "pass"]
    assert told["why"].startswith("load/entry/p99_due_ms: the answer to an entry came later than promised")
    findings = [finding("load/a/x", "pass"), finding("load/b/x", "pass", budget={"max": 1.0, "unit": "", "why": ""})]
    bench.session.snapshot = lambda: {**Looks(lambda: 0.0).snapshot(), "verdicts": findings}  # type: ignore[method-assign]
    bench.now_s += 10
    told = bench.client.get("/tidegauge/data?view=verdicts").get_json()
    assert [row["finding"] for row in told["tables"][0]["rows"]] == ["load/b/x", "load/a/x"]
    assert told["why"] == ""


def test_ui_long_run_is_sent_thinned(bench: Bench) -> None:
    """Of a long run the page gets at first as many looks at the server as it can draw, and then each new one."""
    bench.session = Looks(lambda: bench.now_s, head_start_s=3 * SERVER_ROWS_MAX)
    bench.environment.tidegauge = bench.session
    first = bench.client.get("/tidegauge/data?view=charts").get_json()["server"]
    assert SERVER_ROWS_MAX / 2 <= len(first) <= SERVER_ROWS_MAX
    since_s = first[-17]["t_s"]
    later = bench.client.get(f"/tidegauge/data?view=charts&server={since_s}").get_json()["server"]
    assert later[0] == first[-17]
    assert later[1]["t_s"] == since_s + 1


def test_ui_script_in_index(bench: Bench) -> None:
    """Locust's own page gets our script once, which shows the charts in their tab."""
    page = bench.client.get("/").get_data(as_text=True)
    assert page == '<html><body><p></p><script src="./tidegauge/static/tab.js" defer></script></body></html>'


def test_ui_login(bench: Bench) -> None:
    """Where Locust wants a login, each of our routes does, and nothing of ours is in what it answers instead."""
    bench.web_ui.is_closed = True
    for route in ROUTES:
        assert bench.client.get(f"/tidegauge{route}").status_code == 401, route
    assert "tidegauge" not in bench.client.get("/").get_data(as_text=True)
    rules = {rule.rule for rule in bench.web_ui.app.url_map.iter_rules() if rule.endpoint.startswith("tidegauge.")}
    assert len(rules) == len(ROUTES)


@pytest.mark.parametrize("base", ["", "/under/this"])
def test_ui_routes_below_base_path(base: str) -> None:
    """Our routes lie where Locust's lie, and the addresses in the page are relative to it."""
    client = Bench(base).client
    for route in ROUTES:
        assert client.get(f"{base}/tidegauge{route}").status_code == 200, route
    for file in STATIC.glob("*"):
        assert not re.search(r"""(src|href|fetch\(|url\()=?["'`]?/""", file.read_text()), file.name


def test_ui_downloads(bench: Bench) -> None:
    """Every download that Locust's page offers is there, as a file with a name, or as the page itself."""
    names = set()
    for download in DOWNLOADS[1:]:
        response = bench.client.get(download["href"].removeprefix("."))
        assert response.status_code == 200, download
        names.add(response.headers["Content-Disposition"])
    assert len(names) == len(DOWNLOADS) - 1
    assert bench.client.get(DOWNLOADS[0]["href"].removeprefix(".")).mimetype == "text/html"


def test_ui_json_is_the_snapshot(bench: Bench) -> None:
    """The JSON download is the snapshot, whole and unchanged; what is not a number is null, for NaN is no JSON."""
    bench.session.snapshot = snapshot = Looks(lambda: 5.0).snapshot  # type: ignore[method-assign]
    told = json.loads(bench.client.get("/tidegauge/json").data)
    assert told == snapshot()
    broken = {**snapshot(), "generator": {"cpu_share": float("nan")}}
    bench.session.snapshot = lambda: broken  # type: ignore[method-assign]
    bench.now_s += 10
    assert json.loads(bench.client.get("/tidegauge/json").data)["generator"] == {"cpu_share": None}


def test_ui_csv(bench: Bench) -> None:
    """A table's file holds its columns unrounded, with an empty cell for what was not measured."""
    rows = rows_of(bench.client.get("/tidegauge/csv/verdicts"))
    assert rows[0]["finding"] == "load/entry/p99_due_ms"
    assert (rows[0]["value"], rows[0]["max"], rows[0]["min"]) == ("212.5", "150.0", "")
    series = rows_of(bench.client.get("/tidegauge/csv/series"))
    assert len(series) == 60
    assert series[3]["p99_due_us"] == ""
    server = rows_of(bench.client.get("/tidegauge/csv/server"))
    assert server[8]["queues.bus.length"] == "8"
    assert bench.client.get("/tidegauge/csv/nonsense").status_code == 404


def test_ui_names_are_no_formulas(bench: Bench) -> None:
    """A name that a spreadsheet would run is a text in the file, and a negative figure stays one."""
    subjects = [row["subject"] for row in rows_of(bench.client.get("/tidegauge/csv/percentiles"))]
    assert f"'{FORMULA}" in subjects
    assert FORMULA not in subjects
    assert HOSTILE in subjects
    told = {**Looks(lambda: 0.0).snapshot(), "series": [{"t_s": 0.0, "p50_due_us": -1.5}]}
    bench.session.snapshot = lambda: told  # type: ignore[method-assign]
    bench.now_s += 10
    assert rows_of(bench.client.get("/tidegauge/csv/series"))[0]["p50_due_us"] == "-1.5"


def test_ui_names_are_no_markup(bench: Bench) -> None:
    """Names reach the browser as JSON; the page itself holds none, and its policy allows no script but ours."""
    page = bench.client.get("/tidegauge")
    assert HOSTILE not in page.get_data(as_text=True)
    assert "script-src 'self'" in page.headers["Content-Security-Policy"]
    assert bench.client.get("/tidegauge/data").mimetype == "application/json"
    for script in STATIC.glob("*.js"):
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", script.read_text())


def test_ui_data_since(bench: Bench) -> None:
    """The page gets the rows since the second it names on each axis, that one included, and all if it names none."""
    told = bench.client.get("/tidegauge/data").get_json()
    assert (len(told["series"]), len(told["server"])) == (60, 60)
    told = bench.client.get("/tidegauge/data?series=57.0&server=59.5").get_json()
    assert [row["t_s"] for row in told["series"]] == [57.0, 58.0, 59.0]
    assert [row["t_s"] for row in told["server"]] == [59.5]
    for nonsense in ("never", "nan", ""):
        assert bench.client.get(f"/tidegauge/data?series={nonsense}").status_code == 400, nonsense


def test_ui_verdict(bench: Bench) -> None:
    """The page leads with the worst verdict, which is not_measured where there is no finding at all."""
    assert bench.client.get("/tidegauge/data").get_json()["verdict"] == "fail"
    told = {**Looks(lambda: 0.0).snapshot(), "verdicts": []}
    bench.session.snapshot = lambda: told  # type: ignore[method-assign]
    bench.now_s += 10
    assert bench.client.get("/tidegauge/data").get_json()["verdict"] == "not_measured"


def test_ui_nothing_measured_is_no_zero(bench: Bench) -> None:
    """A figure that nobody has is a dash in the tables, never 0."""
    tables = {table["key"]: table for table in bench.client.get("/tidegauge/data").get_json()["tables"]}
    lacking = next(row for row in tables["verdicts"]["rows"] if row["verdict"] == "not_measured")
    assert (lacking["value"], lacking["low"]) == ("\N{EN DASH}", "\N{EN DASH}")
    assert "gc_pause_ms" not in {row["measure"] for row in tables["server"]["rows"]}


def test_ui_units(bench: Bench) -> None:
    """A person reads ms, MiB and %, with the unit beside the figure."""
    tables = {table["key"]: table["rows"] for table in bench.client.get("/tidegauge/data").get_json()["tables"]}
    generator = {row["measure"]: (row["value"], row["unit"], row["verdict"]) for row in tables["generator"]}
    assert generator["lag_p99"] == (0.612, "ms", "pass")
    assert generator["achieved_share"][:2] == (99, "%")
    assert generator["littles_law_off"][:2] == (1.3, "%")
    server = {row["measure"]: (row["least"], row["unit"]) for row in tables["server"]}
    assert server["rss_bytes"] == (180, "MiB")
    assert tables["workflows"][0]["p99_ms"] == 305


def test_ui_looking_is_bounded(bench: Bench) -> None:
    """However many look, the session is asked once in `KEPT_S`, and less often where its answer is dear."""
    bench.session.asked = 0
    for route in ("/tidegauge/data", "/tidegauge/csv/server", "/tidegauge/json") * 5:
        bench.client.get(route)
    assert bench.session.asked == 1
    bench.now_s += KEPT_S
    bench.client.get("/tidegauge/data")
    assert bench.session.asked == 2

    now_s = 0.0

    class Dear:
        asked = 0

        def still(self, pause: Callable[[], None]) -> Dear:
            self.pause = pause
            return self

        def snapshot(self) -> dict[str, Any]:
            nonlocal now_s
            now_s += 0.5
            self.asked += 1
            return {}

    dear = Dear()
    source = Source(SimpleNamespace(tidegauge=dear), lambda: now_s, lambda: now_s)
    while now_s < 100:
        source.snapshot()
        now_s += 0.25
    assert 0.5 * dear.asked <= 100 / 20 + 0.5


def test_ui_looking_makes_pauses() -> None:
    """Whatever else the process has to do comes between the parts of a look, and who looks meanwhile gets the last."""
    session = LoadSession()
    for number in range(40):
        session.record(f"GET |{number}", "service", 1_000)
    session.tick()
    source = Source(SimpleNamespace(tidegauge=session), lambda: 0.0, lambda: 0.0)
    source.snapshot()
    source._until_s = -1.0
    between: list[int] = []

    def others() -> None:
        while looking:
            session.record("GET |new", "service", 1_000)  # as arrivals do
            session.tick()
            between.append(len(source.snapshot()["clocks"]))
            gevent.sleep(0)

    looking = True
    greenlet = gevent.spawn(others)
    assert len(source.snapshot()["clocks"]) == 40  # it stood still for as long as it took
    looking = False
    greenlet.join()
    assert len(between) > 40
    assert set(between) <= {40}
    source._until_s = -1.0
    assert len(source.snapshot()["clocks"]) == 41


def test_ui_loopback() -> None:
    """Unasked the web UI is for this machine alone; asked, it goes where it is told."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--web-host", default="")
    ui.prefer_loopback(parser)
    assert parser.parse_args([]).web_host == "127.0.0.1"
    assert parser.parse_args(["--web-host", "*"]).web_host == "*"


def test_ui_needs_no_network() -> None:
    """Script, style and page name no other machine."""
    for file in sorted(Path(STATIC).iterdir()):
        addresses = re.findall(r"https?://[^\"'\s]+", file.read_text())
        assert set(addresses) <= {"http://www.w3.org/2000/svg"}, file.name
