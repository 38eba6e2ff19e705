"""One program under a guard: started, watched, killed, stopped with everything that it started.

`Guarded` is the side of tidegauge; `guard.py` is the other end of its two pipes and explains how nothing
survives. Its output goes through `output.Output`.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tidegauge import guard
from tidegauge.errors import TidegaugeError
from tidegauge.output import Output, Sink

START_S_MAX = 30.0
POLL_S = 0.005
PREFERENCE = -20  # the most that the scheduler knows
PREFERENCE_SECOND = -10  # before everybody else, and behind who measures it
# The guard needs this much longer than it grants its processes.
GUARD_MARGIN_S = guard.KILL_S_MAX + 5.0


class Guarded:
    """A running program. `stop` must be called; if we die first, the guard notices."""

    def __init__(
        self,
        name: str,
        argv: Sequence[str],
        *,
        env: Mapping[str, str],
        cwd: Path,
        log: Path,
        grace_s: float,
        ready: re.Pattern[str] | None = None,
        sink: Sink | None = None,
        error_sink: Sink | None = None,
    ) -> None:
        self.name = name
        self.log = log
        self.pid = 0
        self.started_s = 0.0
        self.exit_status: int | None = None
        self._grace_s = grace_s
        self._left = 0
        self._errno = 0
        self._unread = b""
        control, self._control = os.pipe()
        self._status, status = os.pipe()
        os.set_blocking(self._status, False)
        options = [str(control), str(status), str(grace_s)]
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            self._guard = subprocess.Popen(  # noqa: S603 - to run what the user configured is the purpose
                [sys.executable, "-I", "-S", guard.__file__, *options, *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                # The streams are kept apart only for whoever reads them: a log wants them in order.
                stderr=subprocess.PIPE if error_sink else subprocess.STDOUT,
                env=dict(env),
                cwd=cwd,
                pass_fds=(control, status),
                start_new_session=True,
            )
        except BaseException:
            self._close_pipes()
            raise
        finally:
            os.close(control)
            os.close(status)
        streams = ((self._guard.stdout, log, sink), (self._guard.stderr, log.with_suffix(".err"), error_sink))
        self.outputs = [Output(stream, path, ready=ready, sink=to) for stream, path, to in streams if stream]
        self._wait_until_started(argv[0])

    @property
    def tail(self) -> tuple[str, ...]:
        """The last lines that it printed; what it said on stderr comes last."""
        return tuple(line for output in self.outputs for line in output.tail)

    def alive(self) -> bool:
        """Whether the program itself, not its guard, runs."""
        self._read_status()
        if self.exit_status is None and self._guard.poll() is not None:
            self._read_status()  # what it said last
            if self.exit_status is None:
                self._after_the_guard_died()
        return self.exit_status is None

    def drained(self) -> bool:
        """Whether it ended, with everything it had started, and all that it printed was taken."""
        return not self.alive() and all(output.ended for output in self.outputs)

    def kill(self) -> None:
        """SIGKILL for the program; returns when it is dead and what it had started is stopped."""
        if self._control >= 0:
            with contextlib.suppress(BrokenPipeError):  # it is dead already
                os.write(self._control, b"K")
            self._wait_for_guard()

    def ask_to_stop(self) -> None:
        """Begins a stop without waiting for it, so that several can go on at once."""
        if self._control >= 0:
            os.close(self._control)
            self._control = -1

    def stop(self) -> None:
        """SIGTERM for all of it, SIGKILL after the grace period; returns when none is left."""
        self.ask_to_stop()
        self._wait_for_guard()
        self._close_pipes()
        if self._left:
            raise TidegaugeError(
                f"{self._left} processes of {self.name} could not be killed", "They hang in the kernel: see `ps axf`."
            )

    def _wait_until_started(self, program: str) -> None:
        deadline_s = time.monotonic() + START_S_MAX
        try:
            while not self.pid and not self._errno and self.alive() and time.monotonic() < deadline_s:
                time.sleep(POLL_S)
        except BaseException:
            self.stop()
            raise
        if not self.pid:
            self.stop()
            why = os.strerror(self._errno) if self._errno else f"its guard did not start, see {self.log}"
            raise TidegaugeError(
                f"Cannot start {self.name}: {program}: {why}", "Correct its command in tidegauge.toml."
            )

    def _read_status(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._status >= 0 and (content := os.read(self._status, 4096)):
                self._unread += content
        *lines, self._unread = self._unread.split(b"\n")
        for line in lines:
            kind, *numbers = line.split()
            if kind == b"started":
                self.pid, self.started_s = int(numbers[0]), int(numbers[1]) / 1e9
            elif kind == b"exit":
                self.exit_status = int(numbers[0])
            elif kind == b"error":
                self._errno = int(numbers[0])
            elif kind == b"left":
                self._left = int(numbers[0])

    def _wait_for_guard(self) -> None:
        try:
            self._guard.wait(self._grace_s + GUARD_MARGIN_S)
        except subprocess.TimeoutExpired:
            self._guard.kill()
            self._guard.wait()
        self.alive()
        for output in self.outputs:
            output.join(GUARD_MARGIN_S)

    def _after_the_guard_died(self) -> None:
        """Somebody killed the guard: the kernel killed the program, and its group is ended from here."""
        self.exit_status = -signal.SIGKILL
        if self.pid:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self.pid, signal.SIGKILL)

    def _close_pipes(self) -> None:
        self.ask_to_stop()
        if self._status >= 0:
            os.close(self._status)
            self._status = -1


def prefer(pid: int, preference: int = PREFERENCE) -> None:
    """Ask the scheduler to let a session that measures go first, which root may: others' work then lengthens its pairs
    and no longer decides how many there are time for. At a load of 23 on two cores 12 took as long as 8."""
    with contextlib.suppress(OSError):
        os.setpriority(os.PRIO_PROCESS, pid, preference)
        # Linux may give each session an equal share; a process's own preference then counts within its session only.
        Path(f"/proc/{pid}/autogroup").write_text(str(preference), encoding="ascii")
