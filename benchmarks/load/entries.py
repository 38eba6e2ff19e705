"""How many entries a second the bot sustains on one core, and where the time of one entry goes.

    this process, open arrivals over HTTP (core B) -> the served bot (core A, alone) -> the simulated gateway (core B)

    python benchmarks/load/entries.py                          # 100 a second for 8 s, and the table of parts
    python benchmarks/load/entries.py --climb                  # the highest rate that it sustains
    python benchmarks/load/entries.py --lines 100              # with as few market lines as a plain account has

An entry counts when its workflow is DONE, and the run when none was lost: each was accepted, each ended so, and the
venue holds each of its orders once. Limits that say how much a desk may hold are out of the way; what is written,
checked and sent is what the bot always does. Its CPU time is all of its process between first arrival and last end,
monitoring and the journal's thread included; exits between the runs are not timed.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import math
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec
import psutil
import uvloop
from asking import END_WITHIN_S, Api
from parts import parts_of, table

from simvenues.control import ControlClient
from tidegauge.config import load
from tidegauge.process import prefer
from tidegauge.target import Target

ROOT = Path(__file__).parents[2]

SYMBOLS = ("SPY", "QQQ", "IWM", "AAPL", "MSFT")
LEGS = 4
HELD_MAX = 900  # the bot holds a thousand strategies at most
WARM_UP, WARM_UP_RATE = 60, 20.0
LEAVING_AT_ONCE = 16
CLIMB, CLIMBS_MAX = 1.12, 20
DRAINED_WITHIN_S = 0.5  # after the last arrival: what takes longer is a queue that grew
# Out of the way: how much a desk may hold.
ROOMY = {
    "LIMITS_PORTFOLIO_DELTA_MAX": "1e12",
    "LIMITS_SYMBOL_DELTA_MAX": "1e12",
    "LIMITS_PORTFOLIO_DELTA_PER_UNIT_BELOW": "1e12",
    "LIMITS_PORTFOLIO_GAMMA_MAX": "1e12",
    "LIMITS_POSITION_EQUITY_SHARE_MAX": "1e12",
    "LIMITS_CORRELATED_EQUITY_SHARE_MAX": "1e12",
    "LIMITS_SYMBOL_POSITIONS_MAX": "1000000",
    "LIMITS_ORDERS_IN_FLIGHT_MAX": "1000000",
    "LIMITS_VIX_BELOW": "1e6",
}
CASH = 10_000_000_000


@dataclass
class Run:
    """One stretch of arrivals at one rate, and what it cost whom."""

    rate: float
    asked: int
    seconds: float = 0.0  # first arrival to last end
    late_s: float = 0.0  # last arrival to last end
    ended: Counter[str] = field(default_factory=Counter)
    took_ms: list[float] = field(default_factory=list)  # from when it was due to when its end was seen
    lag_ms: list[float] = field(default_factory=list)
    cpu_s: dict[str, float] = field(default_factory=dict)
    load: float = 0.0

    @property
    def sustained(self) -> bool:
        return self.ended == {"done": self.asked} and self.late_s < DRAINED_WITHIN_S

    def said(self) -> str:
        done = self.ended["done"]
        shares = ", ".join(f"{name} {cpu_s / self.seconds:.0%} of a core" for name, cpu_s in self.cpu_s.items())
        lost = "" if done == self.asked else f" ({dict(self.ended)})"
        return (
            f"{self.rate:6.1f}/s asked: {done} of {self.asked} done{lost}, {done / self.seconds:.1f}/s, "
            f"due to done p50 {percentile(self.took_ms, 50):.0f} p99 {percentile(self.took_ms, 99):.0f} ms, "
            f"all done {self.late_s * 1e3:.0f} ms after the last arrival; bot {self.bot_ms:.2f} ms of CPU an entry; "
            f"{shares}; our lag p99 {percentile(self.lag_ms, 99):.1f} ms; load {self.load:.1f}"
            f"{'' if self.sustained else ': NOT sustained'}"
        )

    @property
    def bot_ms(self) -> float:
        return self.cpu_s["bot"] / max(1, self.ended["done"]) * 1e3


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, math.ceil(len(ordered) * percent / 100) - 1)] if ordered else math.nan


async def arrivals(api: Api, rate: float, count: int, watched: dict[str, psutil.Process]) -> Run:
    run = Run(rate, count)
    began_s = time.monotonic()

    async def one(number: int) -> None:
        due_s = began_s + number / rate
        try:
            body = {"symbol": SYMBOLS[number % len(SYMBOLS)], "kind": "iron_condor", "quantity": 1}
            found = await api.workflow("entry", body)
            run.ended[found["state"] if found["state"] == "done" else f"{found['state']}: {found['error']}"] += 1
        except (RuntimeError, OSError, EOFError) as error:
            run.ended[str(error)] += 1
        run.took_ms.append((time.monotonic() - due_s) * 1e3)

    before_s = {name: cpu_s(process) for name, process in watched.items()}
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            await asyncio.sleep(max(0.0, began_s + number / rate - time.monotonic()))
            run.lag_ms.append((time.monotonic() - began_s - number / rate) * 1e3)
            group.create_task(one(number))
        last_s = time.monotonic()
    run.seconds, run.late_s = time.monotonic() - began_s, time.monotonic() - last_s
    run.cpu_s = {name: cpu_s(process) - before_s[name] for name, process in watched.items()}
    run.load = os.getloadavg()[0]
    return run


async def leave_all(api: Api) -> None:
    """Untimed, so that the next run finds an empty book; a strategy that a rule closed meanwhile is closed."""
    held = [
        each["id"]
        for state in ("open", "partial")
        for each in await api.get(f"/api/strategies?state={state}&limit=1000")
    ]
    at_once = asyncio.Semaphore(LEAVING_AT_ONCE)

    async def leave(strategy_id: str) -> None:
        async with at_once:
            await api.workflow("exit", {"strategy_id": strategy_id})

    await asyncio.gather(*(leave(each) for each in held))


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def house(options: argparse.Namespace, folder: Path) -> Target:
    """Bot and gateway as `tidegauge.toml` starts them, each on its core."""
    config = load(ROOT).target
    roomy = {f"TRADEBOT_{name}": value for name, value in ROOMY.items()}
    lines = {"TRADEBOT_IBKR_MARKET_LINES_MAX": str(options.lines), "TRADEBOT_MONITORING_CYCLE_S": str(options.cycle_s)}

    def pinned(command: str, core: int, name: str, more: str = "") -> str:
        return (
            command.replace("{python} -m", f"{{python}} {Path(__file__).parent}/sampled.py {core} {folder / name}")
            + more
        )

    gateway = config.needs[0]
    more = f" --cash {CASH} --lines {options.lines}"
    need = msgspec.structs.replace(gateway, command=pinned(gateway.command, options.cores[1], "gateway", more))
    config = msgspec.structs.replace(
        config,
        command=pinned(config.command, options.cores[0], "bot", " --log-level error"),
        needs=(need,),
        env=config.env | roomy | lines,
    )
    return Target.start(config, seed=options.seed, log_dir=folder, cwd=ROOT)


def at_venue(control: ControlClient, orders: int) -> str:
    """What is wrong with the venue's books; nothing, if nothing is."""
    counted = Counter(order["order_ref"] for order in control.truth()["orders"])
    twice = sum(times > 1 for times in counted.values())
    if twice or len(counted) != orders:
        return f"the venue holds {len(counted)} orders instead of {orders}, {twice} of them more than once"
    return ""


def stacks(file: Path) -> dict[str, Any]:
    """What a program wrote of itself, as soon as it has."""
    deadline_s = time.monotonic() + END_WITHIN_S
    while not file.exists() and time.monotonic() < deadline_s:
        time.sleep(0.05)
    facts: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return facts


async def measure(options: argparse.Namespace, target: Target, folder: Path) -> list[Run]:
    api = Api(target.ports["bot"], target.token)
    pids = {"bot": target.pid, "gateway": int((folder / "gateway.pid").read_text())}
    watched = {name: psutil.Process(pid) for name, pid in pids.items()} | {"generator": psutil.Process()}
    for process in watched.values():
        prefer(process.pid)  # the promise speaks of a core of one's own
    runs: list[Run] = []

    async def go(rate: float, count: int | None = None, *, sampled: str = "") -> Run:
        asked = min(count or round(rate * options.seconds), HELD_MAX)
        if sampled:
            watched[sampled].send_signal(signal.SIGUSR1)
        runs.append(await arrivals(api, rate, asked, watched))
        if sampled:
            watched[sampled].send_signal(signal.SIGUSR1)
        await leave_all(api)
        return runs[-1]

    await go(WARM_UP_RATE, WARM_UP)
    rate = options.rate
    for _ in range(CLIMBS_MAX if options.climb else options.rounds):
        run = await go(rate)
        print(run.said(), flush=True)
        if options.climb and not run.sustained:
            break
        rate *= CLIMB if options.climb else 1.0
    for name in () if options.climb else options.parts:
        again = await go(rate, sampled=name)
        facts = stacks(folder / name)
        each_ms = run.cpu_s[name] / max(1, run.ended["done"]) * 1e3
        print(f"\nwhere the {name}'s time goes, in a run of its own:\n{again.said()}")
        print(table(parts_of(facts, name), each_ms, again.ended["done"]))
        if options.keep:
            (options.keep / f"{name}.json").write_text(json.dumps(facts), encoding="utf-8")
    api.close()
    return runs


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rate", type=float, default=100.0, help="entries a second; of --climb, the first rate")
    parser.add_argument("--seconds", type=float, default=8.0)
    parser.add_argument("--rounds", type=int, default=1, help="of the same, each with an empty book")
    parser.add_argument("--climb", action="store_true", help=f"times {CLIMB} until it is no longer sustained")
    parser.add_argument("--lines", type=int, default=1_000, help="market data lines of the account")
    parser.add_argument("--cycle-s", type=float, default=1.0, help="between two cycles of the bot's monitoring")
    parser.add_argument("--cores", type=int, nargs=2, default=(0, 1), help="the bot's; that of gateway and generator")
    parser.add_argument("--parts", nargs="*", choices=("bot", "gateway"), default=["bot"], help="whose table to print")
    parser.add_argument("--keep", type=Path, help="a folder for the sampled stacks")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def main() -> int:
    options = arguments()
    os.sched_setaffinity(0, {options.cores[1]})
    with tempfile.TemporaryDirectory(prefix="tidegauge-entries-") as made:
        folder = Path(made)
        with house(options, folder) as target, ControlClient("127.0.0.1", target.ports["control"]) as control:
            runs = uvloop.run(measure(options, target, folder))
            done = sum(run.ended["done"] for run in runs)
            # An entry that failed has given back its legs, or never sent them: then the sum is another one.
            wrong = (
                at_venue(control, 2 * LEGS * done) if done == sum(run.asked for run in runs) else "entries were lost"
            )
    print(f"\n{wrong or f'each of {2 * LEGS * done} orders of entries and exits is at the venue, once'}")
    return bool(wrong) and not options.climb


if __name__ == "__main__":
    sys.exit(main())
