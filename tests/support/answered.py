"""A condor as the bot answers it, right in every part: what a test changes of it is what is wrong."""

from __future__ import annotations

from typing import Any

import msgspec

from users import answers

LEGS = (("540", "P", "BUY"), ("550", "P", "SELL"), ("615", "C", "SELL"), ("625", "C", "BUY"))
EXPIRY = "2027-01-01"


def contract(strike: str, right: str, symbol: str = "SPY") -> dict[str, Any]:
    return {
        "type": "option",
        "symbol": symbol,
        "expiry": EXPIRY,
        "strike": strike,
        "right": right,
        "multiplier": 100,
    }


def condor(**changes: Any) -> answers.Strategy:
    """An open one; `first_leg` and `plan` change parts of it, `symbol` all of it."""
    symbol = changes.pop("symbol", "SPY")
    legs = [{"contract": contract(strike, right, symbol), "side": side} for strike, right, side in LEGS]
    plan = {
        "kind": "iron_condor",
        "symbol": symbol,
        "expiry": EXPIRY,
        "legs": legs,
        "credit": "2.31",
        "max_loss": "769",
        "max_profit": "231",
    }
    first = changes.pop("first_leg", {})
    statuses = [{"leg": leg, "state": "filled", "held": 1, "entry_price": "1.95"} for leg in legs]
    statuses[0] |= first
    facts = {
        "id": "s-w1",
        "plan": plan | changes.pop("plan", {}),
        "quantity": 1,
        "remaining": 1,
        "state": "open",
        "legs": statuses,
        "opened_at": "2026-11-20T15:00:00Z",
        "closed_at": None,
        "entry_cash": "220.40",
        "exit_cash": "0",
        "reason": "",
        "applied": ["w1"],
    }
    return answers.read(answers.Strategy, _encoded(facts | changes))


def workflow(**changes: Any) -> answers.Workflow:
    """An entry that is done."""
    facts = {
        "id": "w1",
        "request": {"type": "entry", "symbol": "SPY", "kind": "iron_condor", "quantity": 1},
        "state": "done",
        "accepted_at": "2026-11-20T15:00:00Z",
        "finished_at": "2026-11-20T15:00:01Z",
        "strategy_id": "s-w1",
        "error": "",
        "limit": "",
        "steps": [{"name": "quotes", "start_ms": 0.1, "duration_ms": 3.0}],
    }
    return answers.read(answers.Workflow, _encoded(facts | changes))


def positions(**quantities: int) -> tuple[answers.Position, ...]:
    """By strike and right, as in `P540=1`; without any, what one condor holds."""
    held = quantities or {f"{right}{strike}": 1 if side == "BUY" else -1 for strike, right, side in LEGS}
    return tuple(
        answers.read(
            answers.Position,
            _encoded({"contract": contract(name[1:], name[0]), "quantity": quantity, "average_price": "1.95"}),
        )
        for name, quantity in held.items()
    )


def order(number: int, **changes: Any) -> answers.Order:
    intent = {
        "client_id": f"w{number}.0",
        "workflow_id": f"w{number}",
        "strategy_id": f"s-w{number}",
        "contract": contract("540", "P"),
        "side": "BUY",
        "quantity": 1,
        "at": "2026-11-20T15:00:00Z",
    }
    facts = {"intent": intent, "state": "filled", "venue_order_id": str(number), "filled": 1, "reason": ""}
    return answers.read(answers.Order, _encoded(facts | changes))


def _encoded(facts: dict[str, Any]) -> bytes:
    return msgspec.json.encode(facts)
