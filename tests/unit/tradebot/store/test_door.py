"""The door: order, bound, errors, and nothing left behind."""

from __future__ import annotations

import asyncio
import threading
from functools import partial

import pytest

from tradebot.domain.errors import QueueFull, StoreError
from tradebot.kernel.bounds import Bound, Bounds
from tradebot.store.door import DoorFactory, InlineDoor, ThreadDoor

DOORS: dict[str, DoorFactory] = {"thread": partial(ThreadDoor, bounds=Bounds()), "inline": InlineDoor}


@pytest.mark.parametrize("kind", DOORS)
def test_results_and_errors_reach_the_caller_in_the_order_of_the_calls(kind: str) -> None:
    """Calls asked for together are done one after the other, and each caller gets its own result or error."""
    done: list[int] = []

    def work(number: int) -> int:
        done.append(number)
        if number == 3:
            raise ZeroDivisionError
        return number * number

    async def main() -> list[int | BaseException]:
        door = DOORS[kind](kind)
        try:
            return await asyncio.gather(*(door.run(work, number) for number in range(6)), return_exceptions=True)
        finally:
            await door.close()

    results = asyncio.run(main())
    assert done == list(range(6))
    assert [results[number] for number in (0, 1, 2, 4, 5)] == [0, 1, 4, 16, 25]
    assert isinstance(results[3], ZeroDivisionError)


@pytest.mark.parametrize("kind", DOORS)
def test_a_closed_door_says_so(kind: str) -> None:
    """After `close()`, which may come twice, a call is refused with a typed error instead of waiting for ever."""

    async def main() -> None:
        door = DOORS[kind](kind)
        await door.close()
        await door.close()
        await door.run(int)

    with pytest.raises(StoreError, match="is closed"):
        asyncio.run(main())


def test_the_inline_door_stays_on_the_callers_thread_and_the_thread_door_does_not() -> None:
    """Only the thread door takes work off the loop's thread, and it always takes it to the same one."""

    async def main() -> tuple[int, set[int]]:
        inline, threaded = InlineDoor("a"), ThreadDoor("a", bounds=Bounds())
        try:
            return await inline.run(threading.get_ident), {await threaded.run(threading.get_ident) for _ in range(5)}
        finally:
            await threaded.close()

    inline, threaded = asyncio.run(main())
    assert inline == threading.get_ident()
    assert len(threaded) == 1
    assert inline not in threaded


def test_a_full_door_refuses_and_shows_its_bound() -> None:
    """Beyond its capacity of waiting calls a thread door raises QueueFull, and the registry shows it as full."""
    bounds = Bounds()
    go_on = threading.Event()

    async def main() -> tuple[Bound, ...]:
        door = ThreadDoor("disk", bounds=bounds, capacity=2)
        calls = [asyncio.create_task(door.run(go_on.wait, 10)) for _ in range(2)]
        await asyncio.sleep(0)
        full = bounds.snapshot()
        try:
            with pytest.raises(QueueFull):
                await door.run(int)
        finally:
            go_on.set()
            await asyncio.gather(*calls)
            await door.close()
        return full

    assert asyncio.run(main()) == (Bound(name="door.disk", length=2, capacity=2),)
    assert bounds.snapshot() == ()


def test_a_cancelled_callers_work_is_done_before_the_door_closes() -> None:
    """Cancelling a caller does not undo what it asked for: `close()` waits for it, while the loop goes on."""
    go_on = threading.Event()
    done: list[bool] = []

    async def main() -> None:
        door = ThreadDoor("disk", bounds=Bounds())
        blocking = asyncio.create_task(door.run(lambda: done.append(go_on.wait(10))))
        waiting = asyncio.create_task(door.run(lambda: done.append(go_on.is_set())))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        closing = asyncio.create_task(door.close())
        await asyncio.sleep(0)
        # Were the loop blocked by close(), this would come too late for the first call.
        go_on.set()
        await asyncio.gather(closing, blocking)

    asyncio.run(main())
    assert done == [True, True]
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("door-disk")]
