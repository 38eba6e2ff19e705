"""Watchers under real Locust on the real bot: what it says is heard whole, by the quick, the slow and the returning."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import textwrap
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from support.house import ROOT, House, open_house, wait_for
from tidegauge.budgets import Budgets
from tidegauge.load.sockets.delivery import judge_sockets
from tidegauge.load.sockets.heard import Tally
from tidegauge.load.sockets.streams import listen
from tidegauge.verdicts import Verdict
from users.stream import BOT

WITHIN_S = 60

# The three users, made short, and a session that is written down when Locust leaves: as soon as each has heard enough.
LOCUSTFILE = """
    import json, os
    from collections import Counter
    import gevent
    from locust import events
    from users import watchers

    class Watcher(watchers.Watcher):
        fixed_count = 6
        watch_s = 60.0

    class SlowWatcher(watchers.SlowWatcher):
        fixed_count = 2
        deaf_s, read_s = 1.0, 0.5

    class Reconnector(watchers.Reconnector):
        fixed_count = 6
        every_s = 1.0

    class Session:
        def __init__(self):
            self.counters, self.recorded = Counter(), {}
        def record(self, subject, clock, us):
            self.recorded.setdefault((subject, clock), []).append(us)
        def count(self, name, n=1):
            self.counters[name] += n

    def leave(runner, counters):
        while min(counters[f"{cohort}.messages"] for cohort in ("ws", "ws slow", "ws storm")) < 50:
            gevent.sleep(0.1)
        while counters["ws storm.connected"] < 18 or not os.path.exists(os.environ["ENOUGH"]):
            gevent.sleep(0.1)
        runner.quit()

    @events.init.add_listener
    def begin(environment, **_):
        environment.tidegauge = Session()
        gevent.spawn(leave, environment.runner, environment.tidegauge.counters)

    @events.quitting.add_listener
    def end(environment, **_):
        session = environment.tidegauge
        rows = [
            dict(subject=subject, clock=clock, phase="", count=len(us), p99_us=sorted(us)[len(us) * 99 // 100])
            for (subject, clock), us in session.recorded.items()
        ]
        with open(os.environ["ACCOUNT"], "w") as file:
            json.dump({"counters": session.counters, "clocks": rows}, file)
"""


def locust(house: House, folder: Path) -> subprocess.Popen[bytes]:
    """Locust on the bot; it ends when its users have heard enough, and in any case."""
    (folder / "locustfile.py").write_text(textwrap.dedent(LOCUSTFILE))
    command = [
        sys.executable,
        "-m",
        "locust",
        "-f",
        str(folder / "locustfile.py"),
        "--headless",
        "-u",
        "14",
        "-r",
        "14",
    ]
    return subprocess.Popen(
        [*command, "-t", f"{WITHIN_S}s", "--host", house.target.url, "--exit-code-on-error", "7"],
        env=os.environ
        | {
            "TRADEBOT_TOKEN": house.target.token,
            "ACCOUNT": str(folder / "account.json"),
            "ENOUGH": str(folder / "enough"),
            "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT / "load")]),
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


@pytest.mark.timeout(240)
def test_the_bots_stream_is_heard_whole_by_every_cohort(tmp_path: Path) -> None:
    """While it trades nobody misses, doubles or misreads a message; the storm comes back; no socket is left behind."""
    with open_house(tmp_path, seed=7, monitoring_cycle_s="0.2", api_heartbeat_s="0.2") as house:
        watched(house, tmp_path)


def watched(house: House, tmp_path: Path) -> None:
    with locust(house, tmp_path) as load:
        try:
            wait_for(lambda: house.get("/health")["sockets"] >= 10, "the watchers to listen")
            for _ in range(3):
                house.enter()
            (tmp_path / "enough").touch()
            said, _ = load.communicate(timeout=2 * WITHIN_S)
        finally:
            load.kill()
    assert load.returncode == 0, said.decode()[-3_000:]

    account: dict[str, Any] = json.loads((tmp_path / "account.json").read_text())
    counters = account["counters"]
    for cohort in ("ws", "ws slow", "ws storm"):
        assert counters[f"{cohort}.messages"] >= 50, counters
        assert counters[f"{cohort}.timed"] > 0, counters
    assert counters["ws storm.connected"] >= 18, counters
    assert not any(counters.get(f"{cohort}.{name}") for cohort in ("ws", "ws slow") for name in ("breaks", "missed"))
    found = judge_sockets(counters, account["clocks"], Budgets({}))
    assert {each.name: each.reason for each in found if each.verdict is not Verdict.PASS} == {}
    names = {each.name for each in found}
    assert {"load/ws/delivery_p99_ms", "load/ws slow/delivery_p99_ms", "load/ws storm/again_p99_ms"} <= names
    wait_for(lambda: house.get("/health")["sockets"] == 0, "the bot to have no listener left")


class Account:
    """A session that a test reads."""

    def __init__(self) -> None:
        self.counters: Counter[str] = Counter()

    def record(self, subject: str, clock: str, us: int) -> None: ...

    def count(self, name: str, n: int = 1) -> None:
        self.counters[name] += n


@pytest.mark.timeout(120)
def test_a_slow_client_loses_what_the_bot_says_it_lost_and_harms_nobody() -> None:
    """The bot drops the oldest messages of one that does not read, tells it how many, and the others miss nothing."""
    messages, quick = 3_000, 3
    account = Account()
    command = [sys.executable, "-m", "support.fan_out", str(quick + 1), "1", str(messages)]
    path = os.pathsep.join([str(ROOT / "src"), str(ROOT / "tests")])
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=os.environ | {"PYTHONPATH": path}
    ) as server:
        assert server.stdin is not None
        assert server.stdout is not None
        try:
            url, token = f"ws://127.0.0.1:{int(server.stdout.readline())}", {"Authorization": "Bearer let me in"}
            slow = Tally(account, "ws slow", BOT)
            lagging = listen(url, slow, headers=token, receive_buffer_bytes=4_096, stamped=False)
            lagging.stop_reading()
            tallies = [Tally(account, "ws", BOT) for _ in range(quick)]
            streams = [listen(url, tally, headers=token) for tally in tallies]
            while min(tally.messages for tally in tallies) < 1 + messages:  # a heartbeat, without a number, greets
                assert all(stream.wait(0.05) is None for stream in streams)
            lagging.read_on()
            while slow.last is None or slow.last < (tallies[0].last or 0):
                assert lagging.wait(0.05) is None
            for stream in (lagging, *streams):
                stream.close()
            dropped = int(server.communicate(timeout=20)[0])
        finally:
            server.kill()
    assert account.counters == {
        "ws.connected": quick,
        "ws.messages": quick * (1 + messages),
        "ws.numbered": quick * messages,
        "ws.timed": quick * (1 + messages),
        "ws slow.connected": 1,
        "ws slow.messages": slow.messages,
        "ws slow.numbered": messages - dropped,
        "ws slow.timed": 1 + messages - dropped,
        "ws slow.dropped": dropped,
    }
    assert dropped > 0
