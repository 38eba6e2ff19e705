"""The fan-out: one subscription on the bus, each event encoded once, a bounded outbox for every socket.

    bus -> (one queue) -> its number in each stream -> encode -> outbox of each socket -> its writer -> client

There are two streams, all events and those without quotes, and a client hears one. A slow client fills its own outbox
and loses its own oldest messages; nobody waits for it. One that was away is told again what a stream still keeps, as
much as its outbox holds. The fan-out lives from `start` to `stop`, which the app's lifespan calls; what one client says
and hears is `connection.py`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog

from tradebot.api.connection import Connection
from tradebot.api.messages import Heartbeat, Message, encode, encode_event, numbered, unnumbered
from tradebot.api.port import BotView
from tradebot.api.stream import Stream
from tradebot.domain.events import Event, QuoteChanged
from tradebot.kernel.bus import Subscription, WhenFull

log = structlog.get_logger(__name__)

BUS_CAPACITY = 10_000
BATCH_MAX = 32  # events between two breaths of the loop: with a thousand sockets, a few milliseconds
OUTBOX_CAPACITY = 1_000
WELCOME = 2  # a greeting and a gap; the rest of an outbox has room for all that a stream keeps
STREAMS = {False: "api.stream.events", True: "api.stream.quotes"}


class Sockets:
    """At most `sockets_max` clients listen, and as many again may be about to show their token."""

    def __init__(self, bot: BotView) -> None:
        self._bot = bot
        self._max = bot.settings.api.sockets_max
        self._heartbeat_s = bot.settings.api.heartbeat_s
        began = bot.clock.now()
        self._streams = {quotes: Stream(began, OUTBOX_CAPACITY - WELCOME) for quotes in (False, True)}
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
        for quotes, name in STREAMS.items():
            self._bot.bounds.register(name, self._streams[quotes].__len__, OUTBOX_CAPACITY - WELCOME)
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
        for name in ("api.outbox.longest", *STREAMS.values()):
            self._bot.bounds.unregister(name)

    @contextmanager
    def arrive(self) -> Iterator[Connection]:
        """A client that connected and has not shown its token yet."""
        connection = Connection(OUTBOX_CAPACITY, self._position)
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
        """It showed the token: from now on it hears everything, first a heartbeat, so that it knows; then its past."""
        self._waiting.discard(connection)
        if len(self._listening) >= self._max:
            connection.close(1013)
            return
        self._listening[connection] = None
        connection.outbox.answer(self._greeting(connection.wants_quotes))
        if connection.after is not None:
            self._tell_again(connection, connection.after)

    async def _fan_out(self, subscription: Subscription[Event]) -> None:
        lost_before = 0
        while batch := await subscription.batch(BATCH_MAX):
            lost = subscription.dropped - lost_before
            if lost:
                # Perhaps only quotes that this client had not asked for: the number is what it may have missed.
                lost_before += lost
                for stream in self._streams.values():
                    stream.skip(lost)
                for connection in self._listening:
                    connection.outbox.skip(lost)
            for event in batch:
                self._tell(event)
            await asyncio.sleep(0)

    def _tell(self, event: Message) -> None:
        now = self._bot.clock.now()
        quote = isinstance(event, QuoteChanged)
        listeners = [each for each in self._listening if each.wants_quotes or not quote]
        message = self._encoded(event, now) if listeners else ""
        if message is None:
            return  # it gets no number, and nobody misses it
        texts = {
            quotes: numbered(stream.tell(event, now), message)
            for quotes, stream in self._streams.items()
            if quotes or not quote
        }
        for connection in listeners:
            connection.outbox.put(texts[connection.wants_quotes])

    def _tell_again(self, connection: Connection, after: int) -> None:
        stream = self._streams[connection.wants_quotes]
        lost, kept = stream.since(after)
        if lost:
            connection.outbox.skip(lost)
        for told in kept:
            message = self._encoded(told.event, told.at)
            if message is None:
                connection.outbox.skip(1)
            else:
                connection.outbox.put(numbered(told.seq, message))

    def _encoded(self, event: Message, at: datetime) -> str | None:
        try:
            return encode_event(event, at)
        except Exception as error:  # noqa: BLE001 - one event that cannot be told must not silence all the others
            self.encoding_errors += 1
            log.error("event_not_told", kind=type(event).__name__, error=repr(error))
            return None

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(self._heartbeat_s)
            self._tell(Heartbeat(self._bot.ready, self._heartbeat_s))

    def _greeting(self, quotes: bool) -> str:
        data = {"ready": self._bot.ready, "interval_s": self._heartbeat_s, "seq": self._position(quotes)}
        return unnumbered(encode("HEARTBEAT", self._bot.clock.now(), data))

    def _position(self, quotes: bool) -> int:
        return self._streams[quotes].last

    def _longest_outbox(self) -> int:
        return max((len(each.outbox) for each in self._listening), default=0)
