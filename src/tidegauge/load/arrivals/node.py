"""One generating process: Locust's worker, or Locust alone. It generates while a test runs, and reports each second.

`start` lays out the schedule, lets those who stand beside it begin, and goes on in greenlets; `stop` waits for what is
in flight and closes the books. The process watches its own core too: a window of CPU_WINDOW_S that is busy from end to
end makes every figure doubtful.
"""

import collections
import gc
import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
import gevent.pool
from locust import User
from locust.env import Environment
from locust.user.task import filter_tasks_by_tags

from tidegauge.load.arrivals import names, receipts
from tidegauge.load.arrivals.generator import Generator, Token
from tidegauge.load.arrivals.options import Settings
from tidegauge.load.arrivals.pool import PREWARM_MAX, Work
from tidegauge.load.judging import honesty, slo
from tidegauge.load.judging.session import BEGAN_EARLY, BEGAN_LATE, LoadSession

# From the master's word to the first arrival: as long as the word takes to every worker.
START_AFTER_S: Final = 0.5
CPU_WINDOW_S: Final = 5.0
CPU_SHORTEST_S: Final = 2.0
LOOK_S: Final = 0.5
PREWARM_SHARE: Final = 0.05
# Objects made and not yet gone before the youngest are walked: so many take a millisecond or two. Then the ages above.
COLLECTS: Final = (2_000, 10, 10)
logger = logging.getLogger("tidegauge.load")


class Node:
    """What one process generates in one test after the other."""

    def __init__(self, environment: Environment, session: LoadSession, *, report: Callable[[], None]) -> None:
        self._environment = environment
        self._session = session
        self._report = report
        self._generator: Generator | None = None
        self._watch: Any = None
        self._tokens = 0
        self._standing: list[User] = []
        self._settings = Settings()
        self._collects = gc.get_threshold()

    def start(self, settings: Settings, classes: list[type[User]], *, index: int | None, of: int) -> None:
        """Begins a test; returns at once. No `index`: all of the schedule is with others."""
        schedule = settings.schedule() if settings.open_loop else None
        self._settings = settings
        # By the common clock, as far as hosts have one: none waits for longer than the word takes to all.
        wait_s = min(max(settings.start_at - time.time(), 0.0), START_AFTER_S)
        started_s = time.perf_counter() + wait_s - settings.joined
        self._session.begin(plan := settings.plan(schedule), started_s=started_s)
        names.watch(self._session, honesty.lag_ms_max(slo.tightest_p99_ms(plan.budgets)))
        self._watch = gevent.spawn(self._keep_watch)
        if not settings.open_loop:
            return
        if index is None:
            logger.warning("This worker came when the schedule had been shared out; it stands by until the next load.")
            return
        receipts.install()
        options: Any = self._environment.parsed_options
        for kind in classes:
            kind.host = self._environment.host or kind.host
            filter_tasks_by_tags(kind, set(options.tags or ()) or None, set(options.exclude_tags or ()) or None)
        # A file in which everybody stands has nobody else to arrive.
        coming = [kind for kind in classes if not standing(kind)] or classes
        self._stand([kind for kind in classes if kind not in coming], index, of)
        work = Work(coming, f"{settings.seed}/{index}")
        ticking = settings.ticking(schedule, index, of)
        self._generator = Generator(
            self._environment, self._session, work, schedule=ticking, in_flight_max=settings.in_flight
        )
        self._generator.started_s = started_s  # a live rate counts from when it is set
        peak_per_s = schedule.profile.peak_per_s / of if schedule else 0.0
        self._tokens = 0
        Token.changed = staticmethod(self._token)
        gevent.spawn(self._generate, self._generator, work, math.ceil(peak_per_s * PREWARM_SHARE), started_s)

    @property
    def running(self) -> bool:
        """Whether a test is going on."""
        return self._watch is not None

    @property
    def done(self) -> Any:
        """An event: the schedule is over. None where there is no schedule."""
        return self._generator.done if self._generator else None

    def stop(self, *, finish: bool = False) -> None:
        """Ends a test: nothing new, what is in flight gets its time, the last interval is reported."""
        generator, self._generator = self._generator, None
        if generator:
            generator.stop(self._settings.drain, finish=finish)
        if self._watch:
            self._watch.kill()
            self._watch = None
            for user in self._standing:
                user.stop(force=True)
            self._standing.clear()
            gc.set_threshold(*self._collects)
            gc.unfreeze()
            self._session.ended_s = time.perf_counter()
            self._report()

    def _stand(self, classes: list[type[User]], index: int, of: int) -> None:
        """This process's part of those who stand: they run as Locust's own users do, until the test is over."""
        group = gevent.pool.Group()
        for kind in classes:
            for _ in range(index, standing(kind), of):
                user = kind(self._environment)
                user.start(group)
                self._standing.append(user)

    def _generate(self, generator: Generator, work: Work, warm: int, started_s: float) -> None:
        if not work.kinds:
            logger.error("There is no task to run; give a user class at least one @task.")
            generator.done.set()
            return
        generator.pool.warm(work.kinds, min(warm, PREWARM_MAX, generator.pool.instances_max))
        _calm_collector()
        late_s = time.perf_counter() - started_s
        if late_s > 0 and not self._settings.joined:  # it begins when everything is ready, not while it is made so
            started_s += late_s
            self._session.started_s = started_s
        if self._settings.start_at and not self._settings.joined:
            late_s = time.time() - self._settings.start_at + started_s - time.perf_counter()
            self._session.peak(BEGAN_LATE, late_s)
            self._session.peak(BEGAN_EARLY, -late_s)
        gevent.get_hub().loop.update_now()
        generator.run(started_s)

    def _token(self, by: int) -> None:
        self._tokens += by
        if self._generator:
            self._generator.set_rate(self._tokens)

    def _keep_watch(self) -> None:
        """Each second's interval, and the busiest window of this process."""
        core = Core()
        reported_s = time.perf_counter()
        while True:
            now_s = time.perf_counter()
            core.look(now_s, time.process_time())
            self._session.peak("generator/cpu_share", core.share)
            if now_s - reported_s >= 1.0:
                reported_s = now_s
                self._report()
            gevent.sleep(LOOK_S)


def standing(kind: type[User]) -> int:
    """How many of a class stand beside the arrivals: who listens is due at no time, and leaves at none."""
    return int(getattr(kind, "standing", 0))


def _calm_collector() -> None:
    """A collection that walks all that was ever imported stops every arrival for some ten milliseconds, and one after
    every few requests, as is usual, takes a tenth of the core."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECTS)


class Core:
    """How busy a process keeps its core: its CPU time over the last CPU_WINDOW_S, or over all of a shorter life."""

    def __init__(self) -> None:
        self._samples: collections.deque[tuple[float, float]] = collections.deque()
        self.share = 0.0

    def look(self, now_s: float, cpu_s: float) -> None:
        """Call it again and again."""
        samples = self._samples
        samples.append((now_s, cpu_s))
        while now_s - samples[1 if len(samples) > 1 else 0][0] >= CPU_WINDOW_S:
            samples.popleft()
        passed_s = now_s - samples[0][0]
        if passed_s >= CPU_SHORTEST_S:
            self.share = (cpu_s - samples[0][1]) / passed_s
