"""The lane `bench`: two commits in, a verdict for each benchmark out, each with a known risk.

    build both ─▶ discover ─▶ prove ourselves ─▶ rounds of pairs ─▶ look ─▶ finding
                                                  ▲               │
                                                  └── undecided ──┘

Benchmarks are measured in rounds, one pair each, so that the pairs of one benchmark lie apart in time: what disturbs
the machine for some seconds then disturbs many benchmarks a little, which the test allows for, and not one a lot. A
benchmark leaves the rounds when it is decided, at its last look, or when its time is up.
"""

from __future__ import annotations

import hashlib
import itertools
import math
import os
from collections.abc import Callable
from pathlib import Path

import msgspec

from tidegauge.bench.build import build, find_repository
from tidegauge.bench.culprit import Hunt, find_culprits
from tidegauge.bench.decide import Judgement, Outcome, look, verdicts
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.pair import Bench, Pair, PairJob, PairSettings
from tidegauge.bench.pipeline import Pipeline
from tidegauge.bench.plan import Plan
from tidegauge.bench.selfproof import Proof, prove
from tidegauge.bench.store import PairLog, keep_in_asv, read_pairs
from tidegauge.bench.suite import discover, read_config
from tidegauge.records import Budget, Finding, RunWriter
from tidegauge.verdicts import Verdict

PROOF_NAME = "bench/self-proof/seen"
PROOF_PAIRS = 16
SLOWED = " (slowed)"  # how the pairs of the proof are told from those of the comparison
ITSELF = " (itself)"
SUBJECT_MAX = 160


class BenchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What the command line asks for."""

    base: str
    head: str | None  # None: the working tree
    select: tuple[str, ...] = ()
    python: str | None = None  # "same", or None for the environments that asv.conf.json names
    plan: Plan = Plan()
    pair: PairSettings = PairSettings()
    resume: bool = False
    bisect_seconds_max: float = 0.0  # for the search of what made a benchmark slower; 0: no search


class _Measured(msgspec.Struct):
    """One benchmark on its way: its pairs so far, and the last look at them."""

    benchmark: Benchmark
    pairs: list[Pair] = []
    looks: int = 0
    judgement: Judgement | None = None
    note: str = ""  # an error or a side that skipped it: no pair more

    @property
    def log_ratios(self) -> list[float]:
        return [pair.log_ratio for pair in self.pairs if pair.log_ratio is not None]

    @property
    def seconds(self) -> float:
        return sum(pair.seconds for pair in self.pairs)


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
                self._writer.add(_not_compared(other))
        if not timed:
            return None
        path = self._config.results / "pairs" / f"{base.commit[:12]}-{head.commit[:12]}.jsonl"
        if not settings.resume:
            path.unlink(missing_ok=True)
        before = read_pairs(path)
        bench = Bench(seed=self._seed, core=self._core, scratch=scratch, settings=settings.pair)
        with PairLog(path) as log, Pipeline(bench) as pipeline:
            proof = self._prove(timed, base, before, log, pipeline)
            self._show(proof.reason)
            measured = [_Measured(each, pairs=[p for p in before if p.benchmark == each.name]) for each in timed]
            self._rounds(measured, base, head, log, pipeline, plan=settings.plan.for_suite(len(timed)))
        slower = self._record(measured, settings.plan.for_suite(len(timed)), proof)
        keep_in_asv(self._config, suite, base, head, [pair for each in measured for pair in each.pairs])
        if settings.bisect_seconds_max and slower:
            self._search(slower, base, head, bench)
        return proof

    def _prove(self, timed: list[Benchmark], base: Side, before: list[Pair], log: PairLog, pipeline: Pipeline) -> Proof:
        """The base against itself, and against itself slowed down by delta, on the first benchmark that runs."""
        proof = Proof(ok=False, reason="no benchmark of the base runs", false_alarm=False, seen=False)
        for benchmark in timed:
            found: dict[str, list[float]] = {}
            for suffix, slowdown in ((ITSELF, 0.0), (SLOWED, self._settings.plan.delta)):
                name = benchmark.name + suffix
                pairs = [pair for pair in before if pair.benchmark == name]
                jobs = [
                    PairJob(benchmark=benchmark, base=base, head=base, index=index, head_slowdown=slowdown)
                    for index in range(len(pairs), PROOF_PAIRS)
                ]
                for job, following in itertools.zip_longest(jobs, jobs[1:]):
                    pair = pipeline.measure(job, following)
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
        self, measured: list[_Measured], base: Side, head: Side, log: PairLog, pipeline: Pipeline, *, plan: Plan
    ) -> None:
        def job(each: _Measured, after: _Measured | None = None) -> PairJob:
            index = len(each.pairs) + (each is after)
            return PairJob(benchmark=each.benchmark, base=base, head=head, index=index)

        for each in measured:
            self._look(each, plan)
        while open_ones := [each for each in measured if self._goes_on(each, plan)]:
            # The last of a round is followed by the first of the next, which most probably is the same.
            for each, following in zip(open_ones, [*open_ones[1:], open_ones[0]], strict=True):
                pair = pipeline.measure(job(each), job(following, after=each))
                log.add(pair)
                each.pairs.append(pair)
                self._look(each, plan)
                self._writer.flush()
                if not self._goes_on(each, plan) and each.judgement is not None:
                    self._show(f"{each.benchmark.name}: {each.judgement.reason}")

    def _look(self, each: _Measured, plan: Plan) -> None:
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

    def _goes_on(self, each: _Measured, plan: Plan) -> bool:
        if each.note or (each.judgement is not None and each.judgement.outcome.is_decided):
            return False
        if len(each.log_ratios) >= plan.looks[0] and each.seconds >= plan.seconds_max:
            return False
        return each.looks < len(plan.looks_taken())

    def _search(self, slower: list[tuple[Benchmark, float]], base: Side, head: Side, bench: Bench) -> None:
        """Last, because it may take long: whatever was found before is kept."""
        hunt = Hunt(
            config=self._config,
            base=base,
            head=head,
            python=self._settings.python,
            plan=self._settings.plan,
            seconds_max=self._settings.bisect_seconds_max,
        )
        for finding in find_culprits(hunt, slower, bench, subject_of=subject_of, show=self._show):
            self._writer.add(finding)

    def _record(self, measured: list[_Measured], plan: Plan, proof: Proof) -> list[tuple[Benchmark, float]]:
        """A finding for each; returns those that are slower for sure, with their ratio."""
        for each in measured:
            seen = each.judgement.pairs if each.judgement is not None else -1
            if not each.note and len(each.log_ratios) > seen and each.looks < len(plan.looks):
                each.judgement = look(each.log_ratios, plan, each.looks)  # time was up between two looks
        judged = {
            each.benchmark.name: each.judgement for each in measured if each.judgement is not None and not each.note
        }
        verdict_of = verdicts(judged, plan)
        for each in measured:
            self._writer.add(_finding(each, verdict_of, proof, self._settings.plan.delta))
        return [
            (each.benchmark, judgement.estimate)
            for each in measured
            if (judgement := judged.get(each.benchmark.name)) and judgement.estimate is not None and proof.ok
            if verdict_of[each.benchmark.name] is Verdict.FAIL and judgement.estimate > 1
        ]


def subject_of(name: str) -> str:
    """A benchmark's name as the middle of a finding's: printable, bounded, without what separates the parts."""
    plain = "".join(each if each.isprintable() and each != "/" else "|" for each in name).strip()
    if len(plain) <= SUBJECT_MAX:
        return plain
    return f"{plain[: SUBJECT_MAX - 9]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _finding(each: _Measured, verdict_of: dict[str, Verdict], proof: Proof, delta: float) -> Finding:
    name = f"bench/{subject_of(each.benchmark.name)}/cpu_ratio"
    evidence = {"pairs": len(each.log_ratios), "seconds": round(each.seconds, 3)}
    if each.note or each.judgement is None:
        failed = bool(each.pairs and each.pairs[-1].error)
        verdict = Verdict.FAIL if failed else Verdict.NOT_MEASURED
        return Finding(name=name, verdict=verdict, reason=each.note or "it has no pair", evidence=evidence)
    judgement = each.judgement
    verdict = verdict_of[each.benchmark.name]
    reason = judgement.reason
    if not proof.ok:
        verdict, reason = Verdict.NOT_MEASURED, f"the machine did not prove itself: {proof.reason}"
    elif judgement.outcome is Outcome.UNDECIDED and judgement.pairs_wanted:
        reason = f"{reason}; {judgement.pairs_wanted} pairs more would probably decide"
    return Finding(
        name=name,
        verdict=verdict,
        value=judgement.estimate,
        unit="x",
        low=judgement.low if judgement.low is None or math.isfinite(judgement.low) else None,
        high=judgement.high if judgement.high is None or math.isfinite(judgement.high) else None,
        budget=Budget(max=1 + delta, unit="x", why="a slowdown beyond it must not pass"),
        reason=reason,
        evidence=evidence | {"outcome": judgement.outcome.value, "detectable": judgement.detectable},
    )


def _not_compared(benchmark: Benchmark) -> Finding:
    if benchmark.is_new:
        reason = "it is new on head: there is nothing to compare it with"
        return Finding(name=f"bench/{subject_of(benchmark.name)}/new", verdict=Verdict.PASS, reason=reason)
    reason = f"it measures {benchmark.kind}, and this lane judges time"
    return Finding(
        name=f"bench/{subject_of(benchmark.name)}/{benchmark.kind}", verdict=Verdict.NOT_MEASURED, reason=reason
    )
