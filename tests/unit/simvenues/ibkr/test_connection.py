"""Held batches: never before their time, never out of order, gone when the connection is."""

import asyncio

from simvenues.ibkr.connection import Held


async def released(delays_s: list[float]) -> list[tuple[int, float]]:
    """Push numbered items with these delays; number and loop time of each as it comes out."""
    loop = asyncio.get_running_loop()
    out: list[tuple[int, float]] = []
    done = asyncio.Event()

    def deliver(number: int) -> None:
        out.append((number, loop.time()))
        if len(out) == len(delays_s):
            done.set()

    held: Held[int] = Held(loop, deliver)
    for number, delay_s in enumerate(delays_s):
        held.push(delay_s, 1, number)
    await asyncio.wait_for(done.wait(), 10)
    return out


def test_a_shorter_delay_does_not_overtake() -> None:
    """Items come out in the order in which they went in, whatever their delays."""
    out = asyncio.run(released([0.05, 0.0, 0.02, 0.06, 0.0]))
    assert [number for number, _ in out] == [0, 1, 2, 3, 4]


def test_nothing_comes_before_its_time() -> None:
    """An item leaves when its delay is over; one without a delay, and none before it, leaves at once."""

    async def main() -> tuple[float, list[tuple[int, float]]]:
        start_s = asyncio.get_running_loop().time()
        return start_s, await released([0.0, 0.03])

    start_s, out = asyncio.run(main())
    assert out[1][1] >= start_s + 0.03
    assert out[0][1] < out[1][1]


def test_closing_forgets_what_is_held() -> None:
    """After close nothing is delivered, nothing counts as waiting and no timer is left."""

    async def main() -> list[int]:
        out: list[int] = []
        held: Held[int] = Held(asyncio.get_running_loop(), out.append)
        held.push(0.01, 5, 1)
        assert held.waiting_bytes == 5
        held.close()
        assert held.waiting_bytes == 0
        await asyncio.sleep(0.03)
        return out

    assert asyncio.run(main()) == []
