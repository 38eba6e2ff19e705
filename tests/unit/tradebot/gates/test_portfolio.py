"""The desk's table of limits: refused by name just beyond each bound, passed just inside it."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.errors import LimitExceeded
from tradebot.domain.greeks import FLAT, PositionGreeks
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import Side
from tradebot.domain.strategies import Leg, Strategy, StrategyKind, StrategyPlan, StrategyState
from tradebot.domain.units import ShareDelta
from tradebot.gates.portfolio import Gates, GateSettings
from tradebot.gates.situation import EntryProposal, Exposure

EXPIRY = date(2027, 1, 1)
US_INDEX = {"SPY": "us index", "QQQ": "us index"}


def plan(symbol: str = "SPY", max_loss: Decimal = Decimal(900)) -> StrategyPlan:
    rights = (Right.PUT, Right.PUT, Right.CALL, Right.CALL)
    sides = (Side.BUY, Side.SELL, Side.SELL, Side.BUY)
    legs = tuple(
        Leg(OptionContract(symbol, EXPIRY, Decimal(550 + 10 * index), right), side)
        for index, (right, side) in enumerate(zip(rights, sides, strict=True))
    )
    return StrategyPlan(
        kind=StrategyKind.IRON_CONDOR,
        symbol=symbol,
        expiry=EXPIRY,
        legs=legs,
        credit=Decimal(1),
        max_loss=max_loss,
        max_profit=Decimal(100),
    )


def held(
    symbol: str = "SPY",
    max_loss: Decimal = Decimal(900),
    quantity: int = 1,
    remaining: int | None = None,
    state: StrategyState = StrategyState.OPEN,
) -> Strategy:
    return Strategy(
        id=f"{symbol}-{state}",
        plan=plan(symbol, max_loss),
        quantity=quantity,
        remaining=quantity if remaining is None else remaining,
        state=state,
        legs=(),
    )


def greeks(delta: float = 0.0, gamma: float = 0.0) -> PositionGreeks:
    return msgspec.structs.replace(FLAT, delta=ShareDelta(delta), gamma=gamma)


EMPTY = Exposure(equity=Decimal(100_000), portfolio=FLAT, by_symbol={}, strategies=(), orders_in_flight=0, vix=16.0)
CONDOR = EntryProposal(plan=plan(), quantity=1, greeks=greeks(-1.0, -0.5), price=600.0, exposure=EMPTY)


def with_exposure(**changes: object) -> EntryProposal:
    return msgspec.structs.replace(CONDOR, exposure=msgspec.structs.replace(EMPTY, **changes))


def with_entry(**changes: object) -> EntryProposal:
    return msgspec.structs.replace(CONDOR, **changes)


def many(count: int, **kind: object) -> tuple[Strategy, ...]:
    return tuple(held(**kind) for _ in range(count))  # type: ignore[arg-type] # spelled out by the caller


def portfolio_delta(before: float) -> EntryProposal:
    """Position + order: 48 held and 2 asked for. Many shares are held, so that the mean per unit stays small."""
    return msgspec.structs.replace(
        with_exposure(portfolio=greeks(before), strategies=many(4, symbol="IWM", max_loss=Decimal(1))),
        greeks=greeks(2.0),
    )


def correlated(risk: str) -> EntryProposal:
    """The proposal's 900 beside what is at risk already in the other symbol of its group."""
    return with_exposure(strategies=(held("QQQ", Decimal(risk)),))


# name of the limit -> (just inside, just beyond)
EDGES: dict[str, tuple[EntryProposal, EntryProposal]] = {
    "quantity": (with_entry(quantity=1), with_entry(quantity=0)),
    "price": (with_entry(price=0.01), with_entry(price=0.0)),
    "vix": (with_exposure(vix=34.99), with_exposure(vix=35.0)),
    "symbol_positions": (
        with_exposure(strategies=many(4, max_loss=Decimal(1))),
        with_exposure(strategies=many(5, max_loss=Decimal(1))),
    ),
    "portfolio_delta_per_unit": (  # 400 shares held and 400 on the order, whose delta is -1
        with_exposure(portfolio=greeks(-238.9), strategies=(held("QQQ"),)),
        with_exposure(portfolio=greeks(-239.0), strategies=(held("QQQ"),)),
    ),
    "portfolio_delta": (portfolio_delta(48.0), portfolio_delta(48.1)),
    "symbol_delta": (
        with_exposure(by_symbol={"SPY": greeks(-19.0)}),
        with_exposure(by_symbol={"SPY": greeks(-19.1)}),
    ),
    "portfolio_gamma": (with_exposure(portfolio=greeks(gamma=-9.5)), with_exposure(portfolio=greeks(gamma=-9.6))),
    "position_risk": (
        with_entry(plan=plan(max_loss=Decimal(2000))),
        with_entry(plan=plan(max_loss=Decimal("2000.01"))),
    ),
    "correlated_risk": (correlated("4100"), correlated("4100.01")),
    "orders_in_flight": (with_exposure(orders_in_flight=96), with_exposure(orders_in_flight=97)),
    "exposure_cap": (
        with_exposure(strategies=(held("IWM", Decimal(1100)),)),
        with_exposure(strategies=(held("IWM", Decimal("1100.01")),)),
    ),
    "iv_rank": (with_entry(iv_rank=24.9), with_entry(iv_rank=25.0)),
}
DESK = GateSettings(groups=US_INDEX)
OTHER_DESKS = {
    "exposure_cap": GateSettings(exposure_cap=Decimal(2000)),
    "portfolio_delta_per_unit": GateSettings(portfolio_delta_max=None),
}


def desk(name: str) -> Gates:
    """The desk's own numbers, but for the two limits that others would forestall or that are off."""
    return Gates(OTHER_DESKS.get(name, DESK))


def refused_by(gates: Gates, proposal: EntryProposal) -> str:
    try:
        gates.check(proposal)
    except LimitExceeded as refused:
        return refused.limit
    return ""


def test_every_limit_of_the_table_has_its_edges_tested() -> None:
    """A limit that is added to the table must be added here."""
    assert {limit.name for limit in Gates(DESK).limits} == set(EDGES)


@pytest.mark.parametrize("name", EDGES)
def test_just_inside_a_limit_passes(name: str) -> None:
    """The last value that a limit allows goes through all of them."""
    gates = desk(name)
    gates.check(EDGES[name][0])
    assert (gates.passed, sum(gates.refusals.values())) == (1, 0)


@pytest.mark.parametrize("name", EDGES)
def test_just_beyond_a_limit_is_refused_by_its_name(name: str) -> None:
    """The first value that a limit does not allow is refused with that limit's name, and counted under it."""
    gates = desk(name)
    with pytest.raises(LimitExceeded) as refused:
        gates.check(EDGES[name][1])
    assert refused.value.limit == name
    assert gates.refusals == {limit.name: int(limit.name == name) for limit in gates.limits}
    assert gates.passed == 0


def test_the_first_trade_of_an_empty_book_passes() -> None:
    """One condor of width 10 risks about 900: less than 2 % of 100 000, whatever is (not) held already."""
    gates = Gates(DESK)
    gates.check(CONDOR)
    assert gates.passed == 1


def test_the_same_trade_is_too_large_for_a_smaller_account() -> None:
    """900 is more than 2 % of 40 000."""
    assert refused_by(Gates(DESK), with_exposure(equity=Decimal(40_000))) == "position_risk"


def test_quantity_multiplies_the_risk() -> None:
    """Two condors of 900 fit into 2 % of 100 000, three do not."""
    assert refused_by(Gates(DESK), with_entry(quantity=2)) == ""
    assert refused_by(Gates(DESK), with_entry(quantity=3)) == "position_risk"


@pytest.mark.parametrize(
    ("rank", "name"), [(None, ""), (0.0, ""), (25.0, "iv_rank"), (37.0, "iv_rank"), (50.0, "iv_rank"), (50.1, "")]
)
def test_iv_rank_is_entered_at_either_end(rank: float | None, name: str) -> None:
    """Below 25 or above 50, and without a history the limit does not apply."""
    assert refused_by(Gates(DESK), with_entry(iv_rank=rank)) == name


NOT_A_NUMBER: dict[str, tuple[str, EntryProposal]] = {
    "price nan": ("price", with_entry(price=math.nan)),
    "price infinite": ("price", with_entry(price=math.inf)),
    "vix nan": ("vix", with_exposure(vix=math.nan)),
    "vix without a price": ("vix", with_exposure(vix=-1.0)),
    "iv rank nan": ("iv_rank", with_entry(iv_rank=math.nan)),
    "iv rank beyond the scale": ("iv_rank", with_entry(iv_rank=-1.0)),
    "equity nan": ("position_risk", with_exposure(equity=Decimal("NaN"))),
    "equity zero": ("position_risk", with_exposure(equity=Decimal(0))),
    "equity negative": ("position_risk", with_exposure(equity=Decimal(-100_000))),
    "equity infinite": ("position_risk", with_exposure(equity=Decimal("Infinity"))),
    "loss nan": ("position_risk", with_entry(plan=plan(max_loss=Decimal("NaN")))),
    "loss negative": ("position_risk", with_entry(plan=plan(max_loss=Decimal(-1)))),
    "loss of a held one nan": ("correlated_risk", correlated("NaN")),
    "delta of the order nan": ("portfolio_delta_per_unit", with_entry(greeks=greeks(math.nan))),
    "delta of the portfolio nan": ("portfolio_delta_per_unit", with_exposure(portfolio=greeks(math.nan))),
    "delta of the symbol nan": ("symbol_delta", with_exposure(by_symbol={"SPY": greeks(math.nan)})),
    "gamma nan": ("portfolio_gamma", with_entry(greeks=greeks(gamma=math.nan))),
    "quantity negative": ("quantity", with_entry(quantity=-1)),
}


@pytest.mark.parametrize("case", NOT_A_NUMBER)
def test_what_makes_no_sense_fails_closed(case: str) -> None:
    """NaN, infinity or an impossible figure in any input is refused by the limit that would have used it."""
    name, proposal = NOT_A_NUMBER[case]
    assert refused_by(Gates(DESK), proposal) == name


@pytest.mark.parametrize(
    ("state", "quantity", "remaining", "counts"),
    [
        (StrategyState.OPEN, 2, 1, 1),
        (StrategyState.PENDING, 2, 0, 2),
        (StrategyState.PARTIAL, 2, 1, 2),
        (StrategyState.CLOSED, 2, 2, 0),
        (StrategyState.FAILED, 2, 2, 0),
    ],
)
def test_what_is_on_its_way_counts_in_full(state: StrategyState, quantity: int, remaining: int, counts: int) -> None:
    """A pending entry takes its room at once, an open strategy what is left of it, and a finished one none."""
    exposure = msgspec.structs.replace(
        EMPTY, strategies=(held(max_loss=Decimal(1000), quantity=quantity, remaining=remaining, state=state),)
    )
    capacity = Gates(DESK).capacity(exposure, "SPY")
    assert capacity["correlated_risk"] == pytest.approx(0.05 - counts * 0.01)
    assert capacity["symbol_positions"] == 5 - min(counts, 1)


def test_capacity_says_what_is_left_by_name() -> None:
    """Each limit states its own room before anything is proposed; None where it is off or needs a proposal."""
    exposure = msgspec.structs.replace(
        EMPTY,
        portfolio=greeks(-30.0, 4.0),
        by_symbol={"SPY": greeks(-5.0), "QQQ": greeks(-25.0)},
        strategies=(held("SPY"), held("QQQ")),
        orders_in_flight=8,
    )
    assert Gates(DESK).capacity(exposure, "SPY") == pytest.approx(
        {
            "quantity": None,
            "price": None,
            "vix": 19.0,
            "iv_rank": None,
            "symbol_positions": 4,
            "portfolio_delta_per_unit": 0.3 - 30 / 800,
            "portfolio_delta": 20.0,
            "symbol_delta": 15.0,
            "portfolio_gamma": 6.0,
            "position_risk": 0.02,
            "correlated_risk": 0.05 - 0.018,
            "exposure_cap": None,
            "orders_in_flight": 92,
        }
    )
    assert Gates(DESK).capacity(exposure, "QQQ")["symbol_delta"] == 0.0


def test_symbols_without_a_group_move_alone() -> None:
    """Only what is said to move together shares the correlated limit."""
    proposal = correlated("4500")
    assert refused_by(Gates(DESK), proposal) == "correlated_risk"
    assert refused_by(Gates(GateSettings()), proposal) == ""


def test_a_limit_that_is_switched_off_refuses_nothing() -> None:
    """None in the settings is the one way around a limit, and it is explicit."""
    proposal = with_exposure(vix=math.nan)
    assert refused_by(Gates(GateSettings(vix_below=None)), proposal) == ""


@settings(derandomize=True, deadline=None)
@given(
    delta=st.floats(-30, 30),
    order=st.floats(-30, 30),
    risk=st.decimals(1, 3000, places=2),
    quantity=st.integers(1, 3),
    equity=st.decimals(20_000, 200_000, places=2),
)
def test_position_and_order_are_judged_together(
    delta: float, order: float, risk: Decimal, quantity: int, equity: Decimal
) -> None:
    """What passes leaves a portfolio within the limits: the sum is judged, never the order alone."""
    exposure = msgspec.structs.replace(EMPTY, portfolio=greeks(delta), by_symbol={"SPY": greeks(delta)}, equity=equity)
    proposal = EntryProposal(
        plan=plan(max_loss=risk), quantity=quantity, greeks=greeks(order), price=600.0, exposure=exposure
    )
    allowed = abs(delta + order) <= 20.0 and risk * quantity * 50 <= equity
    assert (refused_by(Gates(DESK), proposal) == "") is allowed


@pytest.mark.parametrize("shares", [0.5, 19.0])
def test_shares_are_not_held_against_the_limit_per_unit(shares: float) -> None:
    """Half a share, and nineteen shares on a condor's 400, are both far from 0.3 per unit."""
    assert refused_by(Gates(DESK), with_entry(greeks=greeks(shares))) == ""


@settings(derandomize=True, max_examples=100)
@given(
    moments=st.lists(
        st.dictionaries(
            st.sampled_from("abcd"),
            st.tuples(st.sampled_from(StrategyState), st.integers(0, 3), st.sampled_from(["SPY", "QQQ"])),
        ),
        max_size=6,
    )
)
def test_what_was_looked_at_before_never_counts_for_what_is(
    moments: list[dict[str, tuple[StrategyState, int, str]]],
) -> None:
    """However strategies come, change and go, gates that saw them before measure what fresh ones measure."""
    gates = Gates(GateSettings(groups=US_INDEX))
    kept: dict[tuple[str, object], Strategy] = {}  # the same object where nothing changed
    for moment in moments:
        strategies = tuple(
            kept.setdefault(
                (name, facts),
                msgspec.structs.replace(held(facts[2], quantity=3, remaining=facts[1], state=facts[0]), id=name),
            )
            for name, facts in moment.items()
        )
        now = msgspec.structs.replace(EMPTY, strategies=strategies)
        assert gates.capacity(now, "SPY") == Gates(GateSettings(groups=US_INDEX)).capacity(now, "SPY")
