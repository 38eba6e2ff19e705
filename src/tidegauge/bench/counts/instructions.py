"""The instruction tier: what counts of instructions allow to be said.

    Counter ──▶ Count: instructions a call, a run a layout ──judge──▶ CountJudgement ──compared──▶ beside CPU time

Counting is as good as exact, because nothing but the program itself changes a count, and what can is held still: the
hash seed, the number of calls, the calls before them. Addresses are not: an object without a hash of its own hashes by
its address, so that any other change of a program changes how often a dictionary has to look twice. At one address
each, two runs agree to the last instruction and yet differ by 1 % from the same code under another path. So each run
has its own layout. Two that agree to `agreement` are one number. Where they do not, and the threshold is near, there
are more of them, and what is said holds for the least favourable two; threads, time and chance show in the same way.

A rise of the threshold or more is a fail. A rise that was planted is read back to `reading`, and the limit lies lower
by that: what truly rose by so much is never passed for want of a hundredth of a per cent. Identical code whose layouts
agree differs by a fifth of it at the most.

What it cannot see is what makes the same instructions take longer: caches, branches, the kernel. That is what the CPU
tier is for; `compared` reads the two together.
"""

from collections.abc import Sequence

import msgspec

from tidegauge.bench.counts.callgrind import Cost
from tidegauge.bench.judging.decide import Judgement, Outcome
from tidegauge.bench.processes.sides import SIDES, who

CLEAR = 3  # spreads


class CountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`threshold`, `reading` and `agreement` are fractions; `count_ms` is what the counted calls take natively.

    At five runs a side that scatters by chance is wholly above the other once in 252 times, before any threshold.
    """

    threshold: float = 0.005
    reading: float = 0.0005
    agreement: float = 1e-4
    runs_min: int = 2
    runs_max: int = 5
    count_ms: float = 5.0
    run_s_max: float = 10.0

    @property
    def limit(self) -> float:
        """The rise from which on it may truly be the threshold."""
        return self.threshold - self.reading


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions a call, run by run, and the functions of the last run of each side.

    Without them `error` (the suite's own, without callgrind), `skipped` or `unfit` says why.
    """

    benchmark: str
    number: int = 0
    batches: int = 0
    base: tuple[float, ...] = ()
    head: tuple[float, ...] = ()
    base_functions: dict[str, Cost] = {}
    head_functions: dict[str, Cost] = {}
    seconds: float = 0.0
    error_side: str = ""
    error: str = ""
    skipped: str = ""
    unfit: str = ""

    @property
    def note(self) -> str:
        """Why nothing was counted, as a clause; empty when it was."""
        if self.error:
            return f"it failed on {self.error_side}: {self.error}"
        return f"{self.skipped} skips it" if self.skipped else self.unfit


class CountJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio` is head to base, `low` and `high` the extremes of the runs, `spread` the larger one of the two sides."""

    outcome: Outcome
    reason: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float = 0.0


def judge(counted: Count, settings: CountSettings) -> CountJudgement:
    """What the counts allow to be said."""
    if counted.note:
        return CountJudgement(outcome=Outcome.NOT_MEASURED, reason=counted.note)
    runs = {"base": counted.base, "head": counted.head}
    empty = [side for side in SIDES if min(runs[side]) <= 0]
    if empty:
        return CountJudgement(outcome=Outcome.NOT_MEASURED, reason=f"no instruction was counted on {who(empty)}")
    spreads = {side: _spread(runs[side]) for side in SIDES}
    apart = max(SIDES, key=lambda side: spreads[side])
    base, head = (sum(runs[side]) / len(runs[side]) for side in SIDES)
    low, high = min(counted.head) / max(counted.base), max(counted.head) / min(counted.base)
    change = f"{head / base - 1:+.2%} instructions"
    is_sure = max(low - 1, 1 - high) >= settings.threshold
    least = (
        f"at least {settings.threshold:.1%}{'' if is_sure else f', as far as can be read ({settings.reading:.2%}),'}"
    )
    if low >= 1 + settings.limit:
        outcome, reason = Outcome.SLOWER, f"{change}, {least} more"
    elif high <= 1 - settings.limit:
        outcome, reason = Outcome.FASTER, f"{change}, {least} fewer"
    elif high < 1 + settings.limit:
        outcome, reason = Outcome.NOT_SLOWER, f"{change}, less than {settings.threshold:.1%} more"
    else:
        detectable = (1 + settings.threshold) * (1 + spreads["base"]) * (1 + spreads["head"]) - 1
        outcome = Outcome.UNDECIDED
        reason = (
            f"{change}, undecided: {len(runs[apart])} runs of {apart} differ by {spreads[apart]:.2%}, by their "
            f"addresses, threads, time or chance; a rise of {detectable:.1%} could have been seen"
        )
    return CountJudgement(outcome=outcome, reason=reason, ratio=head / base, low=low, high=high, spread=spreads[apart])


def compared(cpu: Judgement | None, counts: CountJudgement | None) -> tuple[str, str]:
    """What each tier's sentence gains from the other's: to the CPU finding's, and to the instruction finding's."""
    if cpu is None or counts is None or cpu.estimate is None or counts.ratio is None:
        return "", ""
    more = f"{counts.ratio - 1:+.2%} instructions"
    if cpu.outcome is Outcome.SLOWER and counts.outcome in {Outcome.NOT_SLOWER, Outcome.FASTER}:
        return f"; memory-bound: {more}, so that caches, branches or the kernel take the time", ""
    if counts.outcome is Outcome.SLOWER and cpu.outcome is not Outcome.SLOWER:
        return "", f"; by CPU time it is {cpu.outcome.replace('_', ' ')} ({cpu.estimate - 1:+.2%})"
    return "", ""


def is_complete(counted: Count, settings: CountSettings) -> bool:
    """Whether no further layout is of use."""
    runs = len(counted.base)
    is_clear = runs >= settings.runs_min and _is_clear(counted.base, counted.head, settings)
    return bool(counted.note) or runs >= settings.runs_max or is_clear


def _is_clear(base: Sequence[float], head: Sequence[float], settings: CountSettings) -> bool:
    """Whether more runs are of no use: they agree, or lie so far from the threshold that no such spread reaches it."""
    spread = max(_spread(base), _spread(head))
    if spread <= settings.agreement or min(base) <= 0:
        return True
    ratio = sum(head) / sum(base)
    return abs(ratio - 1 - settings.limit) > CLEAR * spread


def _spread(runs: Sequence[float]) -> float:
    """How far the runs of a side lie apart, as a fraction; no instruction at all is `judge`'s to tell."""
    return max(runs) / min(runs) - 1 if min(runs) > 0 else 0.0
