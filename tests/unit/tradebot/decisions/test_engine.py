"""The engine: order, first answer, and what becomes of a rule that raises."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal

import msgspec
import pytest
from structlog.testing import capture_logs

from tradebot.decisions.context import PositionView
from tradebot.decisions.engine import DecisionEngine
from tradebot.decisions.rules import Rule, StopLoss, TakeProfit, TimeExit
from tradebot.domain.decisions import HOLD, Action, Decision
from tradebot.domain.greeks import FLAT
from tradebot.domain.strategies import Strategy, StrategyKind, StrategyPlan, StrategyState


class Says(msgspec.Struct, frozen=True):
    """A rule that always gives the same answer."""

    name: str
    priority: float
    action: Action | None

    def decide(self, view: PositionView) -> Decision | None:
        return None if self.action is None else Decision(self.action, self.name, f"for {view.strategy.id}")


class Waits(Says, frozen=True):
    """One that has to wait before it knows."""

    async def decide(self, view: PositionView) -> Decision | None:  # type: ignore[override] # the other half of the protocol
        await asyncio.sleep(0)
        return super().decide(view)


class Breaks(Says, frozen=True):
    def decide(self, view: PositionView) -> Decision | None:
        raise ZeroDivisionError(view.strategy.id)


def view(upl: float = 0.0, dte_days: int = 30) -> PositionView:
    plan = StrategyPlan(StrategyKind.VERTICAL, "SPY", date(2026, 12, 18), (), Decimal(2), Decimal(800), Decimal(200))
    held = Strategy("s-1", plan, 1, 1, StrategyState.OPEN, ())
    return PositionView(held, datetime(2026, 11, 20, tzinfo=UTC), dte_days, upl, FLAT)


def decide(rules: Sequence[Rule], of: PositionView | None = None) -> tuple[str, DecisionEngine]:
    engine = DecisionEngine(rules)
    decision = asyncio.run(engine.decide(view() if of is None else of))
    return decision.rule, engine


def test_the_first_answer_by_priority_wins() -> None:
    """However the rules are listed, the lowest number that has an answer decides."""
    rules = (Says("late", 7, Action.CLOSE), Says("early", 1.3, None), Says("middle", 2, Action.REDUCE))
    assert {decide(order)[0] for order in itertools.permutations(rules)} == {"middle"}


def test_equal_priorities_are_decided_by_name() -> None:
    """The order of listing never matters, not even between equals."""
    rules = (Says("b", 1, Action.CLOSE), Says("a", 1, Action.ROLL))
    assert {decide(order)[0] for order in itertools.permutations(rules)} == {"a"}


def test_no_answer_is_hold() -> None:
    """When every rule passes, or there is none, the engine holds and counts that."""
    _, engine = decide([Says("quiet", 1, None)])
    assert engine.answers == {"quiet": 0, HOLD.rule: 1}
    assert decide([])[0] == HOLD.rule


def test_a_rule_may_wait() -> None:
    """A coroutine function is awaited, and its answer counts like any other."""
    name, engine = decide([Waits("slow", 1, Action.CLOSE), Says("fast", 2, Action.ROLL)])
    assert name == "slow"
    assert engine.answers["slow"] == 1


@pytest.mark.parametrize("behind", [Action.CLOSE, None])
def test_a_rule_that_raises_is_logged_counted_and_skipped(behind: Action | None) -> None:
    """A broken rule neither decides nor stops the ones behind it."""
    with capture_logs() as logs:
        name, engine = decide([Breaks("broken", 1, None), Says("sound", 2, behind)])
    assert name == ("sound" if behind else HOLD.rule)
    assert engine.errors == {"broken": 1, "sound": 0}
    assert engine.answers["broken"] == 0
    assert [(line["event"], line["rule"], line["strategy_id"]) for line in logs] == [("rule_failed", "broken", "s-1")]


def test_a_cancelled_decision_is_cancelled() -> None:
    """Cancelling the task that decides is not a rule's error and is not swallowed."""

    class Hangs(Says, frozen=True):
        async def decide(self, view: PositionView) -> Decision | None:  # type: ignore[override] # the protocol's other half
            await asyncio.Event().wait()
            return super().decide(view)

    async def main() -> DecisionEngine:
        engine = DecisionEngine([Hangs("stuck", 1, None)])
        task = asyncio.create_task(engine.decide(view()))
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return engine

    assert asyncio.run(main()).errors == {"stuck": 0}


def test_two_rules_of_one_name_are_refused() -> None:
    """Counts go by name, so a name stands for one rule."""
    with pytest.raises(ValueError, match="share a name: same, same"):
        DecisionEngine([Says("same", 1, None), Says("same", 2, None)])


@pytest.mark.parametrize(
    ("upl", "dte_days", "rule"),
    [
        (0.9, 1, "take_profit"),
        (-2.5, 30, "stop_loss"),
        (-2.5, 1, "stop_loss"),
        (0.1, 1, "time_exit"),
        (0.1, 30, "none"),
    ],
)
def test_the_desk_s_rules_together(upl: float, dte_days: int, rule: str) -> None:
    """Take profit is asked before stop loss, and both before the exit by time."""
    assert decide([TimeExit(), StopLoss(), TakeProfit()], view(upl, dte_days))[0] == rule


def test_without_a_price_the_exit_by_time_still_decides() -> None:
    """NaN makes the rules that need a profit fail loudly; the last day is recognised all the same."""
    name, engine = decide([TimeExit(), StopLoss(), TakeProfit()], view(float("nan"), 1))
    assert name == "time_exit"
    assert engine.errors == {"take_profit": 1, "stop_loss": 1, "time_exit": 0}
