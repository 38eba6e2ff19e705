"""`tidegauge load --profile knee`: the highest rate at which a target keeps its promises, and what stops it there.

    find_knee ─▶ measure(rate, seconds) ─▶ a Locust at that rate ─▶ Step ─▶ ... ─▶ load/knee/rate_per_s
                                             others beside it ─┘

Any target and any locustfile: `lane` runs each step as it runs a load, `knee` knows what the step says. What else a
step found out, such as an invariant of the workload that broke, is a finding of the search too; that promises break
beyond the knee is what it looks for.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.config import Config
from tidegauge.load.judging import result
from tidegauge.load.knee.finding import knee_finding
from tidegauge.load.knee.locusts import Limits, Ran, step_of
from tidegauge.load.knee.others import Others, Watch
from tidegauge.load.knee.search import KneeSettings, find_knee
from tidegauge.load.knee.steps import Step
from tidegauge.load.lane import Done, LoadJob, run_locust
from tidegauge.load.server.sampler import pid_at
from tidegauge.load.times.clocks import Clocks
from tidegauge.records import Finding, RunWriter
from tidegauge.target import Target
from tidegauge.verdicts import SEVERITY

SECONDS_MAX: Final = 300.0
# Connections are made and caches filled in it; what a step asks for in vain is answered within the other, or is late.
WARM_UP_S: Final = 1.0
DRAIN_S: Final = 2.0
KEPT: Final = "load/invariants/"


class Search(msgspec.Struct, frozen=True, kw_only=True):
    """What a person says about a search; the rest are the settings of the load."""

    slo_ms: float
    seconds_max: float = SECONDS_MAX


def under_knee(config: Config) -> Config:
    """The same with the target as it is while its knee is searched for."""
    words = config.load.knee_words
    needs = tuple(
        msgspec.structs.replace(need, command=f"{need.command} {words.get(need.name, '')}")
        for need in config.target.needs
    )
    target = msgspec.structs.replace(config.target, env=config.target.env | config.load.knee_env, needs=needs)
    return msgspec.structs.replace(config, target=target)


def run_knee(
    search: Search,
    job: LoadJob,
    *,
    budgets: Budgets,
    writer: RunWriter,
    cwd: Path,
    log_dir: Path,
    target: Target | None,
    show: Callable[[Finding | str], None],
) -> None:
    """The whole search; the caller finishes the run."""
    limits = Limits.of(budgets, search.slo_ms)
    promise = f"each promised p99 kept, and {search.slo_ms:g} ms from due time where there is none,"
    settings = KneeSettings(
        slo_ms=search.slo_ms,
        promise=promise if limits.own_ms else "",
        start_per_s=job.config.rate,
        seconds_max=search.seconds_max,
    )
    kept: dict[str, Finding] = {}
    steps = 0
    # Beside a target on another machine it does not matter what others do on this one.
    pid = target.pid if target else pid_at(job.host)
    with Watch(pid) as watch:

        def measure(rate: float, seconds: float) -> Step:
            nonlocal steps
            steps += 1
            began_s = time.monotonic()
            config = msgspec.structs.replace(
                job.config,
                profile="constant",
                rate=rate,
                seconds=WARM_UP_S + seconds,
                warm_up_s=WARM_UP_S,
                drain_s=DRAIN_S,
            )
            done = run_locust(
                msgspec.structs.replace(job, config=config),
                writer,
                cwd=cwd,
                log_dir=log_dir / f"step-{steps:02}",
                target=target,
                show=lambda _said: None,
            )
            for finding in done.findings:
                if finding.name.startswith(KEPT):
                    kept[finding.name] = min((kept.get(finding.name, finding), finding), key=_severity)
            others = _beside(done, watch, seconds) if pid else None
            ran = Ran(done.result, _seconds(done), time.monotonic() - began_s, _why(done), others)
            step = step_of(ran, limits, rate=rate, seconds=seconds, warm_up_s=WARM_UP_S, in_flight_max=config.in_flight)
            show(_line(step))
            return step

        knee = find_knee(measure, watch.wait_until_calm, settings, job.seed)
    for finding in (knee_finding(knee, settings, budgets), *kept.values()):
        writer.add(finding)
        show(finding)


def _seconds(done: Done) -> tuple[tuple[float, float, Clocks], ...]:
    return tuple(result.read_log(done.log)) if done.log.exists() else ()


def _why(done: Done) -> str:
    return done.why.reason if done.why else ""


def _beside(done: Done, watch: Watch, seconds: float) -> Others | None:
    """While arrivals counted; Locust's start and end are not what is measured."""
    if done.result is None:
        return None
    begin_s = done.result.snapshot["started_s"] + WARM_UP_S
    return watch.seen(begin_s, begin_s + seconds)


def _severity(finding: Finding) -> int:
    return SEVERITY.index(finding.verdict)


def _line(step: Step) -> str:
    """What a person who waits sees of it."""
    said = f"{step.rate_per_s:8.4g}/s for {step.seconds:4.1f} s: {step.outcome.value.replace('_', ' ')}, "
    others = "" if step.others_share is None else f", others used {step.others_share:.0%} of the machine"
    return said + (step.reason or f"p99 {step.p99_ms:.4g} ms, done {step.achieved_share:.2%}{others}")
