"""How small a slowdown this machine can see, on this suite: `--self-proof-only`, which compares nothing.

    benchmarks that time ─▶ pairs of the base with itself ─▶ power ─▶ a finding for each size of slowdown

Whoever does not wait for its end is told what the pairs so far say; too few say nothing, and why there are no more is
the one finding then.
"""

from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tidegauge.bench.findings import power_findings
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.judging.selfproof import power
from tidegauge.bench.pairs.pair import Bench
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.pairs.rounds import run_rounds, taken_up
from tidegauge.bench.pairs.trial import Trial
from tidegauge.bench.rowlog import RowLog
from tidegauge.bench.store import read_pairs
from tidegauge.bench.suites.model import Side, Suite
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict

ITSELF = "(the base, against itself)"
POWER_NAME = "bench/self-proof/power"
POWER_PAIRS = 96  # that describe a machine
POWER_S_MAX = 3600.0
GOES_ON = "`tidegauge bench --self-proof-only --resume` goes on"


def of_itself(base: Side, suite: Suite, plan: Plan) -> Trial:
    """The trial that nobody decides before its last pair."""
    plan = msgspec.structs.replace(plan, looks=(POWER_PAIRS,), pairs_max=POWER_PAIRS, seconds_max=POWER_S_MAX)
    timed = [each for each in suite.benchmarks if each.kind == "time"]
    note = "" if timed else "no benchmark times anything"
    return Trial(name=ITSELF, benchmarks=timed, base=base, head=base, plan=plan, note=note)


def see(trial: Trial, path: Path, bench: Bench, *, told: Callable[[Trial], None], show: Callable[[str], None]) -> None:
    """Measures what the trial lacks after the pairs that `path` holds."""
    taken_up(trial, read_pairs(path))
    with RowLog(path) as log, Pipeline(bench) as pipeline:
        run_rounds([trial], pipeline, log, told=told, show=show)


def sight_findings(trial: Trial, plan: Plan, seed: int) -> Iterator[Finding]:
    """What is seen by `plan`, from the pairs that there are."""
    pairs = len(trial.log_ratios)
    if pairs < plan.looks[0]:
        few = f"{pairs} pairs of the base with itself do not describe this machine, {plan.looks[0]} are the least"
        reason = f"{few}: {trial.note or GOES_ON}"
        yield Finding(name=POWER_NAME, verdict=Verdict.NOT_MEASURED, reason=reason, evidence={"pairs": pairs})
        return
    after = f"; from {pairs} of {POWER_PAIRS} pairs: {GOES_ON}" if trial.goes_on else ""
    for finding in power_findings(power(trial.log_ratios, plan, seed=seed), trial):
        yield msgspec.structs.replace(finding, reason=f"{finding.reason}{after}")
