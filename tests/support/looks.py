"""A session that looks like one of a load run, for tests of what people see: seeded by nothing but its own seconds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any

from tidegauge.load.server.rows import Extremes

HOSTILE = "<img src=x onerror=\"document.title='owned'\">"
FORMULA = '=HYPERLINK("http://127.0.0.1","x")'


class Looks:
    """`snapshot` in the form of a LoadSession's; a row a second, from the moment it was made."""

    def __init__(self, clock: Callable[[], float] = time.monotonic, *, head_start_s: int = 0) -> None:
        self._clock = clock
        self._started_s = clock() - head_start_s
        self.asked = 0

    def still(self, _pause: Callable[[], None]) -> Looks:
        """It is never anything else."""
        return self

    def snapshot(self) -> dict[str, Any]:
        self.asked += 1
        seconds = int(self._clock() - self._started_s)
        return {
            "clocks": [
                clock("POST |api|workflows|entry", "due", 8_100),
                clock("POST |api|workflows|entry", "service", 7_400),
                clock(HOSTILE, "due", 12_000),
                clock(FORMULA, "service", 900),
                clock("entry", "workflow", 61_000),
            ],
            "generator": {
                "scheduled": 100 * seconds,
                "started": 99 * seconds,
                "dropped": seconds,
                "achieved_share": 0.99,
                "lag_p99_us": 612,
                "cpu_share": 0.41,
                "in_flight": 6.25,
                "littles_law_off": 0.013,
                "workers": 2,
            },
            "series": [series_row(second) for second in range(seconds)],
            "server": [server_row(second) for second in range(seconds)],
            "server_extremes": extremes([server_row(second) for second in range(seconds)]),
            "verdicts": [
                finding("load/entry/throughput_per_s", "pass", 99.2, "1/s", low=98.1, high=100.2),
                finding("load/entry/p99_due_ms", "fail", 212.5, "ms", budget={"max": 150.0, "unit": "ms", "why": ""}),
                finding("load/generator/lag_p99_ms", "pass", 0.612, "ms"),
                finding("load/invariants/orders_agree", "not_measured"),
                finding("load/exit/p99_due_ms", "undecided", 140.0, "ms", low=120.0, high=160.0),
            ],
            "counters": {"invariant checks": 3},
        }


def extremes(rows: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    kept = Extremes()
    for row in rows:
        kept.add(row)
    return kept.by_name


def clock(subject: str, name: str, us: int) -> dict[str, Any]:
    shares = {
        "mean_us": us * 1.1,
        "p50_us": us,
        "p90_us": 2 * us,
        "p99_us": 5 * us,
        "p999_us": 9 * us,
        "max_us": 11 * us,
    }
    return {"subject": subject, "clock": name, "phase": "steady", "count": 4_210, **shares}


def finding(name: str, verdict: str, value: float | None = None, unit: str = "", **more: Any) -> dict[str, Any]:
    bounds: dict[str, Any] = {"low": None, "high": None, "budget": None, "evidence": {}}
    reason = "the answer to an entry came later than promised; look at the gates first"
    return {"name": name, "verdict": verdict, "value": value, "unit": unit, "reason": reason, **bounds, **more}


def series_row(second: int) -> dict[str, Any]:
    is_spike = second % 40 in {20, 21}
    p50_us = 8_000 + 900 * math.sin(second / 5)
    return {
        "t_s": float(second),
        "offered_per_s": 300.0 if is_spike else 100.0,
        "achieved_per_s": 211.0 if is_spike else 100.0 - second % 3,
        "p50_due_us": p50_us,
        "p99_due_us": None if second == 3 else p50_us * (40 if is_spike else 3),
        "errors_per_s": 7.0 if is_spike else 0.0,
    }


def server_row(second: int) -> dict[str, Any]:
    return {
        "t_s": second + 0.5,
        "wall_s": 1.7e9 + second,
        "cpu_share": 0.5 + 0.2 * math.sin(second / 7),
        "machine_cpu_share": 0.35,
        "rss_bytes": 180 * 2**20 + second * 4_096,
        "loop_lag_ms": 1.0 + second % 5,
        "gc_pause_ms": None,
        "fds": 41,
        "queues": {"bus": {"length": second % 9, "capacity": 1_000}},
    }
