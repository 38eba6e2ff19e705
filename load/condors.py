"""The work of `tidegauge check`: condors through the running bot, one after the other and ten at once.

REST entry -> workflow -> four legs at the simulated gateway -> open -> REST exit -> closed, each timed by the bot's own
clock (accepted to finished) and by ours (asked to seen). Then the journal alone, in a folder of its own. At the end
bot and venue must agree on every order: speed must not buy wrongness. One line of JSON for each figure, on stdout.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx

from invariants import disagreement
from simvenues.control import ControlClient
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import OrderIntent, OrderType, Side, TimeInForce
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.store.door import ThreadDoor
from tradebot.store.journal import Journal, JournalSettings
from tradebot.store.records import IntentRecorded
from users.answers import FINAL, LIST_MAX, Order, read

SYMBOLS = ("SPY", "QQQ", "IWM", "AAPL", "MSFT")
WARM_UP = 5
ENTRIES = 20
ROUNDS_OF_TEN = 9  # and one to warm up: with the entries above 1 000 orders, as many as one answer of the API holds
INTENTS = 20_000
INTENTS_AT_ONCE = 500
POLL_S = 0.002
WORKFLOW_TIMEOUT_S = 15.0


class Bot:
    """The bot's API, as far as this work needs it."""

    def __init__(self, client: httpx.AsyncClient) -> None:
        self._client = client

    async def workflow(self, verb: str, body: dict[str, Any]) -> tuple[dict[str, Any], float]:
        """A finished workflow, and the milliseconds from asking for it to seeing it finished."""
        began_s = time.perf_counter()
        answer = await self._client.post(f"/api/workflows/{verb}", json=body)
        answer.raise_for_status()
        location = answer.headers["location"]
        async with asyncio.timeout(WORKFLOW_TIMEOUT_S):
            while True:
                found: dict[str, Any] = (await self._client.get(location)).raise_for_status().json()
                if found["state"] in FINAL:
                    return found, (time.perf_counter() - began_s) * 1e3
                await asyncio.sleep(POLL_S)

    async def enter(self, symbol: str) -> tuple[dict[str, Any], float]:
        workflow, seen_ms = await self.workflow("entry", {"symbol": symbol, "kind": "iron_condor", "quantity": 1})
        if workflow["state"] != "done":
            raise RuntimeError(f"an entry in {symbol} ended {workflow['state']}: {workflow['error']}")
        return workflow, seen_ms

    async def leave(self, workflow: dict[str, Any]) -> dict[str, Any]:
        closed, _ = await self.workflow("exit", {"strategy_id": workflow["strategy_id"]})
        if closed["state"] != "done":
            raise RuntimeError(f"an exit of {workflow['strategy_id']} ended {closed['state']}: {closed['error']}")
        return closed


def took_ms(workflow: dict[str, Any]) -> float:
    """From accepted to finished, by the bot's clock."""
    accepted, finished = (datetime.fromisoformat(workflow[name]) for name in ("accepted_at", "finished_at"))
    return (finished - accepted).total_seconds() * 1e3


def say(name: str, values: Sequence[float], unit: str, *, rng: random.Random) -> None:
    """The median with a bootstrap interval of 99 %."""
    medians = sorted(statistics.median(rng.choices(values, k=len(values))) for _ in range(500))
    line = {
        "name": name,
        "value": statistics.median(values),
        "unit": unit,
        "low": medians[2],
        "high": medians[-3],
        "samples": len(values),
    }
    print(json.dumps(line), flush=True)


async def one_by_one(bot: Bot, rng: random.Random) -> None:
    entries_ms, seen_ms, exits_ms = [], [], []
    for number in range(WARM_UP + ENTRIES):
        workflow, seen = await bot.enter(SYMBOLS[number % len(SYMBOLS)])
        closed = await bot.leave(workflow)
        if number >= WARM_UP:
            entries_ms.append(took_ms(workflow))
            seen_ms.append(seen)
            exits_ms.append(took_ms(closed))
    say("check/entry/p50_ms", entries_ms, "ms", rng=rng)
    say("check/entry_seen/p50_ms", seen_ms, "ms", rng=rng)
    say("check/exit/p50_ms", exits_ms, "ms", rng=rng)


async def ten_at_once(bot: Bot, rng: random.Random) -> None:
    """All ten, from the first request to the last open strategy."""
    totals_ms = []
    for number in range(1 + ROUNDS_OF_TEN):
        began_s = time.perf_counter()
        entered = await asyncio.gather(*(bot.enter(symbol) for symbol in SYMBOLS * 2))
        if number:
            totals_ms.append((time.perf_counter() - began_s) * 1e3)
        for workflow, _ in entered:
            await bot.leave(workflow)
    say("check/entry_ten_at_once/total_ms", totals_ms, "ms", rng=rng)


async def journal_alone(rng: random.Random) -> None:
    """Durable intents a second with many waiting at once, and what one fsync costs on this disk."""
    with tempfile.TemporaryDirectory(prefix="tidegauge-journal-") as folder:
        bounds = Bounds()
        clock = Clock(asyncio.get_running_loop(), datetime.now(UTC))
        door = ThreadDoor("journal", bounds=bounds)
        journal = Journal(Path(folder) / "journal.db", door, clock=clock, bounds=bounds, settings=JournalSettings())
        await journal.start()
        numbers = iter(range(INTENTS))

        async def append_all() -> None:
            for number in numbers:
                await journal.append(IntentRecorded(intent=_intent(number, clock)))

        began_s = time.perf_counter()
        await asyncio.gather(*(append_all() for _ in range(INTENTS_AT_ONCE)))
        rate = INTENTS / (time.perf_counter() - began_s)
        await journal.stop()
        await door.close()
        fsyncs_ms = [_fsync_ms(Path(folder) / "fsync") for _ in range(50)]
    print(json.dumps({"name": "check/journal/intents_per_s", "value": rate, "unit": "1/s", "samples": INTENTS}))
    say("check/disk/fsync_p50_ms", fsyncs_ms, "ms", rng=rng)


def _intent(number: int, clock: Clock) -> OrderIntent:
    return OrderIntent(
        client_id=f"w{number}.0",
        workflow_id=f"w{number}",
        strategy_id=f"s-w{number}",
        leg=0,
        contract=OptionContract(symbol="SPY", expiry=date(2027, 1, 15), strike=Decimal(600), right=Right.PUT),
        side=Side.BUY,
        quantity=1,
        order_type=OrderType.LIMIT,
        limit=Decimal("1.25"),
        tif=TimeInForce.DAY,
        at=clock.now(),
    )


def _fsync_ms(path: Path) -> float:
    with path.open("ab") as file:
        file.write(b"x" * 4096)
        file.flush()
        began_s = time.perf_counter()
        os.fsync(file.fileno())
        return (time.perf_counter() - began_s) * 1e3


async def agreement(client: httpx.AsyncClient, control_port: int) -> None:
    """Every order of the bot is at the venue, once, and nothing is left open."""
    mine = read(list[Order], (await client.get("/api/orders", params={"limit": LIST_MAX})).raise_for_status().content)
    positions = (await client.get("/api/positions")).raise_for_status().json()
    with ControlClient("127.0.0.1", control_port) as control:
        truth = control.truth()
    found = disagreement(mine, truth)
    lost, doubled = len(found.lost | found.unsent | found.foreign), len(found.doubled)
    held = [position for account in truth["accounts"].values() for position in account["positions"]]
    left = len(positions) + sum(1 for each in held if Decimal(each["quantity"]))
    # This work sends no more orders than one answer holds: what does not fit into it is nobody's.
    verdict = "pass" if (lost, doubled, left, found.forgotten) == (0, 0, 0, False) else "fail"
    reason = f"{len(truth['orders'])} orders: {lost} known to one side only, {doubled} doubled, {left} positions left"
    print(json.dumps({"name": "check/orders/agree", "verdict": verdict, "reason": reason}), flush=True)


async def main() -> None:
    seed = int(os.environ.get("TIDEGAUGE_SEED", "0"))
    rng = random.Random(seed)
    headers = {"Authorization": f"Bearer {os.environ['TIDEGAUGE_TOKEN']}"}
    async with httpx.AsyncClient(
        base_url=os.environ["TIDEGAUGE_URL"], headers=headers, timeout=WORKFLOW_TIMEOUT_S, trust_env=False
    ) as client:
        bot = Bot(client)
        await one_by_one(bot, rng)
        await ten_at_once(bot, rng)
        await agreement(client, int(os.environ["TIDEGAUGE_PORT_CONTROL"]))
    await journal_alone(rng)


if __name__ == "__main__":
    sys.exit(asyncio.run(main()))
