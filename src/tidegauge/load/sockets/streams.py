"""One WebSocket that is heard, cheap enough for thousands of them on one core.

    kernel -> loop of gevent -> Stream._readable -> FrameReader -> Tally -> session
                                     └── its user's greenlet only waits: for a time, or for the end

What a client costs is what a message costs: so no greenlet is woken for one. The loop calls `_readable`, which takes
what is there into a buffer shared by all, and is done. The price is the rule of that loop: nothing there waits or
raises.

The kernel tells when the bytes arrived (Linux; elsewhere we look at the clock as we read). A broadcast makes thousands
of sockets readable at once and the last is read milliseconds later: that is our lag, recorded as such, and not the
server's delivery. Delivery is the server's clock against ours: true on one machine, and on two as far as both follow
the same time; a server that is ahead of us is noticed by messages that come too early.
"""

from __future__ import annotations

import os
import struct
import sys
import time
from collections.abc import Mapping
from typing import Any, Final, Literal, NamedTuple
from urllib.parse import urljoin

import gevent
from gevent.event import Event

from tidegauge.load.sockets.dialing import Refused, dial
from tidegauge.load.sockets.frames import (
    BINARY,
    CLOSE,
    MESSAGE_BYTES_MAX,
    PING,
    PONG,
    TEXT,
    FrameReader,
    frame,
)
from tidegauge.load.sockets.heard import Tally

NORMAL: Final = 1000
CONNECT_WITHIN_S: Final = 10.0
GOODBYE_WITHIN_S: Final = 1.0
UNSENT_BYTES_MAX: Final = 1024 * 1024
# The kernel's own constants, which Python does not name: a timespec with each piece of what was received.
SO_TIMESTAMPNS: Final = 35
TIMESPEC: Final = struct.Struct("@qq")
STAMPED: Final = sys.platform == "linux" and struct.calcsize("P") == 8 and os.uname().machine in {"x86_64", "aarch64"}
ANCILLARY_BYTES: Final = 64

SOL_SOCKET: Final = 1
READ, WRITE = 1, 2  # events of gevent's loop

_buffer = memoryview(bytearray(256 * 1024))  # of all streams: one is read at a time, and what it keeps it copies


class End(NamedTuple):
    """How a stream ended: `left` by us, `closed` by the server with a code, `cut` off, or `broken` by a wrong frame."""

    how: Literal["left", "closed", "cut", "broken"]
    code: int | None
    why: str


class Stream:
    """One connection. Everything it hears goes to the tally; `wait` is all that its user has to do."""

    def __init__(self, socket: Any, rest: bytes, tally: Tally, *, stamped: bool = True) -> None:
        self.end: End | None = None
        self.first_us = 0  # when this connection brought its first message; 0: it has not yet
        self._socket = socket
        self._tally = tally
        self._frames = FrameReader(MESSAGE_BYTES_MAX)
        self._ended = Event()
        self._spoke = Event()
        self._unsent = b""
        self._leaving = False
        self._stamped = stamped and STAMPED
        if self._stamped:
            socket.setsockopt(SOL_SOCKET, SO_TIMESTAMPNS, 1)
        loop = gevent.get_hub().loop
        self._reader = loop.io(socket.fileno(), READ)
        self._writer = loop.io(socket.fileno(), WRITE)
        tally.connected()
        if rest:
            self._take(memoryview(rest), time.time_ns() // 1000)
        if self.end is None:
            self._reader.start(self._readable)

    def say(self, text: str) -> None:
        """Sent at once, or as soon as the server takes it."""
        self._send(TEXT, text.encode())

    def wait(self, seconds: float) -> End | None:
        """Hears for so long; how it ended, if it did."""
        self._ended.wait(seconds)
        return self.end

    def wait_for_first(self, seconds: float) -> bool:
        """Whether it has spoken; a stream that ends before it does will not."""
        self._spoke.wait(seconds)
        return bool(self.first_us)

    def stop_reading(self) -> None:
        """What the server sends from now on stays in the kernel's buffers, and then in the server's."""
        self._reader.stop()

    def read_on(self) -> None:
        if self.end is None:
            self._reader.start(self._readable)

    def close(self) -> None:
        """Goodbye in order: our close frame, theirs, and the end of it. Harmless when it has ended."""
        self._leaving = True
        if self.end is None:
            self._send(CLOSE, NORMAL.to_bytes(2, "big"))
            self.read_on()
            self._ended.wait(GOODBYE_WITHIN_S)
        self.abort()

    def abort(self) -> None:
        """The line goes dead, without a word."""
        self._finish(End("left", None, "we left"))

    def _readable(self) -> None:
        try:
            if self._stamped:
                size, said, _, _ = self._socket.recvmsg_into((_buffer,), ANCILLARY_BYTES)
            else:
                size, said = self._socket.recv_into(_buffer), ()
        except (BlockingIOError, InterruptedError):
            return
        except OSError as error:
            self._finish(End("cut", None, error.strerror or str(error)))
            return
        if not size:
            self._finish(End("cut", None, "the server went away without a close frame"))
            return
        now_us = received_us = time.time_ns() // 1000
        if said:
            seconds, nanoseconds = TIMESPEC.unpack(said[0][2])
            received_us = seconds * 1_000_000 + nanoseconds // 1000
            self._tally.unread(max(0, now_us - received_us))
        self._take(_buffer[:size], received_us)

    def _take(self, data: memoryview, received_us: int) -> None:
        for opcode, payload in self._frames.feed(data):
            if opcode in {TEXT, BINARY}:
                self._tally.hear(payload, received_us)
                if not self.first_us:
                    self.first_us = received_us
                    self._spoke.set()
            elif not self._control(opcode, payload):
                return
        if (bad := self._frames.bad) is not None:
            self._send(CLOSE, bad.code.to_bytes(2, "big"))
            self._finish(End("broken", bad.code, str(bad)))

    def _control(self, opcode: int, payload: bytes) -> bool:
        """Whether the conversation goes on."""
        if opcode == PING:
            self._send(PONG, payload)
        elif opcode == CLOSE:
            if not self._leaving:
                self._send(CLOSE, payload[:2])
            code = int.from_bytes(payload[:2], "big") if len(payload) >= 2 else None
            self._finish(End("closed", code, payload[2:].decode(errors="replace")))
        return self.end is None

    def _send(self, opcode: int, payload: bytes) -> None:
        if self.end is not None:
            return
        self._unsent += frame(opcode, payload)
        if len(self._unsent) > UNSENT_BYTES_MAX:
            self._finish(End("broken", None, f"the server has not read {UNSENT_BYTES_MAX} bytes that we sent"))
        else:
            self._flush()

    def _flush(self) -> None:
        try:
            self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as error:
            self._finish(End("cut", None, error.strerror or str(error)))
            return
        if not self._unsent:
            self._writer.stop()
        elif not self._writer.active:
            self._writer.start(self._flush)

    def _finish(self, end: End) -> None:
        if self.end is not None:
            return
        self.end = End("left", end.code, end.why) if self._leaving else end
        for watcher in (self._reader, self._writer):
            watcher.stop()
            watcher.close()
        self._socket.close()
        if self.end.how != "left":
            self._tally.count(self.end.how)
        self._tally.flush()
        self._spoke.set()
        self._ended.set()


def listen(
    host: str,
    tally: Tally,
    *,
    headers: Mapping[str, str],
    receive_buffer_bytes: int | None = None,
    stamped: bool = True,
) -> Stream:
    """Opens the tally's next connection, where its last one ended if the server can go on there."""
    path, texts = tally.dialect.opening(tally.last)
    try:
        socket, rest = dial(
            urljoin(host, path), headers, within_s=CONNECT_WITHIN_S, receive_buffer_bytes=receive_buffer_bytes
        )
    except Refused:
        tally.count("refused")
        raise
    stream = Stream(socket, rest, tally, stamped=stamped)
    for text in texts:
        stream.say(text)
    return stream
