"""What stops the loop is seen by the loop's own clock, and by nothing of this machine's."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

import pytest

from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.pauses import EVERY_S, REMEMBERED, Pauses
from tradebot.kernel.virtual import run_virtual

EPOCH = datetime(2026, 12, 1, tzinfo=UTC)


@pytest.fixture
def only_when_asked() -> Iterator[None]:
    """No collection but those of the test."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


def test_a_loop_that_stood_still_is_late_for_a_second() -> None:
    """The worst delay of a timer is told for as long as a scrape may take to come, and then forgotten."""

    async def main() -> list[float]:
        loop, stood_s = asyncio.get_running_loop(), [0.0]
        pauses = Pauses(Clock(loop, EPOCH, monotonic_s=lambda: loop.time() + stood_s[0]), Bounds())
        sampling = asyncio.create_task(pauses.serve())
        await asyncio.sleep(10 * EVERY_S + 0.01)
        found = [pauses.loop_lag_s]
        stood_s[0] += 0.3  # all that others did in one step of the loop
        found.append(pauses.loop_lag_s)
        await asyncio.sleep(3 * EVERY_S)
        found.append(pauses.loop_lag_s)
        await asyncio.sleep((REMEMBERED + 1) * EVERY_S)
        found.append(pauses.loop_lag_s)
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        return [*found, pauses.loop_lag_s]

    before, overdue, late, forgotten, ended = run_virtual(main())
    assert max(before, forgotten, ended) < 1e-9
    assert overdue == pytest.approx(0.3 - EVERY_S + 0.01)
    assert late == pytest.approx(0.3)


def test_collections_add_up(only_when_asked: None) -> None:
    """Each collection's time is counted from its start to its end; after the stop nobody is told of one."""
    del only_when_asked

    async def main() -> tuple[list[float], int]:
        before = len(gc.callbacks)
        ticks = count()
        bounds = Bounds()
        pauses = Pauses(Clock(asyncio.get_running_loop(), EPOCH, monotonic_s=lambda: float(next(ticks))), bounds)
        pauses.start()
        found = [pauses.collecting_s]
        for _ in range(2):
            gc.collect()
            found.append(pauses.collecting_s)
        for _ in range(2):
            pauses.stop()
        gc.collect()
        assert bounds.snapshot() == ()
        return [*found, pauses.collecting_s], len(gc.callbacks) - before

    assert run_virtual(main()) == ([0.0, 1.0, 2.0, 2.0], 0)


def test_under_a_virtual_loop_nothing_is_late() -> None:
    """A minute of virtual time, with whatever this machine does meanwhile, has no pause."""

    async def main() -> tuple[float, float]:
        pauses = Pauses(Clock(asyncio.get_running_loop(), EPOCH), Bounds())
        pauses.start()
        sampling = asyncio.create_task(pauses.serve())
        await asyncio.sleep(60.0)
        gc.collect()
        sampling.cancel()
        await asyncio.gather(sampling, return_exceptions=True)
        pauses.stop()
        return pauses.loop_lag_s, pauses.collecting_s

    lag_s, collecting_s = run_virtual(main())
    assert lag_s < 1e-9
    assert collecting_s == 0.0
