"""The lane `bench`: two commits in, a verdict for each benchmark and each tier out, each with a known risk.

    build both ─▶ discover ─▶ rounds of pairs, the proof among them ─▶ count ─▶ read ─▶ explain ─▶ findings

The tiers: `cpu` and `wall` judge the same pairs, `instructions` are counted by callgrind, and `values` are what a
benchmark that times nothing says of itself.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import msgspec

from tidegauge.bench.counts.callgrind import find_valgrind
from tidegauge.bench.counts.counting import Counter
from tidegauge.bench.counts.instructions import Count, CountSettings, is_complete
from tidegauge.bench.counts.instructions import judge as judge_count
from tidegauge.bench.findings import (
    UNFINISHED,
    Measured,
    count_finding,
    not_compared,
    pair_findings,
    proof_finding,
    value_finding,
)
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.judging.selfproof import Proof, prove
from tidegauge.bench.pairs.pair import Bench
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.pairs.rounds import run_rounds, taken_up
from tidegauge.bench.pairs.slices import PairSettings
from tidegauge.bench.pairs.trial import Trial
from tidegauge.bench.prepare import prepared
from tidegauge.bench.promises import CPU, INSTRUCTIONS, TIERS, VALUES, WALL, Promises, figures
from tidegauge.bench.rowlog import RowLog
from tidegauge.bench.search.culprit import Hunt, find_culprits
from tidegauge.bench.sight import ITSELF, of_itself, see, sight_findings
from tidegauge.bench.store import keep_in_asv, read_counts, read_pairs
from tidegauge.bench.suites.build import find_repository
from tidegauge.bench.suites.model import Benchmark, Side, Suite
from tidegauge.bench.suites.suite import read_config
from tidegauge.bench.values import judge_values, read_values
from tidegauge.bench.why.explain import explain
from tidegauge.records import Finding, RunWriter
from tidegauge.verdicts import Verdict

SLOWED = "(the base, slowed)"  # how the trials of the proof are told from those of the comparison
VALGRIND_NAME = "bench/instructions/valgrind"
PROOF_PATIENCE = 4  # times as long as a benchmark may take: all of them wait for what the proof says


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    base: str
    head: str | None  # None: the working tree
    select: tuple[str, ...] = ()
    python: str | None = None  # "same", or None for the environments that asv.conf.json names
    plan: Plan = Plan()
    pair: PairSettings = PairSettings()
    count: CountSettings = CountSettings()
    tiers: tuple[str, ...] = TIERS
    promises: Promises = Promises()
    resume: bool = False
    bisect_seconds_max: float = 0.0  # for the search of what made a benchmark slower; 0: no search


class _Comparison(msgspec.Struct):
    """All that becomes findings, however far it came; `proof` is None as long as no pair was asked for."""

    measured: list[Measured]
    silent: Trial
    slowed: Trial
    proof: Proof | None = None
    is_whole: bool = False


class Lane:
    def __init__(
        self, start: Path, settings: BenchSettings, writer: RunWriter, *, seed: int, show: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._seed = seed
        self._show = show
        self._told: set[str] = set()
        self._config = read_config(start, find_repository(start))
        self._core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None

    def run(self, scratch: Path) -> None:
        """Measures and records everything."""
        settings = self._settings
        with self._prepared(scratch) as (base, head, suite):
            compared = [each for each in suite.benchmarks if not each.is_new]
            timed = [each for each in compared if each.kind == "time"]
            settings.promises.check_asked(compared, settings.tiers)
            self._show(f"{len(suite.benchmarks)} benchmarks, {len(timed)} of them time what both commits have")
            for new in suite.benchmarks:
                if new.is_new:
                    self._add(not_compared(new))
            path = self._log(f"{base.commit[:12]}-{head.commit[:12]}")
            comparison = self._comparison(timed, base, head)
            measured = comparison.measured
            try:
                self._pairs(comparison, path, scratch)
                if INSTRUCTIONS in settings.tiers and timed:
                    self._count(measured, base, head, path.with_suffix(".instructions.jsonl"), scratch)
                if VALUES in settings.tiers:
                    self._read([each for each in compared if each.kind != "time"], base, head, scratch)
                self._explain(measured, base, head, path.with_suffix(".folded"), scratch)
                comparison.is_whole = True
            finally:  # what was measured is not lost with what somebody did not wait for
                self._record(comparison, compared)
            for unmet in settings.promises.unmet(self._told, suite.benchmarks, settings.select, settings.tiers):
                self._add(unmet)
            keep_in_asv(self._config, suite, base, head, [pair for each in measured for pair in each.trial.pairs])
            if settings.bisect_seconds_max and comparison.proof is not None and comparison.proof.ok:
                self._search(measured, base, head, scratch)

    def prove(self, scratch: Path) -> None:
        """How well this machine can tell a slowdown, of each size, on this suite; the head is of no account."""
        settings, bench = self._settings, self._bench(scratch)
        with self._prepared(scratch) as (base, _, suite):
            trial = of_itself(base, suite, settings.plan)
            try:
                see(trial, self._log(f"{base.commit[:12]}-self"), bench, told=self._progress, show=self._show)
            finally:  # as in `run`
                for finding in sight_findings(trial, settings.plan, self._seed):
                    self._add(finding)

    def _add(self, finding: Finding) -> None:
        self._told.add(finding.name)
        self._writer.add(finding)

    def _prepared(self, scratch: Path) -> AbstractContextManager[tuple[Side, Side, Suite]]:
        of = self._settings
        return prepared(
            self._config, of.base, of.head, of.python, of.select, scratch=scratch, add=self._add, show=self._show
        )

    def _log(self, name: str) -> Path:
        """Where the pairs are kept; those of an earlier run only if this one goes on with them."""
        path = self._config.results / "pairs" / f"{name}.jsonl"
        if not self._settings.resume:
            path.unlink(missing_ok=True)
        return path

    def _bench(self, scratch: Path) -> Bench:
        return Bench(seed=self._seed, core=self._core, scratch=scratch, settings=self._settings.pair)

    def _comparison(self, timed: list[Benchmark], base: Side, head: Side) -> _Comparison:
        tiers, plan, promises = self._settings.tiers, self._settings.plan, self._settings.promises
        family = plan.for_suite(max(1, len(timed)))
        trials = [
            Trial(
                name=each.name,
                benchmarks=[each],
                base=base,
                head=head,
                plan=promises.plan(each, CPU, family),
                wall_plan=promises.plan(each, WALL, family).by_wall_time() if WALL in tiers else None,
            )
            for each in timed
        ]
        patient = msgspec.structs.replace(plan, seconds_max=PROOF_PATIENCE * plan.seconds_max)
        silent, slowed = (
            Trial(name=name, benchmarks=timed, base=base, head=base, plan=patient, slowdown=slowdown)
            for name, slowdown in ((ITSELF, 0.0), (SLOWED, plan.delta))
        )
        return _Comparison(measured=[Measured(trial) for trial in trials], silent=silent, slowed=slowed)

    def _pairs(self, comparison: _Comparison, path: Path, scratch: Path) -> None:
        """The trials of all benchmarks, and what those of the proof say, which are measured among them."""
        silent, slowed, plan = comparison.silent, comparison.slowed, self._settings.plan
        trials = [each.trial for each in comparison.measured]
        if not trials or not {CPU, WALL} & set(self._settings.tiers):
            return
        before = read_pairs(path)
        every = [taken_up(trial, before) for trial in (silent, slowed, *trials)]
        try:
            with RowLog(path) as log, Pipeline(self._bench(scratch)) as pipeline:
                run_rounds(every, pipeline, log, told=self._progress, show=self._show, bank=trials)
        finally:
            proof = prove(silent.log_ratios, slowed.log_ratios, plan)
            if silent.goes_on or slowed.goes_on:
                proof = msgspec.structs.replace(proof, ok=False, reason=UNFINISHED)
            comparison.proof = proof
            self._show(proof.reason)
            self._add(proof_finding(proof, silent, slowed))

    def _progress(self, trial: Trial) -> None:
        self._writer.flush()
        reason = trial.note or (trial.cpu.judgement.reason if trial.cpu.judgement else "")
        if reason and (trial.is_over or trial.is_closed):
            self._show(f"{trial.name}: {reason}")

    def _count(self, measured: list[Measured], base: Side, head: Side, path: Path, scratch: Path) -> None:
        """After the pairs, whose quiet it would disturb."""
        settings, valgrind = self._settings, find_valgrind()
        if isinstance(valgrind, str):
            self._show(valgrind)
            self._add(Finding(name=VALGRIND_NAME, verdict=Verdict.NOT_MEASURED, reason=valgrind))
            return
        if not settings.resume:
            path.unlink(missing_ok=True)
        by_name = {each.trial.name: each for each in measured}
        before = {name: counted for name, counted in read_counts(path).items() if name in by_name}
        notes = {name: each.trial.note for name, each in by_name.items() if each.trial.note}
        before |= {name: Count(benchmark=name, unfit=note) for name, note in notes.items()}
        for name, counted in before.items():
            self._take_count(by_name[name], counted)
        with RowLog(path) as log:

            def keep(counted: Count) -> None:
                log.add(counted)
                self._take_count(by_name[counted.benchmark], counted)

            counter = Counter(
                base,
                head,
                valgrind=valgrind,
                scratch=scratch,
                settings=lambda benchmark: settings.promises.counting(benchmark, settings.count),
                keep=keep,
                show=self._show,
            )
            counter.count([each.benchmark for each in measured], before)

    def _take_count(self, each: Measured, counted: Count) -> None:
        """Judges it once it is whole: the layouts that it has so far may be too few."""
        limits = self._settings.promises.counting(each.benchmark, self._settings.count)
        if is_complete(counted, limits):
            each.count, each.count_judgement = counted, judge_count(counted, limits)
            self._show(f"{counted.benchmark}: {each.count_judgement.reason}")

    def _read(self, benchmarks: list[Benchmark], base: Side, head: Side, scratch: Path) -> None:
        for benchmark in benchmarks:
            values = read_values(benchmark, base, head, seed=self._seed, scratch=scratch)
            delta = self._settings.promises.delta(benchmark, self._settings.plan.delta)
            judgement = judge_values(values, benchmark.unit, delta)
            self._add(value_finding(benchmark, values, judgement, delta, self._settings.promises))
            self._show(f"{benchmark.name}: {judgement.reason}")

    def _explain(self, measured: list[Measured], base: Side, head: Side, folder: Path, scratch: Path) -> None:
        for each in measured:
            if each.is_slower:
                counted = each.count or Count(benchmark=each.trial.name)
                each.why = explain(
                    each.benchmark,
                    base,
                    head,
                    functions=(counted.base_functions, counted.head_functions),
                    counted_calls=counted.number * counted.batches,
                    scratch=scratch,
                    folder=folder,
                )
                for gain in (*each.why.cpu_ns, *each.why.instructions):
                    self._show(f"{each.trial.name}: {gain.share:+.1%} {gain.function}")

    def _search(self, measured: list[Measured], base: Side, head: Side, scratch: Path) -> None:
        """Last, because it may take long: whatever was found before is kept."""
        of = self._settings
        hunt = Hunt(
            config=self._config, base=base, head=head, python=of.python, plan=of.plan, seconds_max=of.bisect_seconds_max
        )
        for finding in find_culprits(hunt, measured, self._bench(scratch), show=self._show):
            self._add(finding)

    def _record(self, comparison: _Comparison, compared: list[Benchmark]) -> None:
        settings, measured = self._settings, comparison.measured
        if comparison.proof is not None:
            for finding in pair_findings(
                measured, comparison.proof, settings.plan, judges_cpu=CPU in settings.tiers, promises=settings.promises
            ):
                self._add(finding)
        for each in measured:
            if (counted := count_finding(each, settings.count, settings.promises)) is not None:
                self._add(counted)
        if not comparison.is_whole:
            left = set(settings.tiers) - ({WALL, INSTRUCTIONS} if VALGRIND_NAME in self._told else {WALL})
            for name in (name for benchmark in compared for name in figures(benchmark, left)):
                if name not in self._told:
                    self._add(Finding(name=name, verdict=Verdict.NOT_MEASURED, reason=UNFINISHED))
