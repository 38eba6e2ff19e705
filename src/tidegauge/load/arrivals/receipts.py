"""When an answer reached this machine, which is not when a busy process came to read it.

After a stall hundreds of answers arrive at once, and the last one waits in the kernel while Python works off the
others: that time is the generator's, not the target's. Linux stamps each packet that comes in, so `install` lets
gevent's sockets ask for the stamp, and a read in an arrival's greenlet leaves behind how long its answer had lain
unread. What was read late then stands back: one answer at a time is worked off, and only while nothing else is ready,
so that a burst of answers makes no arrival late. Without a stamp (TLS, other systems) an answer counts from when it was
read, as everywhere.
"""

import collections
import socket as plain
import struct
import sys
import time
from typing import Any, Final, Protocol

import gevent
import gevent.socket
import greenlet

ATTRIBUTE: Final = "tidegauge_arrival"
SO_TIMESTAMPNS: Final = 35
CONTROL: Final = plain.CMSG_SPACE(16)
STAMP: Final = struct.Struct("@ll")
# Answers that lay so long are many at once; below it, standing back would cost more than it gives.
LATE_S: Final = 0.001


class Reader(Protocol):
    """What an arrival knows of its last read."""

    unread_s: float


class Turns:
    """Greenlets that wait until nothing else is ready, the first to come first."""

    def __init__(self) -> None:
        self._hub = gevent.get_hub()
        self._waiting: collections.deque[Any] = collections.deque()
        self._idle = self._hub.loop.idle()

    def wait(self) -> None:
        """Returns when it is this greenlet's turn."""
        me = greenlet.getcurrent()
        self._waiting.append(me)
        if not self._idle.active:
            self._idle.start(self._next)
        try:
            self._hub.switch()
        except BaseException:
            if me in self._waiting:
                self._waiting.remove(me)
            raise

    def _next(self) -> None:
        if self._waiting:
            self._waiting.popleft().switch()
        if not self._waiting:
            self._idle.stop()


def install() -> None:
    """From now on, in this process; once is enough, and twice does no harm."""
    kind: Any = gevent.socket.socket
    if sys.platform != "linux" or hasattr(kind, "tidegauge_turns"):
        return
    kind.tidegauge_turns = Turns()
    kind.connect = _stamping(kind.connect)
    kind.recv = _recv
    kind.recv_into = _recv_into


def _stamping(connect: Any) -> Any:
    def stamped(self: Any, address: Any) -> Any:
        if self.family in {plain.AF_INET, plain.AF_INET6}:
            self._sock.setsockopt(plain.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        return connect(self, address)

    return stamped


def _recv(self: Any, bufsize: int, flags: int = 0) -> bytes:
    while True:
        try:
            data, control, _, _ = self._sock.recvmsg(bufsize, CONTROL, flags)
        except BlockingIOError:
            if self.timeout == 0.0:
                raise
        else:
            if control:
                _received(self, control)
            return data  # type: ignore[no-any-return]
        self._wait(self._read_event)


def _recv_into(self: Any, buffer: Any, nbytes: int = 0, flags: int = 0) -> int:
    into = memoryview(buffer).cast("B")[:nbytes] if nbytes else buffer
    while True:
        try:
            number, control, _, _ = self._sock.recvmsg_into((into,), CONTROL, flags)
        except BlockingIOError:
            if self.timeout == 0.0:
                raise
        else:
            if control:
                _received(self, control)
            return number  # type: ignore[no-any-return]
        self._wait(self._read_event)


def _received(sock: Any, control: list[tuple[int, int, bytes]]) -> None:
    """Of an arrival's socket: how long what was read had lain there, and a turn for it if that was long."""
    arrival: Reader | None = getattr(greenlet.getcurrent(), ATTRIBUTE, None)
    if arrival is None:
        return
    seconds, ns = STAMP.unpack_from(control[0][2])
    # The stamp is of the wall clock; both ends of the difference are, so that it holds whatever that clock says.
    arrived_s = seconds + ns * 1e-9
    unread_s = time.time() - arrived_s
    if unread_s >= LATE_S:
        sock.tidegauge_turns.wait()
        unread_s = time.time() - arrived_s
    arrival.unread_s = max(unread_s, 0.0)
