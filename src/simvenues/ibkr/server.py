"""The gateway: listens on loopback, moves the market, and carries the exchange's events to the clients they concern.

One task steps the market on an absolute schedule; everything else happens in the callbacks of the sockets, on the same
loop, so the exchange needs no lock. After each batch of requests and each step every connection is flushed once.
In an outage the exchange goes on without its clients, who hear afterwards what became of their orders.
"""

from __future__ import annotations

import asyncio
import contextlib
from types import TracebackType
from typing import Self

from simvenues.exchange import Exchange
from simvenues.faults import Fault, Faults, Outage, Reset
from simvenues.ibkr import outage
from simvenues.ibkr.connection import Connection
from simvenues.ibkr.session import Session
from simvenues.ibkr.ticks import Views
from simvenues.market import Market
from simvenues.orders import Executed, OrderChanged

# As the real gateway: 32 clients. Further connections are closed as they come.
CONNECTIONS_MAX = 32
LINES_MAX = 100


class IbkrGateway:
    """`async with IbkrGateway(market, exchange, faults) as gateway: … gateway.port …`"""

    def __init__(
        self,
        market: Market,
        exchange: Exchange,
        faults: Faults | None = None,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        lines_max: int = LINES_MAX,
    ) -> None:
        self.market = market
        self.exchange = exchange
        self.faults = faults if faults is not None else Faults()
        self.views = Views(market)
        self.lines_max = lines_max
        self.port = port
        self._host = host
        self._sessions: dict[Connection, Session] = {}
        self._by_client: dict[int, Session] = {}
        # Highest order id a client used; bounded by the number of client ids.
        self._order_ids: dict[int, int] = {}
        # What happened in an outage, told after it; bounded by the orders that rested before, for none is placed in it.
        self._missed: list[OrderChanged | Executed] = []
        self._server: asyncio.Server | None = None
        self._stepping: asyncio.Task[None] | None = None
        self._started_s = 0.0

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: Connection(self.faults, self._on_messages, self._on_open, self._on_closed), self._host, self.port
        )
        self.port = self._server.sockets[0].getsockname()[1]
        self.exchange.listeners.append(self._on_event)
        self.faults.listeners.append(self._on_fault)
        # The market may have been moved before: its own clock goes on from where it is.
        self._started_s = loop.time() - (self.market.now - self.market.start).total_seconds()
        self._stepping = loop.create_task(self._step_for_ever(), name="simvenues-ibkr-market")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._server is None or self._stepping is None:
            return
        self._server.close()
        self._stepping.cancel()
        for connection in list(self._sessions):
            connection.abort()
            await connection.closed.wait()
        self.exchange.listeners.remove(self._on_event)
        self.faults.listeners.remove(self._on_fault)
        await self._server.wait_closed()
        with contextlib.suppress(asyncio.CancelledError):
            await self._stepping

    async def run(self) -> None:
        """Wait until the market stops moving, which it does only by an error: that error is raised here."""
        if self._stepping is not None:
            await asyncio.shield(self._stepping)

    @property
    def clients(self) -> list[int]:
        """Ids of the clients that have started."""
        return sorted(self._by_client)

    # --- what a session asks

    @property
    def cut_off(self) -> bool:
        """Whether the gateway has lost the venue behind it."""
        return "outage" in self.faults

    def claim(self, client_id: int, session: Session) -> bool:
        """One session a client id; false when another one holds it."""
        return self._by_client.setdefault(client_id, session) is session

    def next_order_id(self, client_id: int) -> int:
        return self._order_ids.get(client_id, 0) + 1

    def note_order_id(self, client_id: int, order_id: int) -> None:
        self._order_ids[client_id] = max(self._order_ids.get(client_id, 0), order_id)

    def lines_used(self) -> int:
        """Market data lines belong to the user, so all clients share them."""
        return sum(len(session.lines) for session in self._sessions.values())

    # --- what moves

    def refresh(self) -> None:
        """Let the market's present state work: match resting orders, push what changed."""
        self.views.clear()
        self.exchange.on_market_step()
        if self.cut_off:
            return
        now_s = asyncio.get_running_loop().time()
        for session in self._sessions.values():
            session.on_step(now_s)
        self._flush()

    def status(self) -> dict[str, object]:
        return {
            "clients": self.clients,
            "connections": len(self._sessions),
            "lines": self.lines_used(),
            "lines_max": self.lines_max,
            "step": self.market.step,
            "regime": self.market.regime,
            "vix": round(self.market.vix, 2),
        }

    async def _step_for_ever(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            # Steps are due on a grid from the start; a late one is made up by the market, not repeated here.
            due = max(due + self.market.step_s, loop.time())
            await asyncio.sleep(due - loop.time())
            if self.market.advance(loop.time() - self._started_s):
                self.refresh()

    def _on_messages(self, connection: Connection, messages: tuple[bytes, ...]) -> None:
        session = self._sessions.get(connection)
        if session is None:
            return
        for message in messages:
            session.handle(message)
        self._flush()

    def _on_event(self, event: OrderChanged | Executed) -> None:
        if self.cut_off:
            self._missed.append(event)
            return
        for session in self._sessions.values():
            session.on_event(event)

    def _on_fault(self, fault: Fault) -> None:
        if isinstance(fault, Reset) and fault.at_once and "reset" in self.faults:
            for connection in list(self._sessions):
                connection.abort()
        elif isinstance(fault, Outage):
            self._on_outage()

    def _on_outage(self) -> None:
        for session in self._by_client.values():
            outage.announce(session, lost=self.cut_off)
        if not self.cut_off:
            missed, self._missed = self._missed, []
            for event in missed:
                self._on_event(event)
        self._flush()

    def _on_open(self, connection: Connection) -> None:
        if len(self._sessions) >= CONNECTIONS_MAX:
            connection.abort()
            return
        self._sessions[connection] = Session(self, connection)

    def _on_closed(self, connection: Connection) -> None:
        session = self._sessions.pop(connection, None)
        if session is not None and session.client_id is not None:
            del self._by_client[session.client_id]

    def _flush(self) -> None:
        for connection in list(self._sessions):
            connection.flush()
