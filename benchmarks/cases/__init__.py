"""The shared cases of the reference bot: what asv times, pytest-benchmark gates and a unit test proves correct.

    CASES["pricing.slices"] -> make(size, seed) -> Work -> run() -> result -> digest

This module knows names, sizes and digests and imports nothing of the bot; `make` imports `cases.<area>` when it is
called. So a suite is discovered on any commit, and a case whose room a commit lacks is an ImportError of that case
alone. Cases are appended and never changed: a number of today is compared with one of next year.
"""

from __future__ import annotations

from cases.case import SEED, Case, Work

__all__ = ["CASES", "SEED", "Case", "Work"]

BOOKS = (100, 10_000, 1_000_000)

_ALL = (
    Case("pricing.european", "options", BOOKS, "21bf48ed3630"),
    Case("pricing.slices", "options", BOOKS, "21bf48ed3630"),
    Case("pricing.totals", "options", BOOKS, "fced9a9db656"),
    Case("pricing.implied", "options", BOOKS, "7dbea1f19243"),
    Case("pricing.american", "options", (10, 100, 1_000), "06c392bcaa9f"),
    Case("pricing.chain", "options", (100, 1_000, 10_000), "401f0b4dae64"),
    Case("pricing.tick", "options", (100, 1_000, 10_000), "e3908ddb3c84"),
    Case("pricing.aggregation", "options", (100, 1_000, 10_000), "437560b4c1a3"),
    Case("decisions.engine", "views", (10, 100, 1_000, 10_000), "175f7ce41c6f"),
    Case("gates.check", "held", (10, 100, 1_000), "54e6573a459d"),
    Case("gates.capacity", "held", (10, 100, 1_000), "5547d0d94364"),
    Case("execution.orders", "orders", (100, 1_000, 5_000), "eadd2b613312"),
    Case("execution.condor", "condors", (1, 10), "35e92e8c7db5"),
    Case("execution.monitoring", "strategies", (10, 100, 500), "f59240cccb02"),
    Case("store.commit", "intents", (100, 1_000, 10_000), "ad5736686512"),
    Case("store.replay", "records", (100, 1_000, 10_000), "ffd91559c2a6"),
    Case("store.append", "rows", (1_000, 10_000), "3cbc87c7681f"),
    Case("store.churn", "commits", (10, 100, 1_000), "6f4b6612125f"),
    Case("store.positions", "rows", (1_000, 10_000, 100_000, 1_000_000), "37a5d41fb464"),
    Case("store.history", "rows", (1_000, 10_000, 100_000, 1_000_000), "0b15d83e8ef6"),
    Case("codecs.events", "events", (100, 1_000, 10_000)),
    Case("codecs.records", "records", (100, 1_000, 10_000)),
    Case("codecs.frames", "messages", (100, 1_000, 10_000)),
    Case("kernel.bus", "events", (100, 1_000, 10_000), "20db96d3675e"),
    Case("kernel.jobs", "jobs", (10, 100, 1_000), "4a44dc153642"),
    Case("api.health", "requests", (2, 20)),
    Case("api.metrics", "requests", (2, 20)),
    Case("api.positions", "requests", (2, 20)),
    Case("api.greeks", "requests", (2, 20)),
    Case("api.orders", "requests", (2, 20)),
    Case("api.strategies", "requests", (2, 20)),
    Case("api.workflows", "requests", (2, 20)),
    Case("api.dry_run", "requests", (2, 20)),
    Case("api.fan_out", "sockets", (1, 100, 1_000)),
)
CASES = {case.name: case for case in _ALL}
