"""What the decision engine may say about an open strategy."""

from __future__ import annotations

import enum

import msgspec


class Action(enum.StrEnum):
    HOLD = "HOLD"
    CLOSE = "CLOSE"
    ROLL = "ROLL"
    ADJUST = "ADJUST"
    HEDGE = "HEDGE"
    REDUCE = "REDUCE"


class Urgency(enum.StrEnum):
    IMMEDIATE = "IMMEDIATE"
    HIGH = "HIGH"
    NORMAL = "NORMAL"
    LOW = "LOW"


class Decision(msgspec.Struct, frozen=True, gc=False):
    action: Action
    rule: str
    reason: str
    urgency: Urgency = Urgency.NORMAL
    quantity: int | None = None  # units to close, for REDUCE


HOLD = Decision(action=Action.HOLD, rule="none", reason="no rule answered", urgency=Urgency.LOW)
