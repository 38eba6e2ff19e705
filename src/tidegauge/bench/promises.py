"""What single benchmarks were promised: `[budgets]` and --budget, as the thresholds of their own tests.

    "bench/bench_x.time_y/cpu_ratio" = { max = 1.10, unit = "x", why = "..." }   in tidegauge.toml ─┐
    --budget bench/bench_x.time_y/cpu_ratio=1.10                                                   ─┴▶ Promises
    Promises ──plan──▶ the Plan of a clock ──counting──▶ CountSettings ──delta──▶ of what a benchmark says of itself

A limit takes the place of the run's own thresholds, for that figure alone: certainly above it is a fail, certainly
below it a pass, and what lies too near to tell is undecided. Without one a slowdown of more than 0.5 % for sure is a
fail already. A budget that this run could not measure is `not_measured`, as under `check`; one that --budget names
and that this run does not judge is wrong use.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from typing import Self

import msgspec

from tidegauge.bench.counts.instructions import CountSettings
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.suites.model import Benchmark, subject_of
from tidegauge.budgets import Budgets
from tidegauge.errors import TidegaugeError
from tidegauge.records import Budget, Finding

LANE = "bench"
UNIT = "x"
CPU, WALL, INSTRUCTIONS, VALUES = TIERS = ("cpu", "wall", "instructions", "values")
RATIO = re.compile(r"bench/(?P<subject>[^/]+)/(?P<measure>[a-z]+)_ratio")
EXAMPLE = "For example: bench/bench_x.time_y/cpu_ratio=1.10, ten per cent slower than the base."
NAMES_SHOWN_MAX = 3


class Promises(msgspec.Struct, frozen=True):
    """The budgets of ratios; `asked` are those that --budget set."""

    budgets: Budgets = Budgets({})
    asked: tuple[str, ...] = ()

    @classmethod
    def made(cls, budgets: Budgets, assignments: Sequence[str] = ()) -> Self:
        """Those of the file that are the lane's, with --budget's in their place or beside them."""
        own = Budgets({name: budget for name, budget in budgets.by_name.items() if name.startswith(f"{LANE}/")})
        all_of_them = own.override(assignments, new=_granted)
        for name, budget in all_of_them.by_name.items():
            _check(name, budget)
        return cls(all_of_them, tuple(assignment.rpartition("=")[0] for assignment in assignments))

    def budget(self, name: str, otherwise: Budget) -> Budget:
        """What the figure of this name is held to."""
        return self.budgets.by_name.get(name, otherwise)

    def plan(self, benchmark: Benchmark, clock: str, plan: Plan) -> Plan:
        """The plan by which one benchmark is judged."""
        limit = self._limit(figure(benchmark, clock))
        return plan if limit is None else plan.allowing(limit - 1)

    def counting(self, benchmark: Benchmark, settings: CountSettings) -> CountSettings:
        """Likewise of its instructions."""
        limit = self._limit(figure(benchmark, INSTRUCTIONS))
        return settings if limit is None else msgspec.structs.replace(settings, threshold=limit - 1, reading=0.0)

    def delta(self, benchmark: Benchmark, delta: float) -> float:
        """Likewise of what it says of itself."""
        limit = self._limit(figure(benchmark, benchmark.kind))
        return delta if limit is None else limit - 1

    def check_asked(self, benchmarks: Sequence[Benchmark], tiers: Collection[str]) -> None:
        """What --budget names is judged by this run: a typing error must not pass as no budget."""
        judged = [name for each in benchmarks for name in figures(each, tiers)]
        for name in self.asked:
            if name not in judged:
                shown = ", ".join(judged[:NAMES_SHOWN_MAX]) or "nothing"
                raise TidegaugeError(
                    f"--budget {name}: this run judges no such figure, of {len(judged)}", f"It judges {shown}."
                )

    def unmet(
        self, told: Collection[str], benchmarks: Sequence[Benchmark], select: Sequence[str], tiers: Collection[str]
    ) -> Iterator[Finding]:
        """A finding for each budget that nothing was measured for, unless nobody asked for its benchmark or tier.

        Nor can what is new on head have kept or broken its promise.
        """
        reason = "it has a budget, but this run measured no such figure; correct its name or remove the budget"
        new = {subject_of(each.name) for each in benchmarks if each.is_new}
        for finding in self.budgets.unmet(LANE, told, reason):
            match = RATIO.fullmatch(finding.name)
            if match is None or match["subject"] in new or _tier(match["measure"]) not in tiers:
                continue
            if not select or any(re.search(expression, match["subject"]) for expression in select):
                yield finding

    def _limit(self, name: str) -> float | None:
        budget = self.budgets.by_name.get(name)
        return None if budget is None else budget.max


def figure(benchmark: Benchmark, measure: str) -> str:
    """The name of the finding; it outlives code."""
    return f"{LANE}/{subject_of(benchmark.name)}/{measure}_ratio"


def figures(benchmark: Benchmark, tiers: Collection[str]) -> list[str]:
    """Every finding that a budget can hold, in the order of the tiers."""
    if benchmark.kind != "time":
        return [figure(benchmark, benchmark.kind)] if VALUES in tiers else []
    return [figure(benchmark, tier) for tier in TIERS if tier in tiers and tier != VALUES]


def _tier(measure: str) -> str:
    return measure if measure in TIERS else VALUES


def _granted(name: str, value: float) -> Budget | None:
    """A budget that stands on the command line alone."""
    return Budget(max=value, unit=UNIT, why="--budget grants it") if RATIO.fullmatch(name) else None


def _check(name: str, budget: Budget) -> None:
    """A limit must be one that its test can hold."""
    match = RATIO.fullmatch(name)
    if match is None:
        raise TidegaugeError(f"The budget {name} is of no figure of bench: those end in _ratio", EXAMPLE)
    if budget.unit != UNIT or budget.min is not None or budget.max is None:
        raise TidegaugeError(f"The budget {name} is not a max in {UNIT!r}, of head to base", EXAMPLE)
    effect_min = Plan().effect_min
    if match["measure"] in {CPU, WALL} and not 1 + effect_min < budget.max <= 2:
        bounds = f"above {1 + effect_min:g} and at most 2"
    elif budget.max < 1:
        bounds = "1 or more"
    else:
        return
    raise TidegaugeError(f"The budget {name} of {budget.max:g} cannot be held: a limit is {bounds}", EXAMPLE)
