"""A condor's whole life over the real client and a real socket."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from support.house import House, venue_positions, wait_for
from tradebot.domain.orders import Fill
from tradebot.domain.strategies import Strategy, StrategyState
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.store.door import InlineDoor
from tradebot.store.records import FillRecorded, StrategyRecorded
from tradebot.store.store import Store, StoreSettings
from tradebot.store.tables import LakeTable, PositionRow, TransactionRow


def test_a_condor_asked_for_by_rest_is_opened_watched_and_closed_by_a_decision(house: House) -> None:
    """Gates, four legs, fills, monitoring, decision and exit; lake, journal, API and venue agree at the end."""
    accepted = house.ask_for("entry", {"symbol": "SPY", "kind": "iron_condor", "quantity": 2}, key="condor-1")
    entry = house.finished(accepted["id"])
    assert entry["state"] == "done", entry
    assert [step["name"] for step in entry["steps"]] == ["quotes", "plan", "gates", "journal", "legs", "book"]

    strategy = house.get(f"/api/strategies/{entry['strategy_id']}")
    assert strategy["state"] == "open"
    assert len(house.positions()) == 4
    assert len(house.control.truth()["executions"]) == 4

    house.control.shock("SPY", vol_factor=0.4)  # what was sold is worth little now: take profit
    closed = wait_for(
        lambda: found if (found := house.get(f"/api/strategies/{entry['strategy_id']}"))["state"] == "closed" else None,
        "the decision to close the condor",
    )
    assert "take_profit" in closed["reason"]
    held = house.positions()  # at most a wing that nobody bids for any more, left to expire
    assert all(quantity > 0 for quantity in held.values())

    truth = house.control.truth()
    ours = house.orders()
    house.target.stop()
    strategies, fills, transactions, positions = asyncio.run(read_store(house.bot_dir))

    states = [each.state for each in strategies if each.id == entry["strategy_id"]]
    assert list(dict.fromkeys(states)) == [StrategyState.PENDING, StrategyState.OPEN, StrategyState.CLOSED]
    at_venue = {each["exec_id"]: Decimal(each["price"]) for each in truth["executions"]}
    assert {each.execution_id: each.price for each in fills} == at_venue
    assert {each.execution_id: each.price for each in transactions} == at_venue
    assert Counter(order["order_ref"] for order in truth["orders"]) == Counter(list(ours))
    assert all(order["state"] == "filled" for order in ours.values())
    assert venue_positions(truth) == held
    assert {row.contract: row.quantity for row in positions if row.quantity} == held


async def read_store(
    folder: Path,
) -> tuple[list[Strategy], list[Fill], list[TransactionRow], tuple[PositionRow, ...]]:
    """What journal and lake hold, read after the bot has gone."""
    clock = Clock(asyncio.get_running_loop(), datetime.now(UTC))
    store = Store(StoreSettings(data_dir=folder), clock=clock, bounds=Bounds(), doors=InlineDoor, seed=0)
    await store.start()
    try:
        records = [record async for record in store.journal.replay()]
        transactions = await store.lake.history(LakeTable.TRANSACTIONS, limit=1_000)
        positions = await store.lake.last_positions()
    finally:
        await store.stop()
    return (
        [record.strategy for record in records if isinstance(record, StrategyRecorded)],
        [record.fill for record in records if isinstance(record, FillRecorded)],
        [row for row in transactions if isinstance(row, TransactionRow)],
        positions,
    )
