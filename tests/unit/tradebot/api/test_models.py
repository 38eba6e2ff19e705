"""The models that OpenAPI shows and the structs that are really sent are the same."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from pydantic import TypeAdapter

from tradebot.api import models
from tradebot.api.facts import json_response, order_facts, portfolio_facts
from tradebot.domain import alerts, greeks, instruments, orders, strategies, workflows
from tradebot.kernel import bounds
from tradebot.recovery.reconcile import Difference

PAIRS: list[tuple[type[models.Answer], type[msgspec.Struct]]] = [
    (models.Contract, instruments.OptionContract),
    (models.Leg, strategies.Leg),
    (models.Plan, strategies.StrategyPlan),
    (models.LegStatus, strategies.LegStatus),
    (models.Strategy, strategies.Strategy),
    (models.DryRunAnswer, workflows.DryRun),
    (models.EntryAsked, workflows.EntryRequest),
    (models.ExitAsked, workflows.ExitRequest),
    (models.Step, workflows.Step),
    (models.Workflow, workflows.Workflow),
    (models.Position, orders.Position),
    (models.Intent, orders.OrderIntent),
    (models.Alert, alerts.Alert),
    (models.Difference, Difference),
    (models.Bound, bounds.Bound),
]


@pytest.mark.parametrize(("model", "struct"), PAIRS, ids=lambda each: each.__name__)
def test_a_model_names_the_fields_that_are_sent(model: type[models.Answer], struct: type[msgspec.Struct]) -> None:
    """Field for field, and the tag where the struct has one: nothing is shown that is not sent, or the reverse."""
    info = msgspec.inspect.type_info(struct)
    assert isinstance(info, msgspec.inspect.StructType)
    tag = set() if info.tag_field is None else {info.tag_field}
    assert set(model.model_fields) == {field.encode_name for field in info.fields} | tag


def test_greeks_and_orders_are_sent_as_described(things: Any) -> None:
    """What is sent in a shape of its own is valid by its model, with unknown numbers as null."""
    unknown = msgspec.structs.replace(greeks.FLAT, gamma=float("nan"), vega=float("inf"))
    sent = json_response(portfolio_facts(unknown, {"SPY": greeks.FLAT})).body
    read = TypeAdapter(models.PortfolioGreeks).validate_json(bytes(sent))
    assert (read.portfolio.gamma_shares_per_point, read.portfolio.vega_money_per_unit_volatility) == (None, None)
    order: Any = SimpleNamespace(
        intent=things.intent(), state=orders.OrderState.PENDING, venue_order_id="", filled=0, reason=""
    )
    assert TypeAdapter(models.Order).validate_json(bytes(json_response(order_facts(order)).body)).intent.quantity == 2


READS: list[tuple[str, Any]] = [
    ("/api/workflows", list[models.Workflow]),
    ("/api/strategies", list[models.Strategy]),
    ("/api/strategies/s-1", models.Strategy),
    ("/api/positions", list[models.Position]),
    ("/api/orders", list[models.Order]),
    ("/api/portfolio/greeks", models.PortfolioGreeks),
    ("/api/alerts", list[models.Alert]),
    ("/api/reconcile", models.Reconciliation),
    ("/api/bounds", list[models.Bound]),
    ("/api/limits", models.Limits),
    ("/health", models.HealthAnswer),
]


@pytest.mark.parametrize(("path", "model"), READS, ids=[path for path, _ in READS])
def test_every_answer_is_valid_by_its_model(
    run: Callable[[Callable[[Any], Awaitable[None]]], None], things: Any, path: str, model: Any
) -> None:
    """What a bot with something in each room answers is what the OpenAPI document says."""

    async def scenario(world: Any) -> None:
        bot = world.bot
        bot.strategies.create("s-1", things.plan(), 2)
        bot.inbox.orders.register(things.intent())
        bot.inbox.positions.on_fill(things.fill())
        bot.alerts.raise_(alerts.Severity.INFO, "test", "one")
        bot.reconciler.differences = (Difference(kind="naked_position", contract="c", ours=0, venues=-1),)
        await world.http.post("/api/workflows/entry", json={"symbol": "SPY", "kind": "vertical"})
        await world.http.post("/api/workflows/exit", json={"strategy_id": "s-1"})
        assert TypeAdapter(model).validate_json((await world.http.get(path)).content)

    run(scenario)
