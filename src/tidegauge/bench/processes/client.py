"""A worker as a process of its own: starts `worker.py` under a side's Python, and sees to its end.

    WorkerJob ──▶ guard ──▶ worker.py ◀──Conversation──▶ one benchmark, or a nursery of many

The worker runs below `tidegauge.guard`, which hands our pipes through to it and ends it, and all that it started, when
we are done or dead. A worker that is silent, dead or confused says why with the last line that it printed.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from tidegauge import guard
from tidegauge.bench.processes import layout
from tidegauge.bench.processes.conversation import Conversation
from tidegauge.process import prefer

GRACE_S = 0.5
GUARD_S_MAX = GRACE_S + guard.KILL_S_MAX + 5.0
REAP_S_MAX = 1.0  # from the end of its pipe to its own
SAID_BYTES_MAX = 2_000
WORKER = Path(__file__).parents[1] / "inside" / "worker.py"


class WorkerJob(msgspec.Struct, frozen=True, kw_only=True):
    """The first line to a worker: what it is to prepare, and where."""

    benchmark_dir: str
    id: str  # empty: it is a nursery, and is told with each fork
    core: int | None = None  # to measure on; None: anywhere
    setup_core: int | None = None  # to be set up on
    slowdown: float = 0.0  # the share of its time in which it computes for nothing
    litter: int = 0  # how many objects of each size lie about on its heap
    modules: tuple[str, ...] = ()  # that a nursery imports for its children


class Worker(Conversation):
    """A running worker. `close` must be called; if we die first, its guard notices."""

    def __init__(
        self,
        side: str,
        python: str,
        job: WorkerJob,
        *,
        env: Mapping[str, str],
        cwd: Path,
        timeout_s: float,
        below: Sequence[str] = (),
        goes_first: bool = False,
    ) -> None:
        """`below` is a command that runs the Python below itself, as valgrind does. Who `goes_first` is timed."""
        super().__init__(side, timeout_s)
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        control, self._control = os.pipe()
        self._status, status = os.pipe()
        questions, self._commands = os.pipe()
        self._answers, replies = os.pipe()
        pipes = (str(control), str(status), str(GRACE_S))
        try:
            with layout.held_still():
                self._guard = subprocess.Popen(  # noqa: S603 - to run what the user configured is the purpose
                    [sys.executable, "-I", "-S", guard.__file__, *pipes, *below, python, WORKER],
                    stdin=questions,
                    stdout=replies,
                    stderr=self._said,
                    env=dict(env),
                    cwd=cwd,
                    pass_fds=(control, status),
                    start_new_session=True,
                )
        except BaseException:
            self._close_files()
            raise
        finally:
            for descriptor in (control, status, questions, replies):
                os.close(descriptor)
        if goes_first:
            prefer(self._guard.pid)
        self._send(msgspec.json.encode(job) + b"\n")

    def hang_up(self) -> None:
        """Lets the end of the worker begin; `close` waits for it."""
        for name in ("_control", "_commands"):
            if getattr(self, name) >= 0:
                os.close(getattr(self, name))
                setattr(self, name, -1)

    def close(self) -> None:
        """Ends the worker and all that it started; returns when none of it is left."""
        self.hang_up()
        try:
            self._wait_for_guard()
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._close_files()

    def last_words(self) -> str:
        """The last line that it printed, with a colon before it."""
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - SAID_BYTES_MAX))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _how_it_ended(self) -> str:
        """In the words of its guard, and the last line of what it printed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._wait_for_guard()
        os.set_blocking(self._status, False)
        with contextlib.suppress(BlockingIOError):
            for line in os.read(self._status, 4096).decode().splitlines():
                kind, _, number = line.partition(" ")
                if kind == "error":
                    return f"cannot be started: {os.strerror(int(number))}"
                if kind == "exit":
                    status = int(number)
                    how = f"exit status {status}" if status >= 0 else signal.Signals(-status).name
                    return f"ended by {how}{self.last_words()}"
        return f"ended{self.last_words()}"

    def _wait_for_guard(self) -> None:
        """Until its end closes the status pipe. `Popen.wait` alone looks, sleeps up to 50 ms and looks again: a
        worker that had ended in 10 ms was waited for 64 ms, a fifth of the time of a pair.
        """
        end = select.poll()
        end.register(self._status, select.POLLHUP)
        end.poll(GUARD_S_MAX * 1_000)
        self._guard.wait(REAP_S_MAX)

    def _close_files(self) -> None:
        self._close_pipes()
        for descriptor in (self._control, self._status):
            if descriptor >= 0:
                os.close(descriptor)
        self._control = self._status = -1
        self._said.close()
