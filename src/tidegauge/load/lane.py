"""The lane `load`: a target or any URL, Locust as a process of its own, and what it found out as findings of the run.

    target up ──▶ locust -f plugin.py,THEIRS --headless ──▶ result.json ──▶ findings

Locust patches its process, so it never runs in ours: `command` says what to start, `Guarded` starts it and ends it with
everything that it started, and `result` is read when it is gone. A result that is not there is not measured.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.config import LoadConfig
from tidegauge.errors import TidegaugeError
from tidegauge.load.judging import result
from tidegauge.load.times.clocks import hlog
from tidegauge.process import Guarded, prefer
from tidegauge.records import Finding, RunWriter
from tidegauge.target import Target
from tidegauge.verdicts import Verdict

PLUGIN: Final = Path(__file__).with_name("plugin.py")
# Beyond the schedule and the draining: interpreters and their workers start and end.
MARGIN_S: Final = 60.0
GRACE_S: Final = 10.0
WATCH_EVERY_S: Final = 0.2


class LoadJob(msgspec.Struct, frozen=True, kw_only=True):
    """One load to run."""

    config: LoadConfig
    locustfile: Path
    host: str
    seed: int
    overrides: tuple[str, ...] = ()

    def argv(self, result_path: Path) -> list[str]:
        """What is started."""
        config = self.config
        options = {
            "profile": config.profile,
            "rate": config.rate,
            "seconds": config.seconds,
            "spacing": config.spacing,
            "in-flight": config.in_flight,
            "warm-up": config.warm_up_s,
            "drain": config.drain_s,
            "seed": self.seed,
            "result": result_path,
            "log": result_path.with_suffix(".jsonl"),
        }
        words = [sys.executable, "-m", "locust", "-f", f"{PLUGIN},{self.locustfile}", "--host", self.host]
        words += ["--headless", "--only-summary"]
        words += ["--processes", str(config.processes)] if config.processes > 1 else []
        words += [f"--tidegauge-{name}={value}" for name, value in options.items()]
        return words + [f"--tidegauge-budget={assignment}" for assignment in self.overrides]

    @property
    def seconds_max(self) -> float:
        """After which it hangs."""
        return self.config.seconds + self.config.drain_s + MARGIN_S


def run_load(
    job: LoadJob,
    budgets: Budgets,
    writer: RunWriter,
    *,
    cwd: Path,
    log_dir: Path,
    env: Mapping[str, str],
    target: Target | None,
    show: Callable[[Finding | str], None],
) -> None:
    """The whole lane; the caller finishes the run."""
    result_path = log_dir / "load.json"
    process = Guarded(
        "load",
        job.argv(result_path),
        env=os.environ | env,
        cwd=cwd,
        log=log_dir / "load.log",
        grace_s=GRACE_S,
        error_sink=show,
    )
    prefer(process.pid)
    try:
        in_time = _wait(process, job.seconds_max, target, writer)
    finally:
        process.stop()
    if (log := result_path.with_suffix(".jsonl")).exists():
        hlog(result.read_log(log), log.with_suffix(".hlog"))
    names = set()
    for finding in _findings(process, result_path, in_time=in_time, seconds_max=job.seconds_max):
        writer.add(finding)
        show(finding)
        names.add(finding.name)
    for finding in budgets.unmet("load", names, "it was promised, but this load did not come so far; see the others"):
        writer.add(finding)


def _wait(process: Guarded, seconds_max: float, target: Target | None, writer: RunWriter) -> bool:
    deadline_s = time.monotonic() + seconds_max
    while not process.drained():
        if time.monotonic() >= deadline_s:
            return False
        if target:
            target.check_alive()
        writer.flush()
        time.sleep(WATCH_EVERY_S)
    return True


def _findings(process: Guarded, path: Path, *, in_time: bool, seconds_max: float) -> tuple[Finding, ...]:
    name = "load/generator/finished"
    if not in_time:
        reason = f"Locust was not done after {seconds_max:g} s and was stopped; see {process.log}"
        return (Finding(name=name, verdict=Verdict.NOT_MEASURED, reason=reason),)
    try:
        findings = result.read(path).findings
    except TidegaugeError as error:
        said = next((line.strip() for line in reversed(process.tail) if line.strip()), "nothing")
        reason = f"{error} It ended with exit status {process.exit_status}, saying: {said[:300]}"
        return (Finding(name=name, verdict=Verdict.NOT_MEASURED, reason=reason),)
    return findings
