"""What a right answer says: each rule takes answers of the right shape and raises `Wrong` where they contradict it.

Answers of `answers.py` and what was asked -> a rule -> nothing, or `Wrong`. No rule knows how an answer was fetched,
and none depends on other clients standing still: they trade the same contracts in the same moments, so whatever they
can have caused is no mistake of the bot's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import msgspec

from users.answers import (
    FINAL,
    Accepted,
    Alert,
    DryRun,
    EntryAsked,
    ExitAsked,
    Greeks,
    Health,
    Limits,
    Order,
    PortfolioGreeks,
    Position,
    Strategy,
    Workflow,
    Wrong,
)

T = TypeVar("T")
Judge = Callable[[T], None]

LEGS = {"iron_condor": 4, "vertical": 2}
# Somebody else closed it first, most likely the bot itself by one of its decisions.
CLOSED_BY_OTHERS = frozenset({"not_open", "one_exit_at_a_time"})
GREEKS_TOLERANCE = 1e-6  # of the largest part: running totals against a fresh sum


def need(true: object, sentence: str) -> None:
    if not true:
        raise Wrong(sentence)


def accepted(answer: Accepted, location: str) -> None:
    need(answer.id, "an accepted workflow has no id")
    need(answer.location == f"/api/workflows/{answer.id}", "an accepted workflow is located where it is not")
    need(location == answer.location, "header and body locate an accepted workflow at two places")


def replayed(first: Accepted, second: Accepted, header: str) -> None:
    """The same key asked for the same thing twice: there is one workflow, and the second answer says so."""
    need(second.id == first.id, "an idempotent replay made a second workflow")
    need(header == "true", "an idempotent replay does not say that it is one")


def followed(workflow: Workflow, workflow_id: str, asked: EntryAsked | ExitAsked) -> None:
    """On its way or at its end, it is the workflow that was asked for."""
    need(workflow.id == workflow_id, "another workflow was answered")
    need(workflow.request == asked, "the workflow is about something else than was asked for")
    need((workflow.finished_at is not None) == (workflow.state in FINAL), "a workflow's end does not fit its state")


def ended(workflow: Workflow) -> None:
    """It went through, or a limit that has a name refused it."""
    what = "entry" if isinstance(workflow.request, EntryAsked) else "exit"
    need(workflow.state != "failed", f"an {what} failed: {workflow.error}")
    if workflow.finished_at is not None:
        need(workflow.finished_at >= workflow.accepted_at, "a workflow ended before it was accepted")
    if workflow.state == "refused":
        need(workflow.limit, f"an {what} was refused by no limit: {workflow.error}")
        return
    need(workflow.strategy_id, f"an {what} is done without a strategy")
    need(workflow.steps, f"an {what} is done without a step")
    need(not workflow.error, f"an {what} is done with an error")


def opened(strategy: Strategy, workflow: Workflow) -> None:
    """An entry that is done holds what it was asked for, leg by leg, paid for and counted once."""
    asked = workflow.request
    need(strategy.id == workflow.strategy_id, "another strategy was answered")
    if not isinstance(asked, EntryAsked):
        raise Wrong("only an entry opens a strategy")
    plan = strategy.plan
    need((plan.symbol, plan.kind) == (asked.symbol, asked.kind), "the strategy is another than was asked for")
    need(strategy.quantity == asked.quantity, "the strategy has another quantity than was asked for")
    need(strategy.applied.count(workflow.id) == 1, "the entry's fills are not counted exactly once")
    need(strategy.opened_at is not None, "an entry is done, and its strategy was never opened")
    need(len(strategy.legs) == LEGS[asked.kind], "the strategy has another number of legs than its kind")
    if strategy.state != "open":  # the bot may have decided to close it between the two requests
        need(strategy.reason, f"an entry is done, and its strategy is {strategy.state} without a reason")
        return
    for leg in strategy.legs:
        need(leg.state == "filled", "an entry is done with a leg that is not filled")
        need(leg.held == strategy.remaining, "a fill did not change what its leg holds")
        need(leg.entry_price > 0, "a leg was filled at no price")
    need(strategy.entry_cash != 0, "a strategy was opened without any cash")


def closed(strategy: Strategy, exit_id: str | None) -> None:
    """Nothing is held any more but long legs that nobody bids for; `exit_id` is None where others closed it."""
    need(strategy.state == "closed", f"an exit is done, and its strategy is {strategy.state}")
    need(strategy.remaining == 0, "a closed strategy has units left")
    need(strategy.closed_at is not None, "a closed strategy was closed at no time")
    for leg in strategy.legs:
        harmless = leg.held == 0 or (leg.state in {"expiring", "expired"} and leg.leg.side == "BUY")
        need(harmless, "a closed strategy holds a leg")
    if exit_id is not None:
        need(strategy.applied.count(exit_id) == 1, "the exit's fills are not counted exactly once")


def left(strategy: Strategy, exit_id: str | None) -> None:
    """After an exit of ours it is closed; where others were faster it is closed, or on its way there."""
    if exit_id is not None or strategy.state not in {"open", "partial"}:
        closed(strategy, exit_id)


def unmoved(strategy: Strategy, positions: Iterable[Position]) -> dict[str, int]:
    """By contract, how much of what this strategy holds is missing in the net positions; empty is as it should be.

    It may be missing for a good reason: another strategy holds the same contract the other way round.
    """
    net = {position.contract.key: position.quantity for position in positions}
    shortfalls = {
        leg.leg.contract.key: leg.held - leg.leg.sign * net.get(leg.leg.contract.key, 0) for leg in strategy.legs
    }
    return {key: shortfall for key, shortfall in shortfalls.items() if shortfall > 0}


def explained(shortfalls: dict[str, int], strategy: Strategy, others: Iterable[Strategy]) -> bool:
    """Whether other strategies that are alive can hold enough of the other side."""
    sides = {leg.leg.contract.key: leg.leg.side for leg in strategy.legs}
    against = dict.fromkeys(shortfalls, 0)
    for other in others:
        if other.id == strategy.id or not (other.alive or any(leg.held for leg in other.legs)):
            continue
        for leg in other.plan.legs:
            if leg.contract.key in against and leg.side != sides[leg.contract.key]:
                against[leg.contract.key] += other.quantity
    return all(against[key] >= shortfall for key, shortfall in shortfalls.items())


def dry_run(answer: DryRun, asked: EntryAsked) -> None:
    """A plan that could be traded, or a reason why there is none."""
    if answer.accepted:
        need(answer.plan is not None, "a dry run accepted no plan")
        need(not answer.limit, "a dry run was accepted by a limit that refused it")
    else:
        need(answer.reason, "a dry run was refused without a reason")
    if answer.plan is None:
        return
    plan = answer.plan
    need((plan.symbol, plan.kind) == (asked.symbol, asked.kind), "a dry run planned something else")
    need(len(plan.legs) == LEGS[asked.kind], "a dry run planned another number of legs than its kind")
    need(len({leg.contract.key for leg in plan.legs}) == len(plan.legs), "a dry run planned a contract twice")
    need(all(leg.contract.expiry == plan.expiry for leg in plan.legs), "a dry run planned legs of several expiries")
    need(sum(leg.sign for leg in plan.legs) == 0, "a dry run planned an uncovered leg")
    need(plan.max_loss > 0, "a dry run planned a strategy that cannot lose")


def orders(found: Sequence[Order], *, only_open: bool = False) -> None:
    need(len({order.intent.client_id for order in found}) == len(found), "a client id was given to two orders")
    for order in found:
        need(0 <= order.filled <= order.intent.quantity, "an order filled more than it asked for")
        need(order.state != "filled" or order.filled == order.intent.quantity, "a filled order is not full")
        need(not only_open or order.filled < order.intent.quantity, "an order that is filled is listed as open")


def strategies(found: Sequence[Strategy], state: str | None = None) -> None:
    need(len({each.id for each in found}) == len(found), "a strategy is listed twice")
    for each in found:
        need(state is None or each.state == state, "a list by state holds another state")
        need(0 <= each.remaining <= each.quantity, "a strategy holds more units than were asked for")


def positions(found: Sequence[Position]) -> None:
    need(len({each.contract.key for each in found}) == len(found), "a contract has two positions")


def greeks(answer: PortfolioGreeks) -> None:
    """The portfolio is the sum of its symbols, wherever each of them is known."""
    for field in Greeks.__struct_fields__:
        parts = [getattr(each, field) for each in answer.by_symbol.values()]
        total = getattr(answer.portfolio, field)
        known = [part for part in parts if part is not None]
        if total is None or len(known) < len(parts):
            continue
        tolerance = GREEKS_TOLERANCE * max((abs(part) for part in known), default=0.0) + GREEKS_TOLERANCE
        need(abs(total - math.fsum(known)) <= tolerance, f"the portfolio's {field} is not the sum of its symbols")


def limits(answer: Limits, symbol: str) -> None:
    need(set(answer.remaining) == {symbol}, "limits of another symbol were answered")
    rooms = [room for room in answer.remaining[symbol].values() if room is not None]
    need(rooms, "no limit applies")
    need(all(math.isfinite(room) and room >= 0 for room in rooms), "a limit leaves less than nothing")


def health(answer: Health) -> None:
    need(answer.ready, "a bot that takes requests says that it is not ready")
    need(answer.uptime_s >= 0 and answer.tasks > 0, "a bot that answers runs nothing")


def alerts(found: Sequence[Alert], state: str) -> None:
    need(len({each.id for each in found}) == len(found), "an alert is listed twice")
    need(all(each.state == state for each in found), "a list by state holds another state")


def acknowledged(before: Alert, after: Alert) -> None:
    """It reads acknowledged, and nothing else of it changed."""
    need(after.state == "acknowledged", "an acknowledged alert does not read acknowledged")
    need(after.changed_at is not None, "an acknowledged alert changed at no time")
    same = msgspec.structs.replace(after, state=before.state, changed_at=before.changed_at)
    need(same == before, "acknowledging changed more of an alert than its state")
