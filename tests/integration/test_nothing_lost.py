"""SIGKILL or an outage at seeded random instants: bot and venue hold the same set, nothing lost and nothing doubled."""

from __future__ import annotations

import random
import time
from collections import Counter
from pathlib import Path

import pytest

from support.house import FINAL, House, open_house, venue_positions, wait_for

SYMBOLS = ("SPY", "QQQ", "IWM", "AAPL", "MSFT")
KILLS = OUTAGES = 3
# An entry takes some 20 ms here, so an instant within 80 ms falls before, into and after it.
INSTANT_S_MAX = 0.08
OUTAGE_S = 0.5
# So that an entry that an outage caught half way has ended, and given back what it held, soon after.
IMPATIENT = {
    "legs_fill_timeout_s": "1",
    "legs_cancel_timeout_s": "0.5",
    "entry_quote_timeout_s": "2",
    "monitoring_cycle_s": "0.2",
    "monitoring_repair_every_s": "1",
    "breaker_open_s": "1",
}


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_a_killed_bot_comes_back_to_what_the_venue_holds(tmp_path: Path, seed: int) -> None:
    """After each crash: every accepted workflow ends, each order is at the venue once, positions are equal."""
    rng = random.Random(seed)
    with open_house(tmp_path, seed=seed, monitoring_cycle_s="0.2") as house:
        accepted: list[str] = []
        for number in range(KILLS):
            accepted += start_work(house, rng, number)
            time.sleep(rng.uniform(0.0, INSTANT_S_MAX))
            house.target.kill()
            house.target.restart()
            wait_for(lambda: no_work_left(house), "the interrupted workflows to end")
        for workflow_id in accepted:
            assert house.get(f"/api/workflows/{workflow_id}")["state"] in FINAL
        assert_same(house)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_bot_whose_venue_was_out_of_reach_holds_what_the_venue_holds(tmp_path: Path, seed: int) -> None:
    """After each outage: every accepted workflow ends, a failed one with a reason, and no strategy stays half held."""
    rng = random.Random(seed)
    with open_house(tmp_path, seed=seed, **IMPATIENT) as house:
        accepted: list[str] = []
        for number in range(OUTAGES):
            accepted += start_work(house, rng, number)
            time.sleep(rng.uniform(0.0, INSTANT_S_MAX))
            house.control.fault("outage")
            time.sleep(OUTAGE_S)
            house.control.fault("outage", on=False)
            wait_for(lambda: house.get("/health")["ready"] and no_work_left(house), "the interrupted workflows to end")
        for workflow_id in accepted:
            workflow = house.get(f"/api/workflows/{workflow_id}")
            assert workflow["state"] == "done" or workflow["error"], workflow
        wait_for(lambda: no_work_left(house) and not half_held(house), "halves to be given back")
        assert_same(house)


def half_held(house: House) -> list[str]:
    return [each["id"] for each in house.get("/api/strategies") if each["state"] == "partial"]


def start_work(house: House, rng: random.Random, number: int) -> list[str]:
    """Entries in two symbols, and an exit of something that is open."""
    started = [
        house.ask_for("entry", {"symbol": symbol, "kind": "iron_condor", "quantity": 1}, key=f"{number}-{symbol}")
        for symbol in rng.sample(SYMBOLS, 2)
    ]
    held = [each for each in house.get("/api/strategies") if each["state"] == "open"]
    if held:
        started.append(house.ask_for("exit", {"strategy_id": rng.choice(held)["id"]}, key=f"{number}-exit"))
    return [each["id"] for each in started]


def no_work_left(house: House) -> bool:
    return not any(each["state"] not in FINAL for each in house.get("/api/workflows"))


def assert_same(house: House) -> None:
    """The venue's orders and positions against the bot's."""
    truth = house.control.truth()
    at_venue = Counter(order["order_ref"] for order in truth["orders"])
    assert max(at_venue.values()) == 1, f"doubled: {[ref for ref, count in at_venue.items() if count > 1]}"
    ours = house.orders()
    never_sent = {
        name
        for name, order in ours.items()
        if order["reason"] == "it never reached the venue" or order["state"] == "rejected"
    }
    assert ours.keys() - never_sent == at_venue.keys()
    filled = {order["order_ref"]: int(float(order["filled"])) for order in truth["orders"]}
    assert {name: order["filled"] for name, order in ours.items() if name not in never_sent} == filled
    positions = house.positions()
    assert positions == venue_positions(truth)
