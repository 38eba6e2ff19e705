"""Metrics: computed from the bot at each scrape, in a format that Prometheus' own parser reads."""

from __future__ import annotations

from typing import Any

from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from tidegauge.load.server.prometheus import read_metrics
from tradebot.api.metrics import registry_of

Run = Any


async def scrape(world: Any) -> dict[tuple[str, str], float]:
    answer = await world.http.get("/metrics")
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    families = list(text_string_to_metric_families(answer.text))
    assert all(family.documentation for family in families)
    return {
        (sample.name, ",".join(f"{key}={value}" for key, value in sample.labels.items())): sample.value
        for family in families
        for sample in family.samples
    }


def test_the_metrics_tell_the_bots_facts(run: Run) -> None:
    """Every name of the list is there with the bot's present value."""

    async def scenario(world: Any) -> None:
        bot = world.bot
        bot.inbox.bad_messages["nan"] = 3
        bot.inbox.reconnects = 2
        await world.http.post("/api/workflows/entry", json={"symbol": "SPY", "kind": "vertical"})
        facts = await scrape(world)
        assert facts["bot_uptime_seconds", ""] >= 30
        assert facts["bot_ready", ""] == 1
        assert facts["bot_memory_used_bytes", ""] > 1_000_000
        assert facts["bot_background_tasks", ""] == 0
        assert facts["bot_loop_lag_seconds", ""] == 0.004
        assert facts["bot_gc_pause_seconds_total", ""] == 0.75
        assert facts["bot_cycle_duration_seconds", ""] == 0.0125
        assert facts["bot_cycles_total", ""] == 7
        assert facts["bot_order_attempts_total", ""] == 12
        assert facts["bot_kernel_compiles_total", ""] == 1
        assert facts["bot_book_drift", ""] == 2e-15
        assert facts["bot_errors_total", "source=bad_message"] == 3
        assert facts["bot_guard_trips_total", "limit=portfolio_delta"] == 2
        assert facts["bot_guard_trips_total", "limit=breaker"] == 4
        assert facts["bot_guard_active", "guard=breaker"] == 1
        assert facts["bot_workflows", "state=accepted"] == 1
        assert facts["bot_streaming_connection_state", ""] == 1
        assert facts["bot_streaming_reconnect_total", ""] == 2
        assert facts["bot_bound_capacity", "name=bus.api"] == 10_000
        assert facts["bot_bound_length", "name=workflows"] == 1
        assert facts["bot_bus_dropped_total", "subscription=api"] == 0
        bot.venue.connected = False
        await world.http.post("/api/breaker/reset")
        later = await scrape(world)
        assert later["bot_streaming_connection_state", ""] == 0
        assert later["bot_guard_active", "guard=breaker"] == 0

    run(scenario)


def test_the_load_lane_reads_lag_and_pauses(run: Run) -> None:
    """What an observer that knows no bot looks for by its name's shape is there, in the unit that the name says."""

    async def scenario(world: Any) -> None:
        seen = read_metrics((await world.http.get("/metrics")).text)
        assert (seen.loop_lag_ms, seen.gc_pauses_s) == (4.0, 0.75)
        assert seen.queues["bus.api"].capacity == 10_000

    run(scenario)


def test_each_app_has_a_registry_of_its_own(run: Run) -> None:
    """A second bot in the process registers without a clash, and the process-wide registry stays as it was."""

    async def scenario(world: Any) -> None:
        second = registry_of(world.bot, world.sockets)
        assert "bot_ready" in {family.name for family in second.collect()}
        assert not {family.name for family in REGISTRY.collect() if family.name.startswith("bot_")}

    run(scenario)
