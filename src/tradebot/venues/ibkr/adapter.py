"""Interactive Brokers as a `Venue`: keeps one session alive and answers through whichever it has.

connect() opens a session and starts the keeper, which watches it (a heartbeat finds a gateway that is connected and
silent) and, after a loss, opens the next one with back-off until `close()`. Everything that belongs to a connection
dies with it: requests under way fail, prices and orders are forgotten, and the owner of this adapter reconciles and
subscribes anew when it hears of the reconnect. A request made while there is no session fails at once. A gateway that
has lost the venue behind it is as good as none until it says that it is back; its session stays.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from datetime import date, datetime

import ib_async
import msgspec
import structlog

from tradebot.domain.errors import UnknownContract, VenueDisconnected, VenueError
from tradebot.domain.instruments import Instrument, OptionChain, Stock
from tradebot.domain.orders import AccountSummary, Fill, OrderIntent, OrderType, OrderUpdate, Position
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.venues.ibkr import mapping, recall
from tradebot.venues.ibkr.orders import Orders
from tradebot.venues.ibkr.session import UPSTREAM_BACK, Session
from tradebot.venues.ibkr.settings import IbkrSettings
from tradebot.venues.ibkr.streams import Streams
from tradebot.venues.port import Capabilities, VenueListener

log = structlog.get_logger(__name__)


class _Live:
    """A session and what lives on it."""

    def __init__(self, session: Session, listener: VenueListener, clock: Clock, settings: IbkrSettings) -> None:
        self.session = session
        self.orders = Orders(session.ib, listener, clock, settings)
        self.streams = Streams(session.ib, listener, clock)
        self.account = settings.account or session.ib.managedAccounts()[0]


class IbkrVenue:
    def __init__(self, settings: IbkrSettings, clock: Clock, bounds: Bounds, *, seed: int) -> None:
        self._settings = settings
        self._clock = clock
        self._bounds = bounds
        self._seed = seed  # of the jitter between attempts to reconnect
        self._listener: VenueListener | None = None
        self._live: _Live | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._chains: dict[str, tuple[date, OptionChain]] = {}

    @property
    def capabilities(self) -> Capabilities:
        return Capabilities(
            name="ibkr",
            order_types=frozenset({OrderType.MARKET, OrderType.LIMIT}),
            market_lines_max=self._settings.market_lines_max,
        )

    @property
    def connected(self) -> bool:
        return self._live is not None and self._live.session.connected and self._live.session.upstream

    async def connect(self, listener: VenueListener) -> None:
        if self._keeper is not None:
            raise VenueError("already connected", remedy="Close the venue before connecting it again")
        self._listener = listener
        live = await self._open(listener)
        for name, (length, capacity) in self._bounded().items():
            self._bounds.register(name, length, capacity)
        self._keeper = asyncio.create_task(self._keep_connected(live, listener), name="ibkr.keeper")

    async def close(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            await asyncio.gather(keeper, return_exceptions=True)
            for name in self._bounded():
                self._bounds.unregister(name)
        await self._end()
        self._listener = None

    async def account(self) -> AccountSummary:
        live = self._connected()
        told = await live.session.account_summary()
        values = {value.tag: value.value for value in told if value.account == live.account}
        return mapping.account_from(values, live.account, self._clock.now())

    async def positions(self) -> tuple[Position, ...]:
        """Positions in options; what else the account may hold is none of the bot's."""
        live = self._connected()
        rows = await live.session.positions()
        latest = {row.contract.conId: row for row in rows if row.account == live.account}
        found = []
        for row in latest.values():
            if row.contract.secType == "OPT" and row.position:
                try:
                    found.append(mapping.position_from(row))
                except mapping.BadMessage as bad:
                    self._bad(bad.reason)
        return tuple(found)

    async def chain(self, symbol: str) -> OptionChain:
        """Asked for once a day and symbol; expiries and strikes are listed overnight."""
        today = self._clock.now().date()
        known = self._chains.get(symbol)
        if known is not None and known[0] == today:
            return known[1]
        live = self._connected()
        ib = live.session.ib
        contract = mapping.contract_for(Stock(symbol))
        details = await live.session.request("contract details", lambda: ib.reqContractDetailsAsync(contract))
        if not details or details[0].contract is None:
            raise UnknownContract(f"the venue knows no {symbol}", remedy="Check the symbol")
        con_id = details[0].contract.conId
        chains = await live.session.request(
            "the option chain", lambda: ib.reqSecDefOptParamsAsync(symbol, "", contract.secType, con_id)
        )
        chain = mapping.chain_from(symbol, chains)
        self._chains.pop(symbol, None)
        if len(self._chains) >= self._settings.chains_max:
            del self._chains[next(iter(self._chains))]
        self._chains[symbol] = (today, chain)
        return chain

    async def subscribe(self, instruments: Sequence[Instrument]) -> None:
        self._connected().streams.subscribe(instruments)

    async def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        if self._live is not None and self._live.session.connected:  # with the connection the lines are gone anyway
            self._live.streams.unsubscribe(instruments)

    async def place(self, intent: OrderIntent) -> None:
        live = self._connected()
        live.orders.place(intent, live.account)

    async def cancel(self, client_id: str) -> None:
        self._connected().orders.cancel(client_id)

    async def orders(self) -> tuple[OrderUpdate, ...]:
        live = self._connected()
        session, ib = live.session, live.session.ib
        working = await session.request("open orders", ib.reqAllOpenOrdersAsync)
        completed = await session.request("completed orders", lambda: ib.reqCompletedOrdersAsync(apiOnly=False))
        fills = await session.request("executions", ib.reqExecutionsAsync)
        live.orders.sweep()
        return recall.orders_from(working, completed, fills, at=self._clock.now(), on_bad_message=self._bad)

    async def executions_since(self, since: datetime) -> tuple[Fill, ...]:
        """Those of the venue's present trading day: it remembers no more."""
        live = self._connected()
        later = ib_async.ExecutionFilter(time=mapping.filter_time(since))
        rows = await live.session.request("executions", lambda: live.session.ib.reqExecutionsAsync(later))
        rows = [row for row in rows if row.execution.orderRef and row.execution.time >= since]
        await live.orders.wait_for_commissions(rows)
        found = []
        for row in rows:
            try:
                found.append(mapping.fill_from(row, live.orders.commission_of(row)))
            except mapping.BadMessage as bad:
                self._bad(bad.reason)
        live.orders.sweep()
        return tuple(found)

    def _connected(self) -> _Live:
        if self._live is None or not self.connected:
            raise VenueDisconnected("not connected to the gateway", remedy="Wait for the reconnect")
        return self._live

    def _bad(self, reason: str) -> None:
        if self._listener is not None:
            self._listener.on_bad_message(reason)

    async def _open(self, listener: VenueListener) -> _Live:
        session = Session(self._settings, on_bad_message=listener.on_bad_message)
        try:
            await session.open()
        except BaseException:
            await session.close()
            raise
        live = self._live = _Live(session, listener, self._clock, self._settings)
        session.on_lost = self._on_lost
        session.on_upstream = self._on_upstream
        return live

    async def _end(self) -> None:
        live, self._live = self._live, None
        if live is not None:
            live.orders.close()
            live.streams.close()
            await live.session.close()

    async def _keep_connected(self, live: _Live, listener: VenueListener) -> None:
        for_ever = msgspec.structs.replace(self._settings.reconnect, attempts_max=None)
        while True:
            await self._watch(live.session)
            await self._end()
            for delay_s in for_ever.delays_s(self._seed):
                await asyncio.sleep(delay_s)
                try:
                    live = await self._open(listener)
                    break
                except VenueError as error:
                    log.warning("reconnect_failed", error=str(error))
            if live.session.upstream:  # else the gateway says when there is a venue again
                listener.on_connection(True, "reconnected")

    async def _watch(self, session: Session) -> None:
        """Until the session is lost; one that answers nothing is as lost as one that is gone."""
        while not session.lost.is_set():
            try:
                async with asyncio.timeout(self._settings.heartbeat_s):
                    await session.lost.wait()
            except TimeoutError:
                try:
                    await session.request("the heartbeat", session.ib.reqCurrentTimeAsync)
                except VenueError as error:
                    session.cut(str(error))

    def _on_lost(self, reason: str) -> None:
        if self._listener is not None:
            self._listener.on_connection(False, reason)

    def _on_upstream(self, code: int, message: str) -> None:
        live = self._live
        if live is None or self._listener is None:
            return
        if live.session.upstream:
            # A line that the gateway kept says only what changes, and our owner forgot every price: it is asked anew.
            live.streams.end_all(cancel=code == UPSTREAM_BACK)
        self._listener.on_connection(live.session.upstream, message)

    def _bounded(self) -> dict[str, tuple[Callable[[], int], int]]:
        settings = self._settings

        def of(count: Callable[[_Live], int]) -> Callable[[], int]:
            return lambda: 0 if self._live is None else count(self._live)

        return {
            "ibkr.orders_working": (of(lambda live: live.orders.working), settings.orders_working_max),
            "ibkr.orders_finished": (of(lambda live: len(live.orders.finished)), settings.orders_finished_max),
            "ibkr.fills_pending": (of(lambda live: len(live.orders.pending)), settings.fills_pending_max),
            "ibkr.lines": (of(lambda live: len(live.streams)), settings.market_lines_max),
            "ibkr.chains": (self._chains.__len__, settings.chains_max),
        }
