"""A gateway in the test's own loop, and the real client, unpatched, connected to it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal

import pytest
from ib_async import IB

from simvenues.exchange import Exchange
from simvenues.faults import Faults
from simvenues.ibkr import IbkrGateway
from simvenues.market import Market

START = datetime(2026, 3, 6, 15, 30, tzinfo=UTC)
# Steps are fast so that a test sees several; nothing is asserted about their timing.
STEP_S = 0.02

Open = Callable[..., AbstractAsyncContextManager[IbkrGateway]]
Connect = Callable[..., AbstractAsyncContextManager[IB]]


@pytest.fixture
def open_gateway() -> Open:
    @asynccontextmanager
    async def open_it(
        *, lines_max: int = 100, cash: int = 1_000_000, partial_fills: bool = False
    ) -> AsyncIterator[IbkrGateway]:
        market = Market(7, START, STEP_S)
        exchange = Exchange(market, {"DU1": Decimal(cash)}, seed=7, partial_fills=partial_fills)
        async with IbkrGateway(market, exchange, Faults(7), lines_max=lines_max) as gateway:
            yield gateway

    return open_it


@pytest.fixture
def connect() -> Connect:
    @asynccontextmanager
    async def connect_it(gateway: IbkrGateway, client_id: int = 1, timeout_s: float = 10.0) -> AsyncIterator[IB]:
        ib = IB()
        await ib.connectAsync("127.0.0.1", gateway.port, clientId=client_id, timeout=timeout_s)
        try:
            yield ib
        finally:
            ib.disconnect()
            async with asyncio.timeout(10):
                while client_id in gateway.clients:  # noqa: ASYNC110  # the gateway has no event for it
                    await asyncio.sleep(0.005)

    return connect_it


@pytest.fixture
def until() -> Callable[[Callable[[], object]], Awaitable[None]]:
    """Wait for a condition; the bound is generous because only a broken gateway reaches it."""

    async def wait(condition: Callable[[], object]) -> None:
        async with asyncio.timeout(15):
            while not condition():  # noqa: ASYNC110  # any condition of either side, most have no event
                await asyncio.sleep(0.005)

    return wait
