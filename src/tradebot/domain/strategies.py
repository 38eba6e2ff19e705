"""Strategies: legs that are opened, watched and closed as one."""

from __future__ import annotations

import enum
from datetime import date, datetime
from decimal import Decimal

import msgspec

from tradebot.domain.instruments import OptionContract
from tradebot.domain.orders import Side
from tradebot.domain.units import Money


class StrategyKind(enum.StrEnum):
    IRON_CONDOR = "iron_condor"
    VERTICAL = "vertical"


class StrategyState(enum.StrEnum):
    PENDING = "pending"
    OPEN = "open"
    PARTIAL = "partial"  # some legs filled and no way forward by itself: a person is alerted
    CLOSED = "closed"
    FAILED = "failed"


class LegState(enum.StrEnum):
    PENDING = "pending"
    FILLED = "filled"
    CANCELLED = "cancelled"
    EXPIRING = "expiring"  # long and worthless: nobody bids, so it is left to expire
    EXPIRED = "expired"


class Leg(msgspec.Struct, frozen=True, gc=False):
    contract: OptionContract
    side: Side


class StrategyPlan(msgspec.Struct, frozen=True, gc=False):
    """What a builder proposes: ordered legs of one expiry, and the money at stake for ONE unit of it."""

    kind: StrategyKind
    symbol: str
    expiry: date
    legs: tuple[Leg, ...]
    credit: Money  # received per unit and share at mid; negative for a debit
    max_loss: Money  # per unit, multiplier included, positive
    max_profit: Money  # per unit, multiplier included, positive


class LegStatus(msgspec.Struct, frozen=True, gc=False):
    leg: Leg
    state: LegState = LegState.PENDING
    held: int = 0  # contracts held now: grows at entry, shrinks at exit
    entry_price: Money = Decimal(0)


class Strategy(msgspec.Struct, frozen=True, gc=False):
    """One strategy's present state; each change makes a new one."""

    id: str
    plan: StrategyPlan
    quantity: int  # units that were asked for
    remaining: int  # units still open
    state: StrategyState
    legs: tuple[LegStatus, ...]
    opened_at: datetime | None = None
    closed_at: datetime | None = None
    entry_cash: Money = Decimal(0)  # received (+) or paid (-) at entry, commissions included
    exit_cash: Money = Decimal(0)
    reason: str = ""
    applied: tuple[str, ...] = ()  # workflows whose fills are counted above: each counts once
