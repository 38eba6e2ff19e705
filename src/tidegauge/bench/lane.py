"""The lane `bench`: two commits in, a verdict for each benchmark and each tier out, each with a known risk.

    build both ─▶ discover ─▶ rounds of pairs, the proof among them ─▶ count ─▶ read ─▶ explain ─▶ findings

The tiers: `cpu` and `wall` judge the same pairs, `instructions` are counted by callgrind, and `values` are what a
benchmark that times nothing says of itself.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import msgspec

from tidegauge.bench.build import build, find_repository, only_one
from tidegauge.bench.callgrind import find_valgrind
from tidegauge.bench.counting import Counter
from tidegauge.bench.culprit import Hunt, find_culprits
from tidegauge.bench.findings import (
    Measured,
    count_finding,
    not_compared,
    pair_findings,
    power_findings,
    proof_finding,
    value_finding,
)
from tidegauge.bench.instructions import Count, CountSettings, is_complete
from tidegauge.bench.instructions import judge as judge_count
from tidegauge.bench.model import Benchmark, Side, Suite
from tidegauge.bench.pair import Bench, PairSettings
from tidegauge.bench.pipeline import Pipeline
from tidegauge.bench.plan import Plan
from tidegauge.bench.rounds import run_rounds, taken_up
from tidegauge.bench.selfproof import Proof, power, prove
from tidegauge.bench.store import PairLog, keep_in_asv, read_counts, read_pairs
from tidegauge.bench.suite import discover, read_config
from tidegauge.bench.trial import Trial, is_slower
from tidegauge.bench.values import judge_values, read_values
from tidegauge.bench.why import explain
from tidegauge.records import Finding, RunWriter
from tidegauge.verdicts import Verdict

SLOWED = "(the base, slowed)"  # how the trials of the proof are told from those of the comparison
ITSELF = "(the base, against itself)"
CPU, WALL, INSTRUCTIONS, VALUES = TIERS = ("cpu", "wall", "instructions", "values")
VALGRIND_NAME = "bench/instructions/valgrind"
PROOF_PATIENCE = 4  # times as long as a benchmark may take: all of them wait for what the proof says
POWER_PAIRS = 96  # that describe a machine


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
    resume: bool = False
    bisect_seconds_max: float = 0.0  # for the search of what made a benchmark slower; 0: no search


class Lane:
    def __init__(
        self, start: Path, settings: BenchSettings, writer: RunWriter, *, seed: int, show: Callable[[str], None]
    ) -> None:
        self._settings = settings
        self._writer = writer
        self._seed = seed
        self._show = show
        self._config = read_config(start, find_repository(start))
        self._core = max(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None

    def run(self, scratch: Path) -> None:
        """Measures and records everything."""
        settings = self._settings
        with self._built(scratch) as (base, head, suite):
            compared = [each for each in suite.benchmarks if not each.is_new]
            timed = [each for each in compared if each.kind == "time"]
            self._show(f"{len(suite.benchmarks)} benchmarks, {len(timed)} of them time what both commits have")
            for new in suite.benchmarks:
                if new.is_new:
                    self._writer.add(not_compared(new))
            path = self._config.results / "pairs" / f"{base.commit[:12]}-{head.commit[:12]}.jsonl"
            if not settings.resume:
                path.unlink(missing_ok=True)
            measured, proof = self._pairs(timed, base, head, path, scratch)
            try:
                if INSTRUCTIONS in settings.tiers and timed:
                    self._count(measured, base, head, path.with_suffix(".instructions.jsonl"), scratch)
                if VALUES in settings.tiers:
                    self._read([each for each in compared if each.kind != "time"], base, head, scratch)
                self._explain(measured, base, head, path.with_suffix(".folded"), scratch)
            finally:  # hours of pairs are not lost with the counts that somebody did not wait for
                self._record(measured, proof)
            keep_in_asv(self._config, suite, base, head, [pair for each in measured for pair in each.trial.pairs])
            if settings.bisect_seconds_max and proof is not None and proof.ok:
                self._search(measured, base, head, scratch)

    def prove(self, scratch: Path) -> None:
        """How well this machine can tell a slowdown, of each size, on this suite; the head is of no account."""
        with self._built(scratch) as (base, _, suite):
            timed = [each for each in suite.benchmarks if each.kind == "time"]
            plan = msgspec.structs.replace(
                self._settings.plan, looks=(POWER_PAIRS,), pairs_max=POWER_PAIRS, seconds_max=3600.0
            )
            trial = Trial(name=ITSELF, benchmarks=timed, base=base, head=base, plan=plan, judges_wall=False)
            path = self._config.results / "pairs" / f"{base.commit[:12]}-self.jsonl"
            before = read_pairs(path) if self._settings.resume else []
            if not before:
                path.unlink(missing_ok=True)
            with PairLog(path) as log, Pipeline(self._bench(scratch)) as pipeline:
                run_rounds([taken_up(trial, before)], pipeline, log, told=self._progress, show=self._show)
        for finding in power_findings(power(trial.log_ratios, self._settings.plan, seed=self._seed), trial):
            self._writer.add(finding)

    @contextlib.contextmanager
    def _built(self, scratch: Path) -> Iterator[tuple[Side, Side, Suite]]:
        settings = self._settings
        with only_one(self._config):
            self._show(f"building {settings.base} and {settings.head or 'the working tree'}")
            base, head = build(self._config, settings.base, settings.head, python=settings.python)
            yield base, head, discover(self._config, base, head, scratch=scratch, select=settings.select)

    def _bench(self, scratch: Path) -> Bench:
        return Bench(seed=self._seed, core=self._core, scratch=scratch, settings=self._settings.pair)

    def _pairs(
        self, timed: list[Benchmark], base: Side, head: Side, path: Path, scratch: Path
    ) -> tuple[list[Measured], Proof | None]:
        """The trials of all benchmarks, and what those of the proof say, which are measured among them."""
        tiers, plan = self._settings.tiers, self._settings.plan
        family = plan.for_suite(max(1, len(timed)))
        trials = [
            Trial(name=each.name, benchmarks=[each], base=base, head=head, plan=family, judges_wall=WALL in tiers)
            for each in timed
        ]
        measured = [Measured(trial) for trial in trials]
        if not timed or not {CPU, WALL} & set(tiers):
            return measured, None
        patient = msgspec.structs.replace(plan, seconds_max=PROOF_PATIENCE * plan.seconds_max)
        silent, slowed = (
            Trial(name=name, benchmarks=timed, base=base, head=base, plan=patient, slowdown=slowdown, judges_wall=False)
            for name, slowdown in ((ITSELF, 0.0), (SLOWED, plan.delta))
        )
        before = read_pairs(path)
        with PairLog(path) as log, Pipeline(self._bench(scratch)) as pipeline:
            every = [taken_up(trial, before) for trial in (silent, slowed, *trials)]
            run_rounds(every, pipeline, log, told=self._progress, show=self._show)
        proof = prove(silent.log_ratios, slowed.log_ratios, plan)
        self._show(proof.reason)
        self._writer.add(proof_finding(proof, silent, slowed))
        return measured, proof

    def _progress(self, trial: Trial) -> None:
        self._writer.flush()
        if not trial.goes_on and (trial.note or trial.cpu.judgement is not None):
            reason = trial.note or (trial.cpu.judgement.reason if trial.cpu.judgement else "")
            self._show(f"{trial.name}: {reason}")

    def _count(self, measured: list[Measured], base: Side, head: Side, path: Path, scratch: Path) -> None:
        """After the pairs, whose quiet it would disturb."""
        settings, valgrind = self._settings, find_valgrind()
        if isinstance(valgrind, str):
            self._show(valgrind)
            self._writer.add(Finding(name=VALGRIND_NAME, verdict=Verdict.NOT_MEASURED, reason=valgrind))
            return
        if not settings.resume:
            path.unlink(missing_ok=True)
        by_name = {each.trial.name: each for each in measured}
        before = {name: counted for name, counted in read_counts(path).items() if name in by_name}
        notes = {name: each.trial.note for name, each in by_name.items() if each.trial.note}
        before |= {name: Count(benchmark=name, unfit=note) for name, note in notes.items()}
        for name, counted in before.items():
            self._take_count(by_name[name], counted)
        with PairLog(path) as log:

            def keep(counted: Count) -> None:
                log.add(counted)
                self._take_count(by_name[counted.benchmark], counted)

            counter = Counter(
                base, head, valgrind=valgrind, scratch=scratch, settings=settings.count, keep=keep, show=self._show
            )
            counter.count([each.benchmark for each in measured], before)

    def _take_count(self, each: Measured, counted: Count) -> None:
        """Judges it once it is whole: the layouts that it has so far may be too few."""
        if is_complete(counted, self._settings.count):
            each.count, each.count_judgement = counted, judge_count(counted, self._settings.count)
            self._show(f"{counted.benchmark}: {each.count_judgement.reason}")

    def _read(self, benchmarks: list[Benchmark], base: Side, head: Side, scratch: Path) -> None:
        for benchmark in benchmarks:
            values = read_values(benchmark, base, head, seed=self._seed, scratch=scratch)
            judgement = judge_values(values, benchmark.unit, self._settings.plan.delta)
            self._writer.add(value_finding(benchmark, values, judgement, self._settings.plan.delta))
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
        hunt = Hunt(
            config=self._config,
            base=base,
            head=head,
            python=self._settings.python,
            plan=self._settings.plan,
            seconds_max=self._settings.bisect_seconds_max,
        )
        slower = [
            (each.benchmark, each.trial.cpu.judgement.estimate)
            for each in measured
            if is_slower(each.trial.cpu) and each.trial.cpu.judgement and each.trial.cpu.judgement.estimate
        ]
        for finding in find_culprits(hunt, slower, self._bench(scratch), show=self._show):
            self._writer.add(finding)

    def _record(self, measured: list[Measured], proof: Proof | None) -> None:
        if proof is not None:
            for finding in pair_findings(measured, proof, self._settings.plan, judges_cpu=CPU in self._settings.tiers):
                self._writer.add(finding)
        for each in measured:
            if (counted := count_finding(each, self._settings.count)) is not None:
                self._writer.add(counted)
