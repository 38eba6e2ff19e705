"""Binds Locust to us: `locust -f .../plugin.py,their_locustfile.py`, or `import tidegauge.load.plugin` in a locustfile.

Locust's events are all that is used. `init` makes the `LoadSession` and hangs it on the environment; in open loop it
puts `Token` in the place of the user classes, which become what arrivals choose from. When a test starts, each
generating process (`node`) lays out its share of the schedule: the master names the workers and a common moment. A
request goes into the session's clocks, and so do the looks of a sampler that runs beside this process; reports carry a
worker's intervals to its master. A test that stops is drained first, on every worker, before Locust tears it down. In
`quitting`, when the last sample is here, the verdict becomes the process's exit status: 0 pass, 1 fail, 3 undecided, 4
not measured.
"""

import logging
import time
from pathlib import Path
from typing import Any, Final, cast

import gevent
import gevent.event
import msgspec
from locust import events
from locust.dispatch import UsersDispatcher
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from tidegauge.load import ui
from tidegauge.load.arrivals import generator, options
from tidegauge.load.arrivals.node import START_AFTER_S, Node
from tidegauge.load.arrivals.options import Settings
from tidegauge.load.arrivals.requests import Requests
from tidegauge.load.judging import result
from tidegauge.load.judging.session import LoadSession
from tidegauge.load.server.beside import Beside
from tidegauge.load.times.clocks import Clocks
from tidegauge.verdicts import Verdict, worst

DRAIN: Final = "tidegauge_drain"
FINAL: Final = "tidegauge_final"
# In a worker's report: which run its intervals are of.
RUN: Final = "tidegauge_run"
FINAL_MARGIN_S: Final = 3.0
INIT_POLL_S: Final = 0.01
LOOK_S: Final = 1.0
logger = logging.getLogger("tidegauge.load")


class Plugin:
    """One process of Locust: alone, a worker, or the master."""

    def __init__(self, environment: Environment) -> None:
        self._environment: Any = environment
        runner = environment.runner
        self._runner = cast("Any", runner)
        self._classes = [kind for kind in environment.user_classes if kind is not generator.Token]
        self._finals = gevent.event.Event()
        self._is_over = False
        self._timer: Any = None
        self._is_master = isinstance(runner, MasterRunner)
        self._is_worker = isinstance(runner, WorkerRunner)
        self.session = LoadSession()
        if (log := Settings.of(environment.parsed_options).log) and not self._is_worker:
            self.session.on_second = result.Log(Path(log)).write
        self.node = Node(environment, self.session, report=self._report)
        if Settings.of(environment.parsed_options).open_loop:
            self._put_tokens()
        self._beside: Beside | None = None
        hooks = environment.events
        if self._is_worker:
            hooks.test_start.add_listener(self._test_start)
        else:
            # The last of all who listen, so that whoever looks at the target before the load has looked by then.
            gevent.spawn(hooks.test_start.add_listener, self._test_start)
            gevent.spawn(self._look_on)
        hooks.test_stopping.add_listener(self._test_stopping)
        hooks.quitting.add_listener(self._quitting)
        hooks.request.add_listener(Requests(self.session).record)
        if self._is_worker:
            hooks.report_to_master.add_listener(self._to_master)
            self._runner.register_message(DRAIN, self._drained, concurrent=True)
        if self._is_master:
            hooks.worker_report.add_listener(self._from_worker)
            hooks.worker_connect.add_listener(self._joined)
            self._runner.register_message(FINAL, self._final)
            self._environment.dispatcher_class = cast("Any", self._dispatcher)

    def _dispatcher(self, worker_nodes: list[Any], user_classes: list[type[Any]]) -> UsersDispatcher:
        """A master asks for one before its test starts: its workers have tokens to stand, whatever was picked."""
        if Settings.of(self._environment.parsed_options).open_loop:
            self._put_tokens()
            user_classes = self._environment.user_classes
        return UsersDispatcher(worker_nodes=worker_nodes, user_classes=user_classes)

    def _put_tokens(self) -> None:
        """The classes that were picked become what arrivals choose from."""
        picked = [kind for kind in self._environment.user_classes if kind is not generator.Token]
        self._classes = picked or self._classes
        self._environment.user_classes = [generator.Token]

    def _test_start(self, **_: Any) -> None:
        """On every process; on the master before its workers hear of it, so that they can hear of the schedule too."""
        parsed = self._environment.parsed_options
        if self._is_master:
            clients = self._runner.clients
            parsed.tidegauge_workers = [node.id for node in clients.ready + clients.running + clients.spawning]
            parsed.tidegauge_start_at = time.time() + START_AFTER_S
            parsed.tidegauge_joined = 0.0
        if not self._is_worker:  # what was picked in the web UI only this process knows
            if Settings.of(parsed).open_loop:
                self._put_tokens()
            parsed.tidegauge_classes = [kind.__name__ for kind in self._classes]
            parsed.tidegauge_shaped = msgspec.to_builtins(getattr(self._environment.shape_class, "profile", None))
        settings = Settings.of(parsed)
        self._watch_target(settings)
        if self._is_master:
            if self._timer:
                self._timer.kill()  # of a test that was stopped before its time: it would end this one
            schedule = settings.schedule() if settings.open_loop else None
            self.session.begin(settings.plan(schedule), started_s=time.perf_counter() + START_AFTER_S)
            self.session.workers = dict.fromkeys(settings.workers, False)
            self._finals.clear()
            self._is_over = False
            if schedule:
                self._timer = gevent.spawn_later(START_AFTER_S + schedule.profile.duration_s, self._end)
            return
        mine: int | None = 0
        if self._is_worker:
            name = self._runner.client_id
            mine = settings.workers.index(name) if name in settings.workers else None
        picked = [kind for kind in self._classes if kind.__name__ in settings.classes]
        self.node.start(settings, picked, index=mine, of=len(settings.workers) or 1)
        if not self._is_worker and self.node.done:
            self.node.done.rawlink(lambda _done: gevent.spawn(self._end))

    def _watch_target(self, settings: Settings) -> None:
        """Has the target looked at, wherever it is now; a worker's master does so for all of them."""
        host = self._environment.host or ""
        if self._is_worker or (self._beside and self._beside.url == host):
            return
        self._unwatch()
        if host.startswith(("http://", "https://")):
            path = Path(settings.log).with_name("server.jsonl") if settings.log else None
            self._beside = Beside(host, pid=settings.pid, metrics=settings.metrics_path, path=path)

    def _unwatch(self) -> None:
        beside, self._beside = self._beside, None
        if beside:
            beside.close()
            for row in beside.rows():
                self.session.see(row)

    def _look_on(self) -> None:
        """What was seen of the target goes to the session, whether a test runs or not."""
        self._watch_target(Settings.of(self._environment.parsed_options))  # now, because a start costs a core something
        while True:
            gevent.sleep(LOOK_S)
            for row in self._beside.rows() if self._beside else ():
                self.session.see(row)

    def _joined(self, client_id: str) -> None:
        """On the master: a worker came. In a running test a live rate has work for it; a schedule is shared out."""
        session, parsed = self.session, self._environment.parsed_options
        is_running = session.ended_s is None and bool(session.workers)
        if is_running and session.plan.profile is None and client_id not in session.workers:
            parsed.tidegauge_workers = [*parsed.tidegauge_workers, client_id]
            parsed.tidegauge_joined = session.elapsed_s
            session.workers[client_id] = False

    def _end(self) -> None:
        """The schedule is over: so is the test, and a headless Locust, also when every worker was lost before."""
        self._is_over = True
        if self._environment.parsed_options.headless:
            self._runner.quit()
        elif self.session.ended_s is None:
            self._runner.stop()

    def _test_stopping(self, **_: Any) -> None:
        if not self._is_master:
            self.node.stop()
            return
        if self.session.ended_s is not None or not self.session.workers:
            return
        for client in self._runner.clients.all:
            self._runner.send_message(DRAIN, {"is_over": self._is_over}, client_id=client.id)
        drain_s = Settings.of(self._environment.parsed_options).drain
        # A worker that began late has its schedule to finish before it drains.
        deadline_s = time.perf_counter() + 2 * drain_s + FINAL_MARGIN_S
        while self._awaited() and time.perf_counter() < deadline_s:
            self._finals.wait(0.2)
            self._finals.clear()
        self.session.ended_s = time.perf_counter()

    def _awaited(self) -> bool:
        """Whether a worker that is still there has not handed over everything."""
        gone = {client.id for client in self._runner.clients.missing}
        return any(
            not done and name in self._runner.clients and name not in gone
            for name, done in self.session.workers.items()
        )

    def _drained(self, msg: Any, **_: Any) -> None:
        """On a worker: the master ends the test."""
        self.node.stop(finish=msg.data["is_over"])
        data: dict[str, Any] = {}
        self._to_master(data=data)
        self._runner.send_message(FINAL, data)

    def _final(self, msg: Any, **_: Any) -> None:
        """On the master: a worker has handed over everything."""
        self._from_worker(data=msg.data)
        if msg.node_id in self.session.workers:  # and not one that stood by
            self.session.workers[msg.node_id] = True
        self._finals.set()

    def _to_master(self, data: dict[str, Any], **_: Any) -> None:
        intervals, self.session.outbox = self.session.take(), []
        data["tidegauge"] = [[second, clocks.to_builtins()] for second, clocks in intervals]
        data[RUN] = Settings.of(self._environment.parsed_options).start_at

    def _from_worker(self, data: dict[str, Any], **_: Any) -> None:
        # A worker that has not heard of this run yet counts the seconds of the one before, or of none.
        if data.get(RUN) != Settings.of(self._environment.parsed_options).start_at:
            return
        self.session.absorb([(second, Clocks.from_builtins(clocks)) for second, clocks in data.get("tidegauge", ())])

    def _report(self) -> None:
        """A second is over: a worker keeps it for its master."""
        if self._is_worker:
            self.session.take()
        else:
            self.session.tick()

    def _quitting(self, **_: Any) -> None:
        """The verdict becomes the exit status."""
        if self._is_worker:
            return
        self._test_stopping()  # Ctrl-C: nobody did it before
        self._unwatch()
        self.session.close()
        parsed = self._environment.parsed_options
        findings = self.session.verdicts()
        if settings_result := Settings.of(parsed).result:
            result.write(self.session, Path(settings_result))
        if not findings and not parsed.headless:
            return  # a web UI in which nothing was started
        verdict = worst(finding.verdict for finding in findings)
        for finding in findings:
            if finding.verdict is Verdict.FAIL or (finding.budget and finding.verdict is not Verdict.PASS):
                logger.warning("%s %s: %s", finding.verdict, finding.name, finding.reason)
        logger.info("tidegauge says %s", verdict)
        self._environment.process_exit_code = verdict.exit_status


def _init(environment: Environment, **_: Any) -> None:
    # The loop's clock still stands where Locust began to import: without this --run-time loses the seconds since then.
    gevent.get_hub().loop.update_now()
    plugin = Plugin(environment)
    environment.tidegauge = plugin.session  # type: ignore[attr-defined]
    ui.install(environment)


def _init_parser(parser: Any) -> None:
    options.add_arguments(parser)
    ui.prefer_loopback(parser)


def _hold_spawning() -> None:
    """A worker is known to its master before `init`: a load that began just then would find no user of ours in it."""
    handle = WorkerRunner.handle_message

    def handle_message(self: WorkerRunner, msg: Any) -> None:
        while msg.type == "spawn" and not hasattr(self.environment, "tidegauge"):
            gevent.sleep(INIT_POLL_S)
        handle(self, msg)

    WorkerRunner.handle_message = handle_message  # type: ignore[method-assign]


def register() -> None:
    """Once in a process, however often and under whatever name this file is loaded."""
    if not getattr(events, "tidegauge", False):
        events.tidegauge = True  # type: ignore[attr-defined]
        events.init.add_listener(_init)
        events.init_command_line_parser.add_listener(_init_parser)
        _hold_spawning()


register()
