"""Clock, virtual loop and back-off: time that is an argument."""

import asyncio
from datetime import UTC, datetime, timedelta, timezone
from itertools import islice

import pytest

from tradebot.kernel.clock import Clock
from tradebot.kernel.retry import Backoff
from tradebot.kernel.virtual import run_virtual

EPOCH = datetime(2026, 11, 20, 14, 30, tzinfo=UTC)


def test_a_virtual_day_passes_without_waiting() -> None:
    """Six and a half hours of sleeping take no real time, and the clock shows them exactly."""

    async def main() -> datetime:
        clock = Clock(asyncio.get_running_loop(), EPOCH)
        await asyncio.sleep(6.5 * 3600)
        return clock.now()

    assert run_virtual(main()) == EPOCH + timedelta(hours=6.5)


def test_timers_fire_in_the_order_of_their_times() -> None:
    """Sleeps that were started out of order end in order."""

    async def main() -> list[int]:
        order: list[int] = []

        async def nap(delay_s: int) -> None:
            await asyncio.sleep(delay_s)
            order.append(delay_s)

        await asyncio.gather(*(nap(delay_s) for delay_s in (30, 10, 20)))
        return order

    assert run_virtual(main()) == [10, 20, 30]


def test_waiting_for_what_no_timer_will_bring_is_an_error() -> None:
    """A virtual program that could only be woken from outside says so instead of hanging."""

    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(RuntimeError, match="no timer"):
        run_virtual(main())


def test_a_clock_needs_a_zone_and_speaks_utc() -> None:
    """Instants are never naive; whatever zone the epoch came in, the clock answers in UTC."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        with pytest.raises(ValueError, match="time zone"):
            Clock(loop, datetime(2026, 11, 20))  # noqa: DTZ001 - the naive one is the mistake under test
        new_york = timezone(timedelta(hours=-5))
        assert Clock(loop, datetime(2026, 11, 20, 9, 30, tzinfo=new_york)).now() == EPOCH

    run_virtual(main())


def test_backoff_grows_to_its_bound_and_is_equal_for_equal_seeds() -> None:
    """Delays double up to the maximum, jitter stays within its share, and a seed fixes them."""
    backoff = Backoff(initial_s=1.0, factor=2.0, max_s=8.0, jitter=0.2)
    first = list(islice(backoff.delays_s(7), 6))
    assert first == list(islice(backoff.delays_s(7), 6))
    assert first != list(islice(backoff.delays_s(8), 6))
    for delay_s, expected_s in zip(first, (1, 2, 4, 8, 8, 8), strict=True):
        assert abs(delay_s - expected_s) <= 0.1 * expected_s


def test_backoff_ends_after_its_attempts() -> None:
    """A bounded policy gives up by ending, not by raising."""
    assert len(list(Backoff(attempts_max=3).delays_s(1))) == 3
