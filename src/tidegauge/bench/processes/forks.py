"""Our end of a nursery and of its children: one worker that has imported a suite, and a fork of it a benchmark.

    Nursery ──fork──▶ Fork: a conversation of its own ──close──▶ Nursery.end

A nursery is told more before it has answered: the next pair is set up while one is measured. So each question has a
number, which its answer repeats, and each answer is awaited by its `Promise`, whoever asks first. Whoever interrupts us
may do so between a question and its answer: the numbers keep the answers that follow from being taken for it.
"""

import contextlib
import itertools
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from tidegauge.bench.processes.client import Worker, WorkerJob
from tidegauge.bench.processes.conversation import Conversation, WorkerError
from tidegauge.bench.processes.layout import Layout
from tidegauge.bench.suites.model import Benchmark, Side

PIPES = ("commands", "answers", "turns")
END_S = 0.5  # for a child that was told to stop, or is dead


class Promise:
    """An answer that a nursery owes."""

    answer: dict[str, Any] | None = None


class Nursery:
    """Of one side, in a folder of its own, where its children's pipes lie; `close` must be called."""

    def __init__(
        self,
        name: str,
        side: Side,
        folder: Path,
        layout: Layout,
        *,
        core: int | None,
        setup_core: int | None,
        timeout_s: float,
        modules: Sequence[str] = (),
        below: Sequence[str] = (),
        goes_first: bool = False,
    ) -> None:
        """`core` is its children's, to be measured on; it stays on `setup_core`, and they until they are set up."""
        job = WorkerJob(
            benchmark_dir=str(side.benchmark_dir),
            id="",
            core=core,
            setup_core=setup_core,
            litter=layout.litter,
            modules=tuple(modules),
        )
        self.folder = folder
        self._lost: WorkerError | None = None
        self.threads = 1  # as far as we have heard
        self._pipes, self._questions = itertools.count(), itertools.count(1)
        self._ready = Promise()
        self._owed: dict[int, Promise] = {0: self._ready}
        self._worker = Worker(
            name,
            side.python,
            job,
            env=side.env | layout.environment,
            cwd=folder,
            timeout_s=timeout_s,
            below=below,
            goes_first=goes_first,
        )

    @property
    def is_lost(self) -> bool:
        return self._lost is not None

    @property
    def is_grown(self) -> bool:
        """Whether it survived its first imports."""
        return self._ready.answer is not None

    def wait_until_ready(self) -> None:
        self.hear(self._ready)

    def learn(self, modules: Sequence[str]) -> None:
        """Has it import more, without waiting for it."""
        if modules:
            self.tell("import", msgspec.json.encode(modules).decode())

    def fork(
        self, name: str, benchmark: Benchmark, folder: Path, *, slowdown: float = 0.0, cpu_s: float = 0.0
    ) -> "Fork":
        """A child, being set up for a benchmark: the side `name` of a pair."""
        return Fork(name, self, benchmark, folder, slowdown=slowdown, cpu_s=cpu_s)

    def new_pipes(self) -> Path:
        return self.folder / str(next(self._pipes))

    def settle(self) -> None:
        """Hears all that it owes."""
        for promise in list(self._owed.values()):
            self.hear(promise)

    def tell(self, command: str, *arguments: str) -> Promise:
        promise, number = Promise(), next(self._questions)
        self._owed[number] = promise
        self._worker.tell(str(number), command, *arguments)
        return promise

    def hear(self, promise: Promise) -> dict[str, Any]:
        """What was promised; raises `WorkerError` if it is lost."""
        while promise.answer is None:
            if self._lost is not None:
                raise self._lost
            try:
                answer = self._worker.hear("answer")
            except WorkerError as error:
                self._lost = error
                raise
            self.threads = int(answer.get("threads", self.threads))
            owed = self._owed.pop(int(answer["to"]), None)
            if owed is not None:
                owed.answer = answer
        return promise.answer

    def last_words(self) -> str:
        return self._worker.last_words()

    def hang_up(self) -> None:
        self._worker.hang_up()

    def close(self) -> None:
        """Ends it, with all children that it still has."""
        self._lost = self._lost or WorkerError(self._worker.side, "its nursery has been ended")
        self._worker.close()


class Fork(Conversation):
    """A child of a nursery, which serves one benchmark; `close` must be called."""

    def __init__(
        self, name: str, nursery: Nursery, benchmark: Benchmark, folder: Path, *, slowdown: float, cpu_s: float
    ) -> None:
        super().__init__(name, benchmark.timeout_s)
        self._nursery, self._ended, self._is_stopped = nursery, "", False
        self._pipes = nursery.new_pipes()
        task = {"id": benchmark.id, "folder": str(folder), "pipes": str(self._pipes)}
        for end in PIPES:
            os.mkfifo(f"{self._pipes}.{end}")
        # Neither waits for the other end: a pipe that is opened both ways has one.
        self._commands = os.open(f"{self._pipes}.commands", os.O_RDWR)
        self._answers = os.open(f"{self._pipes}.answers", os.O_RDONLY | os.O_NONBLOCK)
        self._born = nursery.tell("fork", msgspec.json.encode(task | {"slowdown": slowdown, "cpu_s": cpu_s}).decode())

    @property
    def turns(self) -> str:
        """The pipe in which it hears that it is its turn."""
        return f"{self._pipes}.turns"

    @property
    def pid(self) -> int:
        try:
            return int(self._nursery.hear(self._born)["pid"])
        except WorkerError as error:
            raise WorkerError(self.side, error.sentence) from error

    def wait_until_ready(self) -> dict[str, Any]:
        """Once it is born: before, the end of its pipe says nothing."""
        _ = self.pid
        return super().wait_until_ready()

    def hear(self, command: str, timeout_s: float | None = None) -> dict[str, Any]:
        """Having stopped, it ends itself."""
        answer = super().hear(command, timeout_s)
        self._is_stopped = "stopped" in answer
        return answer

    def hang_up(self) -> None:
        """Lets it end itself; `close` waits for it."""
        if self._commands >= 0:
            os.close(self._commands)
            self._commands = -1

    def close(self) -> None:
        """Ends it and its process group."""
        self.hang_up()
        with contextlib.suppress(WorkerError):  # a nursery that is lost takes its children with it
            self._end(END_S if self._is_stopped else 0.0)
        self._close_pipes()
        for end in PIPES:
            Path(f"{self._pipes}.{end}").unlink()

    def _how_it_ended(self) -> str:
        self._end(END_S)
        return f"{self._ended}{self._nursery.last_words()}"

    def _end(self, patience_s: float) -> None:
        if not self._ended:
            self._ended = str(self._nursery.hear(self._nursery.tell("end", f"{self.pid} {patience_s:g}"))["ended"])
