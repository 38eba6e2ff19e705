"""Plausible facts of the bot's own vocabulary, numbered: what streams through the cases."""

from __future__ import annotations

import random
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from tradebot.domain.greeks import PositionGreeks
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import Fill, OrderIntent, OrderState, OrderType, OrderUpdate, Side, TimeInForce
from tradebot.domain.strategies import Leg, LegState, LegStatus, Strategy, StrategyKind, StrategyPlan, StrategyState
from tradebot.domain.units import ShareDelta

NOON = datetime(2026, 11, 20, 12, tzinfo=UTC)
EXPIRY = date(2027, 1, 15)
SYMBOLS = ("SPY", "QQQ", "IWM", "AAPL", "MSFT")
SIDES = (Side.BUY, Side.SELL, Side.SELL, Side.BUY)


def contract(number: int) -> OptionContract:
    leg = number % 4
    symbol = SYMBOLS[number // 4 % len(SYMBOLS)]
    return OptionContract(symbol, EXPIRY, Decimal(500 + 10 * leg), Right.PUT if leg < 2 else Right.CALL)


def at(number: int) -> datetime:
    return NOON + timedelta(milliseconds=number)


def intent(number: int, seed: int, *, run: int = 0) -> OrderIntent:
    return OrderIntent(
        client_id=f"r{run}-{number}",
        workflow_id=f"w{number // 4}",
        strategy_id=f"s{number // 4}",
        leg=number % 4,
        contract=contract(number),
        side=SIDES[number % 4],
        quantity=1,
        order_type=OrderType.LIMIT,
        limit=Decimal(random.Random(seed + number).randrange(50, 900)) / 100,
        tif=TimeInForce.DAY,
        at=at(number),
    )


def update(number: int, state: OrderState, *, filled: int = 0) -> OrderUpdate:
    return OrderUpdate(
        client_id=f"r0-{number}",
        venue_order_id=str(number),
        state=state,
        filled=filled,
        remaining=1 - filled,
        at=at(number),
    )


def fill(number: int, seed: int) -> Fill:
    return Fill(
        execution_id=f"e{number}",
        client_id=f"r0-{number}",
        contract=contract(number),
        side=SIDES[number % 4],
        quantity=1,
        price=Decimal(random.Random(seed + number).randrange(50, 900)) / 100,
        commission=Decimal("0.65"),
        at=at(number),
    )


def plan(number: int) -> StrategyPlan:
    return StrategyPlan(
        kind=StrategyKind.IRON_CONDOR,
        symbol=SYMBOLS[number % len(SYMBOLS)],
        expiry=EXPIRY,
        legs=tuple(Leg(contract(4 * number + leg), SIDES[leg]) for leg in range(4)),
        credit=Decimal(2),
        max_loss=Decimal(800),
        max_profit=Decimal(200),
    )


def strategy(number: int) -> Strategy:
    """An open one of two units."""
    meant = plan(number)
    return Strategy(
        id=f"s{number}",
        plan=meant,
        quantity=2,
        remaining=2,
        state=StrategyState.OPEN,
        legs=tuple(LegStatus(leg, LegState.FILLED, 2, Decimal("1.05")) for leg in meant.legs),
        opened_at=NOON,
        entry_cash=Decimal(400),
    )


def greeks(number: int, seed: int) -> PositionGreeks:
    rng = random.Random(seed + number)
    return PositionGreeks(
        value=rng.uniform(-1_500.0, 0.0),
        delta=ShareDelta(rng.uniform(-5.0, 5.0)),
        gamma=rng.uniform(-1.0, 0.0),
        theta=rng.uniform(0.0, 20.0),
        vega=rng.uniform(-200.0, 0.0),
        rho=rng.uniform(-20.0, 20.0),
    )
