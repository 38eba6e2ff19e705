"""What a builder sees: quoted contracts of one expiry with their deltas, and the settings it chooses by.

quotes -> the usable ones (finite, positive, uncrossed) -> each one's volatility, the venue's or the one its mid
implies -> delta -> `ChainView`, sorted. A quote from which no delta follows is left out; what is missing shows up
later as a `StrategyError` that says which strike could not be found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from datetime import date, datetime
from decimal import Decimal

import msgspec
import numpy as np

from tradebot.domain.errors import StrategyError
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.market import Quote
from tradebot.domain.ranges import CountOrZero
from tradebot.domain.units import Money, PerUnitDelta
from tradebot.pricing.calendar import days_to_expiry, year_fraction
from tradebot.pricing.european import price_and_greeks
from tradebot.pricing.implied import implied_volatility

TICK = Decimal("0.0001")  # what money is kept to


class SpreadSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The numbers of a credit spread; the `*_error_max` say how far from its wish a builder may end up."""

    short_delta: PerUnitDelta  # absolute
    short_delta_error_max: float = 0.08
    dte_days: CountOrZero = 45
    dte_error_days_max: CountOrZero = 15
    width_points: Decimal = Decimal(10)
    width_error_points_max: Decimal = Decimal(5)


class Quoted(msgspec.Struct, frozen=True):
    contract: OptionContract
    mid: Money
    delta: PerUnitDelta


class ChainView(msgspec.Struct, frozen=True):
    """Contracts of one underlying and one expiry, ordered by strike within each right."""

    symbol: str
    expiry: date
    calls: tuple[Quoted, ...]
    puts: tuple[Quoted, ...]

    def side(self, right: Right) -> tuple[Quoted, ...]:
        return self.calls if right is Right.CALL else self.puts


def nearest_expiry(expiries: Iterable[date], at: datetime, settings: SpreadSettings) -> date:
    """The expiry nearest to the wished days, the later of two equally near; none within reach is an error."""
    listed = sorted(set(expiries), reverse=True)
    if not listed:
        raise StrategyError("the chain lists no expiry")
    best = min(listed, key=lambda expiry: abs(days_to_expiry(expiry, at) - settings.dte_days))
    days = days_to_expiry(best, at)
    if abs(days - settings.dte_days) > settings.dte_error_days_max:
        raise StrategyError(
            f"no expiry within {settings.dte_error_days_max} days of {settings.dte_days}: the nearest has {days}"
        )
    return best


def view_of(
    quotes: Mapping[OptionContract, Quote],
    spot: float,
    at: datetime,
    settings: SpreadSettings,
    *,
    rate: float,
    dividend: float,
) -> ChainView:
    symbols = sorted({contract.symbol for contract in quotes})
    if len(symbols) != 1:
        raise StrategyError(f"one underlying's quotes make a strategy, not those of {', '.join(symbols) or 'none'}")
    expiry = nearest_expiry((contract.expiry for contract in quotes), at, settings)
    usable = [
        (contract, quote)
        for contract, quote in sorted(quotes.items(), key=lambda item: item[0])
        if contract.expiry == expiry and 0.0 <= quote.bid <= quote.ask < math.inf and quote.ask > 0.0
    ]
    contracts = [contract for contract, _ in usable]
    mids = np.array([quote.mid for _, quote in usable])
    strikes = np.array([float(contract.strike) for contract in contracts])
    is_call = np.array([contract.right is Right.CALL for contract in contracts], dtype=np.bool_)
    years = year_fraction(expiry, at)
    venue_iv = np.array([quote.iv for _, quote in usable])
    implied = implied_volatility(mids, spot, strikes, years, rate, dividend, is_call).sigma
    sigma = np.where(np.isfinite(venue_iv) & (venue_iv > 0.0), venue_iv, implied)
    known = np.isfinite(sigma)
    deltas = price_and_greeks(spot, strikes, years, np.where(known, sigma, 0.0), rate, dividend, is_call).delta
    quoted = [
        Quoted(contract=contract, mid=money(mid), delta=PerUnitDelta(delta))
        for contract, mid, delta, keep in zip(contracts, mids.tolist(), deltas.tolist(), known.tolist(), strict=True)
        if keep
    ]
    return ChainView(
        symbol=symbols[0],
        expiry=expiry,
        calls=tuple(each for each in quoted if each.contract.right is Right.CALL),
        puts=tuple(each for each in quoted if each.contract.right is Right.PUT),
    )


def money(price: float) -> Money:
    return Decimal(repr(price)).quantize(TICK)
