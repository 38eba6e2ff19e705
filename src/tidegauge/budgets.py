"""The numbers that a gate holds: read from `[budgets]`, overridden by --budget, applied to each figure.

    [budgets]
    "check/entry/p50_ms" = { max = 25, unit = "ms", why = "the exchange's own median is 30 ms" }

A figure comes with an interval where its lane can give one, and the interval decides: all of it within
the budget passes, all of it outside fails, anything else is undecided. Without an interval the value
decides. A figure for which no budget is set was promised nothing, so it is a record and passes as one,
with `budget` left empty and a reason that says so; a budget for which no figure came is `not_measured`.
"""

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any, Self

import msgspec

from tidegauge.errors import TidegaugeError
from tidegauge.records import LANES, NAME, Budget, Finding
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import Verdict

TABLE = "budgets"
SLO = "load.slo"
EXAMPLE = 'Write it as "check/entry/p50_ms" = { max = 25, unit = "ms", why = "..." }.'


class Budgets(msgspec.Struct, frozen=True):
    """Every budget, by the name of the finding that it holds."""

    by_name: dict[str, Budget]

    @classmethod
    def read(cls, file: TomlFile) -> Self:
        """`[budgets]`, and `[load.slo]` whose names begin behind `load/`; a file without them promises nothing."""
        promised: dict[str, Budget] = {}
        load = file.data.get("load")
        slo = load.get("slo", {}) if isinstance(load, dict) else {}
        for table, entries in ((TABLE, file.data.get(TABLE, {})), (SLO, slo)):
            if not isinstance(entries, dict):
                raise file.error("", table, "is not a table", EXAMPLE)
            for name, entry in entries.items():
                full = f"load/{name}" if table == SLO else name
                if full in promised:
                    raise file.error(table, name, f"stands in [{TABLE}] too", "Keep one of them.")
                promised[full] = _budget(file, table, name, full, entry)
        return cls(promised)

    def override(
        self, assignments: Iterable[str], *, new: Callable[[str, float], Budget | None] = lambda _name, _value: None
    ) -> "Budgets":
        """Replaces single limits; each assignment is KEY=VALUE, as --budget takes it.

        `new` makes the budget of a name that has none; None, as it says without one, is wrong use.
        """
        by_name = dict(self.by_name)
        for assignment in assignments:
            name, equals, text = assignment.rpartition("=")
            try:
                value = float(text)
            except ValueError:
                value = math.nan
            if not equals or not math.isfinite(value):
                raise TidegaugeError(f"--budget {assignment} is not KEY=NUMBER", "For example: check/entry/p50_ms=30.")
            budget = by_name.get(name) or new(name, value)
            if budget is None:
                raise TidegaugeError(f"--budget {name}: no such budget", f"Set it under [{TABLE}] in tidegauge.toml.")
            if budget.max is not None and budget.min is not None:
                raise TidegaugeError(f"--budget {name}: it has a min and a max", "Change it in tidegauge.toml.")
            change = {"min": value} if budget.max is None else {"max": value}
            by_name[name] = msgspec.structs.replace(budget, **change)
        return Budgets(by_name)

    def judge(self, name: str, value: float, unit: str, low: float | None = None, high: float | None = None) -> Finding:
        """One figure against its budget; `low` and `high` bound the interval that its lane is confident of."""
        budget = self.by_name.get(name)
        bottom, top = value if low is None else low, value if high is None else high
        if not all(map(math.isfinite, (value, bottom, top))) or bottom > top:
            reason = f"{value} in the interval {low} to {high} is no measurement; see what the lane divided by"
            return Finding(name=name, verdict=Verdict.NOT_MEASURED, unit=unit, budget=budget, reason=reason)
        if budget is None:
            verdict, reason = Verdict.PASS, "recorded; no budget is set for it"
        elif budget.unit != unit:
            verdict = Verdict.NOT_MEASURED
            reason = f"measured in {unit or 'no unit'}, but its budget is in {budget.unit}; make them agree"
        else:
            verdict, reason = _decide(budget, value, bottom, top)
        return Finding(
            name=name, verdict=verdict, value=value, unit=unit, low=low, high=high, budget=budget, reason=reason
        )

    def unmet(self, lane: str, measured: Collection[str], reason: str) -> list[Finding]:
        """A finding for each budget of the lane that nothing was measured for: a promise is never forgotten."""
        return [
            Finding(
                name=name,
                verdict=Verdict.NOT_MEASURED,
                unit=budget.unit,
                budget=budget,
                reason=reason,
            )
            for name, budget in self.by_name.items()
            if name.startswith(f"{lane}/") and name not in measured
        ]


def _decide(budget: Budget, value: float, bottom: float, top: float) -> tuple[Verdict, str]:
    lowest = -math.inf if budget.min is None else budget.min
    highest = math.inf if budget.max is None else budget.max
    if lowest <= bottom and top <= highest:
        return Verdict.PASS, f"within its budget of {budget}"
    if top < lowest or bottom > highest:
        limit = lowest if top < lowest else highest
        by = f", by {abs(value - limit) / abs(limit):.1%}" if limit else ""
        return Verdict.FAIL, f"{'below' if top < lowest else 'above'} its budget of {budget}{by}: {budget.why}"
    reach = max(value - bottom, top - value)
    return Verdict.UNDECIDED, (
        f"the interval reaches across its budget of {budget}; this run could have told "
        f"a difference of {reach:.3g} {budget.unit} or more: take more samples"
    )


def _budget(file: TomlFile, table: str, name: str, full: str, entry: Any) -> Budget:
    if not NAME.fullmatch(full):
        form = "subject/measure" if table == SLO else f"lane/subject/measure, with a lane of {', '.join(LANES)}"
        raise file.error(table, name, f"is not {form}", EXAMPLE)
    if not isinstance(entry, dict):
        raise file.error(table, name, "is not a table", EXAMPLE)
    for key in entry.keys() - {"max", "min", "unit", "why"}:
        raise file.error(table, name, f"has the unknown key {key!r}", EXAMPLE)
    for key in {"max", "min"} & entry.keys():
        if not _is_number(entry[key]):
            raise file.error(table, name, f"has a {key} that is no finite number: {entry[key]!r}", EXAMPLE)
    if not {"max", "min"} & entry.keys():
        raise file.error(table, name, "has neither max nor min", EXAMPLE)
    for key in ("unit", "why"):
        if not isinstance(entry.get(key), str) or not entry[key].strip():
            raise file.error(table, name, f"lacks {key!r}, a text", EXAMPLE)
    budget = Budget(**entry)
    if budget.min is not None and budget.max is not None and budget.min > budget.max:
        raise file.error(table, name, "has a min above its max", "Nothing could ever pass it; correct one of them.")
    return budget


def _is_number(value: Any) -> bool:
    """True is none, although Python counts it as one; nor are the infinities a promise."""
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)
