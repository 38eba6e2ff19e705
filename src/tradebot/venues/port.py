"""The one door to a venue: what every adapter offers, and what it reports through its listener.

An adapter owns authentication, wire formats, pacing and the mapping of errors; nothing above this file imports a
vendor's type. Requests go down as coroutines that raise `VenueError`s and never hang: each has a time-out. Facts
come up through the `VenueListener`, synchronously and in the order in which the wire brought them; the listener
returns quickly and never raises for bad data, it counts it.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from tradebot.domain.instruments import Instrument, OptionChain
from tradebot.domain.market import Quote
from tradebot.domain.orders import AccountSummary, Fill, OrderIntent, OrderType, OrderUpdate, Position

CLOCK_SKEW = timedelta(minutes=5)  # by which a venue's clock may differ from ours


class Capabilities(msgspec.Struct, frozen=True):
    name: str
    order_types: frozenset[OrderType]
    market_lines_max: int  # instruments that may be streamed at once


class VenueListener(Protocol):
    def on_quote(self, quote: Quote) -> None: ...

    def on_bad_message(self, reason: str) -> None:
        """The wire brought something that has no meaning: it is dropped and counted by reason."""

    def on_order(self, update: OrderUpdate) -> None: ...

    def on_fill(self, fill: Fill) -> None: ...

    def on_connection(self, connected: bool, reason: str) -> None: ...


class Venue(Protocol):
    @property
    def capabilities(self) -> Capabilities: ...

    @property
    def connected(self) -> bool: ...

    async def connect(self, listener: VenueListener) -> None:
        """Connect once; after a loss the adapter reconnects by itself and reports both."""

    async def close(self) -> None:
        """Leave no task, socket or subscription behind; harmless when already closed."""

    async def account(self) -> AccountSummary: ...

    async def positions(self) -> tuple[Position, ...]: ...

    async def chain(self, symbol: str) -> OptionChain: ...

    async def subscribe(self, instruments: Sequence[Instrument]) -> None: ...

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None: ...

    async def place(self, intent: OrderIntent) -> None:
        """Hand an order to the wire; what becomes of it arrives at the listener."""

    async def cancel(self, client_id: str) -> None: ...

    async def orders(self) -> tuple[OrderUpdate, ...]:
        """Every order of ours the venue remembers: working and finished, by the client id it was sent with."""

    async def executions_since(self, since: datetime) -> tuple[Fill, ...]: ...
