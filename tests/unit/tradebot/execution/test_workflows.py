"""The register of workflows: accepted once, however often they are asked for."""

from __future__ import annotations

import asyncio

import pytest

from support.execution_rig import Rig
from tradebot.domain.errors import KeyReused, NotFound, StoreError
from tradebot.domain.events import WorkflowChanged
from tradebot.domain.strategies import StrategyKind
from tradebot.domain.workflows import EntryRequest, WorkflowState
from tradebot.execution.workflows import StepTimer, Workflows
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.virtual import run_virtual
from tradebot.store.records import WorkflowRecorded

SPY = EntryRequest(symbol="SPY", kind=StrategyKind.IRON_CONDOR)
QQQ = EntryRequest(symbol="QQQ", kind=StrategyKind.IRON_CONDOR)


def test_a_request_is_durable_with_its_key_before_anybody_hears_of_it() -> None:
    """While the journal has not answered nothing is published; afterwards the record carries key and fingerprint."""

    async def main() -> None:
        rig = Rig()
        rig.journal.gate = asyncio.Event()
        accepting = asyncio.create_task(rig.workflows.accept(SPY, "k"))
        await asyncio.sleep(1.0)
        assert not accepting.done()
        assert rig.heard.drain() == []
        rig.journal.gate.set()
        workflow, new = await accepting
        assert new
        (record,) = rig.journal.records
        assert (record.workflow, record.key, len(record.fingerprint)) == (workflow, "k", 64)
        assert [type(each) for each in rig.heard.drain()] == [WorkflowChanged]

    run_virtual(main())


def test_one_key_is_one_workflow_also_at_once_and_after_a_replay() -> None:
    """The same request with the same key answers with the same workflow, and only one record is written."""

    async def main() -> None:
        rig = Rig()
        answers = await asyncio.gather(*(rig.workflows.accept(SPY, "k") for _ in range(5)))
        assert len({workflow.id for workflow, _ in answers}) == 1
        assert [new for _, new in answers] == [True, False, False, False, False]
        assert len(rig.journal.records) == 1
        first, _ = answers[0]
        done = rig.workflows.finish(first, WorkflowState.DONE, steps=(), at=rig.clock.now())
        later = Workflows(clock=rig.clock, bounds=Bounds(), journal=rig.journal, outbox=rig.outbox)
        for record in rig.journal.records:
            assert isinstance(record, WorkflowRecorded)
            later.restore(record)
        assert await later.accept(SPY, "k") == (done, False)
        assert later.all() == rig.workflows.all()

    run_virtual(main())


def test_a_key_that_comes_with_another_request_is_refused() -> None:
    """Before and after a replay; without a key every request is a new workflow."""

    async def main() -> None:
        rig = Rig()
        await rig.workflows.accept(SPY, "k")
        with pytest.raises(KeyReused, match="the idempotency key 'k'"):
            await rig.workflows.accept(QQQ, "k")
        later = Workflows(clock=rig.clock, bounds=Bounds(), journal=rig.journal, outbox=rig.outbox)
        later.restore(rig.journal.records[0])
        with pytest.raises(KeyReused):
            await later.accept(QQQ, "k")
        first, _ = await rig.workflows.accept(SPY, None)
        second, _ = await rig.workflows.accept(SPY, None)
        assert first.id != second.id

    run_virtual(main())


def test_what_the_journal_could_not_keep_is_not_remembered() -> None:
    """Everybody who waits gets the error, the key is free again, and a replay will not take it up."""

    async def main() -> None:
        rig = Rig()
        rig.journal.failing, rig.journal.gate = True, asyncio.Event()
        asyncio.get_running_loop().call_later(1.0, rig.journal.gate.set)
        answers = await asyncio.gather(*(rig.workflows.accept(SPY, "k") for _ in range(2)), return_exceptions=True)
        assert [type(each) for each in answers] == [StoreError, StoreError]
        assert rig.workflows.all() == ()
        (word,) = rig.journal.records
        assert (word.workflow.state, word.key) == (WorkflowState.FAILED, "")
        rig.journal.failing = False
        _, new = await rig.workflows.accept(QQQ, "k")
        assert new

    run_virtual(main())


def test_a_caller_that_goes_away_takes_nobody_with_it() -> None:
    """The first caller is cancelled while the journal works: the second one with its key gets an error, no cancel."""

    async def main() -> None:
        rig = Rig()
        rig.journal.gate = asyncio.Event()
        first, second = (asyncio.create_task(rig.workflows.accept(SPY, "k")) for _ in range(2))
        await asyncio.sleep(1.0)
        first.cancel()
        with pytest.raises(StoreError, match="not accepted"):
            await second
        assert first.cancelled()
        assert rig.workflows.all() == ()

    run_virtual(main())


def test_counts_are_of_all_states_and_unfinished_ones_are_found() -> None:
    """Each state is counted, also with none; a finished workflow carries steps, end, error and limit."""

    async def main() -> None:
        rig = Rig()
        first, _ = await rig.workflows.accept(SPY, None)
        second, _ = await rig.workflows.accept(QQQ, "k")
        timer = StepTimer(rig.clock)
        await asyncio.sleep(1.0)
        with timer.step("quotes"):
            await asyncio.sleep(2.0)
        refused = rig.workflows.finish(
            second, WorkflowState.REFUSED, steps=timer.steps(), at=rig.clock.now(), error="no", limit="vix"
        )
        assert rig.workflows.counts() == {"accepted": 1, "running": 0, "done": 0, "refused": 1, "failed": 0}
        assert rig.workflows.unfinished() == (first,)
        assert rig.workflows.get(second.id) == refused
        (step,) = refused.steps
        assert (step.name, step.start_ms, step.duration_ms) == ("quotes", 1000.0, 2000.0)
        assert (refused.error, refused.limit, refused.finished_at) == ("no", "vix", rig.clock.now())
        assert rig.journal.records[-1].key == "k"
        with pytest.raises(NotFound, match="no workflow w9"):
            rig.workflows.get("w9")

    run_virtual(main())
