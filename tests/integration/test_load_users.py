"""The workloads under plain Locust: over the real bot everything is right, over a liar each user finds its own lie."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import count
from pathlib import Path
from typing import Any, ClassVar

import msgspec
import pytest

from support.answered import condor, workflow
from support.house import House, wait_for
from support.locustfiles import swarm
from tidegauge.load.judging import result

# Locust alone takes seconds to start, and the bot under it as long again.
pytestmark = pytest.mark.timeout(180)
PASSING = ("orders_at_venue", "orders_doubled", "positions", "limits", "queues", "tasks", "workflows")


@pytest.mark.load
def test_the_workloads_run_over_the_real_bot_and_find_nothing_wrong(house: House, tmp_path: Path) -> None:
    """Every route is asked, entries are opened and closed, an alert is acknowledged, and every invariant holds."""
    house.control.fault("reset")
    wait_for(lambda: house.get("/api/alerts?state=active"), "the alert of a lost connection")
    house.control.fault("reset", on=False)
    wait_for(lambda: house.get("/health")["connected"], "the connection to be back")
    ended = swarm(
        tmp_path,
        house.target.url,
        *("--headless", "-u", "20", "-r", "20", "-t", "4s"),
        token=house.target.token,
        TIDEGAUGE_PORT_CONTROL=str(house.target.ports["control"]),
    )
    assert ended.failures == {}, ended.said
    assert ended.verdicts() == dict.fromkeys(PASSING, "pass"), ended.said
    assert ended.status in {0, 4}  # 4: four seconds are too short for a promise, or the machine was too busy to say
    assert {
        "POST /api/workflows/entry",
        "POST /api/workflows/exit",
        "GET /api/workflows/{workflow_id}",
        "GET /api/strategies/{strategy_id}",
        "POST /api/workflows/entry/dry-run",
        "POST /api/alerts/{alert_id}/acknowledge",
        "GET /health",
    } <= ended.requests.keys()
    assert house.get("/api/alerts?state=active") == []
    strategies = house.get("/api/strategies?limit=1000")
    assert any(each["state"] == "closed" for each in strategies)


class Quiet(ThreadingHTTPServer):
    """A client that goes away in the middle of a sentence is no news here."""

    daemon_threads = True

    def handle_error(self, *_: Any) -> None:
        """Nobody reads it."""


class Liar(BaseHTTPRequestHandler):
    """Answers every question of its clients at once, in the right shape; nothing of what it says is true."""

    protocol_version = "HTTP/1.1"
    numbers = count(1)
    symbols: ClassVar[dict[str, str]] = {}  # by workflow

    def do_GET(self) -> None:
        path, _, query = self.path.partition("?")
        *_, room, name = path.split("/")
        if room == "workflows":
            asked = {"type": "entry", "symbol": self.symbols[name], "kind": "iron_condor", "quantity": 1}
            self._answer(workflow(id=name, strategy_id=f"s-{name}", request=asked))
        elif room == "strategies":
            entry = name.removeprefix("s-")
            self._answer(condor(id=name, symbol=self.symbols[entry], applied=[entry]))
        elif name == "alerts":
            self._answer([] if "acknowledged" in query else [_alert()])
        elif name == "limits":
            self._answer({"remaining": {query.partition("symbol=")[2]: {"vix": 1.0}}})
        else:
            self._answer([], status=200 if name in {"positions", "orders", "strategies", "workflows"} else 404)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        if self.path.endswith("/dry-run"):
            self._answer({"plan": None, "accepted": True, "limit": "", "reason": ""})
        elif self.path.endswith("/acknowledge"):
            self._answer(_alert())
        else:
            name = f"w{next(self.numbers)}"
            self.symbols[name] = json.loads(body)["symbol"]
            accepted = {"id": name, "state": "accepted", "location": f"/api/workflows/{name}"}
            self._answer(accepted, status=202, location=accepted["location"])

    def _answer(self, facts: Any, *, status: int = 200, location: str = "") -> None:
        body = msgspec.json.encode(facts)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        if location:
            self.send_header("Location", location)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Nobody reads it."""


def _alert() -> dict[str, Any]:
    text: dict[str, Any] = json.loads(
        '{"id":"a1","severity":"info","state":"active","source":"s","message":"m",'
        '"at":"2026-11-20T15:00:00Z","symbol":"","changed_at":null}'
    )
    return text


@pytest.fixture
def liar() -> Iterator[str]:
    server = Quiet(("127.0.0.1", 0), Liar)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_server_that_answers_fast_and_wrongly_fails(liar: str, tmp_path: Path) -> None:
    """Each lie is a failed request, named by what was wrong, and the books of such a bot are a failed invariant."""
    ended = swarm(tmp_path, liar, "--headless", "-u", "40", "-r", "40", "-t", "4s")
    assert ended.status == 1, ended.said
    assert ended.failures["GET /api/positions"] == {"a fill did not change the position"}
    assert ended.failures["POST /api/workflows/entry"] == {"an idempotent replay made a second workflow"}
    assert ended.failures["POST /api/workflows/entry/dry-run"] == {"a dry run accepted no plan"}
    unread = {"an acknowledged alert does not read acknowledged"}
    assert ended.failures["POST /api/alerts/{alert_id}/acknowledge"] == unread
    assert ended.failures["GET /health"] == {"status 404, without a reason from the bot"}
    assert ended.verdicts() == {"answered": "fail"}


@pytest.mark.load
def test_a_shape_is_followed_to_its_end(liar: str, tmp_path: Path) -> None:
    """--shape brings its own number of closed users and ends by itself; -u and -t only scale it."""
    closed = "--tidegauge-mode=closed"
    ended = swarm(tmp_path, liar, "--headless", closed, "--shape", "step", "-u", "8", "-t", "3s")
    levels = [line.partition("updating to ")[2].split()[0] for line in ended.said.splitlines() if "updating to" in line]
    assert levels, ended.said
    assert set(levels) <= {"1", "2", "4", "8"}
    assert "Shape test stopping" in ended.said


def test_a_shape_is_arrivals_in_open_loop(liar: str, tmp_path: Path) -> None:
    """The same --shape is a rate over time with its phases, listeners stand beside it, and the server is looked at."""
    path = tmp_path / "load.json"
    swarm(tmp_path, liar, "--headless", "--shape", "spike", "-u", "40", "-t", "4s", f"--tidegauge-result={path}")
    snapshot = result.read(path).snapshot
    assert {row["phase"] for row in snapshot["clocks"] if row["clock"] == "workflow"} >= {"steady", "spike", "recovery"}
    assert snapshot["generator"]["scheduled"] == pytest.approx(35.6, abs=2)  # 4 s at a peak of 40, mostly an eighth
    assert snapshot["counters"]["ws.refused"] > 0  # this server has no stream
    assert all(0 <= row["t_s"] <= snapshot["elapsed_s"] for row in snapshot["server"])
    assert any(row["rss_bytes"] for row in snapshot["server"])


@pytest.mark.load
def test_the_web_interface_is_for_this_machine_alone(liar: str, tmp_path: Path) -> None:
    """Whoever reaches it can start a load on anything, so by default nobody else does."""
    ended = swarm(tmp_path, liar, "--autostart", "--autoquit", "0", "--web-port", "0", "-u", "1", "-t", "1s")
    assert "web interface at http://127.0.0.1" in ended.said


@pytest.mark.load
def test_without_a_token_nothing_is_sent(liar: str, tmp_path: Path) -> None:
    """One line says what is missing, in place of a thousand answers of 401."""
    ended = swarm(tmp_path, liar, "--headless", "-u", "2", "-t", "3s", token="")
    assert ended.requests == {}
    assert "TRADEBOT_TOKEN is not set" in ended.said
    assert ended.status == 2
