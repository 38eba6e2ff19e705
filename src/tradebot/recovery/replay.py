"""From the journal back to memory: what we meant, and what we knew of it when the lights went out.

Records are folded in the order in which they became durable; the last word on a thing wins. Nothing is told to
anybody: it was told before. What the venue knows beyond that, reconciliation brings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterable

from tradebot.execution.orders import OrderTracker
from tradebot.execution.positions import Positions
from tradebot.execution.strategies import Strategies
from tradebot.execution.workflows import Workflows
from tradebot.kernel.alerts import Alerts
from tradebot.store.records import (
    AlertRecorded,
    FillRecorded,
    IntentRecorded,
    OrderChangedRecord,
    Record,
    StrategyRecorded,
    WorkflowRecorded,
)


async def replay(
    records: AsyncIterable[Record],
    *,
    orders: OrderTracker,
    positions: Positions,
    strategies: Strategies,
    workflows: Workflows,
    alerts: Alerts,
) -> Counter[str]:
    """How many records of each kind there were."""
    seen: Counter[str] = Counter()
    async for record in records:
        seen[type(record).__name__] += 1
        match record:
            case IntentRecorded(intent=intent):
                orders.register(intent)
            case OrderChangedRecord(update=update):
                orders.on_update(update)
            case FillRecorded(fill=fill):
                orders.on_fill(fill)
                positions.on_fill(fill)
            case StrategyRecorded(strategy=strategy):
                strategies.restore(strategy)
            case WorkflowRecorded():
                workflows.restore(record)
            case AlertRecorded(alert=alert):
                alerts.restore(alert)
    return seen
