"""Waking up at a moment, to some ten microseconds: what gevent's own sleep, which counts milliseconds, cannot.

On Linux a timer of the kernel is a file that becomes readable when its time has come, and the hub wakes for files
at once; elsewhere gevent's sleep has to do, and the schedule's lag says what that costs. Spinning is no way: it takes
the core from the very requests that are measured.
"""

import ctypes
import os
import sys
import time
from types import TracebackType
from typing import Final, Self

import gevent
import greenlet

CLOCK_MONOTONIC: Final = 1  # what `time.perf_counter` reads on Linux
TFD_NONBLOCK: Final = os.O_NONBLOCK
TFD_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
TFD_TIMER_ABSTIME: Final = 1


class _Timespec(ctypes.Structure):
    _fields_ = (("s", ctypes.c_long), ("ns", ctypes.c_long))


class _Timer(ctypes.Structure):
    _fields_ = (("interval", _Timespec), ("value", _Timespec))


class Alarm:
    """Waits until a time of `time.perf_counter`, in the greenlet that made it. As a context manager it closes its file.

    The hub watches the file all the time and switches straight back: nothing is registered for each wait. Setting the
    timer anew takes back that it had rung, so the file is never read, and rings only while somebody waits. Of what is
    ready at once it goes first: an answer can wait, an arrival is late.
    """

    def __init__(self) -> None:
        self._file = -1
        if sys.platform == "linux":
            self._libc = ctypes.CDLL(None, use_errno=True)
            self._file = self._libc.timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC)
        self._hub = gevent.get_hub()
        self._watcher = None
        if self._file >= 0:
            self._timer = _Timer()
            self._where = ctypes.byref(self._timer)
            self._watcher = self._hub.loop.io(self._file, 1, priority=self._hub.loop.MAXPRI)
            self._watcher.start(greenlet.getcurrent().switch)

    def wait_until(self, moment_s: float) -> None:
        """Returns at that time; when it has passed, as soon as everything else that is ready had its turn."""
        if self._watcher is None:
            gevent.sleep(max(moment_s - time.perf_counter(), 0))
            return
        whole_s = int(moment_s)
        self._timer.value.s, self._timer.value.ns = whole_s, int((moment_s - whole_s) * 1e9)
        self._libc.timerfd_settime(self._file, TFD_TIMER_ABSTIME, self._where, None)
        self._hub.switch()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        if self._watcher is not None:
            self._watcher.stop()
            self._watcher.close()
            os.close(self._file)
