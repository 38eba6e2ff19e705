"""Rounds of pairs: one of each trial that is not decided, again and again, until none is left.

    trials ──a pair each, in turn──▶ Pipeline ──▶ PairLog ──▶ Trial.add ──▶ decided: it leaves the rounds

In turn, so that the pairs of one benchmark lie apart in time: what disturbs the machine for some seconds then disturbs
many benchmarks a little, which the test allows for, and not one a lot.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec

from tidegauge.bench.pair import Pair, PairJob
from tidegauge.bench.pipeline import Pipeline
from tidegauge.bench.store import PairLog
from tidegauge.bench.trial import Trial


def run_rounds(
    trials: Sequence[Trial],
    pipeline: Pipeline,
    log: PairLog,
    *,
    told: Callable[[Trial], None],
    show: Callable[[str], None],
) -> None:
    """Measure until every trial has ended; `told` is called after each pair, `show` before each round."""
    while going := [trial for trial in trials if trial.goes_on]:
        show(f"round {1 + max(len(trial.pairs) for trial in going)}: {len(going)} of {len(trials)} are not decided")
        # The last of a round is followed by the first of the next, which most probably is the same.
        for trial, following in zip(going, [*going[1:], going[0]], strict=True):
            pair = pipeline.measure(trial.job(), _ahead(trial, following))
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


def _ahead(trial: Trial, following: Trial) -> PairJob | None:
    """What is set up while a pair of `trial` is measured: nothing, if it waits, because that would make it wait."""
    return None if trial.waits else following.job(ahead=1 if following is trial else 0)
