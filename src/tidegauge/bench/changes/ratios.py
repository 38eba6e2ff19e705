"""What can be compared across machines: ratios of head to one pinned base, each measured in one run on one machine.

    results/runs/*.json, of any machine ──read_ratios──▶ a `Kept` for each benchmark of each run against the pin

A machine that is twice as fast halves the times of base and head alike: of the ratio nothing is left of it, but for
what caches and instruction sets make of different code; `history` says where a change coincides with a change of
machines. Only runs whose base is the pin are read, because a ratio to another base says something else; the others are
counted. A figure that was not measured, because the machine did not prove itself, is none.
"""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidegauge.bench.suites.kept import KEPT_MAX, RATIO, Kept, compiled
from tidegauge.bench.suites.suite import SuiteError
from tidegauge.errors import RunNotReadable
from tidegauge.records import Finding, Run, read_run
from tidegauge.verdicts import Verdict

MEASURE = "/cpu_ratio"


class Ratios(msgspec.Struct, frozen=True, kw_only=True):
    """What the runs against the pin said, and how many runs were left out, by reason."""

    kept: tuple[Kept, ...]
    runs: int
    other_base: int
    uncommitted: int
    unreadable: int

    @property
    def left_out(self) -> str:
        """A sentence's worth of runs; empty where all were read."""
        told = (
            (self.other_base, "of another base"),
            (self.uncommitted, "of a working tree that is no commit"),
            (self.unreadable, "that cannot be read"),
        )
        return ", ".join(f"{count} runs {what}" for count, what in told if count)


def read_ratios(folder: Path, base: str, select: Sequence[str] = ()) -> Ratios:
    """The ratios to `base`, a whole hash, of the benchmarks that match any of the expressions."""
    patterns = compiled(select)
    kept: list[Kept] = []
    counts = dict.fromkeys(("runs", "other_base", "uncommitted", "unreadable"), 0)
    for path in sorted(folder.glob("*.json")):
        try:
            run = read_run(path)
        except RunNotReadable:
            counts["unreadable"] += 1
            continue
        measured = [finding for finding in run.findings if _is_ratio(finding)]
        if not measured:  # of another lane, of `history`, or ended before it could say anything
            continue
        if run.subject.base_commit != base:
            counts["other_base"] += 1
        elif run.subject.dirty or run.subject.commit is None:
            counts["uncommitted"] += 1
        else:
            counts["runs"] += 1
            found = [_kept(finding, run) for finding in measured]
            kept += [each for each in found if not patterns or any(one.search(each.benchmark) for one in patterns)]
        if len(kept) > KEPT_MAX:
            raise SuiteError(f"There are more than {KEPT_MAX} ratios", "Choose benchmarks with --bench.")
    return Ratios(kept=tuple(kept), **counts)


def _is_ratio(finding: Finding) -> bool:
    is_measured = finding.value is not None and finding.value > 0 and finding.verdict is not Verdict.NOT_MEASURED
    return is_measured and finding.name.startswith("bench/") and finding.name.endswith(MEASURE)


def _kept(finding: Finding, run: Run) -> Kept:
    """The machine is told by what a run knows of it; a ratio may be compared whatever it is."""
    return Kept(
        benchmark=finding.name.removeprefix("bench/").removesuffix(MEASURE),
        version=str(finding.evidence.get("version", "")),
        environment=str(finding.evidence.get("environment", "")),
        cpu="",
        clock=RATIO,
        machine=f"{run.machine.cores} cores of {run.machine.cpu}",
        commit=run.subject.commit or "",
        value=finding.value or 0.0,
    )
