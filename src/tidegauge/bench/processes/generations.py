"""Where the processes of timed pairs come from: fresh nurseries for each round, of which each benchmark is a fork.

    Pipeline ──of(job)──▶ Generations ─▶ the Generation of this round ─▶ a nursery a side ─▶ StartedPair's forks
                               ▲  └─────▶ the next one, importing already
                               └──learn── modules that forks have imported

A fork has at once what a new process needs a second for. But two forks of one process share where their objects lie
and how their sets are ordered, and that alone can make code several per cent slower. So no benchmark is forked twice
from the same nursery: the pairs of one benchmark differ in all of that, and a start serves all benchmarks of a round.

What is left of a place within one process, each slice leaves behind (`inside/drift`).

Suites that cannot be forked, because what they import starts threads or fails without them, are forked from nurseries
that have imported nothing: each process imports for itself, and takes its time.
"""

from __future__ import annotations

import contextlib
import random
import tempfile
from collections import deque
from collections.abc import Iterable, Sequence
from pathlib import Path

from tidegauge.bench.processes.forks import Nursery
from tidegauge.bench.processes.layout import Layout
from tidegauge.bench.processes.sides import another_core
from tidegauge.bench.suites.model import Side

RETIRED_MAX = 3  # more than have pairs that are set up ahead
PATIENCE_S = 120.0  # for importing all that a suite imports, on a busy machine


class Generation:
    """Nurseries with one layout; they end once it is retired and the last pair that was forked from it is over."""

    def __init__(self, layout: Layout, core: int | None, scratch: Path, modules: Sequence[str]) -> None:
        self.served: set[str] = set()
        self._layout, self._core, self._scratch = layout, core, scratch
        self._modules = dict.fromkeys(modules)
        self._running = contextlib.ExitStack()
        self._nurseries: dict[str, Nursery] = {}
        self._users = 0
        self._is_retired = False

    @property
    def is_fit(self) -> bool:
        """Whether its nurseries can be forked."""
        return all(not nursery.is_lost and nursery.threads == 1 for nursery in self._nurseries.values())

    def nursery(self, side: Side) -> Nursery:
        """The one of a side, which is started if it is not there."""
        if side.name not in self._nurseries:
            self._scratch.mkdir(parents=True, exist_ok=True)
            folder = self._running.enter_context(tempfile.TemporaryDirectory(prefix=f"{side.name}-", dir=self._scratch))
            nursery = Nursery(
                side.name,
                side,
                Path(folder),
                self._layout,
                core=self._core,
                setup_core=another_core(self._core),  # another pair may still be measured on `core`
                timeout_s=PATIENCE_S,
                modules=tuple(self._modules),
                goes_first=self._core is not None,
            )
            self._running.callback(nursery.close)
            self._nurseries[side.name] = nursery
        return self._nurseries[side.name]

    def learn(self, modules: Iterable[str]) -> None:
        """Has all import what is new, both sides in the same order."""
        new = [module for module in modules if module not in self._modules]
        self._modules |= dict.fromkeys(new)
        for nursery in self._nurseries.values():
            nursery.learn(new)

    @property
    def suffers_from_imports(self) -> bool:
        """They have started threads, which a fork would lose, or they have ended it."""
        return any(each.threads > 1 or (each.is_lost and not each.is_grown) for each in self._nurseries.values())

    def take(self) -> None:
        self._users += 1

    def give_back(self) -> None:
        self._users -= 1
        self._end_unless_used()

    def retire(self) -> None:
        self._is_retired = True
        self._end_unless_used()

    def hang_up(self) -> None:
        """Lets the end begin; `close` waits for it."""
        for nursery in self._nurseries.values():
            nursery.hang_up()

    def close(self) -> None:
        self.hang_up()
        self._running.close()
        self._nurseries.clear()

    def _end_unless_used(self) -> None:
        if self._is_retired and not self._users:
            self.hang_up()


class Generations:
    """A context. `of` says which generation the next pair of a trial is taken from."""

    def __init__(self, seed: int, core: int | None, scratch: Path) -> None:
        self._seed, self._core, self._scratch = seed, core, scratch
        self._sides: dict[str, Side] = {}
        self._modules: dict[str, None] = {}
        self._imports = True
        self._number = -1
        self._current: Generation | None = None
        self._next: Generation | None = None
        self._retired: deque[Generation] = deque()

    def of(self, trial: str, index: int, sides: Sequence[Side]) -> Generation:
        """The current one, unless it has served this trial already; `index` is that of the trial's pair."""
        self._sides |= {side.name: side for side in sides}
        current = self._current
        if current is None or trial in current.served or not current.is_fit:
            current = self._advance(index)
        current.served.add(trial)
        return current

    def learn(self, modules: Iterable[str]) -> None:
        """What a pair has imported to get ready; then the next generation is started, if it is not."""
        if self._imports:
            self._modules |= dict.fromkeys(modules)
        if self._next is None:
            self._next = self._new(self._number + 1)
        self._next.learn(self._modules)

    def give_up(self, generation: Generation) -> None:
        """It cannot be forked; nor could the next, if its imports are to blame: then nothing is imported any more."""
        if generation.suffers_from_imports and self._imports:
            self._imports = False
            self._modules.clear()
            if self._next is not None:
                self._next.close()
                self._next = None

    def close(self) -> None:
        every = [*self._retired, *(each for each in (self._current, self._next) if each is not None)]
        for generation in every:
            generation.hang_up()
        for generation in every:
            generation.close()
        self._retired.clear()
        self._current = self._next = None

    def _advance(self, index: int) -> Generation:
        if self._current is not None:
            self._current.retire()
            self._retired.append(self._current)
        if len(self._retired) > RETIRED_MAX:  # by now it has ended: nobody waits
            self._retired.popleft().close()
        self._number = max(index, self._number + 1)
        self._current, self._next = self._next or self._new(self._number), None
        return self._current

    def _new(self, number: int) -> Generation:
        layout = Layout.drawn(random.Random(f"{self._seed} {number}"))
        generation = Generation(layout, self._core, self._scratch, tuple(self._modules))
        for side in self._sides.values():
            generation.nursery(side)
        return generation
