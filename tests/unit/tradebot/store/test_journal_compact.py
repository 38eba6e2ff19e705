"""What the journal forgets, and what it never does."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from tradebot.domain.alerts import AlertState
from tradebot.domain.orders import OrderState
from tradebot.domain.strategies import StrategyState
from tradebot.domain.workflows import WorkflowState
from tradebot.kernel.bounds import Bounds
from tradebot.store.door import ThreadDoor
from tradebot.store.journal import Journal
from tradebot.store.records import Record


async def everything(journal: Journal) -> list[Record]:
    return [record async for record in journal.replay()]


def test_compacting_folds_what_a_final_record_supersedes(open_journal: Any, samples: Any) -> None:
    """Older words on finished things go; unfinished things, late words, intents and fills of open strategies stay."""
    kept = [
        samples.intent(1),
        samples.fill(1),
        samples.order(2, OrderState.PARTIAL),
        samples.order(2, OrderState.WORKING),
        samples.order(1, OrderState.FILLED),
        samples.order(1, OrderState.WORKING),  # out of order: the final word before it must not be lost
        samples.strategy("s-1", StrategyState.PENDING),
        samples.strategy("s-1", StrategyState.OPEN),
        samples.workflow("w-1", WorkflowState.DONE),
        samples.alert("a-1", AlertState.RESOLVED),
    ]
    gone = [
        samples.order(1),
        samples.order(1, OrderState.PARTIAL),
        samples.workflow("w-1"),
        samples.alert("a-1"),
    ]

    async def main() -> tuple[int, list[Record], int]:
        async with open_journal() as journal:
            for record in [*gone, *kept]:
                await journal.append(record)
            removed = await journal.compact(timedelta(days=30))
            return removed, await everything(journal), await journal.compact(timedelta(days=30))

    assert asyncio.run(main()) == (len(gone), kept, 0)


def test_compacting_drops_finished_things_after_their_time(open_journal: Any, samples: Any) -> None:
    """What finished before the retention goes with all that is its own; everything unfinished or newer stays."""
    old = [
        samples.workflow("w-refused", WorkflowState.REFUSED),
        samples.workflow("w-1", WorkflowState.DONE, "s-old"),
        samples.intent(1, "s-old"),
        samples.order(1, OrderState.FILLED),
        samples.order(1, OrderState.WORKING),
        samples.fill(1, strategy_id="s-old"),
        samples.strategy("s-old", StrategyState.CLOSED),
        samples.alert("a-1", AlertState.DISMISSED),
    ]
    open_still = [
        samples.workflow("w-2", WorkflowState.RUNNING, "s-old"),
        samples.intent(2, "s-open"),
        samples.order(2, OrderState.FILLED),
        samples.fill(2, strategy_id="s-open"),
        samples.strategy("s-open"),
        samples.alert("a-2", AlertState.ACKNOWLEDGED),
    ]
    new = [samples.intent(3, "s-new"), samples.strategy("s-new", StrategyState.CLOSED)]

    async def main() -> tuple[int, list[Record]]:
        async with open_journal() as journal:
            for record in [*old, *open_still]:
                await journal.append(record)
        async with open_journal(epoch=samples.noon + timedelta(days=31)) as journal:
            for record in new:
                await journal.append(record)
            return await journal.compact(timedelta(days=30)), await everything(journal)

    assert asyncio.run(main()) == (len(old), [*open_still, *new])


def test_compacting_works_in_slices_between_which_appends_go_on(
    open_journal: Any, samples: Any, bounds: Bounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A long compaction and appends share the door, and neither loses anything."""
    monkeypatch.setattr("tradebot.store.journal.SLICE_ROWS", 10)

    async def main() -> tuple[int, int]:
        async with open_journal(door=ThreadDoor("journal", bounds=bounds)) as journal:
            for state in (OrderState.WORKING, OrderState.FILLED):
                await asyncio.gather(*(journal.append(samples.order(number, state)) for number in range(100)))
            removed, *_ = await asyncio.gather(
                journal.compact(timedelta(days=30)), *(journal.append(samples.intent(number)) for number in range(100))
            )
            return removed, len(await everything(journal))

    assert asyncio.run(main()) == (100, 200)
