"""What things cost on paper: a protocol, and a seeded random walk that keeps it.

(seed, instant) -> level of volatility and spot of each underlying -> option prices by the house's own formula, with a
skew and a spread. Time only goes forward; however it is cut into steps, the same instant brings the same price.
"""

from __future__ import annotations

import math
import random
from collections.abc import Mapping
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Protocol

import msgspec

from tradebot.domain.errors import UnknownContract
from tradebot.domain.instruments import OptionChain, OptionContract, Right
from tradebot.pricing.calendar import SECONDS_PER_YEAR, year_fraction
from tradebot.pricing.european import price_and_greeks

MULTIPLIER = 100
RATE = 0.04
VIX = "VIX"
VIX_CALM = 16.0
WEEKLIES = 10
MONTHLIES = 6
STRIKES_EACH_WAY = 60
FRIDAY = 4


class OptionPrice(msgspec.Struct, frozen=True):
    bid: float
    ask: float
    iv: float


class PriceFeed(Protocol):
    """`at` never goes back from one call to the next. What is not listed raises UnknownContract."""

    def spot(self, symbol: str, at: datetime) -> float: ...

    def option(self, contract: OptionContract, at: datetime) -> OptionPrice: ...

    def chain(self, symbol: str, at: datetime) -> OptionChain: ...


class Underlying(msgspec.Struct, frozen=True):
    price: float
    volatility: float
    strike_step: Decimal


UNDERLYINGS: Mapping[str, Underlying] = {
    "SPY": Underlying(580.0, 0.16, Decimal(5)),
    "QQQ": Underlying(500.0, 0.20, Decimal(5)),
    "IWM": Underlying(225.0, 0.22, Decimal("2.5")),
    "AAPL": Underlying(228.0, 0.26, Decimal("2.5")),
    "MSFT": Underlying(425.0, 0.24, Decimal(5)),
}


class RandomWalkFeed:
    def __init__(
        self,
        *,
        seed: int,
        start: datetime,
        underlyings: Mapping[str, Underlying] = UNDERLYINGS,
        step_s: float = 1.0,
    ) -> None:
        self._start = start
        self._step_s = step_s
        self._step = 0
        self._underlyings = dict(underlyings)
        self._spots = {symbol: each.price for symbol, each in underlyings.items()}
        self._log_level = 0.0  # of volatility, common to all: 0 is calm
        self._rng = random.Random(seed)
        self._priced: dict[OptionContract, OptionPrice] = {}  # in the present step; cleared with it

    def spot(self, symbol: str, at: datetime) -> float:
        self._advance(at)
        if symbol == VIX:
            return round(VIX_CALM * math.exp(self._log_level), 2)
        self._known(symbol)
        return round(self._spots[symbol], 2)

    def option(self, contract: OptionContract, at: datetime) -> OptionPrice:
        self._advance(at)
        price = self._priced.get(contract)
        if price is None:
            price = self._priced[contract] = self._price(contract)
        return price

    def _price(self, contract: OptionContract) -> OptionPrice:
        at = self._start + timedelta(seconds=self._step * self._step_s)
        row = self._known(contract.symbol)
        spot, strike = self._spots[contract.symbol], float(contract.strike)
        years = year_fraction(contract.expiry, at)
        # In units of how far the underlying may move: puts below the spot cost more than calls above it.
        distance = math.log(strike / spot) / (row.volatility * math.sqrt(max(years, 1 / 365)))
        iv = (
            row.volatility * math.exp(self._log_level) * (1.0 - 0.05 * distance + 0.015 * min(distance * distance, 9.0))
        )
        value = float(price_and_greeks(spot, strike, years, iv, RATE, 0.0, contract.right is Right.CALL).price)
        half_spread = 0.01 + 0.004 * value
        bid = max(math.floor((value - half_spread) * 100.0) / 100.0, 0.0)
        return OptionPrice(bid=bid, ask=max(math.ceil((value + half_spread) * 100.0) / 100.0, bid + 0.01), iv=iv)

    def chain(self, symbol: str, at: datetime) -> OptionChain:
        """Around the price at the start, and there it stays: listed strikes do not move with the price."""
        row = self._known(symbol)
        middle = round(Decimal(str(row.price)) / row.strike_step)
        lowest = max(middle - STRIKES_EACH_WAY, 1)
        return OptionChain(
            symbol=symbol,
            multiplier=MULTIPLIER,
            expiries=_expiries(at.date()),
            strikes=tuple(row.strike_step * count for count in range(lowest, middle + STRIKES_EACH_WAY + 1)),
        )

    def _known(self, symbol: str) -> Underlying:
        row = self._underlyings.get(symbol)
        if row is None:
            names = ", ".join(self._underlyings)
            raise UnknownContract(f"{symbol} is not traded on paper", remedy=f"Choose one of {names}")
        return row

    def _advance(self, at: datetime) -> None:
        target = int((at - self._start).total_seconds() / self._step_s)
        years = self._step_s / SECONDS_PER_YEAR
        root, gauss = math.sqrt(years), self._rng.gauss
        if self._step < target:
            self._priced.clear()
        while self._step < target:
            self._step += 1
            # Falls back to calm within about a month; never further from it than a factor of e.
            self._log_level += -12.0 * years * self._log_level + 1.2 * root * gauss()
            self._log_level = max(-1.0, min(1.0, self._log_level))
            factor = math.exp(self._log_level)
            for symbol, row in self._underlyings.items():
                sigma = row.volatility * factor
                self._spots[symbol] *= math.exp((RATE - 0.5 * sigma * sigma) * years + sigma * root * gauss())


def _expiries(today: date) -> tuple[date, ...]:
    """The coming Fridays, then third Fridays."""
    friday = today + timedelta(days=(FRIDAY - today.weekday()) % 7)
    weeklies = {friday + timedelta(weeks=week) for week in range(WEEKLIES)}
    months = (today.month - 1 + ahead for ahead in range(MONTHLIES + 1))
    firsts = [date(today.year + month // 12, month % 12 + 1, 1) for month in months]
    monthlies = {first + timedelta(days=(FRIDAY - first.weekday()) % 7 + 14) for first in firsts}
    return tuple(sorted(weeklies | {day for day in monthlies if day >= today}))
