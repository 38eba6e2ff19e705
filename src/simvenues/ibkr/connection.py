"""One client's socket: bytes in to messages, messages out to bytes, and the faults in between.

A session queues messages with `send`; `flush` writes everything queued as one piece, so a batch costs one system call.
While faults are on (or something is still held back by one) batches pass through `Held`, which keeps their order.
A peer that does not read, or a stall that holds too much, ends the connection instead of filling the memory.
"""

from __future__ import annotations

import asyncio
import collections
import logging
from collections.abc import Callable
from typing import Generic, TypeVar, cast

from simvenues.faults import Faults
from simvenues.ibkr.frames import FrameError, Framer, frame

_PREFIX = b"API\0"
# Unread or held bytes of one connection, each way: room for full histories of orders and executions at once.
BACKLOG_BYTES_MAX = 128 << 20

_log = logging.getLogger(__name__)
Item = TypeVar("Item")


class Held(Generic[Item]):
    """Items waiting for their time, delivered in the order in which they came."""

    def __init__(self, loop: asyncio.AbstractEventLoop, deliver: Callable[[Item], None]) -> None:
        self._loop = loop
        self._deliver = deliver
        self._queue: collections.deque[tuple[float, int, Item]] = collections.deque()
        self._timer: asyncio.TimerHandle | None = None
        self.waiting_bytes = 0

    def __bool__(self) -> bool:
        return bool(self._queue)

    def push(self, delay_s: float, size_bytes: int, item: Item) -> None:
        if delay_s <= 0 and not self._queue:
            self._deliver(item)
            return
        due = self._loop.time() + delay_s
        self._queue.append((due, size_bytes, item))
        self.waiting_bytes += size_bytes
        if self._timer is None:
            self._timer = self._loop.call_at(due, self._release)

    def close(self) -> None:
        self._queue.clear()
        self.waiting_bytes = 0
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _release(self) -> None:
        self._timer = None
        # Only the head is looked at: a later batch never overtakes, however short its own delay.
        while self._queue and self._queue[0][0] <= self._loop.time():
            _, size_bytes, item = self._queue.popleft()
            self.waiting_bytes -= size_bytes
            self._deliver(item)
        if self._queue:
            self._timer = self._loop.call_at(self._queue[0][0], self._release)


class Connection(asyncio.Protocol):
    """asyncio sets TCP_NODELAY on every socket it accepts: small answers leave at once."""

    def __init__(
        self,
        faults: Faults,
        on_messages: Callable[[Connection, tuple[bytes, ...]], None],
        on_open: Callable[[Connection], None],
        on_closed: Callable[[Connection], None],
    ) -> None:
        self._faults = faults
        self._on_messages = on_messages
        self._on_open = on_open
        self._on_closed = on_closed
        self._loop = asyncio.get_running_loop()
        self._framer = Framer()
        self._prefix = bytearray()
        self._outbox: list[bytes] = []
        self._incoming: Held[tuple[tuple[bytes, ...], bool]] = Held(self._loop, self._receive)
        self._outgoing: Held[tuple[bytes, bool]] = Held(self._loop, self._write)
        self._transport: asyncio.Transport | None = None
        self.closed = asyncio.Event()

    def send(self, message: bytes) -> None:
        """Queue a message; it leaves with the next `flush`."""
        self._outbox.append(message)

    def flush(self) -> None:
        if not self._outbox:
            return
        messages, self._outbox = self._outbox, []
        if not self._faults.active and not self._outgoing:
            self._write((b"".join(map(frame, messages)), False))
            return
        batch = self._faults.apply(tuple(messages), self._loop.time(), outgoing=True)
        data = b"".join(map(frame, batch.messages))
        self._outgoing.push(batch.delay_s, len(data), (data, batch.cut))
        self._check_backlog()

    def close(self) -> None:
        """Send what is queued, then close."""
        self.flush()
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Cut the connection: nothing further is read or sent."""
        if self._transport is not None:
            self._transport.abort()

    # --- asyncio's side

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # Every stream server hands its protocols a two-way transport; the base class has another opinion.
        self._transport = cast("asyncio.Transport", transport)
        self._on_open(self)

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self._transport = None
        self._incoming.close()
        self._outgoing.close()
        self.closed.set()
        self._on_closed(self)

    def data_received(self, data: bytes) -> None:
        try:
            messages = tuple(self._framer.feed(self._without_prefix(data)))
        except FrameError as error:
            _log.warning("connection closed: %s", error)
            self.abort()
            return
        if not messages:
            return
        if not self._faults.active and not self._incoming:
            self._receive((messages, False))
            return
        batch = self._faults.apply(messages, self._loop.time(), outgoing=False)
        self._incoming.push(batch.delay_s, sum(map(len, batch.messages)), (batch.messages, batch.cut))
        self._check_backlog()

    # --- inside

    def _without_prefix(self, data: bytes) -> bytes:
        missing = len(_PREFIX) - len(self._prefix)
        if not missing:
            return data
        self._prefix += data[:missing]
        if not _PREFIX.startswith(self._prefix):
            raise FrameError("The peer does not open with the API's greeting.")
        return data[missing:]

    def _receive(self, item: tuple[tuple[bytes, ...], bool]) -> None:
        messages, cut = item
        if self._transport is not None and not self._transport.is_closing():
            self._on_messages(self, messages)
        if cut:
            self.abort()

    def _write(self, item: tuple[bytes, bool]) -> None:
        data, cut = item
        if self._transport is None or self._transport.is_closing():
            return
        self._transport.write(data)
        if cut:
            # What came before the cut still arrives: close() sends the buffer, abort() would drop it.
            self._transport.close()
        self._check_backlog()

    def _check_backlog(self) -> None:
        if self._transport is None:
            return
        unread = self._transport.get_write_buffer_size()
        if max(unread + self._outgoing.waiting_bytes, self._incoming.waiting_bytes) > BACKLOG_BYTES_MAX:
            _log.warning("connection cut: more than %d bytes wait for it", BACKLOG_BYTES_MAX)
            self.abort()
