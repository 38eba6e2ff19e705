"""What can be traded, and the one number that names it.

Every underlying has options on a regular grid, so a contract needs no registry: its id *is* its description, packed
into 31 bits, and unpacks to the same contract in any process. Data flows one way: table of underlyings → listed
expiries and strikes → `Instrument`; the market prices it, the exchange trades it, a wire server describes it.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from datetime import date, timedelta
from typing import Literal

import msgspec

Kind = Literal["STK", "IND", "OPT"]
Right = Literal["C", "P"]

OPTION_MULTIPLIER = 100
# Listed at any time: weekly Fridays for two months, third Fridays for a year.
WEEKLY_COUNT = 9
MONTHLY_COUNT = 12
# Strikes reach half below and half above the start price, and stay there: a chain does not move with the price.
STRIKE_REACH = 0.5

_FRIDAY = 4
# Layout of an option's id, from the low bit: right 1, strike in half dollars 12, underlying 4, expiry day 14.
_STRIKE_BITS, _UNDERLYING_BITS = 12, 4
_EPOCH = date(2015, 1, 1)
# Underlyings are numbered from here; an option expiring at least one day after the epoch starts at 2^17.
_FIRST_UNDERLYING_ID = 1_001


class Underlying(msgspec.Struct, frozen=True):
    """One row of the table: what the simulation must know about a name."""

    symbol: str
    long_name: str
    kind: Kind
    price: float
    dividend_yield: float
    volatility: float
    strike_step: float
    # A name without a data subscription has contracts and no quotes, as a user without the right package sees it.
    data: bool = True


# Appended to, never reordered: the position in the table is part of every contract id.
UNDERLYINGS: tuple[Underlying, ...] = (
    Underlying("SPY", "SPDR S&P 500 ETF TRUST", "STK", 580.0, 0.012, 0.16, 5.0),
    Underlying("QQQ", "INVESCO QQQ TRUST SERIES 1", "STK", 500.0, 0.006, 0.20, 5.0),
    Underlying("IWM", "ISHARES RUSSELL 2000 ETF", "STK", 225.0, 0.012, 0.22, 2.5),
    Underlying("AAPL", "APPLE INC", "STK", 228.0, 0.005, 0.26, 2.5),
    Underlying("MSFT", "MICROSOFT CORP", "STK", 425.0, 0.008, 0.24, 5.0),
    Underlying("NVDA", "NVIDIA CORP", "STK", 140.0, 0.0, 0.45, 2.5),
    Underlying("GLD", "SPDR GOLD SHARES", "STK", 245.0, 0.0, 0.15, 2.5, data=False),
    Underlying("VIX", "CBOE VOLATILITY INDEX", "IND", 16.0, 0.0, 0.0, 0.0),
)
BY_SYMBOL: dict[str, int] = {row.symbol: index for index, row in enumerate(UNDERLYINGS)}


class Instrument(msgspec.Struct, frozen=True):
    """One contract: an underlying (no expiry) or an option on it."""

    con_id: int
    symbol: str
    kind: Kind
    expiry: date | None = None
    strike: float = 0.0
    right: Right | None = None
    multiplier: int = 1

    @property
    def underlying(self) -> Underlying:
        return UNDERLYINGS[BY_SYMBOL[self.symbol]]

    @property
    def local_symbol(self) -> str:
        """The option's OCC name; an underlying's own symbol."""
        if self.expiry is None:
            return self.symbol
        return f"{self.symbol:<6}{self.expiry:%y%m%d}{self.right}{round(self.strike * 1000):08d}"


def underlying(symbol: str) -> Instrument | None:
    index = BY_SYMBOL.get(symbol)
    if index is None:
        return None
    row = UNDERLYINGS[index]
    return Instrument(_FIRST_UNDERLYING_ID + index, row.symbol, row.kind)


def option(symbol: str, expiry: date, strike: float, right: Right) -> Instrument | None:
    """The listed option, or nothing when the grid does not hold that strike or that day is no expiry day."""
    if expiry.weekday() != _FRIDAY or expiry <= _EPOCH or strike not in strike_set(symbol):
        return None
    day = (expiry - _EPOCH).days
    packed = (day << _UNDERLYING_BITS) | BY_SYMBOL[symbol]
    packed = (packed << _STRIKE_BITS) | round(strike * 2)
    return Instrument(
        (packed << 1) | (right == "P"), symbol, "OPT", expiry, float(strike), right, multiplier=OPTION_MULTIPLIER
    )


@functools.lru_cache(maxsize=16_384)
def by_con_id(con_id: int) -> Instrument | None:
    """Unpack an id; ids that no listed contract has give nothing."""
    index = con_id - _FIRST_UNDERLYING_ID
    if 0 <= index < len(UNDERLYINGS):
        return underlying(UNDERLYINGS[index].symbol)
    if not 0 < con_id < 1 << 31:
        return None
    packed = con_id >> 1
    strike = (packed & ((1 << _STRIKE_BITS) - 1)) / 2
    packed >>= _STRIKE_BITS
    index, day = packed & ((1 << _UNDERLYING_BITS) - 1), packed >> _UNDERLYING_BITS
    if index >= len(UNDERLYINGS):
        return None
    return option(UNDERLYINGS[index].symbol, _EPOCH + timedelta(days=day), strike, "P" if con_id & 1 else "C")


@functools.lru_cache(maxsize=64)
def strikes(symbol: str) -> tuple[float, ...]:
    """The strike grid around the start price, ascending; empty for a name without options."""
    row = UNDERLYINGS[BY_SYMBOL[symbol]] if symbol in BY_SYMBOL else None
    if row is None or not row.strike_step:
        return ()
    first = round(row.price * (1 - STRIKE_REACH) / row.strike_step)
    last = round(row.price * (1 + STRIKE_REACH) / row.strike_step)
    return tuple(row.strike_step * count for count in range(first, last + 1))


@functools.lru_cache(maxsize=64)
def strike_set(symbol: str) -> frozenset[float]:
    return frozenset(strikes(symbol))


@functools.lru_cache(maxsize=64)
def expiries(today: date) -> tuple[date, ...]:
    """Listed expiries, ascending: the coming Fridays, then third Fridays out to about a year."""
    friday = today + timedelta(days=(_FRIDAY - today.weekday()) % 7)
    weeklies = [friday + timedelta(weeks=week) for week in range(WEEKLY_COUNT)]
    monthlies = (_third_friday(today.year, today.month + ahead) for ahead in range(MONTHLY_COUNT + 1))
    return tuple(sorted({*weeklies, *(day for day in monthlies if day >= today)}))


def _third_friday(year: int, month: int) -> date:
    first = date(year + (month - 1) // 12, (month - 1) % 12 + 1, 1)
    return first + timedelta(days=(_FRIDAY - first.weekday()) % 7 + 14)


def chain(symbol: str, today: date) -> Iterator[Instrument]:
    """Every listed option of a name: expiry by expiry, strike by strike, call then put."""
    for expiry in expiries(today):
        for strike in strikes(symbol):
            for right in ("C", "P"):
                listed = option(symbol, expiry, strike, right)
                if listed is not None:
                    yield listed
