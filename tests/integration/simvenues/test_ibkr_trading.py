"""Orders from the real client: placed, filled, changed, refused, and still there after a reconnect."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from ib_async import IB, ExecutionFilter, LimitOrder, MarketOrder, Option, Order, Stock, Trade

from simvenues.ibkr import IbkrGateway
from simvenues.truth import truth

Open = Callable[..., AbstractAsyncContextManager[IbkrGateway]]
Connect = Callable[..., AbstractAsyncContextManager[IB]]
Until = Callable[[Callable[[], object]], Awaitable[None]]


async def stock(ib: IB, symbol: str = "SPY") -> Stock:
    (contract,) = await ib.qualifyContractsAsync(Stock(symbol, "SMART", "USD"))
    assert isinstance(contract, Stock)
    return contract


def reported(trade: Trade) -> bool:
    """Filled, and every fill has its commission."""
    return trade.orderStatus.status == "Filled" and all(fill.commissionReport.execId for fill in trade.fills)


def test_four_legs_are_entered_and_come_back_as_positions(open_gateway: Open, connect: Connect, until: Until) -> None:
    """A condor fills leg by leg with its references, commissions and positions, and the exchange agrees."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            chains = await ib.reqSecDefOptParamsAsync("SPY", "", "STK", 1001)
            expiry = chains[0].expirations[6]
            legs = [(540, "P", "BUY"), (550, "P", "SELL"), (610, "C", "SELL"), (620, "C", "BUY")]
            contracts: list[Any] = await ib.qualifyContractsAsync(
                *(Option("SPY", expiry, k, r, "SMART") for k, r, _ in legs)
            )
            trades = [
                ib.placeOrder(contract, MarketOrder(side, 2, orderRef=f"condor-{strike}"))
                for contract, (strike, _, side) in zip(contracts, legs, strict=True)
            ]
            await until(lambda: all(reported(trade) for trade in trades))
            await until(lambda: len(ib.positions()) == 4)
            held = {position.contract.strike: position.position for position in ib.positions()}
            assert held == {540: 2, 550: -2, 610: -2, 620: 2}
            assert {fill.execution.orderRef for trade in trades for fill in trade.fills} == {
                f"condor-{strike}" for strike, _, _ in legs
            }
            assert all(trade.fills[0].commissionReport.commission == pytest.approx(1.30) for trade in trades)
            assert [order["status"] for order in truth(gateway.exchange)["orders"]] == ["filled"] * 4
            # The account window follows with the next market step.
            await until(lambda: len(ib.portfolio()) == 4)

    asyncio.run(main())


def test_a_resting_order_is_changed_filled_and_cancelled(open_gateway: Open, connect: Connect, until: Until) -> None:
    """A limit order rests, takes a new price, and one that is cancelled ends with IB's code 202."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            errors: list[tuple[int, int]] = []
            ib.errorEvent += lambda request, code, *_: errors.append((request, code))
            spy = await stock(ib)
            first = ib.placeOrder(spy, LimitOrder("BUY", 5, 100.0))
            second = ib.placeOrder(spy, LimitOrder("BUY", 5, 101.0))
            await until(lambda: first.orderStatus.status == second.orderStatus.status == "Submitted")
            first.order.lmtPrice = 600.0
            ib.placeOrder(spy, first.order)
            ib.cancelOrder(second.order)
            await until(lambda: reported(first) and (second.order.orderId, 202) in errors)
            assert second.orderStatus.status == "Cancelled"
            assert ib.openTrades() == []
            # A done order is neither changed nor cancelled again.
            raw: Any = ib.client
            raw.placeOrder(first.order.orderId, spy, first.order)
            raw.cancelOrder(first.order.orderId)
            raw.cancelOrder(99_999)
            await until(lambda: (99_999, 135) in errors)
            assert (first.order.orderId, 103) in errors
            assert (first.order.orderId, 161) in errors

    asyncio.run(main())


@pytest.mark.parametrize(
    ("order", "code"),
    [
        (MarketOrder("BUY", 100_000), 201),
        (MarketOrder("BUY", 0), 201),
        (LimitOrder("BUY", 1, 100.001), 110),
        (Order(action="BUY", totalQuantity=1, orderType="PEG MID"), 387),
        (MarketOrder("BUY", 1, account="NOBODY"), 321),
        (MarketOrder("HOLD", 1), 321),
        (MarketOrder("BUY", 1, parentId=3), 320),
        (MarketOrder("BUY", 1, transmit=False), 320),
    ],
)
def test_each_refusal_has_ib_s_code(
    open_gateway: Open, connect: Connect, until: Until, order: Order, code: int
) -> None:
    """What the exchange refuses reaches the client as the code the real gateway uses, and nothing is booked."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            errors: list[int] = []
            ib.errorEvent += lambda _request, number, *_: errors.append(number)
            # A copy: the client writes into the order it is given.
            ib.placeOrder(await stock(ib), Order(**vars(order)))
            await until(lambda: code in errors)
            assert truth(gateway.exchange)["orders"] == []

    asyncio.run(main())


def test_after_a_reconnect_everything_is_still_there(open_gateway: Open, connect: Connect, until: Until) -> None:
    """A client that comes back finds its open order, completed order, fill and position, with their references."""

    async def main() -> None:
        async with open_gateway() as gateway:
            async with connect(gateway) as ib:
                spy = await stock(ib)
                resting = ib.placeOrder(spy, LimitOrder("BUY", 1, 100.0, orderRef="resting"))
                done = ib.placeOrder(spy, MarketOrder("BUY", 3, orderRef="done"))
                await until(lambda: reported(done) and resting.orderStatus.status == "Submitted")
            async with connect(gateway) as ib:
                assert [trade.order.orderRef for trade in ib.openTrades()] == ["resting"]
                completed = await ib.reqCompletedOrdersAsync(apiOnly=False)
                assert [(trade.order.orderRef, trade.orderStatus.status) for trade in completed] == [("done", "Filled")]
                fills = await ib.reqExecutionsAsync(ExecutionFilter(symbol="SPY"))
                assert [fill.execution.orderRef for fill in fills] == ["done"]
                assert await ib.reqExecutionsAsync(ExecutionFilter(symbol="QQQ")) == []
                assert await ib.reqExecutionsAsync(ExecutionFilter(time="20990101-00:00:00")) == []
                assert len(await ib.reqExecutionsAsync(ExecutionFilter(time="20260306-00:00:00"))) == 1
                assert [position.position for position in ib.positions()] == [3.0]
                assert ib.fills()[0].commissionReport.commission > 0
                # The next order id is a new one, and the old open order can still be cancelled.
                assert ib.client.getReqId() > done.order.orderId
                ib.cancelOrder(ib.openTrades()[0].order)
                await until(lambda: not ib.openTrades())

    asyncio.run(main())


def test_two_clients_see_their_own_orders_and_common_positions(
    open_gateway: Open, connect: Connect, until: Until
) -> None:
    """Clients hear of their own orders and of all positions, the master of all fills; a taken id is error 326."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway, 1) as one, connect(gateway, 2) as two:
            trade = one.placeOrder(await stock(one), MarketOrder("BUY", 1))
            resting = one.placeOrder(await stock(one), LimitOrder("BUY", 1, 100.0))
            await until(lambda: reported(trade) and two.positions())
            await until(lambda: resting.orderStatus.status == "Submitted")
            assert two.trades() == []
            assert two.fills() == []
            everything = await two.reqAllOpenOrdersAsync()
            assert [found.order.clientId for found in everything] == [1]
            async with connect(gateway, 0) as master:
                assert [fill.execution.clientId for fill in master.fills()] == [1]
            third = IB()
            wire: Any = third.client.conn
            errors: list[int] = []
            third.errorEvent += lambda _request, code, *_: errors.append(code)
            connecting = asyncio.create_task(third.connectAsync("127.0.0.1", gateway.port, clientId=1, timeout=15))
            await until(lambda: errors == [326] and not wire.isConnected())
            connecting.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await connecting
            raw: Any = two.client
            raw.reqGlobalCancel()
            await until(lambda: resting.orderStatus.status == "Cancelled")

    asyncio.run(main())


def test_partial_fills_arrive_piece_by_piece(open_gateway: Open, connect: Connect, until: Until) -> None:
    """With partial fills on, one order has several executions that add up to it."""

    async def main() -> None:
        async with open_gateway(partial_fills=True) as gateway, connect(gateway) as ib:
            trade = ib.placeOrder(await stock(ib), MarketOrder("BUY", 500))
            await until(lambda: reported(trade))
            assert len(trade.fills) > 1
            assert sum(fill.execution.shares for fill in trade.fills) == 500
            assert trade.fills[-1].execution.cumQty == 500

    asyncio.run(main())


def test_a_what_if_question_is_answered_and_not_booked(open_gateway: Open, connect: Connect) -> None:
    """The margin of a short is told, and no order comes of it."""

    async def main() -> None:
        async with open_gateway() as gateway, connect(gateway) as ib:
            state = await ib.whatIfOrderAsync(await stock(ib), MarketOrder("SELL", 10))
            assert float(state.initMarginChange) == pytest.approx(1.5 * 10 * 580, rel=0.02)
            assert truth(gateway.exchange)["orders"] == []

    asyncio.run(main())
