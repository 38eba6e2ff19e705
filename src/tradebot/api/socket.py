"""The fan-out: one subscription on the bus, each event encoded once, a bounded outbox for every socket.

    bus -> (one queue) -> encode -> outbox of each socket -> its writer -> client

A slow client fills its own outbox and loses its own oldest messages; nobody waits for it. The fan-out lives from
`start` to `stop`, which the app's lifespan calls; what one client says and hears is `connection.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from tradebot.api.connection import Connection
from tradebot.api.messages import encode, encode_event
from tradebot.api.port import BotView
from tradebot.domain.events import Event, QuoteChanged
from tradebot.kernel.bus import Subscription, WhenFull

log = structlog.get_logger(__name__)

BUS_CAPACITY = 10_000
BATCH_MAX = 32  # events between two breaths of the loop: with a thousand sockets, a few milliseconds
OUTBOX_CAPACITY = 1_000


class Sockets:
    """At most `sockets_max` clients listen, and as many again may be about to show their token."""

    def __init__(self, bot: BotView) -> None:
        self._bot = bot
        self._max = bot.settings.api.sockets_max
        self._heartbeat_s = bot.settings.api.heartbeat_s
        self._waiting: set[Connection] = set()
        self._listening: dict[Connection, None] = {}  # in the order in which they came
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._subscription: Subscription[Event] | None = None
        self.encoding_errors = 0

    def __len__(self) -> int:
        return len(self._listening)

    def start(self) -> None:
        subscription = self._bot.bus.subscribe("api", capacity=BUS_CAPACITY, when_full=WhenFull.DROP_OLDEST)
        self._bot.bounds.register("api.sockets", self.__len__, self._max)
        self._bot.bounds.register("api.outbox.longest", self._longest_outbox, OUTBOX_CAPACITY)
        self._tasks = (
            asyncio.create_task(self._fan_out(subscription), name="api.fan_out"),
            asyncio.create_task(self._beat(), name="api.heartbeat"),
        )
        self._subscription = subscription

    async def stop(self) -> None:
        """Say goodbye to every client and leave nothing behind; harmless when already stopped."""
        if self._subscription is None:
            return
        subscription, self._subscription = self._subscription, None
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        connections = (*self._waiting, *self._listening)
        for connection in connections:
            connection.close(1001)
        await asyncio.gather(*(connection.gone.wait() for connection in connections))
        self._bot.bus.unsubscribe(subscription)
        self._bot.bounds.unregister("api.sockets")
        self._bot.bounds.unregister("api.outbox.longest")

    @contextmanager
    def arrive(self) -> Iterator[Connection]:
        """A client that connected and has not shown its token yet."""
        connection = Connection(OUTBOX_CAPACITY)
        if self._subscription is None:
            connection.close(1001)
        elif len(self._waiting) >= self._max:
            connection.close(1013)
        self._waiting.add(connection)
        try:
            yield connection
        finally:
            self._waiting.discard(connection)
            self._listening.pop(connection, None)
            connection.gone.set()

    def admit(self, connection: Connection) -> None:
        """It showed the token: from now on it hears everything, first a heartbeat, so that it knows."""
        self._waiting.discard(connection)
        if len(self._listening) >= self._max:
            connection.close(1013)
            return
        self._listening[connection] = None
        connection.outbox.put(self._heartbeat())

    async def _fan_out(self, subscription: Subscription[Event]) -> None:
        lost_before = 0
        while batch := await subscription.batch(BATCH_MAX):
            lost = subscription.dropped - lost_before
            if lost:
                # Perhaps only quotes that this client had not asked for: the number is what it may have missed.
                lost_before += lost
                for connection in self._listening:
                    connection.outbox.skip(lost)
            for event in batch:
                self._tell(event)
            await asyncio.sleep(0)

    def _tell(self, event: Event) -> None:
        quote = isinstance(event, QuoteChanged)
        listeners = [each for each in self._listening if each.wants_quotes or not quote]
        if not listeners:
            return
        try:
            message = encode_event(event, self._bot.clock.now())
        except Exception as error:  # noqa: BLE001 - one event that cannot be told must not silence all the others
            self.encoding_errors += 1
            log.error("event_not_told", kind=type(event).__name__, error=repr(error))
            return
        for connection in listeners:
            connection.outbox.put(message)

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            message = self._heartbeat()
            for connection in self._listening:
                connection.outbox.put(message)

    def _heartbeat(self) -> str:
        data = {"ready": self._bot.ready, "interval_s": self._heartbeat_s}
        return encode("HEARTBEAT", self._bot.clock.now(), data)

    def _longest_outbox(self) -> int:
        return max((len(each.outbox) for each in self._listening), default=0)
