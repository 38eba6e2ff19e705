"""The bus: bounded queues, two policies, nothing lost without being counted."""

import asyncio

import pytest

from tradebot.domain.errors import QueueFull
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.bus import Bus, WhenFull


def test_each_subscriber_gets_every_event_of_its_kinds_in_order() -> None:
    """A subscription receives what it asked for, in the order of publication, and nothing else."""

    async def main() -> None:
        bus: Bus[object] = Bus(Bounds())
        numbers = bus.subscribe("numbers", capacity=10, when_full=WhenFull.REFUSE, kinds=[int])
        everything = bus.subscribe("everything", capacity=10, when_full=WhenFull.REFUSE)
        for event in (1, "a", 2):
            bus.publish(event)
        assert await numbers.batch(10) == [1, 2]
        assert await everything.batch(10) == [1, "a", 2]

    asyncio.run(main())


def test_drop_oldest_keeps_the_newest_and_counts() -> None:
    """A full screen's queue loses its oldest event, and says how many it lost."""

    async def main() -> None:
        bus: Bus[int] = Bus(Bounds())
        screen = bus.subscribe("screen", capacity=2, when_full=WhenFull.DROP_OLDEST)
        for event in (1, 2, 3, 4):
            bus.publish(event)
        assert await screen.batch(10) == [3, 4]
        assert bus.dropped() == {"screen": 2}

    asyncio.run(main())


def test_refuse_tells_the_publisher_and_still_serves_the_others() -> None:
    """A consumer that may miss nothing makes the publisher hear of it, and takes nobody else's event away."""

    async def main() -> None:
        bus: Bus[int] = Bus(Bounds())
        strict = bus.subscribe("strict", capacity=1, when_full=WhenFull.REFUSE)
        other = bus.subscribe("other", capacity=5, when_full=WhenFull.REFUSE)
        bus.publish(1)
        with pytest.raises(QueueFull, match="strict"):
            bus.publish(2)
        assert await strict.batch(5) == [1]
        assert await other.batch(5) == [1, 2]

    asyncio.run(main())


def test_iteration_ends_when_a_closed_subscription_is_drained() -> None:
    """Closing lets the consumer finish what it holds and then ends its loop."""

    async def main() -> None:
        bus: Bus[int] = Bus(Bounds())
        subscription = bus.subscribe("reader", capacity=5, when_full=WhenFull.REFUSE)
        seen: list[int] = []

        async def read() -> None:
            async for event in subscription:
                seen.append(event)  # noqa: PERF401 - the loop itself is what ends

        reader = asyncio.create_task(read())
        bus.publish(1)
        await asyncio.sleep(0)
        bus.publish(2)
        bus.close()
        await asyncio.wait_for(reader, 5)
        assert seen == [1, 2]

    asyncio.run(main())


def test_subscriptions_say_their_bound_and_stop_saying_it() -> None:
    """A queue is in the registry of bounded things while it lives, with its length and capacity."""
    bounds = Bounds()
    bus: Bus[int] = Bus(bounds)
    subscription = bus.subscribe("reader", capacity=5, when_full=WhenFull.REFUSE)
    bus.publish(1)
    (bound,) = bounds.snapshot()
    assert (bound.name, bound.length, bound.capacity) == ("bus.reader", 1, 5)
    bus.unsubscribe(subscription)
    assert bounds.snapshot() == ()
