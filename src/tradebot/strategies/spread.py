"""One credit spread, the brick of every builder: a short strike by delta and a long one `width_points` further out.

Both steps of a builder go through here. `spread_candidates` does not know the volatility, so it takes the short
strikes that any volatility within `SIGMA_REACH` of the guess would choose, thinned out to `SHORTS_MAX`, each with
its long strike. `spread_of` then knows each delta and chooses. `plan_of` adds spreads up to a plan with its money.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable
from datetime import date, datetime
from decimal import Decimal

import msgspec
import numpy as np

from tradebot.domain.errors import StrategyError
from tradebot.domain.instruments import OptionChain, OptionContract, Right
from tradebot.domain.orders import Side
from tradebot.domain.strategies import Leg, StrategyKind, StrategyPlan
from tradebot.domain.units import Money
from tradebot.pricing.calendar import year_fraction
from tradebot.pricing.european import price_and_greeks
from tradebot.strategies.view import ChainView, Quoted, SpreadSettings

SIGMA_REACH = 1.5  # the true volatility lies between guess / 1.5 and guess * 1.5
SHORTS_MAX = 10  # a side; each with its long strike: at most 40 contracts for two sides


class Spread(msgspec.Struct, frozen=True):
    long: Quoted
    short: Quoted

    @property
    def credit(self) -> Money:
        return self.short.mid - self.long.mid

    @property
    def width_points(self) -> Decimal:
        return abs(self.short.contract.strike - self.long.contract.strike)

    @property
    def long_leg(self) -> Leg:
        return Leg(contract=self.long.contract, side=Side.BUY)

    @property
    def short_leg(self) -> Leg:
        return Leg(contract=self.short.contract, side=Side.SELL)


def spread_candidates(
    chain: OptionChain,
    spot: float,
    at: datetime,
    settings: SpreadSettings,
    sigma_guess: float,
    *,
    right: Right,
    expiry: date,
) -> tuple[OptionContract, ...]:
    listed = sorted(strike for strike in chain.strikes if strike > 0)
    if not listed:
        raise StrategyError(f"the chain of {chain.symbol} lists no strike")
    if not sigma_guess > 0.0:
        raise StrategyError(f"candidates need a guess of volatility above 0, not {sigma_guess}")
    # Near the chain's end there is nothing further out: such a strike cannot be a short one, whatever its delta.
    end, reach = (
        (listed[-1] if right is Right.CALL else listed[0]),
        settings.width_points - settings.width_error_points_max,
    )
    shorts = [strike for strike in listed if abs(strike - end) >= reach]
    if not shorts:
        raise StrategyError(f"the chain of {chain.symbol} lists no two strikes {reach:f} points apart")
    years = year_fraction(expiry, at)
    grid = np.array([float(strike) for strike in shorts])
    sigmas = [[sigma_guess / SIGMA_REACH], [sigma_guess * SIGMA_REACH]]
    delta = price_and_greeks(spot, grid, years, sigmas, 0.0, 0.0, right is Right.CALL).delta
    low, high = sorted(np.abs(np.abs(delta) - settings.short_delta).argmin(axis=1).tolist())
    picks = np.unique(np.linspace(low, high, min(SHORTS_MAX, high - low + 1)).round().astype(int)).tolist()
    chosen = set()
    for short in (shorts[pick] for pick in picks):
        wing = _wing(listed, short, right, settings)
        if wing is not None:
            chosen |= {short, wing}
    return tuple(
        OptionContract(symbol=chain.symbol, expiry=expiry, strike=strike, right=right, multiplier=chain.multiplier)
        for strike in sorted(chosen)
    )


def _wing(listed: list[Decimal], short: Decimal, right: Right, settings: SpreadSettings) -> Decimal | None:
    """Of ascending strikes the one further out that is nearest to the wished width, found without a look at each."""
    if right is Right.CALL:
        begin, end, wish = bisect_right(listed, short), len(listed), short + settings.width_points
    else:
        begin, end, wish = 0, bisect_left(listed, short), short - settings.width_points
    place = bisect_left(listed, wish, begin, end)  # it stands here or just before
    near = listed[max(place - 1, begin) : min(place + 1, end)]
    return _nearest_width(near, short, settings) if near else None


def spread_of(view: ChainView, right: Right, settings: SpreadSettings) -> Spread:
    """The short strike nearest to the wished delta that has a long one at about the wished width.

    Among candidates the nearest by delta may itself be another one's wing, with no wing of its own quoted.
    """
    quoted = view.side(right)
    name = f"{view.symbol} {view.expiry} {right.name.lower()}"
    if not quoted:
        raise StrategyError(f"no {name} has a usable quote")
    shorts = sorted(quoted, key=lambda each: (_delta_error(each, settings), each.contract.strike))
    if not _delta_error(shorts[0], settings) <= settings.short_delta_error_max:
        raise StrategyError(
            f"no {name} has a delta near {settings.short_delta:g}: the nearest is {shorts[0].delta:.2f}"
        )
    for short in shorts:
        if _delta_error(short, settings) > settings.short_delta_error_max:
            break
        spread = _winged(short, quoted, right, settings)
        if spread is not None and abs(spread.width_points - settings.width_points) <= settings.width_error_points_max:
            return spread
    strike, nearest = shorts[0].contract.strike, _winged(shorts[0], quoted, right, settings)
    if nearest is None:
        raise StrategyError(f"no {name} is further out than the short strike {strike:f}")
    raise StrategyError(
        f"no {name} lies about {settings.width_points:f} points from the short strike {strike:f}: "
        f"the nearest to that is {nearest.long.contract.strike:f}"
    )


def _delta_error(short: Quoted, settings: SpreadSettings) -> float:
    return abs(abs(short.delta) - settings.short_delta)


def _winged(short: Quoted, quoted: Iterable[Quoted], right: Right, settings: SpreadSettings) -> Spread | None:
    strike = short.contract.strike
    further = {each.contract.strike: each for each in quoted if _further_out(right, each.contract.strike, strike)}
    return Spread(long=further[_nearest_width(further, strike, settings)], short=short) if further else None


def plan_of(kind: StrategyKind, view: ChainView, legs: tuple[Leg, ...], spreads: tuple[Spread, ...]) -> StrategyPlan:
    """Only one side can lose at expiry, so the widest spread's width, less the credit, is all that is at stake."""
    credit = sum((spread.credit for spread in spreads), Decimal(0))
    width_points = max(spread.width_points for spread in spreads)
    if not 0 < credit < width_points:
        raise StrategyError(f"a {kind.value} {width_points:f} wide for a credit of {credit:f} is no trade")
    multiplier = legs[0].contract.multiplier
    return StrategyPlan(
        kind=kind,
        symbol=view.symbol,
        expiry=view.expiry,
        legs=legs,
        credit=credit,
        max_loss=(width_points - credit) * multiplier,
        max_profit=credit * multiplier,
    )


def _further_out(right: Right, strike: Decimal, short: Decimal) -> bool:
    return strike > short if right is Right.CALL else strike < short


def _nearest_width(strikes: Iterable[Decimal], short: Decimal, settings: SpreadSettings) -> Decimal:
    """Of two equally near the narrower, which risks less."""
    return min(strikes, key=lambda strike: (abs(abs(strike - short) - settings.width_points), abs(strike - short)))
