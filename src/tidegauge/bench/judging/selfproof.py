"""Whether this machine, in this run, can tell a slowdown from none; and how well it can.

The run measures, beside its benchmarks, the base against itself and the base against the base slowed down by the
plan's delta. `prove` judges both as any benchmark is judged: the first must be silent, the second must be seen, else
nothing of the run counts as measured. `power` answers the same question at length, from many clean pairs: it draws
comparisons from them, slows them down on paper and counts what is said.
"""

import math
import random
from collections.abc import Sequence

import msgspec

from tidegauge.bench.judging.decide import Outcome, judge
from tidegauge.bench.judging.plan import Plan
from tidegauge.errors import TidegaugeError

# Neighbours share the machine's mood: pairs are drawn in blocks so that a comparison has as much of it as a real one.
BLOCK_PAIRS = 4
RUNS_MAX = 100_000


class Proof(msgspec.Struct, frozen=True, kw_only=True):
    """`false_alarm`: the base differed from itself. `seen`: the slowdown was called one."""

    ok: bool
    reason: str
    false_alarm: bool
    seen: bool


class PowerRow(msgspec.Struct, frozen=True, kw_only=True):
    """What is said of one true slowdown: shares of the comparisons, which sum to one, and the mean of their pairs."""

    effect: float
    slower: float
    faster: float
    not_slower: float
    undecided: float
    pairs_mean: float


def prove(clean: Sequence[float], slowed: Sequence[float], plan: Plan) -> Proof:
    """`clean`: log ratios of the base against itself; `slowed`: of the base slowed by delta against the base."""
    silent, loud = judge(clean, plan), judge(slowed, plan)
    false_alarm = silent.outcome in {Outcome.SLOWER, Outcome.FASTER}
    seen = loud.outcome is Outcome.SLOWER
    if silent.outcome is Outcome.NOT_MEASURED or silent.estimate is None:
        reason = f"the base against itself was not measured: {silent.reason}"
    elif false_alarm:
        reason = f"the base is called {silent.outcome} than itself: {silent.reason}"
    elif not seen:
        reason = f"the base slowed down by {plan.delta:.1%} was not seen to be slower: {loud.reason}"
    else:
        reason = f"the base equals itself, and is seen to be slower when slowed down by {plan.delta:.1%}"
        return Proof(ok=True, reason=reason, false_alarm=False, seen=True)
    return Proof(ok=False, reason=reason, false_alarm=false_alarm, seen=seen)


def power(
    log_ratios_clean: Sequence[float],
    plan: Plan,
    effects: Sequence[float] = (0.01, 0.02, 0.03, 0.05, 0.10),
    *,
    seed: int,
    runs: int = 500,
) -> tuple[PowerRow, ...]:
    """A row for no slowdown, which gives the false alarms, and one for each effect; equal seeds give equal tables."""
    clean = list(log_ratios_clean)
    if len(clean) < plan.looks[0] or not all(map(math.isfinite, clean)):
        raise TidegaugeError(
            f"{len(clean)} clean pairs do not describe this machine: {plan.looks[0]} finite ones are the least",
            "Measure the base against itself for longer.",
        )
    if not 1 <= runs <= RUNS_MAX:
        raise TidegaugeError(f"{runs} runs are not between 1 and {RUNS_MAX}", "500 give a share to 2 %.")
    return tuple(_row(clean, plan, effect, random.Random(f"{seed}/{effect}"), runs) for effect in (0.0, *effects))


def _row(clean: list[float], plan: Plan, effect: float, rng: random.Random, runs: int) -> PowerRow:
    counts = dict.fromkeys(Outcome, 0)
    pairs = 0
    for _ in range(runs):
        judgement = judge([math.log1p(effect) + value for value in _drawn(clean, plan.pairs_max, rng)], plan)
        counts[judgement.outcome] += 1
        pairs += judgement.pairs
    return PowerRow(
        effect=effect,
        slower=counts[Outcome.SLOWER] / runs,
        faster=counts[Outcome.FASTER] / runs,
        not_slower=counts[Outcome.NOT_SLOWER] / runs,
        undecided=counts[Outcome.UNDECIDED] / runs,
        pairs_mean=pairs / runs,
    )


def _drawn(clean: list[float], pairs: int, rng: random.Random) -> list[float]:
    """Blocks of neighbours, with replacement; the last pair's neighbour is the first, so that none is drawn less."""
    drawn: list[float] = []
    while len(drawn) < pairs:
        start = rng.randrange(len(clean))
        drawn.extend(clean[(start + step) % len(clean)] for step in range(BLOCK_PAIRS))
    return drawn[:pairs]
