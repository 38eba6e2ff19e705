"""The lane `bench`: two commits in, a verdict for each benchmark and each tier out, each with a known risk.

    build both ─▶ discover ─▶ prove ourselves ─▶ rounds of pairs ─▶ look ─▶ count ─▶ explain ─▶ findings
                                                  ▲               │
                                                  └── undecided ──┘

Benchmarks are measured in rounds, one pair each, so that the pairs of one benchmark lie apart in time: what disturbs
the machine for some seconds then disturbs many benchmarks a little, which the test allows for, and not one a lot. A
benchmark leaves the rounds when it is decided, at its last look, or when its time is up.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from tidegauge.bench.build import build, find_repository
from tidegauge.bench.callgrind import find_valgrind
from tidegauge.bench.decide import look, verdicts
from tidegauge.bench.findings import Measured, count_finding, cpu_finding, not_compared
from tidegauge.bench.instructions import Count, CountSettings, count
from tidegauge.bench.instructions import judge as judge_count
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.pair import Pair, PairSettings, run_pair
from tidegauge.bench.plan import Plan
from tidegauge.bench.selfproof import Proof, prove
from tidegauge.bench.store import PairLog, keep_in_asv, read_counts, read_pairs
from tidegauge.bench.suite import discover, read_config
from tidegauge.bench.why import explain
from tidegauge.records import Finding, RunWriter
from tidegauge.verdicts import Verdict

PROOF_NAME = "bench/self-proof/seen"
PROOF_PAIRS = 16
SLOWED = " (slowed)"  # how the pairs of the proof are told from those of the comparison
ITSELF = " (itself)"
CPU, INSTRUCTIONS = TIERS = ("cpu", "instructions")
VALGRIND_NAME = "bench/instructions/valgrind"


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

    def run(self, scratch: Path) -> Proof | None:
        """Measures and records everything; the proof says whether any of it counts. None: nothing could be timed."""
        settings = self._settings
        self._show(f"building {settings.base} and {settings.head or 'the working tree'}")
        base, head = build(self._config, settings.base, settings.head, python=settings.python)
        suite = discover(self._config, base, head, scratch=scratch, select=settings.select)
        timed = [each for each in suite.benchmarks if each.kind == "time" and not each.is_new]
        self._show(f"{len(suite.benchmarks)} benchmarks, {len(timed)} of them time what both commits have")
        for other in suite.benchmarks:
            if other not in timed:
                self._writer.add(not_compared(other))
        if not timed:
            return None
        path = self._config.results / "pairs" / f"{base.commit[:12]}-{head.commit[:12]}.jsonl"
        if not settings.resume:
            path.unlink(missing_ok=True)
        before = read_pairs(path)
        plan, proof = settings.plan.for_suite(len(timed)), None
        measured = [Measured(each, pairs=[p for p in before if p.benchmark == each.name]) for each in timed]
        if CPU in settings.tiers:
            with PairLog(path) as log:
                proof = self._prove(timed, base, before, log, scratch)
                self._show(proof.reason)
                self._rounds(measured, base, head, log, scratch, plan=plan)
            self._close(measured, plan)
        try:
            if INSTRUCTIONS in settings.tiers:
                self._count(measured, base, head, path.with_suffix(".instructions.jsonl"), scratch)
            self._explain(measured, base, head, path.with_suffix(".folded"), scratch)
        finally:  # hours of pairs are not lost with the counts that somebody did not wait for
            self._record(measured, plan, proof)
        keep_in_asv(self._config, suite, base, head, [pair for each in measured for pair in each.pairs])
        return proof

    def _prove(self, timed: list[Benchmark], base: Side, before: list[Pair], log: PairLog, scratch: Path) -> Proof:
        """The base against itself, and against itself slowed down by delta, on the first benchmark that runs."""
        proof = Proof(ok=False, reason="no benchmark of the base runs", false_alarm=False, seen=False)
        for benchmark in timed:
            found: dict[str, list[float]] = {}
            for suffix, slowdown in ((ITSELF, 0.0), (SLOWED, self._settings.plan.delta)):
                name = benchmark.name + suffix
                pairs = [pair for pair in before if pair.benchmark == name]
                for index in range(len(pairs), PROOF_PAIRS):
                    pair = self._pair(benchmark, base, base, index=index, scratch=scratch, slowdown=slowdown)
                    if pair.log_ratio is None:
                        break
                    pairs.append(msgspec.structs.replace(pair, benchmark=name))
                    log.add(pairs[-1])
                found[suffix] = [pair.log_ratio for pair in pairs if pair.log_ratio is not None]
            if all(len(ratios) >= PROOF_PAIRS for ratios in found.values()):
                proof = prove(found[ITSELF], found[SLOWED], self._settings.plan)
                break
        self._writer.add(
            Finding(
                name=PROOF_NAME,
                verdict=Verdict.PASS if proof.ok else Verdict.NOT_MEASURED,
                reason=proof.reason,
                evidence={"false_alarm": proof.false_alarm, "seen": proof.seen, "delta": self._settings.plan.delta},
            )
        )
        return proof

    def _rounds(
        self, measured: list[Measured], base: Side, head: Side, log: PairLog, scratch: Path, *, plan: Plan
    ) -> None:
        for each in measured:
            self._look(each, plan)
        while open_ones := [each for each in measured if self._goes_on(each, plan)]:
            for each in open_ones:
                pair = self._pair(each.benchmark, base, head, index=len(each.pairs), scratch=scratch)
                log.add(pair)
                each.pairs.append(pair)
                self._look(each, plan)
                self._writer.flush()
                if not self._goes_on(each, plan) and each.judgement is not None:
                    self._show(f"{each.benchmark.name}: {each.judgement.reason}")

    def _pair(
        self, benchmark: Benchmark, base: Side, head: Side, *, index: int, scratch: Path, slowdown: float = 0.0
    ) -> Pair:
        return run_pair(
            benchmark,
            base,
            head,
            index=index,
            seed=self._seed,
            core=self._core,
            scratch=scratch,
            settings=self._settings.pair,
            head_slowdown=slowdown,
        )

    def _look(self, each: Measured, plan: Plan) -> None:
        """Judge at each planned number of pairs, once; what failed or was skipped is over."""
        last = each.pairs[-1] if each.pairs else None
        if last is not None and last.error:
            each.note = f"it failed on {last.error_side}: {last.error}"
        elif last is not None and last.skipped:
            each.note = f"{last.skipped} skips it"
        looks = plan.looks_taken()
        while each.looks < len(looks) and len(each.log_ratios) >= looks[each.looks]:
            each.judgement = look(each.log_ratios[: looks[each.looks]], plan, each.looks)
            each.looks += 1
            if each.judgement.outcome.is_decided:
                return

    def _goes_on(self, each: Measured, plan: Plan) -> bool:
        if each.note or (each.judgement is not None and each.judgement.outcome.is_decided):
            return False
        if len(each.log_ratios) >= plan.looks[0] and each.seconds >= plan.seconds_max:
            return False
        return each.looks < len(plan.looks_taken())

    def _close(self, measured: list[Measured], plan: Plan) -> None:
        """A last look where time was up between two."""
        for each in measured:
            seen = each.judgement.pairs if each.judgement is not None else -1
            if not each.note and len(each.log_ratios) > seen and each.looks < len(plan.looks):
                each.judgement = look(each.log_ratios, plan, each.looks)

    def _count(self, measured: list[Measured], base: Side, head: Side, path: Path, scratch: Path) -> None:
        """After the pairs, whose quiet it would disturb."""
        settings, valgrind = self._settings, find_valgrind()
        if isinstance(valgrind, str):
            self._show(valgrind)
            self._writer.add(Finding(name=VALGRIND_NAME, verdict=Verdict.NOT_MEASURED, reason=valgrind))
            return
        if not settings.resume:
            path.unlink(missing_ok=True)
        before = {counted.benchmark: counted for counted in read_counts(path)}
        with PairLog(path) as log:
            for each in measured:
                name = each.benchmark.name
                counted = before.get(name)
                if each.note:
                    counted = Count(benchmark=name, unfit=each.note)
                elif counted is None:
                    counted = count(
                        each.benchmark, base, head, valgrind=valgrind, scratch=scratch, settings=settings.count
                    )
                    log.add(counted)
                each.count, each.count_judgement = counted, judge_count(counted, settings.count)
                self._show(f"{name}: {each.count_judgement.reason}")

    def _explain(self, measured: list[Measured], base: Side, head: Side, folder: Path, scratch: Path) -> None:
        for each in measured:
            if each.is_slower:
                counted = each.count or Count(benchmark=each.benchmark.name)
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
                    self._show(f"{each.benchmark.name}: {gain.share:+.1%} {gain.function}")

    def _record(self, measured: list[Measured], plan: Plan, proof: Proof | None) -> None:
        judged = {
            each.benchmark.name: each.judgement for each in measured if each.judgement is not None and not each.note
        }
        verdict_of = verdicts(judged, plan)
        for each in measured:
            if proof is not None:
                self._writer.add(cpu_finding(each, verdict_of, proof, self._settings.plan.delta))
            if (finding := count_finding(each, self._settings.count)) is not None:
                self._writer.add(finding)
