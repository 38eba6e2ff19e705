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
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import msgspec

from tidegauge.bench.callgrind import LOG, Dump, Valgrind, read_dump, remove_dumps
from tidegauge.bench.client import Worker, WorkerError, WorkerJob
from tidegauge.bench.layout import Layout
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.sides import SIDES, folder_of, of_both

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
        self._workers: dict[str, Worker] = {}
        self._outs: dict[str, Path] = {}
        self._said_before = dict.fromkeys(SIDES, 0)
        self._is_lost = False
        self._hopeless: WorkerError | None = None

    def ask(self, benchmark: Benchmark, *commands: str, cpu_s: float) -> dict[str, dict[str, Any]]:
        """What both sides answer to the commands, in a fork each. Raises `WorkerError`.

        What takes longer on a busy machine is no reason to give up what is counted and not timed.
        """
        wall_s = cpu_s * BUSY if self._valgrind else cpu_s
        with contextlib.ExitStack() as stack:
            folders = of_both(
                lambda name: stack.enter_context(folder_of(benchmark, self._sides[name], name, self._scratch))
            )
            if self._is_lost:
                self._stop()
            if not self._workers:
                self._start()
            for name in SIDES:
                self._said_before[name] = len(self._log(name))
                task: dict[str, Any] = {"id": benchmark.id, "folder": str(folders[name]), "commands": commands}
                task |= {"cpu_s": cpu_s, "wall_s": wall_s}
                self._workers[name].tell("fork", msgspec.json.encode(task).decode())
            answers = of_both(lambda name: self._answer(name, wall_s))
        for answer in answers.values():
            self.modules |= dict.fromkeys(answer["modules"] if self._learns else ())
        if self.modules and any(answer["threads"] > 1 for answer in answers.values()):
            self._forget()
        return answers

    def take_dumps(self, name: str, answer: dict[str, Any]) -> tuple[Dump, Dump]:
        """The two that the child of an answer has left."""
        process = int(answer["pid"])
        dumps = read_dump(self._outs[name], process, 1), read_dump(self._outs[name], process, 2)
        remove_dumps(self._outs[name], process)
        return dumps

    def said(self, name: str) -> str:
        """What valgrind has said on a side since it was told the last benchmark."""
        return self._log(name)[self._said_before[name] :].decode(errors="replace")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop()

    def _answer(self, name: str, wall_s: float) -> dict[str, Any]:
        try:
            answer = self._workers[name].hear("fork", wall_s + PATIENCE_S)
        except WorkerError:
            self._is_lost = True
            raise
        if failed := answer.get("failed"):
            raise WorkerError(name, str(failed))
        return answer

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
        self._is_lost = False
        for name, core in cores().items():
            folder = tempfile.TemporaryDirectory(prefix=f"{name}-", dir=self._scratch)
            self._outs[name] = Path(self._running.enter_context(folder))
            self._workers[name] = self._worker(self._sides[name], name, core)
            self._running.callback(self._workers[name].close)
        ready = of_both(lambda name: self._workers[name].wait_until_ready())
        return all(answer["threads"] == 1 for answer in ready.values())

    def _worker(self, side: Side, name: str, core: int) -> Worker:
        job = WorkerJob(
            benchmark_dir=str(side.benchmark_dir),
            id="",
            core=core,
            setup_core=core,
            litter=self._layout.litter,
            modules=tuple(self.modules),
            learns=self._learns,
        )
        return Worker(
            name,
            side.python,
            job,
            env=side.env | self._layout.environment,
            cwd=self._outs[name],
            timeout_s=PATIENCE_S,
            below=self._valgrind.below(self._outs[name]) if self._valgrind else (),
        )

    def _forget(self) -> None:
        self._stop()
        self.modules.clear()
        self._learns = False

    def _stop(self) -> None:
        self._running.close()
        self._workers.clear()

    def _log(self, name: str) -> bytes:
        with contextlib.suppress(OSError, KeyError), (self._outs[name] / LOG).open("rb") as file:
            return file.read(LOG_BYTES_MAX)
        return b""


def cores() -> dict[str, int]:
    """A core a side, as the CPU tier has it: a library that starts a thread a core starts none then."""
    return dict(zip(SIDES, itertools.cycle(sorted(os.sched_getaffinity(0))), strict=False))
