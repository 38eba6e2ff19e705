"""Both builders, on a market whose prices are known."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.errors import PricingError, StrategyError
from tradebot.domain.instruments import OptionChain, OptionContract, Right
from tradebot.domain.market import Quote
from tradebot.domain.orders import Side
from tradebot.domain.strategies import StrategyKind, StrategyPlan
from tradebot.domain.units import PerUnitDelta
from tradebot.pricing.calendar import days_to_expiry, year_fraction
from tradebot.pricing.european import price_and_greeks
from tradebot.strategies import spread
from tradebot.strategies.registry import BUILDERS, builder
from tradebot.strategies.view import SpreadSettings

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
NEAREST_45 = date(2027, 1, 1)  # 42 days; the Friday after has 49
Quotes = dict[OptionContract, Quote]
KINDS = list(StrategyKind)
CONDOR, VERTICAL = StrategyKind.IRON_CONDOR, StrategyKind.VERTICAL


class World(msgspec.Struct, frozen=True):
    """Black-Scholes-Merton prices on a skewed smile, two cents wide."""

    spot: float = 600.0
    rate: float = 0.04
    dividend: float = 0.012
    level: float = 0.18
    strike_step: Decimal = Decimal(1)
    venue_says_iv: bool = True

    @property
    def chain(self) -> OptionChain:
        return OptionChain(
            symbol="SPY",
            multiplier=100,
            expiries=tuple(date(2026, 11, 27) + timedelta(weeks=week) for week in range(20)),
            strikes=tuple(400 + self.strike_step * step for step in range(int(400 / self.strike_step) + 1)),
        )

    def sigma(self, contract: OptionContract) -> float:
        return self.level * (1.0 - 1.5 * math.log(float(contract.strike) / self.spot))

    def price_and_delta(self, contract: OptionContract) -> tuple[float, float]:
        figures = price_and_greeks(
            self.spot,
            float(contract.strike),
            year_fraction(contract.expiry, AT),
            self.sigma(contract),
            self.rate,
            self.dividend,
            contract.right is Right.CALL,
        )
        return float(figures.price), float(figures.delta)

    def quotes(self, contracts: Iterable[OptionContract]) -> Quotes:
        mids = {contract: self.price_and_delta(contract)[0] for contract in contracts}
        return {
            contract: Quote(
                instrument=contract,
                at=AT,
                bid=max(mid - 0.01, 0.0),
                ask=mid + 0.01,
                iv=self.sigma(contract) if self.venue_says_iv else math.nan,
            )
            for contract, mid in mids.items()
        }

    def candidates(self, kind: StrategyKind, sigma_guess: float = 0.18) -> tuple[OptionContract, ...]:
        made = builder(kind)
        return made.candidates(self.chain, self.spot, AT, made.settings, sigma_guess)

    def build(
        self, kind: StrategyKind, quotes: Quotes | None = None, settings: SpreadSettings | None = None
    ) -> StrategyPlan:
        made = builder(kind)
        quotes = self.quotes(self.candidates(kind)) if quotes is None else quotes
        wanted = made.settings if settings is None else settings
        return made.build(quotes, self.spot, AT, wanted, rate=self.rate, dividend=self.dividend)


def test_a_condor_has_four_ordered_legs_of_one_expiry() -> None:
    """Long put, short put, short call, long call, ascending in strike, ten points wide, nearest to 45 days."""
    plan = World().build(CONDOR)
    assert [(leg.side, leg.contract.right) for leg in plan.legs] == [
        (Side.BUY, Right.PUT),
        (Side.SELL, Right.PUT),
        (Side.SELL, Right.CALL),
        (Side.BUY, Right.CALL),
    ]
    strikes = [leg.contract.strike for leg in plan.legs]
    assert strikes == sorted(strikes)
    assert strikes[1] - strikes[0] == strikes[3] - strikes[2] == 10
    assert {leg.contract.expiry for leg in plan.legs} == {plan.expiry} == {NEAREST_45}
    assert (plan.kind, plan.symbol) == (CONDOR, "SPY")


def test_a_vertical_is_a_put_credit_spread() -> None:
    """Protection first, then the short put of the higher strike, ten points apart."""
    plan = World().build(VERTICAL)
    assert [(leg.side, leg.contract.right) for leg in plan.legs] == [(Side.BUY, Right.PUT), (Side.SELL, Right.PUT)]
    assert plan.legs[1].contract.strike - plan.legs[0].contract.strike == 10
    assert (plan.kind, plan.expiry) == (VERTICAL, NEAREST_45)


@pytest.mark.parametrize("venue_says_iv", [True, False], ids=["venue's iv", "implied from mid"])
@pytest.mark.parametrize(("kind", "wish"), [(CONDOR, 0.16), (VERTICAL, 0.30)])
def test_the_short_strikes_have_the_wished_delta(kind: StrategyKind, wish: float, venue_says_iv: bool) -> None:
    """Whether the venue tells the volatility or only prices, the shorts' deltas come within a few hundredths."""
    world = World(venue_says_iv=venue_says_iv)
    shorts = [leg.contract for leg in world.build(kind).legs if leg.side is Side.SELL]
    for contract in shorts:
        assert abs(world.price_and_delta(contract)[1]) == pytest.approx(wish, abs=0.025)


@pytest.mark.parametrize("kind", KINDS)
def test_money_is_decimal_and_adds_up(kind: StrategyKind) -> None:
    """Credit is what the mids say, and the width times the multiplier is either lost or earned."""
    world = World()
    plan = world.build(kind)
    mids = sum(-leg.side.sign * world.price_and_delta(leg.contract)[0] for leg in plan.legs)
    assert isinstance(plan.credit, Decimal)
    assert float(plan.credit) == pytest.approx(mids, abs=0.001)
    assert plan.max_profit == plan.credit * 100
    assert plan.max_loss + plan.max_profit == 1000


def test_unequal_wings_risk_the_wider_one() -> None:
    """Where one side's wing is listed further out, the plan's loss is that side's."""
    world = World()
    quotes = world.quotes(world.candidates(CONDOR))
    long_put = world.build(CONDOR).legs[0].contract
    near = {long_put.strike + shift for shift in range(-3, 4)}
    thinned = {c: q for c, q in quotes.items() if c.right is Right.CALL or c.strike not in near}
    plan = world.build(CONDOR, thinned)
    widths = [plan.legs[1].contract.strike - plan.legs[0].contract.strike]
    widths.append(plan.legs[3].contract.strike - plan.legs[2].contract.strike)
    assert widths[0] != widths[1]
    assert plan.max_loss == (max(widths) - plan.credit) * 100


@settings(derandomize=True, deadline=None, max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    spot=st.floats(450, 750),
    level=st.floats(0.08, 0.5),
    error=st.floats(0.7, 1.4),
    step=st.sampled_from([Decimal("0.5"), Decimal(1), Decimal("2.5"), Decimal(5)]),
)
def test_candidates_are_few_and_enough(
    kind: StrategyKind, spot: float, level: float, error: float, step: Decimal
) -> None:
    """At most 40 contracts a condor and 20 a vertical, of one expiry, and a plan can be built of them although the
    guess of volatility was wrong; or the chain itself ends too early.
    """
    world = World(spot=spot, level=level, strike_step=step)
    chosen = world.candidates(kind, level * error)
    assert len(chosen) == len(set(chosen)) <= (40 if kind is CONDOR else 20)
    assert {contract.expiry for contract in chosen} == {NEAREST_45}
    try:
        plan = world.build(kind, world.quotes(chosen))
    except StrategyError:
        everything = [
            OptionContract("SPY", NEAREST_45, strike, right) for strike in world.chain.strikes for right in Right
        ]
        with pytest.raises(StrategyError):
            world.build(kind, world.quotes(everything))
    else:
        assert plan.max_loss > 0 < plan.max_profit


def test_the_same_market_gives_the_same_plan() -> None:
    """Choosing does not depend on the order in which quotes arrived."""
    world = World()
    quotes = world.quotes(world.candidates(CONDOR))
    assert world.build(CONDOR, dict(reversed(quotes.items()))) == world.build(CONDOR, quotes)


@pytest.mark.parametrize(
    ("bid", "ask"), [(math.nan, 1.0), (1.0, math.nan), (2.0, 1.0), (-1.0, 1.0), (0.0, 0.0), (1.0, math.inf)]
)
def test_an_unusable_quote_is_as_good_as_none(bid: float, ask: float) -> None:
    """NaN, crossed, negative, empty or infinite: the contract is left out and the next best is chosen."""
    world = World()
    quotes = world.quotes(world.candidates(VERTICAL))
    short = world.build(VERTICAL).legs[1].contract
    quotes[short] = msgspec.structs.replace(quotes[short], bid=bid, ask=ask)
    without = {contract: quote for contract, quote in quotes.items() if contract != short}
    assert world.build(VERTICAL, quotes) == world.build(VERTICAL, without)


def _only_puts(world: World) -> StrategyPlan:
    return world.build(
        CONDOR, {c: q for c, q in world.quotes(world.candidates(CONDOR)).items() if c.right is Right.PUT}
    )


def _no_wings(world: World) -> StrategyPlan:
    short = world.build(VERTICAL).legs[1].contract
    return world.build(VERTICAL, {short: world.quotes(world.candidates(VERTICAL))[short]})


def _two_symbols(world: World) -> StrategyPlan:
    quotes = world.quotes(world.candidates(VERTICAL))
    other = OptionContract("QQQ", NEAREST_45, Decimal(500), Right.PUT)
    return world.build(VERTICAL, quotes | {other: next(iter(quotes.values()))})


def _no_credit(world: World) -> StrategyPlan:
    quotes = world.quotes(world.candidates(VERTICAL))
    return world.build(VERTICAL, {c: msgspec.structs.replace(q, bid=1.0, ask=1.0) for c, q in quotes.items()})


def _too_late(world: World) -> StrategyPlan:
    quotes = world.quotes(world.candidates(VERTICAL))
    return BUILDERS[VERTICAL].build(
        quotes, world.spot, AT + timedelta(days=40), BUILDERS[VERTICAL].settings, rate=0.04, dividend=0.012
    )


def _crossing(world: World) -> StrategyPlan:
    wide = SpreadSettings(short_delta=PerUnitDelta(0.7))
    every = [OptionContract("SPY", NEAREST_45, strike, right) for strike in world.chain.strikes for right in Right]
    return world.build(CONDOR, world.quotes(every), wide)


def _steep_grid(world: World) -> StrategyPlan:
    return msgspec.structs.replace(world, strike_step=Decimal(20)).build(VERTICAL)


REFUSED: dict[str, tuple[Callable[[World], StrategyPlan], str]] = {
    "no quotes": (lambda world: world.build(CONDOR, {}), "not those of none"),
    "one side only": (_only_puts, "no SPY 2027-01-01 call has a usable quote"),
    "no wing": (_no_wings, "further out than the short strike"),
    "two symbols": (_two_symbols, "not those of QQQ, SPY"),
    "no credit": (_no_credit, "is no trade"),
    "expiry too near": (_too_late, "no expiry within 15 days of 45"),
    "strikes too far apart": (_steep_grid, "about 10 points from the short strike"),
    "short strikes cross": (_crossing, "cross"),
    "delta out of reach": (
        lambda world: world.build(VERTICAL, settings=SpreadSettings(short_delta=PerUnitDelta(0.01))),
        "has a delta near 0.01",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_chain_that_cannot_carry_it_says_why(name: str) -> None:
    """Each way in which no strategy can be built is a StrategyError with its own reason."""
    act, reason = REFUSED[name]
    with pytest.raises(StrategyError, match=reason):
        act(World())


@pytest.mark.parametrize(
    ("change", "reason"),
    [({"expiries": ()}, "lists no expiry"), ({"strikes": ()}, "lists no strike"), ({"expiries": (AT.date(),)}, "45")],
)
def test_an_empty_chain_has_no_candidates(change: dict[str, object], reason: str) -> None:
    """Without expiries or strikes, or with none in reach, there is nothing to quote."""
    made = builder(CONDOR)
    chain = msgspec.structs.replace(World().chain, **change)
    with pytest.raises(StrategyError, match=reason):
        made.candidates(chain, 600.0, AT, made.settings, 0.2)


def test_candidates_refuse_a_volatility_or_spot_that_is_none() -> None:
    """A guess of zero and a spot of NaN would choose at random; both are errors."""
    made = builder(VERTICAL)
    with pytest.raises(StrategyError, match="guess of volatility"):
        made.candidates(World().chain, 600.0, AT, made.settings, 0.0)
    with pytest.raises(PricingError, match="spot must be"):
        made.candidates(World().chain, math.nan, AT, made.settings, 0.2)


def test_every_kind_has_a_builder() -> None:
    """The registry is complete, and each builder makes plans of its own kind."""
    assert set(BUILDERS) == set(StrategyKind)
    assert [World().build(kind).kind for kind in KINDS] == KINDS


def test_the_expiry_is_the_nearest_to_45_days() -> None:
    """Of all listed expiries no other is nearer to the wish."""
    expiries = World().chain.expiries
    distance = [abs(days_to_expiry(expiry, AT) - 45) for expiry in expiries]
    assert abs(days_to_expiry(World().build(VERTICAL).expiry, AT) - 45) == min(distance)


def test_of_two_expiries_equally_near_the_later_is_taken() -> None:
    """38 and 52 days are both a week off: more time is the better side to err on."""
    chain = msgspec.structs.replace(World().chain, expiries=(date(2026, 12, 28), date(2027, 1, 11)))
    made = builder(VERTICAL)
    chosen = made.candidates(chain, 600.0, AT, made.settings, 0.18)
    assert {contract.expiry for contract in chosen} == {date(2027, 1, 11)}


@given(
    points=st.sets(st.integers(1, 400), min_size=1, max_size=40),
    short=st.integers(1, 400),
    width=st.integers(1, 60),
    right=st.sampled_from(Right),
)
@settings(derandomize=True, max_examples=300)
def test_a_wing_is_the_nearest_of_all_strikes_further_out(
    points: set[int], short: int, width: int, right: Right
) -> None:
    """Found without a look at each strike, it is the one that a look at each finds; none where there is none."""
    listed = [Decimal(point) / 2 for point in sorted(points)]
    wish = SpreadSettings(short_delta=PerUnitDelta(0.16), width_points=Decimal(width) / 2)
    strike = Decimal(short) / 2
    further = [each for each in listed if (each > strike if right is Right.CALL else each < strike)]
    nearest = min(
        further, key=lambda each: (abs(abs(each - strike) - wish.width_points), abs(each - strike)), default=None
    )
    assert spread._wing(listed, strike, right, wish) == nearest
