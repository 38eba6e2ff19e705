"""What must hold once the load is over: speed must not buy wrongness.

Before and After of `aftermath.py` -> `judge` -> one finding for each invariant, `load/invariants/<name>`. Orders and
positions are compared with the venue's own truth; without its control port these are not measured. What the API can
no longer tell, because its lists are full, is said in the finding's evidence and never counted as held.

Limits are judged by what they count. Those that are measured in prices move after the entry that they let through, and
the API says what they leave, not by how much they were exceeded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import httpx
import msgspec

from aftermath import SETTLE_S, After, Before
from simvenues.control import ControlError
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict
from users.answers import LIST_MAX, Order, Strategy, Wrong, contract_key

NAME = "load/invariants/{}"


def check(api: httpx.Client, before: Before | None, control_port: int | None) -> list[Finding]:
    """All of it; a bot that cannot be asked any more is the first invariant that broke."""
    try:
        after = After.read(api, control_port)
    except (httpx.HTTPError, Wrong) as error:
        return [_finding("answered", Verdict.FAIL, f"the bot does not say how it is after the load: {error!r}")]
    except (OSError, ControlError) as error:
        reason = f"the venue's control port does not answer: {error}; is it the one of this bot's venue?"
        return [_finding("orders_at_venue", Verdict.NOT_MEASURED, reason)]
    return judge(before, after)


def judge(before: Before | None, after: After) -> list[Finding]:
    """A finding for each invariant; `before` is None where nobody looked in time."""
    return [
        _orders_at_venue(after),
        _doubled(after),
        _positions(after),
        _limits(before, after),
        _empty("queues", after.undrained, "queue", "drained"),
        _tasks(before, after),
        _empty("workflows", {"unfinished": after.unfinished} if after.unfinished else {}, "workflow", "ended"),
    ]


class Disagreement(msgspec.Struct, frozen=True):
    """Bot and venue, order by order."""

    lost: frozenset[str]  # acknowledged to the bot, and unknown at the venue
    unsent: frozenset[str]  # never acknowledged, and unknown at the venue: withdrawn before it was sent
    foreign: frozenset[str]  # at the venue, and unknown to the bot
    doubled: frozenset[str]  # more than once at the venue
    forgotten: bool  # one of both no longer remembers every order


def disagreement(orders: Sequence[Order], truth: Mapping[str, Any]) -> Disagreement:
    """Every order that one side knows and the other does not.

    Where the API's list is full, it is asked only for orders of the venue that are newer than half of it: the list is
    in the order in which they settled, the venue's numbers are in that in which they came.
    """
    at_venue = Counter(order["order_ref"] for order in truth["orders"])
    ours = {order.intent.client_id for order in orders}
    acknowledged = {order.intent.client_id for order in orders if order.venue_order_id}
    full, dropped = len(orders) >= LIST_MAX and len(truth["orders"]) > len(orders), bool(truth["dropped"]["orders"])
    numbers = sorted(order["perm_id"] for order in truth["orders"] if order["order_ref"] in ours)
    since = numbers[len(numbers) // 2] if full and numbers else 0
    return Disagreement(
        lost=frozenset() if dropped else frozenset(acknowledged - at_venue.keys()),
        unsent=frozenset(ours - acknowledged - at_venue.keys()),
        foreign=frozenset(order["order_ref"] for order in truth["orders"] if order["perm_id"] >= since) - ours,
        doubled=frozenset(ref for ref, times in at_venue.items() if times > 1),
        forgotten=full or dropped,
    )


def _orders_at_venue(after: After) -> Finding:
    if after.truth is None:
        return _no_truth("orders_at_venue")
    found = disagreement(after.orders, after.truth)
    evidence = {
        "orders": len(after.orders),
        "at_venue": len(after.truth["orders"]),
        "lost": sorted(found.lost)[:5],
        "foreign": sorted(found.foreign)[:5],
        "remembers_all": not found.forgotten,
    }
    if found.lost or found.foreign:
        reason = f"{len(found.lost)} orders are known to the bot alone, {len(found.foreign)} to the venue alone"
        return _finding("orders_at_venue", Verdict.FAIL, reason, evidence)
    reason = f"each of {len(after.orders)} orders is known to both" + (
        ", as far as both remember them" if found.forgotten else ""
    )
    return _finding("orders_at_venue", Verdict.PASS, reason, evidence)


def _doubled(after: After) -> Finding:
    """A client id stands for one order, in the bot's book and at the venue."""
    ours = Counter(order.intent.client_id for order in after.orders)
    doubled = {client_id for client_id, times in ours.items() if times > 1}
    if after.truth is not None:
        doubled |= disagreement(after.orders, after.truth).doubled
    if doubled:
        reason = f"{len(doubled)} client ids stand for several orders"
        return _finding("orders_doubled", Verdict.FAIL, reason, {"doubled": sorted(doubled)[:5]})
    return _finding("orders_doubled", Verdict.PASS, f"{len(ours)} client ids, each of one order")


def _positions(after: After) -> Finding:
    """Net positions are what the strategies hold, and what the venue holds."""
    mine = {each.contract.key: each.quantity for each in after.positions if each.quantity}
    differences: dict[str, dict[str, int]] = {}
    if len(after.strategies) < LIST_MAX:
        held: Counter[str] = Counter()
        for strategy in after.strategies:
            for leg in strategy.legs:
                held[leg.leg.contract.key] += leg.leg.sign * leg.held
        differences["strategies"] = _difference(mine, held)
    if after.truth is not None:
        differences["venue"] = _difference(mine, _held_at_venue(after.truth))
    if not differences:
        return _no_truth("positions")
    wrong = {who: dict(sorted(found.items())[:5]) for who, found in differences.items() if found}
    if wrong:
        counts = " and ".join(f"from the {who} in {len(differences[who])}" for who in wrong)
        return _finding("positions", Verdict.FAIL, f"positions differ {counts} contracts", wrong)
    return _finding("positions", Verdict.PASS, f"{len(mine)} positions, as {' and '.join(differences)} hold them")


def _difference(ours: Mapping[str, int], theirs: Mapping[str, int]) -> dict[str, int]:
    return {
        key: ours.get(key, 0) - theirs.get(key, 0)
        for key in ours.keys() | theirs.keys()
        if ours.get(key, 0) != theirs.get(key, 0)
    }


def _held_at_venue(truth: Mapping[str, Any]) -> Counter[str]:
    held: Counter[str] = Counter()
    for account in truth["accounts"].values():
        for position in account["positions"]:
            contract = position["contract"]
            if contract["kind"] == "OPT":
                strike = Decimal(str(contract["strike"]))
                expiry = date.fromisoformat(contract["expiry"])
                key = contract_key(contract["symbol"], expiry, contract["right"], strike)
                held[key] += int(Decimal(position["quantity"]))
    return held


def _limits(before: Before | None, after: After) -> Finding:
    """Never more strategies at once than a symbol may have, and no room lost to strategies that are gone."""
    if before is None:
        return _not_looked("limits")
    exceeded, lost = {}, {}
    alive = Counter(each.plan.symbol for each in after.strategies if each.alive)
    for symbol, most in before.positions_max.items():
        peak = at_once(each for each in after.strategies if each.plan.symbol == symbol)
        if peak > most:
            exceeded[symbol] = peak
        room = after.limits.get(symbol, {}).get("symbol_positions")
        if room is None or round(room) != max(0, most - alive[symbol]):
            lost[symbol] = room
    evidence = {"at_most": before.positions_max, "exceeded": exceeded, "room": lost}
    if exceeded:
        return _finding("limits", Verdict.FAIL, f"more strategies at once than allowed in {sorted(exceeded)}", evidence)
    if lost:
        reason = f"what symbol_positions leaves does not fit what is held in {sorted(lost)}"
        return _finding("limits", Verdict.FAIL, reason, evidence)
    if not before.positions_max:
        return _finding("limits", Verdict.NOT_MEASURED, "symbol_positions, the limit that can be counted, is off")
    known = "the newest thousand strategies" if len(after.strategies) >= LIST_MAX else "every strategy"
    return _finding("limits", Verdict.PASS, f"never exceeded, by {known} that the bot remembers", evidence)


def at_once(strategies: Iterable[Strategy]) -> int:
    """The most that were open in the same moment; one that closes makes room for one that opens just then."""
    moves = []
    for strategy in strategies:
        if strategy.opened_at is not None:
            moves.append((strategy.opened_at, 1))
            if strategy.closed_at is not None:
                moves.append((strategy.closed_at, -1))
    now = most = 0
    for _, change in sorted(moves):
        now += change
        most = max(most, now)
    return most


def _tasks(before: Before | None, after: After) -> Finding:
    if before is None:
        return _not_looked("tasks")
    left = after.tasks - before.tasks
    if left:
        reason = f"{abs(left)} tasks {'are left of the load' if left > 0 else 'are gone since its beginning'}"
        return _finding("tasks", Verdict.FAIL, reason, {"before": before.tasks, "after": after.tasks})
    return _finding("tasks", Verdict.PASS, f"{after.tasks} services, as before")


def _empty(name: str, left: Mapping[str, int], thing: str, done: str) -> Finding:
    if left:
        reason = f"not every {thing} has {done} {SETTLE_S:g} s after the load: {dict(sorted(left.items()))}"
        return _finding(name, Verdict.FAIL, reason, dict(left))
    return _finding(name, Verdict.PASS, f"every {thing} has {done}")


def _no_truth(name: str) -> Finding:
    reason = "the venue's truth is not known; name its control port in TIDEGAUGE_PORT_CONTROL"
    return _finding(name, Verdict.NOT_MEASURED, reason)


def _not_looked(name: str) -> Finding:
    return _finding(name, Verdict.NOT_MEASURED, "nobody looked at the bot before the load, so nothing can be compared")


def _finding(name: str, verdict: Verdict, reason: str, evidence: dict[str, Any] | None = None) -> Finding:
    return Finding(name=NAME.format(name), verdict=verdict, reason=reason, evidence=evidence or {})
