"""The gateway is up and the venue behind it is gone: what the real client hears, is refused, and hears afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager

import pytest
from ib_async import IB, Contract, LimitOrder, MarketOrder, Stock
from ib_async.wrapper import RequestError

from simvenues.ibkr import IbkrGateway
from simvenues.truth import truth

Open = Callable[..., AbstractAsyncContextManager[IbkrGateway]]
Connect = Callable[..., AbstractAsyncContextManager[IB]]
Until = Callable[[Callable[[], object]], Awaitable[None]]
SPY = Stock(conId=1001, symbol="SPY", exchange="SMART", currency="USD")
LOST, RESTORED, NOT_CONNECTED = 1100, 1102, 504


def listen(ib: IB) -> list[tuple[int, int]]:
    """(request id, code) of every error from now on."""
    heard: list[tuple[int, int]] = []

    def note(request_id: int, code: int, _text: str, _contract: Contract | None) -> None:
        heard.append((request_id, code))

    ib.errorEvent += note
    return heard


def test_everybody_hears_of_an_outage_and_of_its_end(open_gateway: Open, connect: Connect, until: Until) -> None:
    """Each client is told 1100 and later 1102, once; nobody is cut off, and the gateway still tells the time."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway, 1) as one, connect(gateway, 2) as two:
            heard = listen(one), listen(two)
            gateway.faults.on("outage")
            await until(lambda: all(heard))
            await one.reqCurrentTimeAsync()
            gateway.faults.off("outage")
            await until(lambda: all(len(each) == 2 for each in heard))
            assert heard == ([(-1, LOST), (-1, RESTORED)],) * 2
            assert one.isConnected()
            assert two.isConnected()

    asyncio.run(main())


def test_who_connects_in_an_outage_hears_of_it(open_gateway: Open, until: Until) -> None:
    """A client that comes meanwhile is let in and told 1100 instead of a data farm that is well; then 1102 like all."""

    async def main() -> None:
        async with open_gateway() as gateway:
            gateway.faults.on("outage")
            ib = IB()
            heard = listen(ib)
            # What it asks as it starts has no answer now; without it the client waits for nothing.
            await ib.client.connectAsync("127.0.0.1", gateway.port, 7, timeout=10)  # type: ignore[no-untyped-call]
            await until(lambda: heard)
            gateway.faults.off("outage")
            await until(lambda: len(heard) == 2)
            assert [code for _, code in heard] == [LOST, RESTORED]
            ib.disconnect()
            await until(lambda: gateway.clients == [])

    asyncio.run(main())


def test_an_order_in_an_outage_is_refused(open_gateway: Open, connect: Connect, until: Until) -> None:
    """It ends with an error under its own id and the exchange never sees it; after the outage the next one fills."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            heard = listen(ib)
            gateway.faults.on("outage")
            refused = ib.placeOrder(SPY, MarketOrder("BUY", 1, orderRef="refused"))
            await until(refused.isDone)
            assert (refused.orderStatus.status, heard[-1]) == ("Cancelled", (refused.order.orderId, NOT_CONNECTED))
            gateway.faults.off("outage")
            placed = ib.placeOrder(SPY, MarketOrder("BUY", 1, orderRef="placed"))
            await until(lambda: placed.orderStatus.status == "Filled")
            assert [order["order_ref"] for order in truth(gateway.exchange)["orders"]] == ["placed"]

    asyncio.run(main())


@pytest.mark.parametrize(
    "ask",
    [
        lambda ib: ib.reqContractDetailsAsync(SPY),
        lambda ib: ib.reqSecDefOptParamsAsync("SPY", "", "STK", 1001),
        lambda ib: ib.reqExecutionsAsync(),
    ],
    ids=["contract details", "option chain", "executions"],
)
def test_a_request_in_an_outage_fails_at_once(
    open_gateway: Open, connect: Connect, ask: Callable[[IB], Awaitable[object]]
) -> None:
    """What has an id is answered with an error under that id, and answered in full when the outage is over."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            ib.RaiseRequestErrors = True
            gateway.faults.on("outage")
            with pytest.raises(RequestError, match=str(NOT_CONNECTED)):
                await asyncio.wait_for(ask(ib), 10)
            gateway.faults.off("outage")
            await asyncio.wait_for(ask(ib), 10)

    asyncio.run(main())


def test_no_empty_answer_in_an_outage(open_gateway: Open, connect: Connect, until: Until) -> None:
    """Requests without an id are refused under none and get no end: nobody is told that nothing is held or open."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            gateway.faults.on("outage")
            heard = listen(ib)
            ib.client.reqAccountUpdates(False, "")  # type: ignore[no-untyped-call]  # an end, which is always taken
            asking = (
                asyncio.ensure_future(ib.reqPositionsAsync()),
                asyncio.ensure_future(ib.reqAllOpenOrdersAsync()),
                asyncio.ensure_future(ib.reqCompletedOrdersAsync(apiOnly=False)),
            )
            await until(lambda: heard.count((-1, NOT_CONNECTED)) == len(asking))
            await ib.reqCurrentTimeAsync()  # answered after them, so theirs would be here
            assert not any(each.done() for each in asking)
            for each in asking:
                each.cancel()

    asyncio.run(main())


def test_what_rests_lives_through_an_outage(open_gateway: Open, connect: Connect, until: Until) -> None:
    """An order cannot be cancelled meanwhile, fills at the exchange unheard, and its fill is told after 1102."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            spot = gateway.market.spot("SPY")
            trade = ib.placeOrder(SPY, LimitOrder("BUY", 2, round(spot * 0.9, 2), orderRef="rests"))
            await until(lambda: trade.orderStatus.status == "Submitted")
            heard = listen(ib)
            gateway.faults.on("outage")
            ib.cancelOrder(trade.order)
            await until(lambda: (trade.order.orderId, NOT_CONNECTED) in heard)
            gateway.market.shock("SPY", price_factor=0.8)
            gateway.refresh()
            assert len(truth(gateway.exchange)["executions"]) == 1
            await ib.reqCurrentTimeAsync()
            assert ib.fills() == []
            gateway.faults.off("outage")
            await until(lambda: trade.orderStatus.status == "Filled" and ib.fills())
            assert [fill.execution.shares for fill in ib.fills()] == [2.0]
            assert heard[-1] == (-1, RESTORED)

    asyncio.run(main())


def test_prices_stop_in_an_outage_and_go_on_after_it(open_gateway: Open, connect: Connect, until: Until) -> None:
    """A line is kept: silent while the venue is gone, and at the present price when it is back."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            ticker = ib.reqMktData(SPY)
            await until(lambda: ticker.bid == ticker.bid)
            gateway.faults.on("outage")
            await ib.reqCurrentTimeAsync()
            before, step = ticker.bid, gateway.market.step
            gateway.market.shock("SPY", price_factor=0.8)
            await until(lambda: gateway.market.step > step + 5)
            await ib.reqCurrentTimeAsync()
            assert ticker.bid == before
            gateway.faults.off("outage")
            await until(lambda: ticker.bid < before * 0.9)

    asyncio.run(main())
