"""Entries and exits over HTTP: accepted once, followed by id, refused by name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import msgspec
import pytest

from tradebot.domain.errors import (
    BreakerOpen,
    LimitExceeded,
    OrderRejected,
    QueueFull,
    Refused,
    SettingsError,
    StoreError,
    StrategyError,
    TradebotError,
    VenueDisconnected,
    VenueTimeout,
)
from tradebot.domain.workflows import DryRun, Step, WorkflowState

Run = Any
ENTRY = {"symbol": "SPY", "kind": "iron_condor", "quantity": 2}


def test_an_entry_is_accepted_and_can_be_followed(run: Run) -> None:
    """202 with id, state and location; the location answers with the request and each step's time."""

    async def scenario(world: Any) -> None:
        answer = await world.http.post("/api/workflows/entry", json=ENTRY)
        accepted = answer.json()
        assert answer.status_code == 202
        assert accepted["state"] == "accepted"
        assert answer.headers["Location"] == accepted["location"] == f"/api/workflows/{accepted['id']}"
        assert "Idempotency-Replayed" not in answer.headers
        workflows = world.bot.workflows
        workflows.finish(
            msgspec.structs.replace(workflows.get(accepted["id"]), strategy_id="s-1"),
            WorkflowState.REFUSED,
            steps=(Step(name="gates", start_ms=1.5, duration_ms=0.25),),
            at=world.bot.clock.now() + timedelta(seconds=1),
            error="too much",
            limit="portfolio_delta",
        )
        followed = (await world.http.get(accepted["location"])).json()
        assert followed["request"] == {"type": "entry", **ENTRY}
        assert followed["steps"] == [{"name": "gates", "start_ms": 1.5, "duration_ms": 0.25}]
        assert (followed["state"], followed["error"], followed["limit"]) == ("refused", "too much", "portfolio_delta")
        assert followed["strategy_id"] == "s-1"

    run(scenario)


def test_a_key_that_comes_again_answers_with_the_same_workflow(run: Run) -> None:
    """Same key and request: 202, the same id, marked as replayed; same key and another request: 409."""

    async def scenario(world: Any) -> None:
        key = {"Idempotency-Key": "k" * 128}
        first = await world.http.post("/api/workflows/entry", json=ENTRY, headers=key)
        again = await world.http.post("/api/workflows/entry", json=ENTRY, headers=key)
        other = await world.http.post("/api/workflows/entry", json={**ENTRY, "quantity": 3}, headers=key)
        assert "Idempotency-Replayed" not in first.headers
        assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
        assert again.json()["id"] == first.json()["id"]
        assert again.headers["Location"] == first.headers["Location"]
        assert (other.status_code, other.json()["error"]["code"]) == (409, "key_reused")

    run(scenario)


@pytest.mark.parametrize("key", [b"", b"k" * 129, b"two words", "ü".encode(), b"\x01"])
def test_a_key_that_is_not_plain_is_refused(run: Run, key: bytes) -> None:
    """A key is 1 to 128 visible ASCII characters."""

    async def scenario(world: Any) -> None:
        answer = await world.http.post("/api/workflows/entry", json=ENTRY, headers=[(b"idempotency-key", key)])
        assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
        assert world.bot.workflows.all() == ()

    run(scenario)


def test_an_exit_names_a_strategy_that_exists(run: Run, things: Any) -> None:
    """202 for a strategy we know, with its reason kept; 404 for another."""

    async def scenario(world: Any) -> None:
        world.bot.strategies.create("s-1", things.plan(), 2)
        asked = {"strategy_id": "s-1", "quantity": 1, "reason": "why not"}
        answer = await world.http.post("/api/workflows/exit", json=asked)
        assert answer.status_code == 202
        followed = (await world.http.get(answer.headers["Location"])).json()
        assert followed["request"] == {"type": "exit", **asked}
        missing = await world.http.post("/api/workflows/exit", json={"strategy_id": "s-9"})
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")

    run(scenario)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {**ENTRY, "quantity": 0},
        {**ENTRY, "quantity": 1001},
        {**ENTRY, "quantity": "2"},
        {**ENTRY, "quantity": 2.0},
        {**ENTRY, "quantity": True},
        {**ENTRY, "symbol": "spy"},
        {**ENTRY, "symbol": "SPY\n"},
        {**ENTRY, "kind": "butterfly"},
        {**ENTRY, "colour": "red"},
        [],
        None,
    ],
)
def test_an_entry_that_means_nothing_is_refused(run: Run, body: object) -> None:
    """Types and bounds are strict and unknown fields are errors: 422 that names the field."""

    async def scenario(world: Any) -> None:
        for path in ("/api/workflows/entry", "/api/workflows/entry/dry-run"):
            answer = await world.http.post(path, json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (422, "invalid")
            assert answer.json()["error"]["message"].startswith("body")
        assert world.bot.workflows.all() == ()

    run(scenario)


@pytest.mark.parametrize(
    ("error", "status", "code", "limit", "retry_after"),
    [
        (LimitExceeded("portfolio_delta", value=51, bound=50), 409, "refused", "portfolio_delta", None),
        (BreakerOpen("venue", retry_after_s=41.2), 503, "breaker_open", "breaker", "42"),
        (BreakerOpen("venue", retry_after_s=0.0), 503, "breaker_open", "breaker", "1"),
        (QueueFull("256 jobs are already running"), 503, "busy", None, "1"),
        (StoreError("the disk is full"), 503, "store_error", None, "1"),
        (VenueTimeout("chain", timeout_s=5), 504, "venue_timeout", None, None),
        (VenueDisconnected("the gateway is gone"), 502, "venue_error", None, None),
        (OrderRejected("no"), 502, "venue_error", None, None),
        (StrategyError("no such expiry"), 422, "no_strategy", None, None),
        (SettingsError("wrong"), 500, "internal", None, None),
        (TradebotError("something"), 500, "internal", None, None),
    ],
)
def test_each_error_of_the_bot_has_its_status(
    run: Run, *, error: Exception, status: int, code: str, limit: str | None, retry_after: str | None
) -> None:
    """The table of answers: status, stable code, the limit where a gate refused, Retry-After where waiting helps."""

    async def scenario(world: Any) -> None:
        world.bot.desk.error = error
        answer = await world.http.post("/api/workflows/entry", json=ENTRY)
        told = answer.json()["error"]
        assert (answer.status_code, told["code"], told.get("limit")) == (status, code, limit)
        assert answer.headers.get("Retry-After") == retry_after
        assert told["message"] == str(error)

    run(scenario)


def test_a_dry_run_that_is_refused_is_an_answer(run: Run, things: Any) -> None:
    """200 with the plan and its money as strings; a refusal is 200 too, by the limit's name, and starts nothing."""

    async def scenario(world: Any) -> None:
        good = await world.http.post("/api/workflows/entry/dry-run", json=ENTRY)
        assert good.status_code == 200
        assert good.json()["accepted"] is True
        assert (good.json()["plan"]["credit"], good.json()["plan"]["max_loss"]) == ("1.25", "875")
        assert good.json()["plan"]["legs"][0]["contract"]["expiry"] == "2026-12-18"
        world.bot.desk.outcome = DryRun(plan=things.plan(), accepted=False, limit="vix", reason="VIX is high")
        refused = await world.http.post("/api/workflows/entry/dry-run", json=ENTRY)
        assert (refused.status_code, refused.json()["limit"], refused.json()["reason"]) == (200, "vix", "VIX is high")
        world.bot.desk.error = Refused("quantity", "too many")
        early = await world.http.post("/api/workflows/entry/dry-run", json=ENTRY)
        assert (early.status_code, early.json()["limit"], early.json()["plan"]) == (200, "quantity", None)
        assert world.bot.workflows.all() == ()

    run(scenario)


def test_nothing_is_opened_or_closed_before_recovery_has_ended(run: Run) -> None:
    """Until the bot is ready its desk is shut: 503 with Retry-After, while reading works."""

    async def scenario(world: Any) -> None:
        world.bot.ready = False
        for path, body in (("entry", ENTRY), ("entry/dry-run", ENTRY), ("exit", {"strategy_id": "s-1"})):
            answer = await world.http.post(f"/api/workflows/{path}", json=body)
            assert (answer.status_code, answer.json()["error"]["code"]) == (503, "not_ready")
            assert answer.headers["Retry-After"] == "1"
        assert (await world.http.get("/api/workflows")).json() == []

    run(scenario)


def test_a_shut_desk_says_why(run: Run) -> None:
    """A bot that recovers and one without its venue refuse with the same code and each with its own reason."""

    async def scenario(world: Any) -> None:
        world.bot.ready = False
        for connected, why in ((True, "still recovers"), (False, "venue cannot be reached")):
            world.bot.venue.connected = connected
            error = (await world.http.post("/api/workflows/entry", json=ENTRY)).json()["error"]
            assert error["code"] == "not_ready"
            assert why in error["message"]

    run(scenario)


def test_workflows_are_listed_newest_first_by_state_and_number(run: Run) -> None:
    """`state` and `limit` narrow the list; an unknown id is 404."""

    async def scenario(world: Any) -> None:
        ids = [(await world.http.post("/api/workflows/entry", json=ENTRY)).json()["id"] for _ in range(3)]
        workflows = world.bot.workflows
        workflows.finish(workflows.get(ids[0]), WorkflowState.DONE, steps=(), at=world.bot.clock.now())

        async def listed(query: str) -> list[str]:
            return [each["id"] for each in (await world.http.get(f"/api/workflows{query}")).json()]

        assert await listed("") == [ids[0], ids[2], ids[1]]
        assert await listed("?state=accepted") == [ids[2], ids[1]]
        assert await listed("?limit=1") == [ids[0]]
        assert (await world.http.get("/api/workflows/w-none")).status_code == 404

    run(scenario)
