"""The shared cases of the reference bot: what asv times, pytest-benchmark gates and a unit test proves correct.

    CASES["pricing.slices"] -> make(size, seed) -> Work -> run() -> result -> digest

This module knows names, sizes and digests and imports nothing of the bot; `make` imports `cases.<area>` when it is
called. So a suite is discovered on any commit, and a case whose room a commit lacks is an ImportError of that case
alone. Cases are appended and never changed: a number of today is compared with one of next year.
"""

from __future__ import annotations

from cases.case import SEED, Case, Line, Work

__all__ = ["CASES", "SEED", "Case", "Line", "Work"]

BOOKS = (100, 10_000, 1_000_000)
HOUSES = (100, 1_000, 10_000, 100_000)  # strategies, added one by one: a million of them is `slices` and `totals`

# Lines begin where the work outweighs what surrounds it: below, any growth would look gentle.
LINEAR_BOOKS = Line(1, (1_000, 4_000, 16_000, 64_000, 256_000))
# Its arrays are new at each call: larger ones come from the operating system page by page, at twice the price.
SMALL_BOOKS = Line(1, (2_000, 4_000, 8_000, 16_000))
LINEAR_THOUSANDS = Line(1, (100, 300, 1_000, 3_000, 10_000))
LINEAR_TENS = Line(1, (1, 2, 4, 8, 16))
LAKES = Line(1, (10_000, 30_000, 100_000, 300_000))
LOOKS = Line(0, LAKES.sizes)  # the newest few, whatever lies behind them
REQUESTS = Line(0, (2, 6, 20, 60))  # the last one costs what the first did

_ALL = (
    Case("pricing.european", "options", BOOKS, SMALL_BOOKS, "21bf48ed3630"),
    Case("pricing.slices", "options", BOOKS, LINEAR_BOOKS, "21bf48ed3630"),
    Case("pricing.totals", "options", BOOKS, LINEAR_BOOKS, "fced9a9db656"),
    Case("pricing.implied", "options", BOOKS, Line(1, (4_000, 8_000, 16_000, 32_000, 64_000)), "7dbea1f19243"),
    Case(
        "pricing.american",
        "options",
        (10, 100, 1_000, 10_000, 100_000),
        Line(1, (25, 50, 100, 200, 400)),
        "06c392bcaa9f",
    ),
    Case("pricing.chain", "options", (100, 1_000, 10_000, 100_000, 1_000_000), LINEAR_BOOKS, "ac21520fe0d3"),
    Case("pricing.tick", "options", HOUSES, Line(0, (400, 1_600, 6_400, 25_600)), "e3908ddb3c84"),
    Case("pricing.aggregation", "options", HOUSES, Line(1, (400, 1_600, 6_400, 25_600)), "437560b4c1a3"),
    Case("decisions.engine", "views", (10, 100, 1_000, 10_000), LINEAR_THOUSANDS, "175f7ce41c6f"),
    Case("gates.check", "held", (10, 100, 1_000), Line(1, (100, 300, 1_000, 3_000, 10_000)), "54e6573a459d"),
    Case("gates.capacity", "held", (10, 100, 1_000), Line(1, (100, 300, 1_000, 3_000, 10_000)), "5547d0d94364"),
    Case("execution.orders", "orders", (100, 1_000, 5_000), LINEAR_THOUSANDS, "eadd2b613312"),
    Case("execution.condor", "condors", (1, 10), LINEAR_TENS, "35e92e8c7db5"),
    Case("execution.monitoring", "strategies", (10, 100, 500), Line(1, (10, 30, 100, 300, 500)), "f59240cccb02"),
    Case("store.commit", "intents", (100, 1_000, 10_000), LINEAR_THOUSANDS, "ad5736686512"),
    Case("store.replay", "records", (100, 1_000, 10_000), LINEAR_THOUSANDS, "ffd91559c2a6"),
    Case("store.append", "rows", (1_000, 10_000), Line(1, (10_000, 20_000, 40_000, 80_000)), "3cbc87c7681f"),
    Case("store.churn", "commits", (10, 100, 1_000), Line(1, (100, 200, 400, 800)), "6f4b6612125f"),
    Case("store.positions", "rows", (1_000, 10_000, 100_000, 1_000_000), LAKES, "37a5d41fb464"),
    Case("store.history", "rows", (1_000, 10_000, 100_000, 1_000_000), LOOKS, "0b15d83e8ef6"),
    Case("codecs.events", "events", (100, 1_000, 10_000), LINEAR_THOUSANDS),
    Case("codecs.records", "records", (100, 1_000, 10_000), LINEAR_THOUSANDS),
    Case("codecs.frames", "messages", (100, 1_000, 10_000), LINEAR_THOUSANDS),
    Case("kernel.bus", "events", (100, 1_000, 10_000), LINEAR_THOUSANDS, "20db96d3675e"),
    Case("kernel.jobs", "jobs", (10, 100, 1_000), Line(1, (10, 30, 100, 300, 1_000)), "4a44dc153642"),
    Case("api.health", "requests", (2, 20), REQUESTS),
    Case("api.metrics", "requests", (2, 20), REQUESTS),
    Case("api.positions", "requests", (2, 20), REQUESTS),
    Case("api.greeks", "requests", (2, 20), REQUESTS),
    Case("api.orders", "requests", (2, 20), REQUESTS),
    Case("api.strategies", "requests", (2, 20), REQUESTS),
    Case("api.workflows", "requests", (2, 20), REQUESTS),
    Case("api.dry_run", "requests", (2, 20), REQUESTS),
    Case("api.fan_out", "sockets", (1, 100, 1_000), Line(0, (30, 100, 300, 1_000))),
    Case("api.ready", "requests", (2, 20), REQUESTS),
    Case("api.workflow", "requests", (2, 20), REQUESTS),
    Case("api.strategy", "requests", (2, 20), REQUESTS),
    Case("api.alerts", "requests", (2, 20), REQUESTS),
    Case("api.limits", "requests", (2, 20), REQUESTS),
    Case("api.bounds", "requests", (2, 20), REQUESTS),
    Case("api.entry", "requests", (1, 10), Line(0, (1, 2, 4, 8, 16))),
    Case("api.held", "held", (5, 50), Line(1, (10, 20, 40, 80))),
    Case("codecs.arrow", "rows", (100, 1_000, 10_000), LINEAR_THOUSANDS),
    Case("execution.entries", "condors", (1, 10), LINEAR_TENS),
    Case("execution.exits", "condors", (1, 10), LINEAR_TENS),
    Case("gateway.entries", "condors", (1, 10), LINEAR_TENS),
    Case("gateway.exits", "condors", (1, 10), LINEAR_TENS),
    Case("gateway.monitoring", "strategies", (10, 100), Line(1, (5, 10, 20, 40, 80))),
    Case("gateway.quotes", "lines", (10, 100, 500), Line(1, (25, 50, 100, 200, 400))),
    Case("loopback.entries", "condors", (1, 10), LINEAR_TENS),
    Case("loopback.exits", "condors", (1, 10), LINEAR_TENS),
    Case("loopback.monitoring", "strategies", (10, 100), Line(1, (5, 10, 20, 40, 80))),
    Case("loopback.quotes", "lines", (10, 100, 500), Line(1, (25, 50, 100, 200, 400))),
)
CASES = {case.name: case for case in _ALL}
