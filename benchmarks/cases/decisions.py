"""Decisions: the engine with the profile's rules, over views that some rule answers and most do not."""

from __future__ import annotations

import asyncio
import random

from cases.case import Work
from cases.facts import NOON, greeks, strategy
from tradebot.decisions.context import PositionView
from tradebot.decisions.engine import DecisionEngine
from tradebot.decisions.rules import StopLoss, TakeProfit, TimeExit
from tradebot.domain.decisions import Decision


def engine(size: int, seed: int) -> Work:
    views = [_view(number, seed) for number in range(size)]
    rules = DecisionEngine((TakeProfit(), StopLoss(), TimeExit()))
    runner = asyncio.Runner()

    async def decide_all() -> list[Decision]:
        return [await rules.decide(view) for view in views]

    def facts(decisions: list[Decision]) -> object:
        return [(decision.action.value, decision.rule) for decision in decisions]

    return Work(lambda: runner.run(decide_all()), facts, close=runner.close)


def _view(number: int, seed: int) -> PositionView:
    rng = random.Random(seed + number)
    return PositionView(
        strategy=strategy(number),
        at=NOON,
        dte_days=rng.randrange(60),
        upl_share=rng.uniform(-2.5, 1.0),
        greeks=greeks(number, seed),
    )
