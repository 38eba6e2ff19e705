"""One socket's queue: numbers without holes, and every hole announced."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.api.messages import encode, numbered
from tradebot.api.outbox import Outbox
from tradebot.kernel.virtual import run_virtual


def message(number: int) -> str:
    return numbered(number, f'"number":{number}}}')


class Heard:
    """A client that holds every number against the one before."""

    def __init__(self) -> None:
        self.numbers = 0
        self.answers = 0

    def take(self, told: dict[str, Any]) -> None:
        if told.get("type") == "GAP":
            self.numbers += told["dropped"]
        elif not told:
            self.answers += 1
        else:
            self.numbers += 1
            assert told["seq"] == told["number"] == self.numbers


@settings(derandomize=True, max_examples=200)
@given(
    capacity=st.integers(1, 5),
    steps=st.lists(st.one_of(st.just("put"), st.just("answer"), st.just("take"), st.integers(1, 4)), max_size=60),
)
def test_what_arrives_and_what_is_announced_as_lost_add_up(capacity: int, steps: list[str | int]) -> None:
    """However puts, losses and takes are mixed, each number is either heard or in a GAP just before."""

    async def main() -> None:
        outbox = Outbox(capacity)
        entered, answers, heard = 0, 0, Heard()
        for step in steps:
            if step == "put":
                entered += 1
                outbox.put(message(entered))
            elif step == "answer":
                answers += 1
                outbox.answer("{}")
            elif isinstance(step, int):
                entered += step
                outbox.skip(step)
            elif len(outbox):
                heard.take(json.loads(await outbox.next()))
            assert len(outbox) <= capacity
        while len(outbox):
            heard.take(json.loads(await outbox.next()))
        assert heard.numbers == entered
        assert 0 <= answers - heard.answers <= outbox.dropped

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
        outbox.put(numbered(1, encode("TEST", datetime(2026, 12, 1, tzinfo=UTC), data)))
        told = json.loads(await outbox.next())
        assert list(told) == ["seq", "type", "at", "data"]
        assert told["at"] == "2026-12-01T00:00:00Z"

    run_virtual(main())
