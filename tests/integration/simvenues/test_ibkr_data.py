"""Account, contracts and market data as the real client sees them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from ib_async import IB, Contract, Index, Option, Stock

from simvenues.ibkr import IbkrGateway

Open = Callable[..., AbstractAsyncContextManager[IbkrGateway]]
Connect = Callable[..., AbstractAsyncContextManager[IB]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


async def qualified(ib: IB, contract: Contract) -> Contract:
    (found,) = await ib.qualifyContractsAsync(contract)
    assert isinstance(found, Contract)
    return found


def test_connecting_synchronises_the_account(open_gateway: Open, connect: Connect) -> None:
    """After connecting the account's values are known, the summary answers and the gateway tells its time."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            assert ib.managedAccounts() == ["DU1"]
            values = {value.tag: value.value for value in ib.accountValues("DU1")}
            assert values["NetLiquidation"] == "1000000.00"
            summary = {value.tag: value.value for value in await ib.accountSummaryAsync()}
            assert summary["AvailableFunds"] == "1000000.00"
            assert ib.positions() == []
            assert (await ib.reqCurrentTimeAsync()).date() == gateway.market.now.date()

    asyncio.run(main())


def test_contract_details_name_one_contract_or_a_chain(open_gateway: Open, connect: Connect) -> None:
    """A full description is one contract, a partial one a chain, and nonsense is error 200."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            (spy,) = await ib.reqContractDetailsAsync(Stock("SPY", "SMART", "USD"))
            assert spy.contract is not None
            assert (spy.contract.conId, spy.minTick) == (1001, 0.01)
            chains = await ib.reqSecDefOptParamsAsync("SPY", "", "STK", 1001)
            assert {chain.exchange for chain in chains} == {"SMART", "CBOE"}
            expiry, strikes = chains[0].expirations[4], chains[0].strikes
            chain = await ib.reqContractDetailsAsync(Option("SPY", expiry))
            assert len(chain) == 2 * len(strikes)
            calls = await ib.reqContractDetailsAsync(Option("SPY", expiry[:6], 580.0, "C"))
            assert {details.contract.right for details in calls if details.contract} == {"C"}
            by_id = await ib.reqContractDetailsAsync(Contract(conId=chain[9].contract.conId))  # type: ignore[union-attr]  # the gateway always sends one
            assert by_id[0].contract == chain[9].contract
            assert await ib.reqContractDetailsAsync(Stock("NOPE", "SMART", "USD")) == []
            assert await ib.reqContractDetailsAsync(Option("SPY", expiry, 581.0, "C")) == []

    asyncio.run(main())


def test_market_data_streams_prices_and_greeks(open_gateway: Open, connect: Connect, until: Until) -> None:
    """A stock has bid, ask, last and close, an option the model's Greeks, an index its level; a shock arrives."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            chains = await ib.reqSecDefOptParamsAsync("SPY", "", "STK", 1001)
            spy = ib.reqMktData(await qualified(ib, Stock("SPY", "SMART", "USD")))
            put = ib.reqMktData(await qualified(ib, Option("SPY", chains[0].expirations[5], 560.0, "P", "SMART")))
            vix = ib.reqMktData(await qualified(ib, Index("VIX", "CBOE")))
            await until(lambda: spy.bid > 0 and put.modelGreeks and vix.last > 0)
            assert spy.bid < spy.last < spy.ask
            assert spy.close == 580.0
            greeks = put.modelGreeks
            assert greeks is not None
            assert greeks.delta is not None
            assert greeks.optPrice is not None
            assert -0.5 < greeks.delta < 0
            assert put.bid <= greeks.optPrice <= put.ask
            gateway.market.shock("SPY", price_factor=0.9, vol_factor=2.0)
            gateway.refresh()
            await until(lambda: spy.last < 540 and put.modelGreeks and (put.modelGreeks.delta or 0) < -0.6)
            await until(lambda: vix.last > 25)

    asyncio.run(main())


def test_snapshots_end_by_themselves(open_gateway: Open, connect: Connect) -> None:
    """A snapshot brings the prices once and uses no line."""

    async def main() -> None:
        async with open_gateway(lines_max=0) as gateway, connect(gateway) as ib:
            (ticker,) = await ib.reqTickersAsync(await qualified(ib, Stock("QQQ", "SMART", "USD")))
            assert ticker.bid < ticker.ask
            assert gateway.lines_used() == 0

    asyncio.run(main())


def test_market_data_lines_are_limited_and_shared(open_gateway: Open, connect: Connect, until: Until) -> None:
    """Past the limit a request is error 101 whoever asks; a cancelled line is free again; no data is error 354."""

    async def main() -> None:
        async with open_gateway(lines_max=2) as gateway, connect(gateway, 1) as one, connect(gateway, 2) as two:
            errors: list[int] = []
            two.errorEvent += lambda _request, code, *_: errors.append(code)
            spy, qqq = [await qualified(one, Stock(symbol, "SMART", "USD")) for symbol in ("SPY", "QQQ")]
            one.reqMktData(spy)
            one.reqMktData(qqq)
            await until(lambda: gateway.lines_used() == 2)
            two.reqMktData(spy)
            await until(lambda: 101 in errors)
            one.cancelMktData(qqq)
            await until(lambda: gateway.lines_used() == 1)
            ticker = two.reqMktData(qqq)
            await until(lambda: ticker.bid > 0)
            one.cancelMktData(spy)
            await until(lambda: gateway.lines_used() == 1)
            two.reqMktData(await qualified(two, Stock("GLD", "SMART", "USD")))
            await until(lambda: 354 in errors)

    asyncio.run(main())


def test_a_line_pushes_changed_values_only(open_gateway: Open, connect: Connect, until: Until) -> None:
    """The close never changes, so a stream of many steps holds it once."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            ticker = ib.reqMktData(await qualified(ib, Stock("SPY", "SMART", "USD")))
            closes: list[object] = []
            steps: set[int] = set()

            def collect(found: object) -> None:
                del found
                closes.extend(tick for tick in ticker.ticks if tick.tickType == 9)
                steps.add(gateway.market.step)

            ticker.updateEvent += collect
            await until(lambda: len(steps) >= 4)
            assert len(closes) == 1

    asyncio.run(main())


@pytest.mark.parametrize("request_name", ["reqHistoricalData", "reqPnL"])
def test_what_is_not_simulated_says_so(open_gateway: Open, connect: Connect, until: Until, request_name: str) -> None:
    """A request outside the simulation ends with error 505 and the request's own id instead of silence."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            errors: list[tuple[int, int]] = []
            ib.errorEvent += lambda request, code, *_: errors.append((request, code))
            raw: Any = ib.client
            if request_name == "reqPnL":
                raw.reqPnL(77, "DU1", "")
            else:
                raw.reqHistoricalData(77, Stock("SPY"), "", "1 D", "1 min", "TRADES", True, 1, False, [])
            await until(lambda: (77, 505) in errors)

    asyncio.run(main())
