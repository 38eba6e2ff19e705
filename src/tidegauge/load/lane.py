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
from typing import Final, Self

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.config import LoadConfig
from tidegauge.errors import TidegaugeError
from tidegauge.load.judging import result, slo
from tidegauge.load.judging.session import ALL, MEASURED
from tidegauge.load.times.clocks import hlog
from tidegauge.process import Guarded, prefer
from tidegauge.records import Finding, RunWriter
from tidegauge.target import Target, free_ports
from tidegauge.verdicts import Verdict

PLUGIN: Final = Path(__file__).with_name("plugin.py")
# Beyond the schedule and the draining: interpreters and their workers start and end.
MARGIN_S: Final = 60.0
GRACE_S: Final = 10.0
LOOPBACK: Final = "127.0.0.1"
WATCH_EVERY_S: Final = 0.2


class LoadJob(msgspec.Struct, frozen=True, kw_only=True):
    """One load to run."""

    config: LoadConfig
    locustfile: Path
    host: str
    seed: int
    overrides: tuple[str, ...] = ()
    pid: int = 0  # the target's, where we started it
    env: Mapping[str, str] = {}
    is_ours: bool = True  # the workload that [load.slo] speaks of; else only promises that it measures count

    def on(self, target: Target | None) -> Self:
        """The same load on a target that is up, or on whatever stands at the host."""
        facts = target.facts if target else {"TIDEGAUGE_URL": self.host, "TIDEGAUGE_SEED": str(self.seed)}
        if target:
            facts["TIDEGAUGE_URL"] = self.host or target.url
        return msgspec.structs.replace(
            self,
            host=facts["TIDEGAUGE_URL"],
            pid=target.pid if target else 0,
            env=facts | dict(self.env),
        )

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
            "pid": self.pid,
            "promises": ALL if self.is_ours else MEASURED,
            "result": result_path,
            "log": result_path.with_suffix(".jsonl"),
        }
        words = [sys.executable, "-m", "locust", "-f", f"{PLUGIN},{self.locustfile}", "--host", self.host]
        words += ["--headless", "--only-summary"]
        if config.processes > 1:
            # Locust's own port is the same in every run, and open to every host.
            port = free_ports(["master"])["master"]
            words += ["--processes", str(config.processes), "--master-bind-host", LOOPBACK, "--master-host", LOOPBACK]
            words += ["--master-bind-port", str(port), "--master-port", str(port)]
        words += [f"--tidegauge-{name}={value}" for name, value in options.items()]
        return words + [f"--tidegauge-budget={assignment}" for assignment in self.overrides]

    @property
    def seconds_max(self) -> float:
        """After which it hangs."""
        return self.config.seconds + self.config.drain_s + MARGIN_S


def run_load(
    job: LoadJob,
    *,
    budgets: Budgets,
    writer: RunWriter,
    cwd: Path,
    log_dir: Path,
    target: Target | None,
    show: Callable[[Finding | str], None],
) -> None:
    """The whole lane; the caller finishes the run."""
    done = run_locust(job, writer, cwd=cwd, log_dir=log_dir, target=target, show=show)
    if (log := done.log).exists():
        hlog(result.read_log(log), log.with_suffix(".hlog"))
    names = set()
    for finding in done.findings:
        writer.add(finding)
        show(finding)
        names.add(finding.name)
    promised = budgets if job.is_ours else Budgets({})
    for finding in slo.unmet(promised, names, "it was promised, but this load did not come so far; see the others"):
        writer.add(finding)


class Done(msgspec.Struct, frozen=True):
    """What a Locust left behind: without a result one finding says why."""

    result: result.Result | None
    why: Finding | None
    log: Path

    @property
    def findings(self) -> tuple[Finding, ...]:
        """All there are."""
        return self.result.findings if self.result else (self.why,) if self.why else ()


def run_locust(
    job: LoadJob,
    writer: RunWriter,
    *,
    cwd: Path,
    log_dir: Path,
    target: Target | None,
    show: Callable[[Finding | str], None],
) -> Done:
    """One Locust from its start to its end, whatever comes between."""
    path = log_dir / "load.json"
    process = Guarded(
        "load",
        job.argv(path),
        env=os.environ | job.env,
        cwd=cwd,
        log=log_dir / "load.log",
        grace_s=GRACE_S,
        error_sink=show,
    )
    prefer(process.pid)
    if target:
        target.prefer()  # it too: beside a preferred generator it would wait for everybody else's work
    try:
        in_time = _wait(process, job.seconds_max, target, writer)
    finally:
        process.stop()
    return _done(process, path, in_time=in_time, seconds_max=job.seconds_max)


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


def _done(process: Guarded, path: Path, *, in_time: bool, seconds_max: float) -> Done:
    name, found = "load/generator/finished", None
    reason = f"Locust was not done after {seconds_max:g} s and was stopped; see {process.log}"
    if in_time:
        try:
            found = result.read(path)
        except TidegaugeError as error:
            said = next((line.strip() for line in reversed(process.tail) if line.strip()), "nothing")
            reason = f"{error} It ended with exit status {process.exit_status}, saying: {said[:300]}"
    why = None if found else Finding(name=name, verdict=Verdict.NOT_MEASURED, reason=reason)
    return Done(found, why, path.with_suffix(".jsonl"))
