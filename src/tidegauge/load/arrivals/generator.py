"""The generator: at each due time one task of an ordinary Locust user runs in the greenlet of that user.

`Generator.run` waits for the next due time and starts what is due, never for an answer: an arrival takes an instance
of a user class from the pool, a new one while there are fewer than the cap, runs one task of it, and gives it back. At
the cap it is dropped and counted. `current` finds the arrival that a greenlet belongs to, which is how a request of a
locustfile that knows nothing of us gets its response time from the due time.

`Token` is what Locust counts as a user in open loop: it does nothing, and the number of them is the rate.
"""

import logging
import math
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
import gevent.event
import greenlet
from locust import User, task
from locust.env import Environment
from locust.exception import StopTest, StopUser

from tidegauge.load.arrivals.alarm import Alarm
from tidegauge.load.arrivals.pool import ENDS_TURN, Pool, Work, run_task
from tidegauge.load.arrivals.receipts import ATTRIBUTE
from tidegauge.load.judging.session import LoadSession
from tidegauge.load.times.schedule import FixedSchedule, LiveSchedule

# A rate that changes while we wait for the next arrival is seen this soon.
LOOK_S: Final = 0.05
logger = logging.getLogger("tidegauge.load")


class Arrival:
    """One workflow on its way; times are of `time.perf_counter`."""

    __slots__ = ("began_s", "chosen", "due_s", "failed", "late_us", "phase", "subject", "taken_s", "unread_s")

    def __init__(self, due_s: float, taken_s: float, phase: str, chosen: Any, subject: str) -> None:
        self.due_s = due_s
        self.taken_s = taken_s
        self.phase = phase
        self.chosen = chosen
        self.subject = subject
        self.began_s = due_s
        self.failed = False
        self.unread_s = 0.0  # what was read last had lain there so long; see `receipts`
        self.late_us = 0  # the same of the last answer, from which the workflow's end counts too

    def answered(self, us: int) -> int:
        """A response time without what its answer lay unread; what had come before the question is no answer to it."""
        unread_us, self.unread_s = int(self.unread_s * 1e6), 0.0
        self.late_us = unread_us if unread_us <= us else 0
        return us - self.late_us


def current() -> Arrival | None:
    """The arrival that the running greenlet belongs to; None in a closed user."""
    return getattr(greenlet.getcurrent(), ATTRIBUTE, None)


class Token(User):
    """A unit of rate: as many of them as arrivals are wanted a second, each a greenlet that sleeps."""

    changed: Callable[[int], None] = staticmethod(lambda _by: None)

    @task
    def nothing(self) -> None:
        """Locust wants a task; it is never run."""

    def start(self, group: Any) -> Any:
        """Instead of Locust's loop of tasks: sleep until stopped, and tell the rate that one more is here."""
        self._group = group
        self._greenlet = group.spawn(Token._stand, self)
        type(self).changed(1)
        self._greenlet.link(lambda _ended: type(self).changed(-1))
        return self._greenlet

    @staticmethod
    def _stand(_user: "Token") -> None:
        while True:
            gevent.sleep(3_600)


class Generator:
    """Starts arrivals on time, and keeps the books of them."""

    def __init__(
        self,
        environment: Environment,
        session: LoadSession,
        work: Work,
        *,
        schedule: FixedSchedule | LiveSchedule,
        in_flight_max: int,
    ) -> None:
        self._environment = environment
        self._session = session
        self._work = work
        self._schedule = schedule
        self._stopped = False
        self._hub = gevent.get_hub()
        self._runners: dict[User, Any] = {}
        self._running: dict[Any, Arrival] = {}
        self._pool_since_s = 0.0
        self.pool = Pool(environment, in_flight_max)
        self.started_s = math.inf  # until `run` says when
        self.done = gevent.event.Event()

    def run(self, started_s: float) -> None:
        """Until the schedule ends or `stop`; times of the schedule count from `started_s`."""
        self.started_s = self._pool_since_s = started_s
        schedule, session = self._schedule, self._session
        with Alarm() as alarm:
            while not self._stopped and (schedule.due_s < math.inf or schedule.ends_s == math.inf):
                since_s = schedule.due_s
                due_s = started_s + since_s
                now_s = time.perf_counter()
                if due_s <= now_s:
                    schedule.pop()
                    session.recent.add("arrivals/scheduled")
                    self._start(due_s, now_s, session.phase_at(since_s))
                else:
                    alarm.wait_until(min(due_s, now_s + LOOK_S))
            while not self._stopped and (now_s := time.perf_counter()) < started_s + schedule.ends_s:
                alarm.wait_until(min(started_s + schedule.ends_s, now_s + LOOK_S))
        self.done.set()

    def set_rate(self, rate_per_s: float) -> None:
        """Of a schedule that follows; a fixed one knows its own."""
        if isinstance(self._schedule, LiveSchedule):
            self._schedule.set_rate(rate_per_s, max(time.perf_counter() - self.started_s, 0.0))

    def stop(self, drain_s: float, *, finish: bool) -> None:
        """No arrival more; waits for those on their way, and counts those that do not come as failed at their age.

        `finish`: the time of the schedule is over elsewhere, so a worker that began late starts the rest of its own.
        """
        deadline_s = time.perf_counter() + drain_s
        if finish:
            self.done.wait(drain_s)
        self._stopped = True
        until_s = self._schedule.ends_s if finish else time.perf_counter() - self.started_s
        while self._schedule.due_s <= until_s < math.inf:
            self._schedule.pop()
            self._session.count("arrivals/scheduled")  # and never started
        while self._running and time.perf_counter() < deadline_s:
            gevent.sleep(0.01)
        now_s = time.perf_counter()
        self._account(now_s)
        left, self._running = self._running, {}
        for arrival in left.values():
            self._session.count("arrivals/unfinished")
            self._session.count("flight/clocks_us", int((now_s - arrival.taken_s) * 1e6))
            self._session.failed(arrival.subject, arrival.phase)
            self._session.record(arrival.subject, "workflow", int((now_s - arrival.due_s) * 1e6), arrival.phase)
        for runner in self._runners.values():
            gevent.kill(runner)
        self.pool.close()

    def _start(self, due_s: float, now_s: float, phase: str) -> None:
        kind, chosen = self._work.choose()
        self._account(now_s)
        user, is_new = self.pool.take(kind)
        if user is None:
            self._session.recent.add("arrivals/dropped")
            return
        arrival = Arrival(due_s, now_s, phase, chosen, self._work.title(kind, chosen))
        runner = self._runners.get(user)
        if runner is None:
            self._runners[user] = gevent.spawn_raw(self._serve, user, arrival, is_new)
        else:
            self._hub.loop.run_callback(runner.switch, arrival)

    def _serve(self, user: User, arrival: Any, is_new: bool) -> None:
        """The life of a user's greenlet: one arrival after the other, as long as the user may be used again.

        A greenlet for each arrival would cost a tenth of a request: CPython maps a stack for it and unmaps it again.
        """
        try:
            while self._live(arrival, user, is_new):
                is_new, arrival = False, None
                while not isinstance(arrival, Arrival):  # whatever else a task left behind may wake its greenlet
                    arrival = self._hub.switch()
        finally:
            self._runners.pop(user, None)

    def _live(self, arrival: Arrival, user: User, is_new: bool) -> bool:
        """The life of one arrival, in its user's greenlet; whether that may be used again."""
        me, recent, subject, phase = greenlet.getcurrent(), self._session.recent, arrival.subject, arrival.phase
        started_s = time.perf_counter()
        recent.record(subject, "lag", phase, int((started_s - arrival.due_s) * 1e6))
        if started_s <= self.started_s + self._schedule.ends_s + LOOK_S:
            recent.add("arrivals/started")
        self._running[me] = arrival
        setattr(me, ATTRIBUTE, arrival)
        keep = self._turn(arrival, user, is_new)
        ended_s = time.perf_counter()
        if self._running.pop(me, None) is None:
            return False  # given up meanwhile
        self._account(ended_s)
        self.pool.give(user, keep=keep)
        recent = self._session.recent  # another than before when a second has passed
        recent.record(subject, "workflow", phase, int((ended_s - arrival.due_s) * 1e6) - arrival.late_us)
        recent.add("flight/clocks_us", int((ended_s - arrival.taken_s) * 1e6))
        if arrival.failed:
            self._session.failed(subject, phase)
        return keep

    def _turn(self, arrival: Arrival, user: User, is_new: bool) -> bool:
        """Runs the task; whether the instance may be used again."""
        try:
            if is_new:
                user.on_start()
            arrival.began_s = time.perf_counter()
            run_task(user, arrival.chosen)
        except ENDS_TURN:
            pass
        except (StopUser, gevent.GreenletExit):
            user.on_stop()
            return False
        except StopTest as error:
            logger.error("%s", error)  # a test's own wish to end, no defect
            self._stopped = True
            return False
        except Exception as error:
            arrival.failed = True
            self._environment.events.user_error.fire(user_instance=user, exception=error, tb=error.__traceback__)
            if not self._environment.catch_exceptions:
                raise
        return True

    def _account(self, now_s: float) -> None:
        """The time that workflows have spent in flight, as the pool sees it."""
        passed_s = now_s - self._pool_since_s
        if passed_s <= 0:
            return
        self._pool_since_s = now_s
        if self.pool.in_flight:
            self._session.recent.add("flight/pool_us", int(passed_s * self.pool.in_flight * 1e6))
