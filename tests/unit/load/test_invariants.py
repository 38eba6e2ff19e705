"""Each invariant is judged by what bot and venue say: what broke is named, what is unknown is no pass."""

from __future__ import annotations

from typing import Any

import httpx
import msgspec
import pytest

from aftermath import After, Before, settle
from invariants import at_once, check, disagreement, judge
from support.answered import LEGS, condor, order, positions
from tidegauge.verdicts import Verdict
from users import answers

BEFORE = Before(tasks=5, positions_max={"SPY": 5})


def truth(*orders: str, held: tuple[tuple[str, str, int], ...] = (), dropped: int = 0) -> dict[str, Any]:
    """What the venue's control port says, as far as it is read."""
    contracts = [
        {
            "contract": {
                "kind": "OPT",
                "symbol": "SPY",
                "expiry": "2027-01-01",
                "strike": float(strike),
                "right": right,
            },
            "quantity": str(quantity),
        }
        for strike, right, quantity in held
    ]
    return {
        "orders": [{"order_ref": ref, "perm_id": 1000 + number} for number, ref in enumerate(orders)],
        "accounts": {"DU1": {"positions": contracts}},
        "dropped": {"orders": dropped, "executions": 0},
    }


HELD = tuple((strike, right, 1 if side == "BUY" else -1) for strike, right, side in LEGS)
AFTER = After(
    undrained={},
    tasks=5,
    limits={"SPY": {"symbol_positions": 4.0}},
    unfinished=0,
    orders=(order(1), order(2)),
    strategies=(condor(),),
    positions=positions(),
    truth=truth("w1.0", "w2.0", held=HELD),
)


def verdicts(before: Before | None = BEFORE, **changes: Any) -> dict[str, Verdict]:
    found = judge(before, msgspec.structs.replace(AFTER, **changes))
    return {finding.name.removeprefix("load/invariants/"): finding.verdict for finding in found}


def test_where_everything_holds_every_invariant_passes() -> None:
    """One finding each, and all of them are looked at."""
    assert verdicts() == dict.fromkeys(
        ("orders_at_venue", "orders_doubled", "positions", "limits", "queues", "tasks", "workflows"), Verdict.PASS
    )


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        ("orders_at_venue", {"truth": truth("w1.0", held=HELD)}),
        ("orders_at_venue", {"truth": truth("w1.0", "w2.0", "w3.0", held=HELD)}),
        ("orders_doubled", {"truth": truth("w1.0", "w2.0", "w2.0", held=HELD)}),
        ("orders_doubled", {"orders": (order(1), order(2), order(2))}),
        ("positions", {"positions": ()}),
        ("positions", {"truth": truth("w1.0", "w2.0", held=HELD[:3])}),
        ("positions", {"strategies": (condor(first_leg={"held": 0}),)}),
        ("limits", {"limits": {"SPY": {"symbol_positions": 3.0}}}),
        ("limits", {"limits": {}}),
        ("limits", {"strategies": tuple(condor(id=f"s-{number}", legs=[]) for number in range(6))}),
        ("queues", {"undrained": {"journal.queue": 3}}),
        ("tasks", {"tasks": 6}),
        ("tasks", {"tasks": 4}),
        ("workflows", {"unfinished": 1}),
    ],
)
def test_what_broke_is_named(name: str, changes: dict[str, Any]) -> None:
    """An order lost, foreign or doubled; a position that nobody holds; room lost or taken twice; work left over."""
    assert verdicts(**changes)[name] is Verdict.FAIL


@pytest.mark.parametrize(
    ("name", "before", "changes"),
    [
        ("orders_at_venue", BEFORE, {"truth": None}),
        ("positions", BEFORE, {"truth": None, "strategies": (condor(),) * answers.LIST_MAX}),
        ("limits", None, {}),
        ("tasks", None, {}),
        ("limits", Before(tasks=5, positions_max={}), {}),
    ],
)
def test_what_nobody_could_see_is_not_measured(name: str, before: Before | None, changes: dict[str, Any]) -> None:
    """No control port, nobody who looked before the load, a limit that is off, a list that is full."""
    assert verdicts(before, **changes)[name] is Verdict.NOT_MEASURED


def test_without_the_venue_positions_are_still_those_of_the_strategies() -> None:
    """One witness less is no reason not to ask the other."""
    assert verdicts(truth=None)["positions"] is Verdict.PASS
    assert verdicts(truth=None, positions=positions(P540=2))["positions"] is Verdict.FAIL


def test_an_order_that_was_withdrawn_before_it_was_sent_is_not_lost() -> None:
    """Acknowledged orders are those with a number of the venue's."""
    withdrawn = order(3, state="cancelled", venue_order_id="", filled=0)
    found = disagreement([order(1), withdrawn], truth("w1.0"))
    assert (set(found.lost), set(found.unsent), set(found.foreign)) == (set(), {"w3.0"}, set())


def test_a_full_list_still_misses_the_newest_foreign_order() -> None:
    """A thousand orders fit into an answer: the venue's older ones are forgotten, its newest must be known."""
    listed = [order(number) for number in range(2000, 1000, -1)]
    known = [f"w{number}.0" for number in range(2001)]
    assert disagreement(listed, truth(*known)).foreign == frozenset()
    assert disagreement(listed, truth(*known)).forgotten
    assert disagreement(listed, truth(*known, "stranger")).foreign == {"stranger"}


def test_a_venue_that_forgot_orders_loses_none_of_ours() -> None:
    """What it no longer remembers it cannot deny."""
    found = disagreement([order(1), order(2)], truth("w2.0", dropped=1))
    assert (found.lost, found.forgotten) == (frozenset(), True)


def test_strategies_at_once_are_counted_between_opening_and_closing() -> None:
    """One that closes makes room for one that opens in the same moment; one that never opened took none."""
    first = condor(closed_at="2026-11-20T15:10:00Z")
    second = condor(opened_at="2026-11-20T15:10:00Z")
    third = condor(opened_at="2026-11-20T15:05:00Z", closed_at="2026-11-20T15:06:00Z")
    assert at_once([first, second]) == 1
    assert at_once([first, second, third]) == 2
    assert at_once([condor(opened_at=None)]) == 0


def bounds(**lengths: int) -> httpx.Response:
    facts = [{"name": name.replace("_", "."), "length": length, "capacity": 10} for name, length in lengths.items()]
    return httpx.Response(200, json=facts)


def test_a_queue_that_was_empty_once_has_drained() -> None:
    """New work may come at any moment; caches are not waited for."""
    answered = [bounds(bus_lake=3, door_lake=0, workflows=9), bounds(bus_lake=0, door_lake=2, workflows=9)]
    transport = httpx.MockTransport(lambda _request: answered.pop(0) if len(answered) > 1 else answered[0])
    with httpx.Client(transport=transport, base_url="http://bot") as api:
        assert settle(api, timeout_s=30) == {}
        assert answered == [answered[-1]]


def test_a_queue_that_is_never_empty_is_named_with_its_least() -> None:
    """What was in it at its shortest is what nobody worked off."""
    transport = httpx.MockTransport(lambda _request: bounds(journal_queue=4, strategies_held=1))
    with httpx.Client(transport=transport, base_url="http://bot") as api:
        assert settle(api, timeout_s=0) == {"journal.queue": 4}


@pytest.mark.parametrize("status", [200, 404])
def test_a_bot_that_does_not_answer_after_the_load_has_broken_the_first_invariant(status: int) -> None:
    """Nothing can be said of its books, and that is its fault."""
    transport = httpx.MockTransport(lambda _request: httpx.Response(status, json={"ok": True}))
    with httpx.Client(transport=transport, base_url="http://bot") as api:
        (finding,) = check(api, BEFORE, None)
    assert (finding.name, finding.verdict) == ("load/invariants/answered", Verdict.FAIL)
