"""Who else used the machine while a step was measured: a knee that others made is no knee of the target.

    /proc of the machine ─▶ CPU time of all ─┐
    this process, its children, the target ──┴─▶ Look, twice a second ─▶ share of the others in a span ─▶ Step

The lane starts the target, what it needs and Locust, so that all of them are its children; a target that was there
before is added by its pid. What is neither theirs nor idle is the others', and so is what a hypervisor took away.
Interrupts are nobody's: on loopback they are the load's own packets. Others matter where they took part of what was
wanted: while a whole core was left over, nobody waited for one.

Bound: LOOKS_MAX looks in memory.
"""

import contextlib
import os
import threading
import time
from collections import deque
from collections.abc import Sequence
from types import TracebackType
from typing import Final, Self

import msgspec
import psutil

EVERY_S: Final = 0.5
LOOKS_MAX: Final = 5_000
# Of the whole machine: what daemons and the counting of ticks come to.
OTHERS_MAX: Final = 0.10
CORES_LEFT: Final = 1.0
UNUSED: Final = frozenset({"idle", "iowait", "irq", "softirq", "guest", "guest_nice"})  # a guest is in user's already


class Look(msgspec.Struct, frozen=True):
    """CPU time that was used since the first look: of all, and of ours."""

    t_s: float
    used_s: float
    ours_s: float


class Others(msgspec.Struct, frozen=True):
    """Shares of all cores in a span: what others used, and what nobody did."""

    share: float
    idle: float
    cores: int

    @property
    def took_part(self) -> str:
        """What is wrong with a measurement beside them; empty where they left enough."""
        if self.share <= OTHERS_MAX or self.idle * self.cores >= CORES_LEFT:
            return ""
        return (
            f"others used {self.share:.0%} of the machine, which had no core to spare: "
            "stop them, wait until they are done, or measure on another machine"
        )


class Watch:
    """Looks at the machine in a thread of its own; `seen` says what others used between two moments."""

    def __init__(self, target_pid: int | None = None, *, every_s: float = EVERY_S) -> None:
        self.looks: deque[Look] = deque(maxlen=LOOKS_MAX)
        self._roots = [pid for pid in (os.getpid(), target_pid) if pid]
        self._known: dict[psutil.Process, float] = {}
        self._used_first_s = _used_s()
        self._ours_s = 0.0
        self._every_s = every_s
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="others", daemon=True)

    def __enter__(self) -> Self:
        self.look()
        self._ours_s = 0.0  # what they had used before is of no span
        self.looks.clear()
        self.look()
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._closing.set()
        self._thread.join()

    def seen(self, begin_s: float, end_s: float) -> Others | None:
        """By the monotonic clock; None where nobody looked."""
        return others_in(list(self.looks), begin_s, end_s, os.cpu_count() or 1)

    def wait_until_calm(self, seconds_max: float) -> float:
        """A second at least, until others leave the machine alone or the time is over; returns how long it took."""
        began_s = time.monotonic()
        while True:
            time.sleep(min(1.0, seconds_max))
            now_s = time.monotonic()
            others = self.seen(now_s - 2 * self._every_s - 0.5, now_s)
            if now_s - began_s >= seconds_max or others is None or others.share <= OTHERS_MAX:
                return now_s - began_s

    def look(self) -> None:
        """One look; the thread takes one each time."""
        alive: dict[psutil.Process, float] = {}
        t_s, used_s = time.monotonic(), _used_s()
        for process in self._family():
            with contextlib.suppress(psutil.Error):
                times = process.cpu_times()
                alive[process] = times.user + times.system
                self._ours_s += alive[process] - self._known.get(process, 0.0)
        self._known = alive
        self.looks.append(Look(t_s, used_s - self._used_first_s, self._ours_s))

    def _run(self) -> None:
        while not self._closing.wait(self._every_s):
            self.look()

    def _family(self) -> set[psutil.Process]:
        found: set[psutil.Process] = set()
        for pid in self._roots:
            with contextlib.suppress(psutil.Error):
                root = psutil.Process(pid)
                found |= {root, *root.children(recursive=True)}
        return found


def others_in(looks: Sequence[Look], begin_s: float, end_s: float, cores: int) -> Others | None:
    """From the first to the last look of the span."""
    inside = [look for look in looks if begin_s <= look.t_s <= end_s]
    if len(inside) < 2:
        return None
    first, last = inside[0], inside[-1]
    all_s = (last.t_s - first.t_s) * cores
    used_s, ours_s = last.used_s - first.used_s, last.ours_s - first.ours_s
    return Others(share=max(used_s - ours_s, 0.0) / all_s, idle=max(1 - used_s / all_s, 0.0), cores=cores)


def _used_s() -> float:
    return float(sum(seconds for name, seconds in psutil.cpu_times()._asdict().items() if name not in UNUSED))
