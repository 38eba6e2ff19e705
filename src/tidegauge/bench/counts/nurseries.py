"""A nursery a side, alike in all but the commit: a benchmark goes to both at once.

    benchmark ──ask──▶ base's nursery, head's nursery ──▶ an answer a side, and the dumps that lie beside it

Those that run as they are learn what their children import; those below valgrind import that at their start, the same
on both sides, and learn nothing: each child of theirs begins alike, whichever benchmarks came before it.

A benchmark that fails leaves its nursery as it was. A nursery that is lost is made anew. Where the imports end it, or
start threads, which a fork would lose, nothing is imported for the children any more: they do it each for themselves,
which takes longer, and no more can be lost than one benchmark.
"""

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from tidegauge.bench.counts.callgrind import LOG, Dump, Valgrind, read_dump, remove_dumps
from tidegauge.bench.processes.conversation import WorkerError
from tidegauge.bench.processes.forks import Fork, Nursery
from tidegauge.bench.processes.layout import Layout
from tidegauge.bench.processes.sides import SIDES, folder_of, of_both
from tidegauge.bench.suites.model import Benchmark, Side

HASH_SEED = 0
LOG_BYTES_MAX = 64 * 1024
BUSY = 4  # times as much wall time as CPU time
PATIENCE_S = 600.0  # for importing, below valgrind and on a busy machine, all that a suite imports


class Nurseries:
    """A context; the nurseries start with the first benchmark that they are asked for.

    `modules` are what they import at their start; those that run without `valgrind` add to it what they learn.
    """

    def __init__(
        self,
        sides: dict[str, Side],
        scratch: Path,
        *,
        valgrind: Valgrind | None = None,
        modules: Sequence[str] = (),
        litter: int = 0,
    ) -> None:
        self.modules = dict.fromkeys(modules)
        self._sides, self._scratch, self._valgrind = sides, scratch, valgrind
        self._learns = valgrind is None
        self._layout = Layout(HASH_SEED, 0, litter)
        self._running = contextlib.ExitStack()
        self._nurseries: dict[str, Nursery] = {}
        self._said_before = dict.fromkeys(SIDES, 0)
        self._hopeless: WorkerError | None = None

    def ask(self, benchmark: Benchmark, *commands: str, cpu_s: float) -> dict[str, dict[str, Any]]:
        """What both sides answer to the commands, in a fork each. Raises `WorkerError`.

        What takes longer on a busy machine is no reason to give up what is counted and not timed.
        """
        wall_s = cpu_s * BUSY if self._valgrind else cpu_s
        if any(nursery.is_lost for nursery in self._nurseries.values()):
            self._stop()
        if not self._nurseries:
            self._start()
        with contextlib.ExitStack() as stack:
            forks: dict[str, Fork] = {}
            for name in SIDES:
                folder = stack.enter_context(folder_of(benchmark, self._sides[name], name, self._scratch))
                self._said_before[name] = len(self._log(name))
                forks[name] = self._nurseries[name].fork(name, benchmark, folder, cpu_s=cpu_s)
                stack.callback(forks[name].close)
            answers = of_both(lambda name: {"pid": forks[name].pid} | forks[name].hear("get ready", wall_s))
            if not any(answer["skipped"] for answer in answers.values()):
                for command in (*commands, "stop"):
                    answers = {name: answers[name] | more for name, more in _of_both_at_once(forks, command, wall_s)}
        self._learn([module for answer in answers.values() for module in answer["modules"]])
        return answers

    def take_dumps(self, name: str, answer: dict[str, Any]) -> tuple[Dump, Dump]:
        """The two that the child of an answer has left."""
        process, folder = int(answer["pid"]), self._nurseries[name].folder
        dumps = read_dump(folder, process, 1), read_dump(folder, process, 2)
        remove_dumps(folder, process)
        return dumps

    def said(self, name: str) -> str:
        """What valgrind has said on a side since it was told the last benchmark."""
        return self._log(name)[self._said_before[name] :].decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def _learn(self, modules: Sequence[str]) -> None:
        if not self._learns:
            return
        self.modules |= dict.fromkeys(modules)
        for nursery in self._nurseries.values():
            nursery.learn(modules)
        try:
            of_both(lambda name: self._nurseries[name].settle())
        except WorkerError:
            self._forget()
        if any(nursery.threads > 1 for nursery in self._nurseries.values()):
            self._forget()

    def _start(self) -> None:
        """What cannot be started without imports cannot be started: nobody waits for it twice."""
        if self._hopeless is not None:
            raise self._hopeless
        try:
            if self._can_be_forked() or not self.modules:
                return
        except WorkerError as error:
            if not self.modules:
                self._hopeless = error
                raise
        self._forget()
        self._start()

    def _can_be_forked(self) -> bool:
        for name, core in cores().items():
            folder = Path(
                self._running.enter_context(tempfile.TemporaryDirectory(prefix=f"{name}-", dir=self._scratch))
            )
            self._nurseries[name] = Nursery(
                name,
                self._sides[name],
                folder,
                self._layout,
                core=core,
                setup_core=core,
                timeout_s=PATIENCE_S,
                modules=tuple(self.modules),
                below=self._valgrind.below(folder) if self._valgrind else (),
            )
            self._running.callback(self._nurseries[name].close)
        of_both(lambda name: self._nurseries[name].wait_until_ready())
        return all(nursery.threads == 1 for nursery in self._nurseries.values())

    def _forget(self) -> None:
        self._stop()
        self.modules.clear()
        self._learns = False

    def _stop(self) -> None:
        self._running.close()
        self._nurseries.clear()

    def _log(self, name: str) -> bytes:
        with contextlib.suppress(OSError, KeyError), (self._nurseries[name].folder / LOG).open("rb") as file:
            return file.read(LOG_BYTES_MAX)
        return b""


def _of_both_at_once(forks: dict[str, Fork], command: str, wall_s: float) -> Iterable[tuple[str, dict[str, Any]]]:
    for fork in forks.values():
        fork.tell(command)
    verb = command.partition(" ")[0]
    return of_both(lambda name: forks[name].hear(verb, wall_s)).items()


def cores() -> dict[str, int]:
    """A core a side, as the CPU tier has it: a library that starts a thread a core starts none then."""
    return dict(zip(SIDES, itertools.cycle(sorted(os.sched_getaffinity(0))), strict=False))
