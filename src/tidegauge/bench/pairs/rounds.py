"""Rounds of pairs: one of each trial that is not decided, again and again, until none is left.

    trials ──a pair each, in turn──▶ Pipeline ──▶ RowLog ──▶ Trial.add ──▶ decided: it leaves the rounds
       ▲                                                                   └─ its time is up: it waits ─┐
       └───────────────────────── what the decided did not need is lent to them ────────────────────────┘

In turn, so that the pairs of one benchmark lie apart in time: what disturbs the machine for some seconds then disturbs
many benchmarks a little, which the test allows for, and not one a lot.

Most benchmarks are decided in a tenth of their time, and a few would need twice theirs. Those that share a bank get it:
all together take no more than their plans give them. Who gets how much hangs on what the others' pairs say, and on the
looks that its own have passed, never on what its last look is going to be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidegauge.bench.pairs.pair import Pair, PairJob
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.pairs.trial import Trial
from tidegauge.bench.rowlog import RowLog

LENT_MAX = 2.0  # of the time that a trial has by its plan: what took three times as long would still be open
AHEAD = 2  # pairs: while a short one is measured, the setup of a long one after it has begun


def run_rounds(
    trials: Sequence[Trial],
    pipeline: Pipeline,
    log: RowLog,
    *,
    told: Callable[[Trial], None],
    show: Callable[[str], None],
    bank: Sequence[Trial] = (),
) -> None:
    """Measure until every trial has ended; `told` is called after each pair and at the end, `show` before each round.

    `bank`: the trials that lend each other the time that they do not need.
    """

    def measure() -> None:
        while going := [trial for trial in trials if trial.goes_on]:
            show(f"round {1 + max(len(trial.pairs) for trial in going)}: {len(going)} of {len(trials)} are not decided")
            for at, trial in enumerate(going):
                pair = pipeline.measure(trial.job(), _ahead(going, at))
                pair = msgspec.structs.replace(pair, benchmark=trial.name)
                log.add(pair)
                trial.add(pair)
                told(trial)

    measure()
    if borrowers := lend(bank):
        lent_s = sum(trial.lent_s for trial in borrowers)
        show(f"{lent_s:.0f} s that the others did not need are lent to the {len(borrowers)} that need more")
        measure()
    for trial in trials:
        if trial.close():
            log.add(Pair(benchmark=trial.name, index=len(trial.pairs), closes=True))
            told(trial)


def lend(bank: Sequence[Trial]) -> list[Trial]:
    """Shares out what the decided left; those who got some of it."""
    borrowers = [trial for trial in bank if trial.borrows]
    spare_s = sum(trial.spare_s for trial in bank)
    if not spare_s:
        return []
    for trial in borrowers:
        trial.lent_s = min(spare_s / len(borrowers), LENT_MAX * trial.plan.seconds_max)
    return borrowers


def taken_up(trial: Trial, before: Sequence[Pair]) -> Trial:
    """The trial with the pairs of an earlier run."""
    for pair in before:
        if pair.benchmark != trial.name or trial.is_over:
            continue
        if pair.closes:
            trial.close()
        else:  # beyond its time too: it may have been lent some
            trial.add(pair)
    return trial


def _ahead(going: Sequence[Trial], at: int) -> list[PairJob]:
    """What is set up while a pair of trial `at` is measured: nothing, if it waits, because that would make it wait.

    The last of a round is followed by the first of the next, which most probably is the same.
    """
    if going[at].waits:
        return []
    jobs = []
    for place in range(at + 1, at + 1 + AHEAD):
        rounds, slot = divmod(place, len(going))
        # Who came before in this round has his pair already.
        jobs.append(going[slot].job(ahead=rounds if slot >= at else rounds - 1))
    return jobs
