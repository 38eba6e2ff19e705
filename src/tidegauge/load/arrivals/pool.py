"""What arrivals run, and on whom: ordinary user classes of Locust, their tasks by weight, and instances that are free.

`Work` chooses a class and a task, `Pool` has an instance of it or makes one, and `run_task` is what a user does in one
turn: a function; one task of a TaskSet; all tasks of a SequentialTaskSet, in order.
"""

import collections
import inspect
import random
from typing import Any, Final

import gevent
from locust import SequentialTaskSet, TaskSet, User
from locust.env import Environment
from locust.exception import InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately
from locust.user.task import LOCUST_STATE_RUNNING, DefaultTaskSet

from tidegauge.load.times.clocks import subject_of

ENDS_TURN: Final = (InterruptTaskSet, RescheduleTask, RescheduleTaskImmediately)
PREWARM_MAX: Final = 100


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
