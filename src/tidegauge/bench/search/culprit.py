"""From a benchmark that became slower to the commit that did it, in the words of git: what `bench --bisect` adds.

    base, head ──git rev-list──▶ the commits between ──halve, building and measuring──▶ a finding a benchmark

The commits are HEAD's first parents that base lacks, oldest first: a merge counts as one, as it does for whoever
merges. Where base is no ancestor of them, the commit that they grew from is asked too: what is slow there already was
not made by any of them, base has something that they lack. Each commit takes HEAD's place, in its environment and at
its path, and is measured by HEAD's suite, as under asv.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import msgspec

from tidegauge.bench.findings import Measured
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.pairs.pair import Bench, Pair, PairJob
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.search.halving import Found, Slower, halve
from tidegauge.bench.suites.build import BuildError, build_probe, check_out, git
from tidegauge.bench.suites.model import Benchmark, Side, SuiteConfig, subject_of
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict

COMMITS_MAX = 10_000
BENCHMARKS_MAX = 4  # the largest slowdowns: a probe of each takes seconds
RANGE_SHOWN_MAX = 20


class Commit(msgspec.Struct, frozen=True, kw_only=True):
    """A commit as a person knows it."""

    commit: str
    subject: str
    author_date: str
    is_merge: bool


class Hunt(msgspec.Struct, frozen=True, kw_only=True):
    """What the comparison hands over: its sides, its plan, and how long to look."""

    config: SuiteConfig
    base: Side
    head: Side
    python: str | None
    plan: Plan
    seconds_max: float


def find_culprits(
    hunt: Hunt,
    measured: Sequence[Measured],
    bench: Bench,
    *,
    show: Callable[[str], None],
) -> Iterator[Finding]:
    """A finding for each benchmark that is slower by CPU time."""
    slower = [(each.benchmark, each.slowdown) for each in measured if each.slowdown]
    worst_first = sorted(slower, key=lambda each: -each[1])
    for benchmark, _ in worst_first[BENCHMARKS_MAX:]:
        reason = f"only the {BENCHMARKS_MAX} largest slowdowns are searched: choose this one with --bench"
        yield _finding(subject_of(benchmark.name), Verdict.NOT_MEASURED, reason)
    searched = worst_first[:BENCHMARKS_MAX]
    commits, problem = between(hunt.config.repository, hunt.base.commit, hunt.head.commit)
    if problem:
        for benchmark, _ in searched:
            yield _finding(subject_of(benchmark.name), Verdict.NOT_MEASURED, problem)
        return
    show(f"looking for the culprit among {len(commits)} commits, for {hunt.seconds_max:g} s at most")
    deadline_s = time.monotonic() + hunt.seconds_max
    wanted = [Slower(benchmark=benchmark.name, ratio=ratio) for benchmark, ratio in searched]
    with Builder(hunt, [benchmark for benchmark, _ in searched], bench, show) as builder:
        all_found = halve(commits, wanted, builder, hunt.plan, lambda: time.monotonic() >= deadline_s)
    for found in all_found:
        finding = told(found, hunt.config.repository, hunt.base.commit, subject_of(found.benchmark))
        show(f"{found.benchmark}: {finding.reason}")
        yield finding


def between(repository: Path, base: str, head: str) -> tuple[list[str], str]:
    """The commits to search, oldest first and head last; or why there are none."""
    bound = f"--max-count={COMMITS_MAX + 1}"
    commits = git(repository, "rev-list", "--first-parent", "--reverse", bound, f"{base}..{head}").split()
    if not commits:
        return [], "head holds no commit that base lacks: exchange the two"
    if len(commits) > COMMITS_MAX:
        return [], f"more than {COMMITS_MAX} commits lie between base and head: choose a nearer base"
    _, *parents = git(repository, "rev-list", "--parents", "--max-count=1", commits[0]).split()
    if parents and parents[0] != base:
        commits.insert(0, parents[0])
    return commits, ""


def describe(repository: Path, commit: str) -> Commit:
    """Its subject line and author date."""
    date, parents, subject = git(repository, "log", "-1", "--format=%aI%n%P%n%s", commit).split("\n", 2)
    return Commit(commit=commit, subject=subject, author_date=date, is_merge=len(parents.split()) > 1)


def told(found: Found, repository: Path, base: str, subject: str) -> Finding:
    """One commit, or the range that is left and why."""
    first = describe(repository, found.commits[0])
    levels = f"{found.before:.3f} of base's CPU time before, {found.after:.3f} from it on"
    evidence = {
        "base": base,
        "ratio_before": found.before,
        "ratio_after": found.after,
        "probes": [msgspec.to_builtins(probe) for probe in found.probes],
    }
    if len(found.commits) > 1:
        last = describe(repository, found.commits[-1])
        reason = (
            f"one of {len(found.commits)} commits from {_name(first)} to {_name(last)}: {levels}; "
            f"not narrowed down because {found.why}"
        )
        shown = [msgspec.to_builtins(describe(repository, each)) for each in found.commits[:RANGE_SHOWN_MAX]]
        left = {"range": shown, "range_count": len(found.commits), "why": found.why}
        return _finding(subject, Verdict.UNDECIDED, reason, evidence | left, found)
    reason = f"since {_name(first)}: {levels}"
    if git(repository, "merge-base", base, first.commit) == first.commit:
        reason = f"{_name(first)}, from which base grew too, is slow already: base has something that head lacks"
    elif first.is_merge:
        reason = f"{reason}; it is a merge, and what it brought is in {first.commit[:12]}^1..{first.commit[:12]}"
    return _finding(subject, Verdict.FAIL, reason, evidence | {"culprit": msgspec.to_builtins(first)}, found)


def _name(commit: Commit) -> str:
    return f"{commit.commit[:12]} ({commit.subject}, {commit.author_date[:10]})"


def _finding(
    subject: str, verdict: Verdict, reason: str, evidence: dict[str, Any] | None = None, found: Found | None = None
) -> Finding:
    return Finding(
        name=f"bench/{subject}/culprit",
        verdict=verdict,
        value=found.after / found.before if found else None,
        unit="x" if found else "",
        reason=reason,
        evidence=evidence or {},
    )


class Builder:
    """Builds a commit in HEAD's place and measures pairs of it and base. A context: it sets up pairs ahead."""

    def __init__(self, hunt: Hunt, benchmarks: Sequence[Benchmark], bench: Bench, show: Callable[[str], None]) -> None:
        self._hunt = hunt
        self._benchmarks = {each.name: each for each in benchmarks}
        self._bench = bench
        self._show = show
        self._pipeline = Pipeline(bench)
        config = hunt.config
        # HEAD's own checkout makes room for the probes: the suite needs another one.
        kept = check_out(config.repository, hunt.head.commit, config.environments / "tidegauge" / "suite" / "checkout")
        self._suite = kept / config.benchmarks
        self._base = msgspec.structs.replace(hunt.base, benchmark_dir=self._suite)
        self._probe = hunt.head

    def build(self, commit: str) -> str:
        """What a commit that cannot be built says becomes the reason why it is skipped."""
        self._show(f"building {commit[:12]}")
        self._end_pipeline()
        self._pipeline = Pipeline(self._bench)
        try:
            self._probe = build_probe(self._hunt.config, commit, self._suite, python=self._hunt.python)
        except BuildError as error:
            return " ".join(error.sentence.split())
        return ""

    def measure(self, benchmark: str, index: int) -> Pair:
        """The pair, while the next one is set up."""
        jobs = [
            PairJob(benchmark=self._benchmarks[benchmark], base=self._base, head=self._probe, index=each)
            for each in (index, index + 1)
        ]
        return self._pipeline.measure(jobs[0], jobs[1:])

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end_pipeline()

    def _end_pipeline(self) -> None:
        with self._pipeline:
            pass
