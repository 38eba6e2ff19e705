"""Rounds of pairs: one of each trial that is not decided, again and again, until none is left.

    trials ──a pair each, in turn──▶ Pipeline ──▶ RowLog ──▶ Trial.add ──▶ decided: it leaves the rounds

In turn, so that the pairs of one benchmark lie apart in time: what disturbs the machine for some seconds then disturbs
many benchmarks a little, which the test allows for, and not one a lot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidegauge.bench.pairs.pair import Pair, PairJob
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.pairs.trial import Trial
from tidegauge.bench.rowlog import RowLog

AHEAD = 2  # pairs: while a short one is measured, the setup of a long one after it has begun


def run_rounds(
    trials: Sequence[Trial],
    pipeline: Pipeline,
    log: RowLog,
    *,
    told: Callable[[Trial], None],
    show: Callable[[str], None],
) -> None:
    """Measure until every trial has ended; `told` is called after each pair, `show` before each round."""
    while going := [trial for trial in trials if trial.goes_on]:
        show(f"round {1 + max(len(trial.pairs) for trial in going)}: {len(going)} of {len(trials)} are not decided")
        for at, trial in enumerate(going):
            pair = pipeline.measure(trial.job(), _ahead(going, at))
            pair = msgspec.structs.replace(pair, benchmark=trial.name)
            log.add(pair)
            trial.add(pair)
            told(trial)
    for trial in trials:
        trial.close()


def taken_up(trial: Trial, before: Sequence[Pair]) -> Trial:
    """The trial with the pairs of an earlier run."""
    for pair in before:
        if pair.benchmark == trial.name and trial.goes_on:
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
