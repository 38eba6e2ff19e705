"""One socket's queue: numbers without holes, and every hole announced."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.api.messages import encode
from tradebot.api.outbox import Outbox
from tradebot.kernel.virtual import run_virtual


def message(number: int) -> str:
    return f'"number":{number}}}'


@settings(derandomize=True, max_examples=200)
@given(
    capacity=st.integers(1, 5),
    steps=st.lists(st.one_of(st.just("put"), st.just("take"), st.integers(1, 4)), max_size=60),
)
def test_what_arrives_and_what_is_announced_as_lost_add_up(capacity: int, steps: list[str | int]) -> None:
    """However puts, losses and takes are mixed, each number is either heard or in a GAP just before."""

    async def main() -> None:
        outbox = Outbox(capacity)
        entered, heard = 0, 0

        async def take() -> None:
            nonlocal heard
            told = json.loads(await outbox.next())
            if told.get("type") == "GAP":
                heard += told["dropped"]
            else:
                heard += 1
                assert told["seq"] == heard
                assert told["number"] == heard

        for step in steps:
            if step == "put":
                entered += 1
                outbox.put(message(entered))
            elif isinstance(step, int):
                entered += step
                outbox.skip(step)
            elif len(outbox):
                await take()
            assert len(outbox) <= capacity
        while len(outbox):
            await take()
        assert heard == entered

    run_virtual(main())


def test_the_oldest_go_first() -> None:
    """A full outbox keeps the newest and counts what it dropped."""

    async def main() -> None:
        outbox = Outbox(2)
        for number in range(1, 6):
            outbox.put(message(number))
        assert outbox.dropped == 3
        assert json.loads(await outbox.next()) == {"type": "GAP", "dropped": 3}
        assert json.loads(await outbox.next()) == {"seq": 4, "number": 4}
        assert json.loads(await outbox.next()) == {"seq": 5, "number": 5}
        outbox.put(message(6))
        assert json.loads(await outbox.next())["seq"] == 6

    run_virtual(main())


def test_taking_waits_for_a_message() -> None:
    """An empty outbox makes its writer wait, and a message wakes it."""

    async def main() -> None:
        outbox = Outbox(2)
        taking = asyncio.create_task(outbox.next())
        await asyncio.sleep(1)
        assert not taking.done()
        outbox.put(message(1))
        assert json.loads(await taking)["seq"] == 1

    run_virtual(main())


@pytest.mark.parametrize("data", [{"price": float("nan")}, "a line\nof text", None])
def test_a_numbered_message_is_json(data: object) -> None:
    """Putting the number in front of what was encoded once gives valid JSON."""

    async def main() -> None:
        outbox = Outbox(1)
        outbox.put(encode("TEST", datetime(2026, 12, 1, tzinfo=UTC), data))
        told = json.loads(await outbox.next())
        assert list(told) == ["seq", "type", "at", "data"]
        assert told["at"] == "2026-12-01T00:00:00Z"

    run_virtual(main())
