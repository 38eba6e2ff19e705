"""Plausible facts for tests of the execution rooms: a contract, its orders and fills, and a plan."""

from __future__ import annotations

import os
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import msgspec

from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import Fill, OrderIntent, OrderState, OrderType, OrderUpdate, Side, TimeInForce
from tradebot.domain.strategies import Leg, StrategyKind, StrategyPlan

CACHE = {"XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}  # of compiled kernels, for bots built in the test's process

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXPIRY = date(2027, 1, 15)
SIDES = (Side.BUY, Side.SELL, Side.SELL, Side.BUY)


def contract(leg: int = 0, expiry: date = EXPIRY) -> OptionContract:
    return OptionContract("SPY", expiry, Decimal(500 + 10 * leg), Right.PUT if leg < 2 else Right.CALL)


def plan(*, legs: int = 4) -> StrategyPlan:
    return StrategyPlan(
        kind=StrategyKind.IRON_CONDOR if legs == 4 else StrategyKind.VERTICAL,
        symbol="SPY",
        expiry=EXPIRY,
        legs=tuple(Leg(contract(index), SIDES[index]) for index in range(legs)),
        credit=Decimal(2),
        max_loss=Decimal(800),
        max_profit=Decimal(200),
    )


def intent(client_id: str = "w.0", *, leg: int = 0, quantity: int = 1, **changes: Any) -> OrderIntent:
    one = OrderIntent(
        client_id=client_id,
        workflow_id="w",
        strategy_id="s-w",
        leg=leg,
        contract=contract(leg),
        side=SIDES[leg],
        quantity=quantity,
        order_type=OrderType.LIMIT,
        limit=Decimal("1.05"),
        tif=TimeInForce.DAY,
        at=NOON,
    )
    return msgspec.structs.replace(one, **changes)


def update(
    state: OrderState, filled: int = 0, *, client_id: str = "w.0", remaining: int = 0, reason: str = ""
) -> OrderUpdate:
    return OrderUpdate(
        client_id=client_id,
        venue_order_id="v1",
        state=state,
        filled=filled,
        remaining=remaining,
        at=NOON,
        reason=reason,
    )


def fill(
    execution_id: str = "e1",
    quantity: int = 1,
    *,
    client_id: str = "w.0",
    leg: int = 0,
    side: Side | None = None,
    price: str = "1.00",
    commission: str = "0.65",
) -> Fill:
    return Fill(
        execution_id=execution_id,
        client_id=client_id,
        contract=contract(leg),
        side=side or SIDES[leg],
        quantity=quantity,
        price=Decimal(price),
        commission=Decimal(commission),
        at=NOON,
    )
