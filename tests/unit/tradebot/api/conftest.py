"""A small bot for the service to stand in front of: real kernel, registers and tables, a desk that only accepts.

`run(scenario)` gives a scenario the app between its lifespan's ends, a client that knows the token and sockets
without a network; afterwards it holds that nothing was left behind.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import msgspec
import pytest

from tradebot.api.app import create_app
from tradebot.domain.events import AlertChanged, Event
from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import Fill, OrderIntent, OrderType, Side, TimeInForce
from tradebot.domain.strategies import Leg, StrategyKind, StrategyPlan
from tradebot.domain.units import ShareDelta
from tradebot.domain.workflows import DryRun, EntryRequest, ExitRequest, Workflow
from tradebot.execution.orders import OrderTracker
from tradebot.execution.outbox import Outbox
from tradebot.execution.positions import Positions
from tradebot.execution.strategies import Strategies
from tradebot.execution.workflows import Workflows
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.bus import Bus
from tradebot.kernel.clock import Clock
from tradebot.kernel.supervisor import Supervisor
from tradebot.recovery.reconcile import Difference

TOKEN = "a token for tests"
START = datetime(2026, 12, 1, 14, 30, tzinfo=UTC)
WITHIN_S = 10.0


@dataclass(frozen=True)
class Api:
    host: str = "127.0.0.1"
    port: int = 0
    token: str = TOKEN
    sockets_max: int = 3
    heartbeat_s: float = 3600.0


@dataclass(frozen=True)
class Settings:
    api: Api
    profile: str = "options"
    symbols: tuple[str, ...] = ("SPY", "QQQ")


class Journal:
    def __init__(self) -> None:
        self.records = 0

    async def append(self, _record: object) -> None:
        self.records += 1
        await asyncio.sleep(0)

    def note(self, _record: object) -> None:
        self.records += 1


class AllWorkflows(Workflows):
    def all(self) -> tuple[Workflow, ...]:
        return self._workflows.values()


@dataclass
class Inbox:
    orders: OrderTracker
    positions: Positions = field(default_factory=Positions)
    bad_messages: dict[str, int] = field(default_factory=dict)
    reconnects: int = 0


@dataclass
class Desk:
    """Accepts what it is asked; `error` is raised instead where a test sets one."""

    workflows: AllWorkflows
    strategies: Strategies
    outcome: DryRun = field(default_factory=lambda: DryRun(plan=plan(), accepted=True))
    error: Exception | None = None

    async def enter(self, request: EntryRequest, key: str | None = None) -> tuple[Workflow, bool]:
        self._fail()
        return await self.workflows.accept(request, key)

    async def exit(self, request: ExitRequest, key: str | None = None) -> tuple[Workflow, bool]:
        self._fail()
        self.strategies.get(request.strategy_id)
        return await self.workflows.accept(request, key)

    async def dry_run(self, request: EntryRequest) -> DryRun:
        self._fail()
        return msgspec.structs.replace(self.outcome, reason=self.outcome.reason or f"{request.symbol} would pass")

    def _fail(self) -> None:
        if self.error is not None:
            raise self.error


@dataclass
class Named:
    name: str = "paper"


@dataclass
class Venue:
    capabilities: Named = field(default_factory=Named)
    connected: bool = True


@dataclass
class Reconciler:
    runs: int = 0
    differences: tuple[Difference, ...] = ()
    asked: int = 0

    def request(self) -> None:
        self.asked += 1


@dataclass
class Gates:
    refusals: dict[str, int] = field(default_factory=lambda: {"portfolio_delta": 2})


@dataclass
class Breaker:
    state: str = "open"
    refusals: int = 4

    def reset(self) -> None:
        self.state = "closed"


@dataclass
class Monitoring:
    cycles: int = 7
    last_cycle_ms: float = 12.5


@dataclass
class Pauses:
    loop_lag_s: float = 0.004
    collecting_s: float = 0.75


class FakeBot:
    def __init__(self, **api: Any) -> None:
        self.settings = Settings(Api(**api))
        self.clock = Clock(asyncio.get_running_loop(), START)
        self.bounds = Bounds()
        self.bus: Bus[Event] = Bus(self.bounds)
        self.supervisor = Supervisor(self.bounds, seed=1, jobs_max=8)
        self.alerts = Alerts(self.clock, self.bounds, lambda alert: self.bus.publish(AlertChanged(alert=alert)))
        journal: Any = Journal()
        outbox = Outbox(journal, self.bus)
        self.workflows = AllWorkflows(clock=self.clock, bounds=self.bounds, journal=journal, outbox=outbox)
        self.strategies = Strategies(self.bounds, lambda _strategy: None)
        self.desk = Desk(self.workflows, self.strategies)
        self.inbox = Inbox(OrderTracker(self.bounds))
        self.reconciler = Reconciler()
        self.gates = Gates()
        self.breaker = Breaker()
        self.venue = Venue()
        self.monitoring = Monitoring()
        self.pauses = Pauses()
        self.started_at = START - timedelta(seconds=30)
        self.ready = True
        self.order_attempts = 12
        self.kernel_compiles = 1
        self.book_drift = 2e-15
        self.greeks = PositionGreeks(
            value=-120.5, delta=ShareDelta(3.5), gamma=float("nan"), theta=8.0, vega=-310.0, rho=1.0
        )

    async def capacity(self, symbol: str) -> Mapping[str, float | None]:
        return {"portfolio_delta": 46.5, "exposure_cap": float("nan") if symbol == "QQQ" else None}

    def health(self) -> Mapping[str, object]:
        return {"journal": {"queued": 0, "commits": 3}}

    def portfolio_greeks(self) -> PositionGreeks:
        return self.greeks

    def greeks_by_symbol(self) -> Mapping[str, PositionGreeks]:
        return {"SPY": self.greeks}


class Socket:
    """A WebSocket client that speaks ASGI: no network, and `reading` stops it from taking what the app sends."""

    def __init__(self, app: Any, headers: Mapping[str, str], query: str = "") -> None:
        self.began = 0
        self.reading = asyncio.Event()
        self.reading.set()
        self._to_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._from_app: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        scope = {
            "type": "websocket",
            "path": "/ws",
            "raw_path": b"/ws",
            "root_path": "",
            "query_string": query.encode(),
            "scheme": "ws",
            "headers": [(name.lower().encode(), value.encode()) for name, value in headers.items()],
            "subprotocols": [],
            "extensions": {},
        }
        self._to_app.put_nowait({"type": "websocket.connect"})
        self.task = asyncio.create_task(app(scope, self._to_app.get, self._take))

    async def _take(self, message: dict[str, Any]) -> None:
        await self.reading.wait()
        self._from_app.put_nowait(message)

    def send(self, message: object) -> None:
        self.send_raw(text=json.dumps(message))

    def send_raw(self, **message: Any) -> None:
        self._to_app.put_nowait({"type": "websocket.receive", **message})

    async def _next(self) -> dict[str, Any]:
        async with asyncio.timeout(WITHIN_S):
            message = await self._from_app.get()
        return await self._next() if message["type"] == "websocket.accept" else message

    async def hear(self) -> Any:
        message = await self._next()
        assert message["type"] == "websocket.send", message
        return json.loads(message["text"])

    async def closed(self) -> int:
        while (message := await self._next())["type"] != "websocket.close":
            pass
        async with asyncio.timeout(WITHIN_S):
            await self.task
        return int(message["code"])

    async def leave(self) -> None:
        self.reading.set()
        self._to_app.put_nowait({"type": "websocket.disconnect", "code": 1000})
        async with asyncio.timeout(WITHIN_S):
            await self.task


class World:
    def __init__(self, bot: FakeBot) -> None:
        self.bot = bot
        self.app = create_app(bot)
        self.sockets = self.app.state.bot.sockets
        self.token = {"Authorization": f"Bearer {TOKEN}"}
        self.http = self.client(headers=self.token)
        self._opened: list[Socket] = []

    def client(self, **options: Any) -> httpx.AsyncClient:
        transport = httpx.ASGITransport(app=self.app, raise_app_exceptions=False)
        return httpx.AsyncClient(transport=transport, base_url="http://bot", **options)

    def socket(self, headers: Mapping[str, str] | None = None, query: str = "") -> Socket:
        opened = Socket(self.app, self.token if headers is None else headers, query)
        self._opened.append(opened)
        return opened

    async def listening(self, query: str = "") -> Socket:
        """A socket that has heard its first heartbeat, which says where the stream is: `began`."""
        opened = self.socket(query=query)
        greeting = await opened.hear()
        assert greeting["type"] == "HEARTBEAT"
        opened.began = greeting["data"]["seq"]
        return opened

    async def until(self, condition: Callable[[], bool]) -> None:
        for _ in range(10_000):
            if condition():
                return
            await asyncio.sleep(0)
        raise AssertionError("waited in vain")

    async def live(self, scenario: Callable[[Any], Awaitable[None]]) -> None:
        async with self.http, self.app.router.lifespan_context(self.app):
            await scenario(self)
        for opened in self._opened:
            opened.reading.set()
            with suppress(asyncio.CancelledError):
                await opened.task


Run = Callable[..., None]


@pytest.fixture(scope="session")
def run() -> Run:
    """Run one scenario against a fresh bot; the keywords are the API's settings."""

    def runner(scenario: Callable[[Any], Awaitable[None]], **api: Any) -> None:
        async def main() -> None:
            bot = FakeBot(**api)
            before = {bound.name for bound in bot.bounds.snapshot()}
            await World(bot).live(scenario)
            await bot.supervisor.stop()
            left = asyncio.all_tasks() - {asyncio.current_task()}
            assert not left, f"tasks that were left behind: {left}"
            assert {bound.name for bound in bot.bounds.snapshot()} <= before

        asyncio.run(main())

    return runner


def contract(strike: int = 600) -> OptionContract:
    return OptionContract(symbol="SPY", expiry=date(2026, 12, 18), strike=Decimal(strike), right=Right.CALL)


def plan() -> StrategyPlan:
    return StrategyPlan(
        kind=StrategyKind.VERTICAL,
        symbol="SPY",
        expiry=date(2026, 12, 18),
        legs=(Leg(contract=contract(600), side=Side.SELL), Leg(contract=contract(610), side=Side.BUY)),
        credit=Decimal("1.25"),
        max_loss=Decimal(875),
        max_profit=Decimal(125),
    )


def intent(client_id: str = "o-1") -> OrderIntent:
    return OrderIntent(
        client_id=client_id,
        workflow_id="w-1",
        strategy_id="s-1",
        leg=0,
        contract=contract(),
        side=Side.SELL,
        quantity=2,
        order_type=OrderType.LIMIT,
        limit=Decimal("3.10"),
        tif=TimeInForce.DAY,
        at=START,
    )


def fill(client_id: str = "o-1") -> Fill:
    return Fill(
        execution_id=f"e-{client_id}",
        client_id=client_id,
        contract=contract(),
        side=Side.SELL,
        quantity=2,
        price=Decimal("3.10"),
        commission=Decimal("1.30"),
        at=START,
    )


@pytest.fixture(scope="session")
def things() -> Any:
    """Domain objects to hand around."""

    class Things:
        plan = staticmethod(plan)
        contract = staticmethod(contract)
        intent = staticmethod(intent)
        fill = staticmethod(fill)

    return Things
