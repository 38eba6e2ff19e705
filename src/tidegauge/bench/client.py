"""Our end of a worker's pipes: starts `worker.py` under a side's Python and asks it, one line at a time.

The worker runs below `tidegauge.guard`, which hands our stdin and stdout through to it. Every question has a
time limit and every answer a bound of length; a worker that is silent, dead or confused is a `WorkerError`
that names the side and says what it said last.
"""

import contextlib
import os
import select
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tidegauge import guard
from tidegauge.bench import layout
from tidegauge.errors import TidegaugeError

GRACE_S = 0.5
GUARD_S_MAX = GRACE_S + guard.KILL_S_MAX + 5.0
REAP_S_MAX = 1.0  # from the end of its pipe to its own
READY_S_MIN = 30.0  # imports are no part of what a suite's own timeout is about
ANSWER_BYTES_MAX = 1024 * 1024  # the names of all modules that a suite imports can be in it
SAID_BYTES_MAX = 2_000
WORKER = Path(__file__).with_name("worker.py")
PREFERENCE = -20  # the most that the scheduler knows


class WorkerError(TidegaugeError):
    """One side, or "both", did not do its part in a pair."""

    exit_code = 1

    def __init__(self, side: str, sentence: str) -> None:
        super().__init__(sentence, f"Run the benchmark on {side} by `asv run` to see more.")
        self.side = side


class WorkerJob(msgspec.Struct, frozen=True, kw_only=True):
    """The first line to a worker: what it is to prepare, and where."""

    benchmark_dir: str
    id: str  # empty: it is a nursery, and is told with each fork
    core: int | None = None  # to measure on; None: anywhere
    setup_core: int | None = None  # to be set up on
    slowdown: float = 0.0  # the share of its time in which it computes for nothing
    litter: int = 0  # how many objects of each size lie about on its heap
    modules: tuple[str, ...] = ()  # that a nursery imports for its children
    learns: bool = False  # whether it imports what one of them did, for the next


class Worker:
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
        self._side = side
        self._timeout_s = timeout_s
        self._unread = b""
        self._said = tempfile.TemporaryFile()  # noqa: SIM115 - `close` closes it
        control, self._control = os.pipe()
        self._status, status = os.pipe()
        pipes = (str(control), str(status), str(GRACE_S))
        try:
            with layout.held_still():
                self._guard = subprocess.Popen(  # noqa: S603 - to run what the user configured is the purpose
                    [sys.executable, "-I", "-S", guard.__file__, *pipes, *below, python, WORKER],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
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
            os.close(control)
            os.close(status)
        if goes_first:
            _prefer(self._guard.pid)
        self._send(msgspec.json.encode(job) + b"\n")

    def wait_until_ready(self) -> dict[str, Any]:
        """Returns when the benchmark is set up; the answer says whether the suite skips it."""
        return self._receive("to get ready", max(self._timeout_s, READY_S_MIN))

    def ask(self, command: str, *arguments: int) -> dict[str, Any]:
        """One command and its answer."""
        self.tell(command, *arguments)
        return self.hear(command)

    def tell(self, command: str, *arguments: int | str) -> None:
        """One command: what follows is done while others are told theirs."""
        self._send(" ".join((command, *map(str, arguments))).encode() + b"\n")

    def hear(self, command: str, timeout_s: float | None = None) -> dict[str, Any]:
        """The answer to what it was told, in its usual time or in another."""
        return self._receive(f"to {command}", self._timeout_s if timeout_s is None else timeout_s)

    def hang_up(self) -> None:
        """Lets the end of the worker begin; `close` waits for it."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1
        if self._guard.stdin:
            with contextlib.suppress(BrokenPipeError):
                self._guard.stdin.close()

    def close(self) -> None:
        """Ends the worker and all that it started; returns when none of it is left."""
        self.hang_up()
        try:
            self._wait_for_guard()
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self._close_files()

    def _send(self, line: bytes) -> None:
        if self._guard.stdin:
            with contextlib.suppress(BrokenPipeError):  # it is dead: the answer that fails to come says how
                self._guard.stdin.write(line)
                self._guard.stdin.flush()

    def _receive(self, purpose: str, timeout_s: float) -> dict[str, Any]:
        answers = self._guard.stdout
        if answers is None:
            raise WorkerError(self._side, "it has no pipe to answer on")
        deadline_s = time.monotonic() + timeout_s
        poll = select.poll()
        poll.register(answers, select.POLLIN)
        while b"\n" not in self._unread:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not poll.poll(left_s * 1_000):
                raise WorkerError(self._side, f"it took longer than {timeout_s:g} s {purpose}")
            content = os.read(answers.fileno(), ANSWER_BYTES_MAX)
            if not content:
                raise WorkerError(self._side, f"it {self._end()}")
            self._unread += content
            if len(self._unread) > ANSWER_BYTES_MAX:
                raise WorkerError(self._side, "its answer is too long")
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = msgspec.json.decode(line, type=dict[str, Any])
        if "error" in answer:
            raise WorkerError(self._side, str(answer["error"]))
        return answer

    def _end(self) -> str:
        """How the worker ended, in the words of its guard, and the last line of what it printed."""
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
                    return f"ended by {how}{self._last_words()}"
        return f"ended{self._last_words()}"

    def _wait_for_guard(self) -> None:
        """Until its end closes the status pipe. `Popen.wait` alone looks, sleeps up to 50 ms and looks again: a
        worker that had ended in 10 ms was waited for 64 ms, a fifth of the time of a pair.
        """
        end = select.poll()
        end.register(self._status, select.POLLHUP)
        end.poll(GUARD_S_MAX * 1_000)
        self._guard.wait(REAP_S_MAX)

    def _last_words(self) -> str:
        size = self._said.seek(0, os.SEEK_END)
        self._said.seek(max(0, size - SAID_BYTES_MAX))
        lines = self._said.read().decode(errors="replace").strip().splitlines()
        return f": {lines[-1]}" if lines else ""

    def _close_files(self) -> None:
        for descriptor in (self._control, self._status):
            if descriptor >= 0:
                os.close(descriptor)
        self._control = self._status = -1
        self._said.close()
        guard_process: subprocess.Popen[bytes] | None = getattr(self, "_guard", None)
        if guard_process and guard_process.stdout:
            guard_process.stdout.close()


def _prefer(pid: int) -> None:
    """Ask the scheduler to let a session that measures go first, which root may: others' work then lengthens its pairs
    and no longer decides how many there are time for. At a load of 23 on two cores 12 took as long as 8."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, PREFERENCE)
        # Linux may give each session an equal share; a process's own preference then counts within its session only.
        Path(f"/proc/{pid}/autogroup").write_text(str(PREFERENCE), encoding="ascii")
