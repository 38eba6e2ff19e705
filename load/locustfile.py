"""The reference workloads: `locust -f load/locustfile.py --host http://127.0.0.1:8080`, the token in TRADEBOT_TOKEN.

Users of `users/` are found by Locust itself. In open loop, which is how our plugin runs them, those who trade and read
arrive, and those who listen stand beside them. `--shape` gives Locust one of `shapes/`, whose peak `--users` and whose
length `--run-time` replace; with `--class-picker` a person picks users and a shape in the web UI. Before the load the
bot is looked at, and after it, when Locust is about to leave, its invariants are judged: what broke, or could not be
judged, is printed and becomes the exit status, however fast the answers were.
"""

from __future__ import annotations

import logging
import os
import sys
from argparse import ArgumentParser
from typing import Any

import httpx
from locust import events
from locust.runners import WorkerRunner

import invariants
from aftermath import Before
from shapes.closed import SHAPES
from tidegauge.errors import TidegaugeError
from tidegauge.load import plugin
from tidegauge.verdicts import SEVERITY, Verdict
from users import access
from users.acknowledger import Acknowledger
from users.answers import Wrong
from users.dashboard import Dashboard
from users.lifecycle import Lifecycle
from users.trader import Trader
from users.watchers import Reconnector, SlowWatcher, Watcher

__all__ = ["Acknowledger", "Dashboard", "Lifecycle", "Reconnector", "SlowWatcher", "Trader", "Watcher"]

plugin.register()  # before the listeners below, which use its session

log = logging.getLogger("tidegauge.load")

API_TIMEOUT_S = 20.0
WRONG_USE = TidegaugeError.exit_code


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: ArgumentParser, **_: Any) -> None:
    """A shape by name."""
    group = parser.add_argument_group("Workload of the reference bot")
    group.add_argument("--shape", choices=list(SHAPES), help="load that changes over time; peak by -u, length by -t")


@events.init.add_listener  # type: ignore[untyped-decorator]
def bind(environment: Any, **_: Any) -> None:
    """The shape that was asked for, and the invariants around the load; a worker only sends requests."""
    if not access.token():
        log.error(access.MISSING)
        sys.exit(WRONG_USE)
    os.environ["TIDEGAUGE_TOKEN"] = access.token()  # for the plugin, which asks for the bot's metrics
    if isinstance(environment.runner, WorkerRunner):
        return
    options = environment.parsed_options
    environment.available_shape_classes = {kind.__name__: kind() for kind in SHAPES.values()}
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
        """Judge, print, and hand it on."""
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
        for finding in findings:
            self._environment.tidegauge.add(finding)  # whose gate judges all that it holds

    def _api(self) -> httpx.Client:
        return httpx.Client(
            base_url=self._environment.host,
            headers=access.headers(),
            timeout=API_TIMEOUT_S,
            trust_env=False,
        )
