"""Each rule at and just beside its thresholds, and what a position's profit is."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.decisions.context import PositionView, position_view, upl_share
from tradebot.decisions.rules import Rule, StopLoss, TakeProfit, TimeExit
from tradebot.domain.decisions import Action, Decision, Urgency
from tradebot.domain.errors import PricingError
from tradebot.domain.greeks import FLAT
from tradebot.domain.strategies import Strategy, StrategyKind, StrategyPlan, StrategyState

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)


def strategy(quantity: int = 1, remaining: int | None = None, entry_cash: Decimal | None = None) -> Strategy:
    plan = StrategyPlan(
        kind=StrategyKind.IRON_CONDOR,
        symbol="SPY",
        expiry=date(2026, 12, 18),
        legs=(),
        credit=Decimal(2),
        max_loss=Decimal(800),
        max_profit=Decimal(200),
    )
    return Strategy(
        id="s-1",
        plan=plan,
        quantity=quantity,
        remaining=quantity if remaining is None else remaining,
        state=StrategyState.OPEN,
        legs=(),
        entry_cash=Decimal(200) * quantity if entry_cash is None else entry_cash,
    )


def view(upl: float = 0.0, dte_days: int = 30, held: Strategy | None = None) -> PositionView:
    return PositionView(
        strategy=strategy() if held is None else held, at=AT, dte_days=dte_days, upl_share=upl, greeks=FLAT
    )


def answer(rule: Rule, of: PositionView) -> tuple[Action, Urgency, int | None] | None:
    decided = rule.decide(of)
    if decided is None:
        return None
    assert isinstance(decided, Decision)
    assert decided.rule == rule.name
    assert decided.reason
    return decided.action, decided.urgency, decided.quantity


CLOSE_NOW = (Action.CLOSE, Urgency.IMMEDIATE, None)
CLOSE = (Action.CLOSE, Urgency.NORMAL, None)


@pytest.mark.parametrize(
    ("upl", "dte_days", "expected"),
    [
        (-2.0, 30, CLOSE_NOW),
        (-5.0, 30, CLOSE_NOW),
        (-1.999, 30, None),
        (-0.5, 6, CLOSE_NOW),
        (-0.5, 7, None),
        (-0.499, 6, None),
        (0.9, 3, None),
    ],
)
def test_stop_loss(upl: float, dte_days: int, expected: object) -> None:
    """Out at once at -200 %, or at -50 % with fewer than 7 days left; not a hair before."""
    assert answer(StopLoss(), view(upl, dte_days)) == expected


@pytest.mark.parametrize(("upl", "expected"), [(0.8, CLOSE), (1.0, CLOSE), (0.799, None), (0.5, None), (-3.0, None)])
def test_take_profit_of_a_single_unit(upl: float, expected: object) -> None:
    """A single unit cannot be halved: it holds until 80 % and is then closed."""
    assert answer(TakeProfit(), view(upl)) == expected


@pytest.mark.parametrize(
    ("quantity", "remaining", "upl", "half"),
    [(2, 2, 0.5, 1), (5, 5, 0.79, 2), (10, 10, 0.6, 5), (10, 10, 0.499, None), (10, 5, 0.6, None), (3, 2, 0.6, None)],
)
def test_take_profit_halves_once(quantity: int, remaining: int, upl: float, half: int | None) -> None:
    """From 50 % half is closed, rounded down, and never again once something was closed."""
    expected = None if half is None else (Action.REDUCE, Urgency.NORMAL, half)
    assert answer(TakeProfit(), view(upl, held=strategy(quantity, remaining))) == expected


def test_take_profit_closes_what_a_reduction_left() -> None:
    """The half that stayed is closed at 80 % like everything else."""
    assert answer(TakeProfit(), view(0.8, held=strategy(10, 5))) == CLOSE


@settings(derandomize=True, deadline=None)
@given(quantity=st.integers(1, 1000), upl=st.floats(0.5, 0.79))
def test_a_reduction_that_happened_is_not_asked_for_again(quantity: int, upl: float) -> None:
    """Applying the rule's own answer silences it, and always leaves a unit open."""
    held = strategy(quantity)
    decision = TakeProfit().decide(view(upl, held=held))
    if decision is None:
        assert quantity == 1
        return
    assert decision.quantity is not None
    assert 0 < decision.quantity < quantity
    reduced = msgspec.structs.replace(held, remaining=quantity - decision.quantity)
    assert TakeProfit().decide(view(upl, held=reduced)) is None


@pytest.mark.parametrize(("dte_days", "expected"), [(2, None), (1, CLOSE_NOW), (0, CLOSE_NOW), (-3, CLOSE_NOW)])
def test_time_exit(dte_days: int, expected: object) -> None:
    """Out at once from the day before expiry on, and above all after it."""
    assert answer(TimeExit(), view(dte_days=dte_days)) == expected


def test_thresholds_are_settings() -> None:
    """A profile changes the numbers of a rule, not the rule."""
    assert answer(TimeExit(exit_dte_days=21), view(dte_days=21)) == CLOSE_NOW
    assert answer(StopLoss(stop_upl_share=-1.0), view(-1.0)) == CLOSE_NOW
    assert answer(TakeProfit(close_upl_share=0.25), view(0.3)) == CLOSE


@pytest.mark.parametrize("rule", [TakeProfit(), StopLoss()], ids=lambda rule: rule.name)
def test_an_unknown_profit_is_not_a_calm_one(rule: Rule) -> None:
    """A rule that needs the profit raises when it is NaN; the exit by time answers nevertheless."""
    blind = view(math.nan, dte_days=1)
    with pytest.raises(PricingError, match="profit of s-1 is not known"):
        rule.decide(blind)
    assert answer(TimeExit(), blind) == CLOSE_NOW


@pytest.mark.parametrize(
    ("value", "expected"), [(0.0, 1.0), (-40.0, 0.8), (-100.0, 0.5), (-200.0, 0.0), (-600.0, -2.0)]
)
def test_profit_is_a_share_of_the_premium(value: float, expected: float) -> None:
    """Premium received 200: worth nothing any more is +100 %, costing 600 to close is -200 %."""
    assert upl_share(strategy(), value) == expected


def test_profit_counts_the_open_units_only() -> None:
    """With half of ten units closed, the other half's premium is measured against the other half's value."""
    assert upl_share(strategy(10, 5), -500.0) == 0.5


def test_a_debit_is_measured_against_the_maximum_profit() -> None:
    """Where money was paid there is no premium, so the plan's maximum profit takes its place."""
    assert upl_share(strategy(entry_cash=Decimal(-300)), 400.0) == 0.5


def test_a_closed_strategy_has_no_unrealised_profit() -> None:
    """Asking for the share of nothing is an error, not a zero."""
    with pytest.raises(PricingError, match="no open unit"):
        upl_share(strategy(2, 0), 0.0)


def test_a_view_is_made_of_strategy_greeks_and_time() -> None:
    """Days and profit are worked out in one place from what the rooms before it know."""
    made = position_view(strategy(), msgspec.structs.replace(FLAT, value=-100.0), AT)
    assert (made.dte_days, made.upl_share, made.at) == (28, 0.5, AT)
