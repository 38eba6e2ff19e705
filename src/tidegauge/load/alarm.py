"""Waking up at a moment, to some ten microseconds: what gevent's own sleep, which counts milliseconds, cannot.

On Linux a timer of the kernel is a file that becomes readable when its time has come, and the hub wakes for files
at once; elsewhere gevent's sleep has to do, and the schedule's lag says what that costs. Spinning is no way: it takes
the core from the very requests that are measured.
"""

import contextlib
import ctypes
import os
import sys
import time
from types import TracebackType
from typing import Final, Self

import gevent
import gevent.hub

CLOCK_MONOTONIC: Final = 1  # what `time.perf_counter` reads on Linux
TFD_NONBLOCK: Final = os.O_NONBLOCK
TFD_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
TFD_TIMER_ABSTIME: Final = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """Waits until a time of `time.perf_counter`. As a context manager it closes its file."""

    def __init__(self) -> None:
        self._file = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        self._timer = _Timer()
        self._watcher = gevent.get_hub().loop.io(self._file, 1) if self._file >= 0 else None

    def wait_until(self, moment_s: float) -> None:
        """Returns at that time, or at once when it has passed."""
        if self._watcher is None:
            gevent.sleep(max(moment_s - time.perf_counter(), 0))
            return
        if moment_s <= time.perf_counter():
            gevent.sleep(0)
            return
        self._timer.value.s, self._timer.value.ns = int(moment_s), int(moment_s % 1 * 1e9)
        self._libc.timerfd_settime(self._file, TFD_TIMER_ABSTIME, ctypes.byref(self._timer), None)
        gevent.get_hub().wait(self._watcher)
        with contextlib.suppress(BlockingIOError):
            os.read(self._file, 8)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._watcher is not None:
            self._watcher.close()
            os.close(self._file)
