"""The lane `check`: the target up, one short piece of work on it, every figure judged as it arrives.

The work is a program of the user's own, `[check] workload`, so that the instrument knows nothing of what
it measures. It finds TIDEGAUGE_URL, TIDEGAUGE_TOKEN, TIDEGAUGE_SEED and TIDEGAUGE_PORT_<NAME> in its
environment and prints a line of JSON for each measure, or for each invariant that held or broke:

    {"name": "check/entry/p50_ms", "value": 12.3, "unit": "ms", "low": 11.9, "high": 12.8, "samples": 200}
    {"name": "check/journal/orders_lost", "verdict": "fail", "reason": "2 orders are not at the venue"}

Lines that do not begin with a brace are progress. Each figure goes to `budgets.judge`, each finding to the
run's writer. Whatever keeps the work from being done becomes a finding too.
"""

import contextlib
import os
import queue
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.config import CheckConfig, Config
from tidegauge.errors import TargetError
from tidegauge.process import Guarded
from tidegauge.records import Finding, RunWriter
from tidegauge.target import Target
from tidegauge.verdicts import Verdict, worst

MISSING_LANES = ("soak",)
# Lines waiting to be judged; a workload that prints faster than this drains is held back, not cut.
LINES_WAITING_MAX = 10_000
WAIT_S = 0.1
WATCH_EVERY_S = 0.2


class Line(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a workload may say about one figure or one invariant."""

    name: str
    value: float | None = None
    unit: str = ""
    low: float | None = None
    high: float | None = None
    samples: int | None = None
    verdict: Verdict | None = None
    reason: str = ""
    evidence: dict[str, Any] = {}


class Recorder:
    """Judges, records and shows findings in the order in which they come."""

    def __init__(self, budgets: Budgets, writer: RunWriter, show: Callable[[Finding | str], None]) -> None:
        self.names: set[str] = set()
        self.budgets = budgets
        self.writer = writer
        self.show = show
        self._malformed = 0

    def add(self, finding: Finding) -> None:
        """Records one finding."""
        self.names.add(finding.name)
        self.writer.add(finding)
        self.show(finding)

    def take(self, text: str) -> None:
        """One line that the workload printed to stdout."""
        if not text.lstrip().startswith("{"):
            self.show(text)
            return
        try:
            self.add(self._judge(msgspec.json.decode(text, type=Line)))
        except (msgspec.DecodeError, ValueError) as error:
            self._malformed += 1
            self.show(f"malformed line: {text[:200]}")
            if self._malformed == 1:  # the first is a finding; more of them would only say it again
                reason = f"the workload printed a line that is no measure: {error}: {text[:200]}"
                self.add(Finding(name="check/workload/output", verdict=Verdict.FAIL, reason=reason))

    def _judge(self, line: Line) -> Finding:
        if not line.name.startswith("check/"):
            raise ValueError("the name does not begin with check/")
        if line.name in self.names:
            raise ValueError("the name was there before")
        evidence = line.evidence | ({} if line.samples is None else {"samples": line.samples})
        if line.value is None:
            if line.verdict is None:
                raise ValueError("it has neither a value nor a verdict")
            reason = line.reason or "the workload gave no reason"
            return Finding(name=line.name, verdict=line.verdict, reason=reason, evidence=evidence)
        finding = self.budgets.judge(line.name, line.value, line.unit, line.low, line.high)
        if line.verdict is not None and worst((line.verdict, finding.verdict)) is line.verdict:
            reason = line.reason or finding.reason
            finding = msgspec.structs.replace(finding, verdict=line.verdict, reason=reason)
        return msgspec.structs.replace(finding, evidence=evidence)


def run_check(
    config: Config,
    workload: CheckConfig,
    budgets: Budgets,
    writer: RunWriter,
    *,
    seed: int,
    log_dir: Path,
    show: Callable[[Finding | str], None],
    then: Callable[[Target], None],
) -> None:
    """The whole lane, and what else is to be done `then` while the target is up; the caller finishes the run."""
    recorder = Recorder(budgets, writer, show)
    unmet = "it has a budget, but nothing measured it; mend the workload or remove the budget"
    try:
        with Target.start(config.target, seed=seed, log_dir=log_dir, cwd=config.root, check=workload) as target:
            show(f"target ready at {target.url or f'pid {target.pid}'} after {target.ready_s:.2f} s")
            recorder.add(budgets.judge("check/target/ready_s", target.ready_s, "s"))
            _work(workload, target, recorder, cwd=config.root)
            then(target)
    except TargetError as error:
        for line in error.tail:
            show(line)
        verdict = Verdict.NOT_MEASURED if error.is_need else Verdict.FAIL
        recorder.add(Finding(name="check/target/alive", verdict=verdict, reason=str(error)))
        unmet = "it was not measured, because a program failed before; see check/target/alive"
    for finding in budgets.unmet("check", recorder.names, unmet):
        recorder.add(finding)
    for lane in MISSING_LANES:
        reason = "the lane is not part of check yet"
        recorder.add(Finding(name=f"{lane}/lane/verdict", verdict=Verdict.NOT_MEASURED, reason=reason))


def _work(workload: CheckConfig, target: Target, recorder: Recorder, *, cwd: Path) -> None:
    before = len(recorder.names)
    with _started(workload, target, cwd) as (process, lines):
        in_time = _listen(process, lines, target, recorder, timeout_s=workload.timeout_s)
    if not in_time:
        reason = f"the workload was not done after {workload.timeout_s:g} s and was stopped; see {process.log}"
        recorder.add(Finding(name="check/workload/time", verdict=Verdict.FAIL, reason=reason))
    elif process.exit_status:
        said = next((line.strip() for line in reversed(process.tail) if line.strip()), "nothing")
        reason = f"the workload ended with exit status {process.exit_status}, saying: {said[:300]}"
        recorder.add(Finding(name="check/workload/exit_status", verdict=Verdict.FAIL, reason=reason))
    if len(recorder.names) == before:
        reason = "the workload printed no measure; print one line of JSON for each"
        recorder.add(Finding(name="check/workload/findings", verdict=Verdict.NOT_MEASURED, reason=reason))
    target.check_alive()


def _listen(
    process: Guarded, lines: "queue.Queue[tuple[bool, str]]", target: Target, recorder: Recorder, *, timeout_s: float
) -> bool:
    """Takes lines until the workload is done; False when it took too long."""
    deadline_s = time.monotonic() + timeout_s
    watch_at_s = 0.0
    while (now_s := time.monotonic()) < deadline_s:
        if now_s >= watch_at_s:
            target.check_alive()
            recorder.writer.flush()
            watch_at_s = now_s + WATCH_EVERY_S
        drained = process.drained()  # asked first: what was printed before it is in the queue by now
        try:
            is_stdout, line = lines.get(block=not drained, timeout=WAIT_S)
        except queue.Empty:
            if drained:
                return True
            continue
        if is_stdout:
            recorder.take(line)
        else:
            recorder.show(line)
    return False


@contextlib.contextmanager
def _started(
    workload: CheckConfig, target: Target, cwd: Path
) -> "Iterator[tuple[Guarded, queue.Queue[tuple[bool, str]]]]":
    """The workload under a guard of its own, and its lines."""
    lines: queue.Queue[tuple[bool, str]] = queue.Queue(LINES_WAITING_MAX)
    closing = threading.Event()

    def put(line: str, *, is_stdout: bool) -> None:
        while not closing.is_set():
            with contextlib.suppress(queue.Full):
                lines.put((is_stdout, line), timeout=WAIT_S)
                return

    process = Guarded(
        "workload",
        target.values.argv(workload.workload),
        env=os.environ | target.facts,
        cwd=cwd,
        log=target.log_dir / "workload.log",
        grace_s=target.grace_s,
        sink=lambda line: put(line, is_stdout=True),
        error_sink=lambda line: put(line, is_stdout=False),
    )
    try:
        yield process, lines
    finally:
        closing.set()
        process.stop()
