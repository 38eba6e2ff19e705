"""The register of workflows: accepted once, however often they are asked for, with each step's time.

A request becomes durable together with its idempotency key before anybody is told that it was accepted; the same
key then answers with the same workflow for as long as it is remembered, across restarts too.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import msgspec

from tradebot.domain.errors import KeyReused, NotFound, StoreError
from tradebot.domain.events import WorkflowChanged
from tradebot.domain.workflows import FINAL_WORKFLOW_STATES, Step, Workflow, WorkflowRequest, WorkflowState
from tradebot.execution.outbox import Outbox
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.kernel.history import History
from tradebot.store.journal import Journal
from tradebot.store.records import WorkflowRecorded

WORKFLOWS_MAX = 20_000
KEYS_MAX = 20_000


def fingerprint_of(request: WorkflowRequest) -> str:
    return hashlib.sha256(msgspec.json.encode(request)).hexdigest()


class _Accepted(msgspec.Struct):
    """What a key stands for; `durable` is awaited by everybody who comes with it again."""

    workflow_id: str
    fingerprint: str
    durable: asyncio.Future[None] | None = None


class StepTimer:
    """Collects the steps of one workflow as they end."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._start_s = clock.monotonic_s()
        self._steps: list[Step] = []

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        begin_s = self._clock.monotonic_s()
        try:
            yield
        finally:
            self._steps.append(
                Step(
                    name=name,
                    start_ms=(begin_s - self._start_s) * 1e3,
                    duration_ms=(self._clock.monotonic_s() - begin_s) * 1e3,
                )
            )

    def steps(self) -> tuple[Step, ...]:
        return tuple(self._steps)


class Workflows:
    def __init__(self, *, clock: Clock, bounds: Bounds, journal: Journal, outbox: Outbox) -> None:
        self._clock = clock
        self._journal = journal
        self._outbox = outbox
        self._workflows: History[str, Workflow] = History(bounds, "workflows", WORKFLOWS_MAX)
        self._keys: History[str, _Accepted] = History(bounds, "workflows.keys", KEYS_MAX)
        self._key_of: History[str, str] = History(bounds, "workflows.key_of", KEYS_MAX)
        self._count = 0

    def get(self, workflow_id: str) -> Workflow:
        workflow = self._workflows.get(workflow_id)
        if workflow is None:
            raise NotFound(f"there is no workflow {workflow_id}")
        return workflow

    def all(self) -> tuple[Workflow, ...]:
        """Every workflow that is remembered, the one that changed last at the end."""
        return self._workflows.values()

    def unfinished(self) -> tuple[Workflow, ...]:
        return tuple(each for each in self._workflows.values() if each.state not in FINAL_WORKFLOW_STATES)

    def counts(self) -> dict[str, int]:
        """How many are remembered in each state."""
        states = [each.state for each in self._workflows.values()]
        return {state.value: states.count(state) for state in WorkflowState}

    async def accept(self, request: WorkflowRequest, key: str | None) -> tuple[Workflow, bool]:
        """The workflow for this request, durable; and whether it is new."""
        fingerprint = fingerprint_of(request)
        if key is not None and (known := self._keys.get(key)) is not None:
            if known.fingerprint != fingerprint:
                raise KeyReused(
                    f"the idempotency key {key!r} was used for another request",
                    remedy="Use a new key for a new request",
                )
            if known.durable is not None:
                await asyncio.shield(known.durable)
            return self.get(known.workflow_id), False
        workflow = Workflow(
            id=self._new_id(), request=request, state=WorkflowState.ACCEPTED, accepted_at=self._clock.now()
        )
        accepted = _Accepted(workflow.id, fingerprint, asyncio.get_running_loop().create_future())
        self._remember(workflow, key, accepted)
        try:
            await self._journal.append(WorkflowRecorded(workflow=workflow, key=key or "", fingerprint=fingerprint))
        except BaseException as error:
            self._forget(workflow.id, key)
            # It may be durable all the same, and must then not be taken up after a restart.
            refused = msgspec.structs.replace(workflow, state=WorkflowState.FAILED, error="it was never accepted")
            self._outbox.note(WorkflowRecorded(workflow=refused, key="", fingerprint=fingerprint))
            if accepted.durable is not None:
                # Who waits with the same key was not cancelled, even if the first one was.
                told = error if isinstance(error, Exception) else StoreError("the request was not accepted")
                accepted.durable.set_exception(told)
                accepted.durable.exception()  # seen: whoever else waits gets it too
            raise
        if accepted.durable is not None:
            accepted.durable.set_result(None)
        accepted.durable = None
        self._outbox.publish(WorkflowChanged(workflow=workflow))
        return workflow, True

    def restore(self, record: WorkflowRecorded) -> None:
        """Take back a workflow from the journal, without telling anybody again."""
        self._remember(record.workflow, record.key or None, _Accepted(record.workflow.id, record.fingerprint or ""))

    def update(self, workflow: Workflow) -> Workflow:
        """Remember the new state; durable soon, told at once. Final states carry the steps and the end."""
        self._workflows.put(workflow.id, workflow)
        key = self._key_of.get(workflow.id)
        fingerprint = fingerprint_of(workflow.request)
        self._outbox.note(WorkflowRecorded(workflow=workflow, key=key or "", fingerprint=fingerprint))
        self._outbox.publish(WorkflowChanged(workflow=workflow))
        return workflow

    def finish(
        self,
        workflow: Workflow,
        state: WorkflowState,
        *,
        steps: tuple[Step, ...],
        at: datetime,
        error: str = "",
        limit: str = "",
    ) -> Workflow:
        return self.update(
            msgspec.structs.replace(workflow, state=state, steps=steps, finished_at=at, error=error, limit=limit)
        )

    def _new_id(self) -> str:
        """Unique across restarts, because time moves on; equal for equal runs, because the clock is the loop's."""
        self._count += 1
        return f"w{self._clock.now():%y%m%d%H%M%S%f}-{self._count}"

    def _remember(self, workflow: Workflow, key: str | None, accepted: _Accepted) -> None:
        self._workflows.put(workflow.id, workflow)
        if key is not None:
            self._keys.put(key, accepted)
            self._key_of.put(workflow.id, key)

    def _forget(self, workflow_id: str, key: str | None) -> None:
        self._workflows.pop(workflow_id)
        if key is not None:
            self._keys.pop(key)
            self._key_of.pop(workflow_id)
