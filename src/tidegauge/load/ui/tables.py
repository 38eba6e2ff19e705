"""A snapshot as tables: the same rows for our page, which Locust's tabs show, and for the downloads.

Each `Table` names its columns and makes its rows from a snapshot; a cell is a number, a text, or None where nothing was
measured, which is shown as a dash and never as 0. Only units change here (a person reads ms and MiB): every figure is
the session's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

import msgspec

from tidegauge.load.times.phases import WARM_UP
from tidegauge.load.ui.source import Snapshot
from tidegauge.verdicts import SEVERITY, Verdict

Cell = str | int | float | None
Row = dict[str, Cell]

NOTHING: Final = "\N{EN DASH}"
DIGITS: Final = 4
# What a unit at the end of a name is for a person: its divisor and its name.
UNITS: Final = {"us": (1e3, "ms"), "ms": (1, "ms"), "bytes": (2**20, "MiB"), "share": (0.01, "%"), "s": (1, "s")}
# The generator's figures and the findings that judge them, where the names differ.
JUDGED_AS: Final = {"lag_p99_us": "lag_p99_ms", "littles_law_off": "littles_law"}
# Counters that the figures are made of.
IN_FIGURES: Final = ("arrivals/", "flight/")
MEANING: Final = {
    "scheduled": "arrivals that became due",
    "started": "of those, started",
    "dropped": "of those, not started because all places in flight were taken",
    "achieved_share": "started of scheduled",
    "lag_p99_us": "how late arrivals started, 99 of 100",
    "cpu_share": "the generator's own core, at its busiest",
    "in_flight": "arrivals under way, on average",
    "littles_law_off": "arrivals under way against rate times time: more than 5 % means that clocks or counts lie",
    "workers": "processes that make the load",
    "workers_lost": "of those, gone before the end",
    "workers_apart_share": "of the run, by which workers began apart",
    "slow_names_share": "of questions, that waited for a name",
}


class Column(msgspec.Struct, frozen=True):
    """`key` is the name in a row and in a CSV file, `title` is what a person reads."""

    key: str
    title: str


class Table(msgspec.Struct, frozen=True):
    """One tab in Locust's UI, one section of the page, one CSV file."""

    key: str
    title: str
    columns: tuple[Column, ...]
    rows: Callable[[Snapshot], list[Row]]


def readable(row: Row) -> Row:
    """Rounded, and with a dash for what was not measured."""
    return {key: NOTHING if cell is None else rounded(cell) for key, cell in row.items()}


def rounded(cell: str | float) -> str | int | float:
    """To four digits: what a histogram of three digits can carry, and no more."""
    if isinstance(cell, float):
        return int(cell) if cell.is_integer() else float(f"{cell:.{DIGITS}g}")
    return cell


def in_units(name: str, value: Any) -> tuple[Cell, str]:
    """A figure as a person reads it, by the unit at the end of its name."""
    ending = "share" if name == "littles_law_off" else name.rpartition("_")[2]
    divisor, unit = UNITS.get(ending, (1, ""))
    return (value / divisor if is_number(value) and divisor != 1 else value), unit


def is_number(value: Any) -> bool:
    """A flag is none."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _percentiles(snapshot: Snapshot) -> list[Row]:
    return _clocks(clock for clock in snapshot["clocks"] if clock["clock"] != "workflow")


def _workflows(snapshot: Snapshot) -> list[Row]:
    return _clocks(clock for clock in snapshot["clocks"] if clock["clock"] == "workflow")


def _clocks(clocks: Iterable[dict[str, Any]]) -> list[Row]:
    return [
        {"subject": clock["subject"], "clock": clock["clock"], "phase": clock["phase"], "count": clock["count"]}
        | {f"{name}_ms": in_units("us", clock[f"{name}_us"])[0] for name in SHARES}
        for clock in sorted(clocks, key=_place)
    ]


def _place(clock: dict[str, Any]) -> tuple[bool, str, str, str]:
    """What does not count comes last."""
    return clock["phase"] == WARM_UP, clock["subject"], clock["phase"], clock["clock"]


def _generator(snapshot: Snapshot) -> list[Row]:
    verdicts = {finding["name"]: finding for finding in snapshot["verdicts"]}
    rows: list[Row] = []
    for name, figure in snapshot["generator"].items():
        value, unit = in_units(name, figure)
        finding = verdicts.get(f"load/generator/{JUDGED_AS.get(name, name)}", {})
        row: Row = {"measure": name.removesuffix("_us"), "value": value, "unit": unit}
        row["verdict"] = finding.get("verdict")
        row["what"] = finding.get("reason") or MEANING.get(name, "")
        rows.append(row)
    counted: Row = {"unit": "", "verdict": None, "what": "counted"}
    others = sorted((name, n) for name, n in snapshot["counters"].items() if not name.startswith(IN_FIGURES))
    return rows + [{**counted, "measure": name, "value": n} for name, n in others]


def _server(snapshot: Snapshot) -> list[Row]:
    rows: list[Row] = []
    for name, kept in snapshot["server_extremes"].items():
        row = {key: in_units(name, kept[key])[0] for key in ("now", "least", "most")}
        rows.append({"measure": name, **row, "unit": in_units(name, 0)[1], "samples": kept["samples"]})
    return rows


def _rank(finding: dict[str, Any]) -> tuple[int, bool]:
    """The worst first, and what was promised before what nobody promised."""
    return SEVERITY.index(Verdict(finding["verdict"])), not finding.get("budget")


def _verdicts(snapshot: Snapshot) -> list[Row]:
    ranked = sorted(snapshot["verdicts"], key=_rank)
    rows: list[Row] = []
    for finding in ranked:
        budget = finding.get("budget") or {}
        row: Row = {key: finding.get(key) for key in ("verdict", "value", "unit", "low", "high", "reason")}
        rows.append({**row, "finding": finding["name"], "min": budget.get("min"), "max": budget.get("max")})
    return rows


def _columns(**titles: str) -> tuple[Column, ...]:
    return tuple(Column(key, title) for key, title in titles.items())


SHARES: Final = {"mean": "mean", "p50": "p50", "p90": "p90", "p99": "p99", "p999": "p99.9", "max": "max"}
_CLOCKS: Final = _columns(
    subject="Name",
    clock="Clock",
    phase="Phase",
    count="Count",
    **{f"{name}_ms": f"{title} (ms)" for name, title in SHARES.items()},
)
VERDICTS: Final = Table(
    "verdicts",
    "Verdicts",
    _columns(
        verdict="Verdict",
        finding="Finding",
        value="Value",
        unit="Unit",
        low="Low",
        high="High",
        min="Min",
        max="Max",
        reason="Why",
    ),
    _verdicts,
)
TABLES: Final = (
    VERDICTS,
    Table("percentiles", "From due time", _CLOCKS, _percentiles),
    Table("workflows", "Workflows", _CLOCKS, _workflows),
    Table(
        "generator",
        "Generator",
        _columns(measure="Measure", value="Value", unit="Unit", verdict="Verdict", what="What"),
        _generator,
    ),
    Table(
        "server",
        "Server",
        _columns(measure="Measure", now="Now", least="Least", most="Most", unit="Unit", samples="Samples"),
        _server,
    ),
)
