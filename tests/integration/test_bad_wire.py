"""A wire that lies, loses, breaks and stands still while the bot trades over it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support.house import FINAL, House, open_house, venue_positions, wait_for

SYMBOLS = ("SPY", "QQQ", "IWM", "AAPL")
NEVER_SENT = "it never reached the venue"


@pytest.fixture
def impatient(tmp_path: Path) -> Iterator[House]:
    """A house whose bot waits for nothing longer than a second, so that a lost answer costs no more."""
    settings = {
        "legs_fill_timeout_s": "0.5",
        "legs_cancel_timeout_s": "0.3",
        "entry_quote_timeout_s": "1",
        "ibkr_request_timeout_s": "0.7",
        "ibkr_connect_timeout_s": "1",
        "ibkr_heartbeat_s": "1",
        "ibkr_commission_wait_s": "0.1",
        "monitoring_cycle_s": "0.1",
        "breaker_failures_max": "1000",
    }
    with open_house(tmp_path, seed=3, **settings) as house:
        yield house


@pytest.mark.parametrize(
    ("fault", "options"),
    [
        ("malformed", {"share": 0.2}),
        ("drop", {"share": 0.2}),
        ("reset", {"after_messages": 60}),
        ("stall", {"stall_s": 0.8}),
    ],
    ids=["malformed", "drop", "reset", "stall"],
)
def test_a_bad_wire_costs_time_and_never_the_truth(impatient: House, fault: str, options: dict[str, Any]) -> None:
    """The bot stays up through it, doubles no order, and agrees with the venue once the wire is good again."""
    house = impatient
    opened = house.enter()
    asked: list[tuple[str, dict[str, Any]]] = [("exit", {"strategy_id": opened["strategy_id"]})]
    asked += [("entry", {"symbol": symbol, "kind": "iron_condor"}) for symbol in SYMBOLS]
    house.control.fault(fault, **options)
    accepted = [workflow_id for verb, body in asked if (workflow_id := ask(house, verb, body))]
    assert accepted
    if fault == "malformed":
        wait_for(lambda: sum(facts(house)["bad_messages"].values()), "a bad message to be counted")
    if fault == "reset":
        wait_for(lambda: "venue_disconnected" in sources(house), "the loss of the venue to be told")
    wait_for(lambda: any(state(house, each) in FINAL for each in accepted), "some workflow to end")
    house.control.fault(fault, on=False)

    wait_for(lambda: all(state(house, each) in FINAL for each in accepted), "all workflows to end")
    wait_for(lambda: facts(house)["venue_connected"], "the venue to be reached again")
    wait_for(lambda: quiet(house), "repairs to end")
    runs = house.api.post("/api/reconcile").raise_for_status().json()["runs"]
    wait_for(lambda: house.get("/api/reconcile")["runs"] > runs, "the reconciliation")
    assert house.get("/api/reconcile")["differences"] == []
    assert_same(house)
    assert not any(facts(house)["restarts"].values())
    assert house.enter("MSFT")["state"] == "done"


def ask(house: House, verb: str, body: dict[str, Any]) -> str:
    """The accepted workflow; nothing where the bot says that it cannot work just now."""
    answer = house.api.post(f"/api/workflows/{verb}", json=body)
    assert answer.status_code in {202, 503}, answer.text
    return str(answer.json()["id"]) if answer.status_code == 202 else ""


def state(house: House, workflow_id: str) -> Any:
    return house.get(f"/api/workflows/{workflow_id}")["state"]


def sources(house: House) -> set[str]:
    return {alert["source"] for alert in house.get("/api/alerts")}


def facts(house: House) -> dict[str, Any]:
    found: dict[str, Any] = house.get("/health")["facts"]
    return found


def quiet(house: House) -> bool:
    """No workflow runs, no order is open, and no strategy waits for its repair."""
    return (
        all(each["state"] in FINAL for each in house.get("/api/workflows"))
        and all(order["state"] not in {"pending", "working", "partial"} for order in house.orders().values())
        and all(each["state"] != "partial" for each in house.get("/api/strategies"))
    )


def assert_same(house: House) -> None:
    """Each order at the venue once and as we know it; positions equal; no strategy half there."""
    truth = house.control.truth()
    at_venue = Counter(order["order_ref"] for order in truth["orders"])
    assert max(at_venue.values()) == 1, f"doubled: {[name for name, count in at_venue.items() if count > 1]}"
    ours = house.orders()
    never = {name for name, order in ours.items() if order["reason"] == NEVER_SENT}
    assert ours.keys() - never == at_venue.keys()
    filled = {order["order_ref"]: int(float(order["filled"])) for order in truth["orders"]}
    assert {name: order["filled"] for name, order in ours.items() if name not in never} == filled
    assert house.positions() == venue_positions(truth)
    assert {each["state"] for each in house.get("/api/strategies")} <= {"open", "closed", "failed"}
