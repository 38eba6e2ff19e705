"""Sample facts, and a journal and a lake on `tmp_path` that are closed whatever a test does."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from tradebot.domain.alerts import Alert, AlertState, Severity
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.orders import Fill, OrderIntent, OrderState, OrderType, OrderUpdate, Side, TimeInForce
from tradebot.domain.strategies import Leg, LegStatus, Strategy, StrategyKind, StrategyPlan, StrategyState
from tradebot.domain.workflows import EntryRequest, Step, Workflow, WorkflowState
from tradebot.kernel.bounds import Bounds
from tradebot.kernel.clock import Clock
from tradebot.store.delta import DeltaDirectory
from tradebot.store.door import Door, InlineDoor
from tradebot.store.journal import Journal, JournalSettings
from tradebot.store.records import (
    AlertRecorded,
    FillRecorded,
    IntentRecorded,
    OrderChangedRecord,
    StrategyRecorded,
    WorkflowRecorded,
)
from tradebot.store.writer import LakeSettings, LakeWriter

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
CONTRACT = OptionContract("SPY", date(2026, 4, 17), Decimal(600), Right.CALL)


class Samples:
    """One plausible fact of each kind, told apart by a number or a name."""

    noon = NOON
    contract = CONTRACT

    def intent(self, number: int, strategy_id: str = "s-1") -> IntentRecorded:
        return IntentRecorded(
            OrderIntent(
                client_id=f"c-{number}",
                workflow_id="w-1",
                strategy_id=strategy_id,
                leg=number % 4,
                contract=CONTRACT,
                side=Side.BUY,
                quantity=1,
                order_type=OrderType.LIMIT,
                limit=Decimal("1.25"),
                tif=TimeInForce.DAY,
                at=NOON,
            )
        )

    def order(self, number: int, state: OrderState = OrderState.WORKING) -> OrderChangedRecord:
        return OrderChangedRecord(
            OrderUpdate(
                client_id=f"c-{number}", venue_order_id=str(number), state=state, filled=0, remaining=1, at=NOON
            )
        )

    def fill(self, number: int, *, strategy_id: str = "s-1", at: datetime = NOON) -> FillRecorded:
        fill = Fill(
            execution_id=f"x-{number}",
            client_id=f"c-{number}",
            contract=CONTRACT,
            side=Side.SELL,
            quantity=2,
            price=Decimal("1.25"),
            commission=Decimal("0.65"),
            at=at,
        )
        return FillRecorded(fill, strategy_id)

    def strategy(self, name: str, state: StrategyState = StrategyState.OPEN) -> StrategyRecorded:
        leg = Leg(CONTRACT, Side.BUY)
        plan = StrategyPlan(
            kind=StrategyKind.VERTICAL,
            symbol="SPY",
            expiry=CONTRACT.expiry,
            legs=(leg,),
            credit=Decimal("0.80"),
            max_loss=Decimal(920),
            max_profit=Decimal(80),
        )
        return StrategyRecorded(
            Strategy(id=name, plan=plan, quantity=1, remaining=1, state=state, legs=(LegStatus(leg),), opened_at=NOON)
        )

    def workflow(
        self, name: str, state: WorkflowState = WorkflowState.RUNNING, strategy_id: str = ""
    ) -> WorkflowRecorded:
        workflow = Workflow(
            id=name,
            request=EntryRequest("SPY", StrategyKind.VERTICAL),
            state=state,
            accepted_at=NOON,
            steps=(Step("quote", 0.5, 1.5),),
            strategy_id=strategy_id,
        )
        return WorkflowRecorded(workflow, key=f"key-{name}", fingerprint="f" * 64)

    def alert(
        self, name: str, state: AlertState = AlertState.ACTIVE, *, minute: int = 0, symbol: str = "SPY"
    ) -> AlertRecorded:
        changed_at = None if state is AlertState.ACTIVE else NOON + timedelta(minutes=minute)
        return AlertRecorded(
            Alert(
                id=name,
                severity=Severity.WARNING,
                state=state,
                source="test",
                message="something",
                at=NOON if changed_at else NOON + timedelta(minutes=minute),
                symbol=symbol,
                changed_at=changed_at,
            )
        )


@pytest.fixture
def samples() -> Samples:
    return Samples()


@pytest.fixture
def bounds() -> Bounds:
    return Bounds()


@pytest.fixture
def open_journal(tmp_path: Path, bounds: Bounds) -> Callable[..., contextlib.AbstractAsyncContextManager[Journal]]:
    @contextlib.asynccontextmanager
    async def opened(
        *, door: Door | None = None, epoch: datetime = NOON, name: str = "journal.db", **settings: Any
    ) -> AsyncIterator[Journal]:
        door = door or InlineDoor("journal")
        clock = Clock(asyncio.get_running_loop(), epoch)
        journal = Journal(tmp_path / name, door, clock=clock, bounds=bounds, settings=JournalSettings(**settings))
        try:
            await journal.start()
            yield journal
        finally:
            await journal.stop()
            await door.close()

    return opened


@pytest.fixture
def open_writer(tmp_path: Path, bounds: Bounds) -> Callable[..., contextlib.AbstractAsyncContextManager[LakeWriter]]:
    @contextlib.asynccontextmanager
    async def opened(**settings: Any) -> AsyncIterator[LakeWriter]:
        door = InlineDoor("lake")
        clock = Clock(asyncio.get_running_loop(), NOON)
        directory = DeltaDirectory(tmp_path / "lake")
        writer = LakeWriter(directory, door, clock=clock, bounds=bounds, settings=LakeSettings(**settings), seed=1)
        writer.start()
        try:
            yield writer
        finally:
            await writer.stop()

    return opened
