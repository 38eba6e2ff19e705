"""The rules, each a frozen struct of its thresholds with a name, a priority and one question to answer.

A rule answers with a `Decision`, or None for "nothing to do as far as I can see"; it may be a coroutine function
where it has to wait for what it needs to know. The lower the priority's number, the sooner it is asked. Profit is
a share of the premium (`context.upl_share`), days are calendar days to expiry.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import ClassVar, Protocol

import msgspec

from tradebot.decisions.context import PositionView
from tradebot.domain.decisions import Action, Decision, Urgency


class Rule(Protocol):
    @property
    def name(self) -> str: ...

    @property
    def priority(self) -> float: ...

    def decide(self, view: PositionView) -> Decision | Awaitable[Decision | None] | None: ...


class TakeProfit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Half at 50 %, the rest at 80 %.

    It reduces only while nothing was closed yet (`remaining == quantity`), so a reduction is asked for until it has
    happened and never again after. Half is rounded down, hence a single unit waits for the full close.
    """

    name: ClassVar[str] = "take_profit"
    priority: ClassVar[float] = 2.0

    close_upl_share: float = 0.80
    reduce_upl_share: float = 0.50

    def decide(self, view: PositionView) -> Decision | None:
        upl_share = view.known_upl_share()
        if upl_share >= self.close_upl_share:
            return Decision(Action.CLOSE, self.name, f"profit {upl_share:.0%} of {self.close_upl_share:.0%} wanted")
        strategy = view.strategy
        half = strategy.remaining // 2
        if upl_share >= self.reduce_upl_share and half > 0 and strategy.remaining == strategy.quantity:
            reason = f"profit {upl_share:.0%} of {self.reduce_upl_share:.0%} wanted for half"
            return Decision(Action.REDUCE, self.name, reason, quantity=half)
        return None


class StopLoss(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Out at a loss of twice the premium, or of half of it in the last week, when there is no time to recover."""

    name: ClassVar[str] = "stop_loss"
    priority: ClassVar[float] = 3.0

    stop_upl_share: float = -2.0
    late_stop_upl_share: float = -0.50
    late_below_dte_days: int = 7

    def decide(self, view: PositionView) -> Decision | None:
        upl_share = view.known_upl_share()
        if upl_share <= self.stop_upl_share:
            reason = f"loss {-upl_share:.0%} of {-self.stop_upl_share:.0%} allowed"
        elif view.dte_days < self.late_below_dte_days and upl_share <= self.late_stop_upl_share:
            reason = f"loss {-upl_share:.0%} with {view.dte_days} days left"
        else:
            return None
        return Decision(Action.CLOSE, self.name, reason, Urgency.IMMEDIATE)


class TimeExit(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Out before expiry, whatever it is worth; needs no price and so answers when the others cannot."""

    name: ClassVar[str] = "time_exit"
    priority: ClassVar[float] = 7.0

    exit_dte_days: int = 1

    def decide(self, view: PositionView) -> Decision | None:
        if view.dte_days > self.exit_dte_days:
            return None
        return Decision(Action.CLOSE, self.name, f"{view.dte_days} days left", Urgency.IMMEDIATE)
