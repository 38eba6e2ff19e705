"""The kernel: facts through the bus to three kinds of consumer, and short jobs under the supervisor."""

from __future__ import annotations

import asyncio

from cases.case import Work
from cases.codecs import some_events
from tradebot.domain.events import Event, Filled
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.bus import Bus, WhenFull
from tradebot.kernel.supervisor import Supervisor

BATCH = 32


def bus(size: int, seed: int) -> Work:
    """One takes everything, one only fills, one is slow and loses its oldest."""
    events = some_events(size, seed)

    async def publish_all() -> tuple[int, int, int]:
        made: Bus[Event] = Bus(Bounds())
        all_of_them = made.subscribe("all", capacity=size, when_full=WhenFull.REFUSE)
        fills = made.subscribe("fills", capacity=size, when_full=WhenFull.REFUSE, kinds=(Filled,))
        slow = made.subscribe("slow", capacity=max(1, size // 10), when_full=WhenFull.DROP_OLDEST)
        for event in events:
            made.publish(event)
        taken = 0
        while len(all_of_them):
            taken += len(await all_of_them.batch(BATCH))
        counts = taken, len(fills.drain()), slow.dropped
        made.close()
        return counts

    runner = asyncio.Runner()
    return Work(lambda: runner.run(publish_all()), lambda counts: counts, close=runner.close)


def jobs(size: int, seed: int) -> Work:
    """So many at once, each of three breaths."""

    async def job() -> int:
        for _ in range(3):
            await asyncio.sleep(0)
        return 1

    async def run_all() -> int:
        supervisor = Supervisor(Bounds(), seed=seed, jobs_max=size)
        done = await asyncio.gather(*(supervisor.run(f"job {number}", job()) for number in range(size)))
        await supervisor.stop()
        return sum(done)

    runner = asyncio.Runner()
    return Work(lambda: runner.run(run_all()), lambda done: done, close=runner.close)
