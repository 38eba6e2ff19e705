"""The decision engine: asks the rules in the order of their priority; the first that answers wins, else HOLD.

A rule that raises has no say: it is logged, counted by its name and skipped, and the next one is asked. The counts
are bounded by the number of rules.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable

import structlog

from tradebot.decisions.context import PositionView
from tradebot.decisions.rules import Rule
from tradebot.domain.decisions import HOLD, Decision

log = structlog.get_logger(__name__)


class DecisionEngine:
    def __init__(self, rules: Iterable[Rule]) -> None:
        # The name decides between equal priorities, so that the order never depends on how the rules were listed.
        self.rules = tuple(sorted(rules, key=lambda rule: (rule.priority, rule.name)))
        names = [rule.name for rule in self.rules]
        if len(set(names)) != len(names):
            raise ValueError(f"two rules share a name: {', '.join(names)}")
        self.answers = dict.fromkeys((*names, HOLD.rule), 0)
        self.errors = dict.fromkeys(names, 0)

    async def decide(self, view: PositionView) -> Decision:
        for rule in self.rules:
            try:
                answer = rule.decide(view)
                if inspect.isawaitable(answer):
                    answer = await answer
            except Exception as error:  # a broken rule must not silence those behind it
                self.errors[rule.name] += 1
                log.exception("rule_failed", rule=rule.name, strategy_id=view.strategy.id, error=repr(error))
                continue
            if answer is not None:
                self.answers[rule.name] += 1
                return answer
        self.answers[HOLD.rule] += 1
        return HOLD
