"""The generator: at each due time one task of an ordinary Locust user runs as a greenlet of its own.

`Generator.run` waits for the next due time and starts what is due, never for an answer: an arrival takes an instance
of a user class from `Pool`, a new one while there are fewer than the cap, runs one task of it, and gives it back. At
the cap it is dropped and counted. `run_task` is what a user does in one turn: a function; one task of a TaskSet; all of
a SequentialTaskSet, in order. `current` finds the arrival that a greenlet belongs to, which is how a request of a
locustfile that knows nothing of us gets its response time from the due time.

`Token` is what Locust counts as a user in open loop: it does nothing, and the number of them is the rate.
"""

import collections
import inspect
import logging
import math
import random
import time
from collections.abc import Callable
from typing import Any, Final

import gevent
import gevent.event
import greenlet
from locust import SequentialTaskSet, TaskSet, User, task
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately, StopTest, StopUser
from locust.user.task import LOCUST_STATE_RUNNING, DefaultTaskSet

from tidegauge.load.alarm import Alarm
from tidegauge.load.clocks import subject_of
from tidegauge.load.schedule import FixedSchedule, LiveSchedule
from tidegauge.load.session import LoadSession

ENDS_TURN: Final = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)
# A rate that changes while we wait for the next arrival is seen this soon.
LOOK_S: Final = 0.05
PREWARM_MAX: Final = 100
ATTRIBUTE: Final = "tidegauge_arrival"
logger = logging.getLogger("tidegauge.load")


class Arrival:
    """One workflow on its way; times are of `time.perf_counter`."""

    __slots__ = ("began_s", "due_s", "failed", "phase", "taken_s")

    def __init__(self, due_s: float, taken_s: float, phase: str) -> None:
        self.due_s = due_s
        self.taken_s = taken_s
        self.phase = phase
        self.began_s = due_s
        self.failed = False


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


class Work:
    """What arrivals choose from: each task of each user class, by weight."""

    def __init__(self, classes: list[Any], seed: object) -> None:
        self._random = random.Random(f"{seed}/work")
        self._classes = [kind for kind in classes if kind.tasks]
        self._weights = [kind.weight or kind.fixed_count for kind in self._classes]
        counts = collections.Counter(chosen.__name__ for kind in self._classes for chosen in dict.fromkeys(kind.tasks))
        self._titles: dict[tuple[type[User], Any], str] = {}
        self._doubled = {name for name, count in counts.items() if count > 1}

    @property
    def kinds(self) -> list[type[User]]:
        """The user classes that have a task."""
        return self._classes

    def choose(self) -> tuple[type[User], Any]:
        """A user class and one of its tasks."""
        kind = self._classes[0]
        if len(self._classes) > 1:
            (kind,) = self._random.choices(self._classes, self._weights)
        return kind, kind.tasks[0] if len(kind.tasks) == 1 else self._random.choice(kind.tasks)

    def title(self, kind: type[User], chosen: Any) -> str:
        """The subject of a workflow: the task's name, with its class where two have the same."""
        title = self._titles.get((kind, chosen))
        if title is None:
            name = chosen.__name__
            title = subject_of(f"{kind.__name__}.{name}" if name in self._doubled else name)
            self._titles[(kind, chosen)] = title
        return title


class Pool:
    """Instances of user classes that are free; the last to come back goes first, for its connection is warm."""

    def __init__(self, environment: Environment, instances_max: int) -> None:
        self._environment = environment
        self._free: dict[type[User], list[User]] = collections.defaultdict(list)
        self.instances_max = instances_max
        self.in_flight = 0
        self.made = 0

    def take(self, kind: type[User]) -> tuple[User | None, bool]:
        """An instance, and whether it is new and has to be started first; None at the cap."""
        if self.in_flight >= self.instances_max:
            return None, False
        self.in_flight += 1
        free = self._free[kind]
        return (free.pop(), False) if free else (self.make(kind), True)

    def give(self, user: User, *, keep: bool) -> None:
        """The instance is free again, or gone."""
        self.in_flight -= 1
        if keep:
            self._free[type(user)].append(user)

    def make(self, kind: type[User]) -> User:
        """As Locust's runner makes one, and in the state in which its tasks may wait."""
        user = kind(self._environment)
        user._state = LOCUST_STATE_RUNNING  # noqa: SLF001 - what User.run sets before its first task
        user._taskset_instance = DefaultTaskSet(user)  # noqa: SLF001 - User.wait asks it
        self.made += 1
        return user

    def warm(self, kinds: list[type[User]], number: int) -> None:
        """Makes and starts some before the first is due."""
        for kind in kinds:
            users = [self.make(kind) for _ in range(number)]
            gevent.joinall([gevent.spawn(user.on_start) for user in users], raise_error=True)
            self._free[kind] += users

    def close(self) -> None:
        """Every free instance stops as a Locust user does."""
        for users in self._free.values():
            for user in users:
                user.on_stop()
        self._free.clear()


def run_task(user: User, chosen: Any, parent: Any = None) -> None:
    """One turn of a user."""
    if not (inspect.isclass(chosen) and issubclass(chosen, TaskSet)):
        chosen(parent or user)
        return
    tasks = chosen(parent or user)
    tasks.on_start()
    try:
        turns = tasks.tasks if issubclass(chosen, SequentialTaskSet) else [tasks.get_next_task()]
        for turn in turns:
            if inspect.isclass(turn) and issubclass(turn, TaskSet):
                run_task(user, turn, tasks)
            else:
                tasks.execute_task(turn)
    except ENDS_TURN:
        pass
    finally:
        tasks.on_stop()


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
        self._running: dict[Any, tuple[Arrival, str]] = {}
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
                due_s = started_s + schedule.due_s
                now_s = time.perf_counter()
                if due_s <= now_s:
                    schedule.pop()
                    session.recent.add("arrivals/scheduled")
                    self._start(due_s, now_s)
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
        for runner, (arrival, subject) in left.items():
            self._session.count("arrivals/unfinished")
            self._session.count("flight/clocks_us", int((now_s - arrival.taken_s) * 1e6))
            self._session.failed(subject, arrival.phase)
            self._session.record(subject, "workflow", int((now_s - arrival.due_s) * 1e6), arrival.phase)
            gevent.kill(runner, block=False)
        self.pool.close()

    def _start(self, due_s: float, now_s: float) -> None:
        kind, chosen = self._work.choose()
        self._account(now_s)
        user, is_new = self.pool.take(kind)
        if user is None:
            self._session.recent.add("arrivals/dropped")
            return
        arrival = Arrival(due_s, now_s, self._session.phase_at(due_s - self.started_s))
        gevent.spawn_raw(self._live, arrival, user, chosen, self._work.title(kind, chosen), is_new)

    def _live(self, arrival: Arrival, user: User, chosen: Any, subject: str, is_new: bool) -> None:
        """The life of one arrival, in its greenlet."""
        me, recent, phase = greenlet.getcurrent(), self._session.recent, arrival.phase
        started_s = time.perf_counter()
        recent.record(subject, "lag", phase, int((started_s - arrival.due_s) * 1e6))
        if started_s <= self.started_s + self._schedule.ends_s + LOOK_S:
            recent.add("arrivals/started")
        self._running[me] = (arrival, subject)
        setattr(me, ATTRIBUTE, arrival)
        keep = self._turn(arrival, user, chosen, is_new)
        ended_s = time.perf_counter()
        if self._running.pop(me, None) is None:
            return  # given up meanwhile
        self._account(ended_s)
        self.pool.give(user, keep=keep)
        recent = self._session.recent  # another than before when a second has passed
        recent.record(subject, "workflow", phase, int((ended_s - arrival.due_s) * 1e6))
        recent.add("flight/clocks_us", int((ended_s - arrival.taken_s) * 1e6))
        if arrival.failed:
            self._session.failed(subject, phase)

    def _turn(self, arrival: Arrival, user: User, chosen: Any, is_new: bool) -> bool:
        """Runs the task; whether the instance may be used again."""
        try:
            if is_new:
                user.on_start()
            arrival.began_s = time.perf_counter()
            run_task(user, chosen)
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

    def _account(self, now_s: float | None = None) -> None:
        """The time that workflows have spent in flight, as the pool sees it."""
        now_s = time.perf_counter() if now_s is None else now_s
        passed_s = max(now_s - self._pool_since_s, 0.0)
        self._pool_since_s = max(now_s, self._pool_since_s)
        if self.pool.in_flight:
            self._session.recent.add("flight/pool_us", int(passed_s * self.pool.in_flight * 1e6))
