"""The register of strategies: what fills make of them."""

from __future__ import annotations

from decimal import Decimal
from itertools import product

import pytest

from support.facts import NOON, SIDES, fill, plan
from tradebot.domain.errors import IllegalTransition, NotFound, QueueFull
from tradebot.domain.orders import Fill
from tradebot.domain.strategies import LegState, Strategy, StrategyState
from tradebot.execution import strategies as room
from tradebot.execution.strategies import STRATEGY_MOVES, Strategies
from tradebot.kernel.bounds import Bounds

P, OPEN, A, C, F = (
    StrategyState.PENDING,
    StrategyState.OPEN,
    StrategyState.PARTIAL,
    StrategyState.CLOSED,
    StrategyState.FAILED,
)
LEGAL = {(P, OPEN), (P, A), (P, F), (OPEN, OPEN), (OPEN, A), (OPEN, C), (A, A), (A, OPEN), (A, C), (A, F)}
Filled = list[tuple[int, Fill]]


class Rig:
    def __init__(self, quantity: int = 2) -> None:
        self.told: list[Strategy] = []
        self.strategies = Strategies(Bounds(), self.told.append)
        self.strategies.create("s", plan(), quantity)

    def opened(self, quantity: int = 2) -> Strategy:
        return self.strategies.entered("s", entry(*[quantity] * 4), workflow_id="w1", at=NOON)

    def exited(self, fills: Filled, workflow_id: str = "w2", left: frozenset[int] = frozenset()) -> Strategy:
        return self.strategies.exited("s", fills, left=left, workflow_id=workflow_id, at=NOON, reason="because")


def entry(*quantities: int, price: str = "1.00") -> Filled:
    return [
        (leg, fill(f"in{leg}", count, leg=leg, price=price, commission="0"))
        for leg, count in enumerate(quantities)
        if count
    ]


def out(*quantities: int, price: str = "1.00") -> Filled:
    return [
        (leg, fill(f"out{leg}", count, leg=leg, side=SIDES[leg].opposite, price=price, commission="0"))
        for leg, count in enumerate(quantities)
        if count
    ]


@pytest.mark.parametrize(("state", "target"), list(product(StrategyState, StrategyState)))
def test_the_table_holds_exactly_these_moves(state: StrategyState, target: StrategyState) -> None:
    """A strategy opens or fails, is reduced or closed, and can be repaired; closed and failed are for ever."""
    assert STRATEGY_MOVES.allows(state, target) == ((state, target) in LEGAL)


def test_an_entry_that_filled_opens_the_strategy() -> None:
    """All units open, the legs at their average prices, the cash of every fill, and everybody told once."""
    rig = Rig()
    fills: Filled = entry(1, 1, 2, 2, price="1.00") + [
        (leg, fill(f"more{leg}", 1, leg=leg, price="2.00")) for leg in (0, 1)
    ]
    strategy = rig.strategies.entered("s", fills, workflow_id="w1", at=NOON)
    assert (strategy.state, strategy.remaining, strategy.opened_at) == (OPEN, 2, NOON)
    assert [leg.held for leg in strategy.legs] == [2, 2, 2, 2]
    assert [leg.entry_price for leg in strategy.legs] == [Decimal("1.50"), Decimal("1.50"), 1, 1]
    assert {leg.state for leg in strategy.legs} == {LegState.FILLED}
    assert strategy.entry_cash == Decimal("-1.30")
    assert [each.state for each in rig.told] == [P, OPEN]


def test_a_reduction_leaves_it_open_and_the_rest_closes_it() -> None:
    """Units shrink with the legs; the cash of both exits adds up; closed it is among the finished."""
    rig = Rig()
    rig.opened()
    reduced = rig.exited(out(1, 1, 1, 1, price="0.50"))
    assert (reduced.state, reduced.remaining, reduced.closed_at) == (OPEN, 1, None)
    closed = rig.exited(out(1, 1, 1, 1), "w3")
    assert (closed.state, closed.remaining, closed.closed_at) == (C, 0, NOON)
    assert closed.exit_cash == 0
    assert rig.strategies.held() == ()
    assert rig.strategies.get("s") == closed
    assert closed.reason == "because"


@pytest.mark.parametrize(
    ("closed", "state", "remaining"),
    [
        ((0, 2, 2, 0), A, 2),  # only the shorts: wings are left
        ((0, 1, 0, 0), A, 2),  # unequal shorts
        ((2, 0, 0, 0), A, 2),  # a short without its wing
        ((0, 1, 1, 0), OPEN, 1),  # every short unit is covered
        ((0, 0, 0, 0), OPEN, 2),
    ],
)
def test_a_partial_exit_says_whether_every_short_unit_is_covered(
    closed: tuple[int, ...], state: StrategyState, remaining: int
) -> None:
    """Open while it is; otherwise partial with the most units that are still at stake."""
    rig = Rig()
    rig.opened()
    strategy = rig.exited(out(*closed))
    assert (strategy.state, strategy.remaining) == (state, remaining)


def test_a_partial_exit_is_repaired_by_the_next() -> None:
    """What the first exit left is closed by the second, whatever remained."""
    rig = Rig()
    rig.opened()
    assert rig.exited(out(2, 2, 0, 0)).state is A
    assert rig.exited(out(0, 0, 2, 2), "w3").state is C


def test_long_legs_left_to_expire_do_not_keep_a_strategy_open() -> None:
    """It is closed although the wing is held, and the leg says why."""
    rig = Rig()
    rig.opened()
    strategy = rig.exited(out(0, 2, 2, 2), left=frozenset({0}))
    assert strategy.state is C
    assert (strategy.legs[0].held, strategy.legs[0].state) == (2, LegState.EXPIRING)


def test_a_workflows_fills_count_once() -> None:
    """The same entry, exit or failure told again changes nothing and tells nobody."""
    rig = Rig()
    opened = rig.opened()
    assert rig.opened() == opened
    reduced = rig.exited(out(1, 1, 1, 1))
    assert rig.exited(out(1, 1, 1, 1)) == reduced
    told = len(rig.told)
    assert rig.strategies.entry_failed("s", [], [], workflow_id="w1", reason="late") == reduced
    assert len(rig.told) == told


def test_an_entry_that_gave_everything_back_failed_and_one_that_could_not_is_partial() -> None:
    """What is held decides; the cash of both ways is kept, and the reason."""
    rig = Rig()
    failed = rig.strategies.entry_failed("s", entry(2), out(2, price="0.90"), workflow_id="w1", reason="no")
    assert (failed.state, failed.remaining, failed.reason) == (F, 0, "no")
    assert failed.entry_cash + failed.exit_cash == -20
    assert [leg.state for leg in failed.legs] == [LegState.FILLED, *[LegState.CANCELLED] * 3]
    rig = Rig()
    partial = rig.strategies.entry_failed("s", entry(2, 1), out(1, 1), workflow_id="w1", reason="no")
    assert (partial.state, partial.remaining) == (A, 1)
    assert rig.strategies.held() == (partial,)


def test_a_closed_strategy_moves_no_more() -> None:
    """A late exit of something closed is an error that names both states."""
    rig = Rig()
    rig.opened()
    rig.exited(out(2, 2, 2, 2))
    with pytest.raises(IllegalTransition, match="strategy cannot go from closed to closed"):
        rig.exited([], "w3")


def test_restoring_tells_nobody_and_the_last_word_wins() -> None:
    """From the journal: pending, then open, then closed leaves one finished strategy."""
    source, told = Rig(), list[Strategy]()
    source.opened()
    source.exited(out(2, 2, 2, 2))
    strategies = Strategies(Bounds(), told.append)
    for each in source.told:
        strategies.restore(each)
    assert strategies.all() == source.strategies.all()
    assert told == []


def test_strangers_are_not_found_and_the_room_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """An unknown id is NotFound; one strategy more than the bound is refused before anything is kept."""
    monkeypatch.setattr(room, "HELD_MAX", 1)
    rig = Rig()
    with pytest.raises(NotFound, match="there is no strategy x"):
        rig.strategies.get("x")
    with pytest.raises(QueueFull, match="1 strategies are held"):
        rig.strategies.create("s2", plan(), 1)
    assert len(rig.strategies.all()) == 1
