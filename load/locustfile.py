"""The reference workloads: `locust -f load/locustfile.py --host http://127.0.0.1:8080`, the token in TRADEBOT_TOKEN.

Users of `users/` are found by Locust itself; `--shape` gives it one of `shapes/`, whose peak `--users` and whose length
`--run-time` replace. Before the load the bot is looked at, and after it, when Locust is about to leave, its invariants
are judged: what broke, or could not be judged, is printed and becomes the exit status, however fast the answers were.
"""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser
from typing import Any

import gevent
import httpx
from locust import events
from locust.runners import WorkerRunner

import invariants
from aftermath import Before
from shapes.closed import SHAPES
from tidegauge.errors import TidegaugeError
from tidegauge.load.ui import prefer_loopback
from tidegauge.verdicts import SEVERITY, Verdict, worst
from users.acknowledger import Acknowledger
from users.answers import Wrong
from users.dashboard import Dashboard
from users.lifecycle import Lifecycle
from users.trader import Trader

__all__ = ["Acknowledger", "Dashboard", "Lifecycle", "Trader"]

log = logging.getLogger("tidegauge.load")

API_TIMEOUT_S = 20.0
WRONG_USE = TidegaugeError.exit_code


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: ArgumentParser, **_: Any) -> None:
    """A shape by name; and the web interface, which can start a load on anything, is for this machine alone."""
    group = parser.add_argument_group("Workload of the reference bot")
    group.add_argument("--shape", choices=list(SHAPES), help="load that changes over time; peak by -u, length by -t")
    prefer_loopback(parser)


@events.init.add_listener  # type: ignore[untyped-decorator]
def bind(environment: Any, **_: Any) -> None:
    """The shape that was asked for, and the invariants around the load; a worker only sends requests."""
    if not os.environ.get("TRADEBOT_TOKEN"):
        log.error("TRADEBOT_TOKEN is not set: give these users the token that the bot was started with.")
        sys.exit(WRONG_USE)
    if isinstance(environment.runner, WorkerRunner):
        return
    # The loop's clock still stands where Locust began to import: without this --run-time loses the seconds since then.
    gevent.get_hub().loop.update_now()
    options = environment.parsed_options
    if options is not None and options.shape:
        shape = SHAPES[options.shape](peak=options.num_users, seconds=options.run_time)
        shape.runner = environment.runner
        environment.shape_class = shape
    logging.getLogger("httpx").setLevel(logging.WARNING)  # a line for each look at the bot is not news
    watch = Watch(environment)
    environment.events.test_start.add_listener(watch.look_before)
    environment.events.quitting.add_listener(watch.judge)


class Watch:
    """The bot before the load and after it; of several loads in one Locust the first one's beginning counts."""

    def __init__(self, environment: Any) -> None:
        self._environment = environment
        self._started = False
        self._before: Before | None = None

    def look_before(self, **_: Any) -> None:
        if self._started:
            return
        self._started = True
        try:
            with self._api() as api:
                self._before = Before.read(api)
        except (httpx.HTTPError, Wrong) as error:
            log.error("The bot does not say how it is before the load: %r", error)

    def judge(self, **_: Any) -> None:
        """Judge, print, and leave with the status of the worst."""
        if not self._started:
            return
        runner = self._environment.runner
        if runner.state not in {"ready", "stopped"}:
            runner.stop()  # interrupted: nobody may trade while the books are compared
        port = os.environ.get("TIDEGAUGE_PORT_CONTROL")
        with self._api() as api:
            findings = invariants.check(api, self._before, int(port) if port else None)
        for finding in sorted(findings, key=lambda each: SEVERITY.index(each.verdict)):
            say = log.error if finding.verdict is Verdict.FAIL else log.info
            say("%s %s: %s", finding.verdict.replace("_", " "), finding.name, finding.reason)
        session = getattr(self._environment, "tidegauge", None)
        if session is not None:
            for finding in findings:
                session.add(finding)
            return  # its own gate judges all that it holds
        verdict = worst(finding.verdict for finding in findings)
        failed = runner.errors or runner.exceptions  # Locust says so by itself, and nothing is worse
        if verdict is Verdict.FAIL or (verdict is not Verdict.PASS and not failed):
            self._environment.process_exit_code = verdict.exit_status

    def _api(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._environment.host,
            headers={"Authorization": f"Bearer {os.environ.get('TRADEBOT_TOKEN', '')}"},
            timeout=API_TIMEOUT_S,
            trust_env=False,
        )
