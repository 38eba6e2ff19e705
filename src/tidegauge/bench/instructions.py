"""The instruction tier: how many instructions one call takes on each side, counted by callgrind.

    both sides, native ──calibrate──▶ how many calls ──▶ layout 0: base and head below callgrind, at once
                                                    ├──▶ layout 1: the same, at other addresses
                                                    └──▶ … until they agree ──▶ Count ──judge──▶ CountJudgement

Counting is as good as exact, because nothing but the program itself changes a count, and what can is held still: the
hash seed, the number of calls, the calls before them. Addresses are not: an object without a hash of its own hashes by
its address, so that any other change of a program changes how often a dictionary has to look twice. At one address
each, two runs agree to the last instruction and yet differ by 1 % from the same code under another path. So each run
has its own layout. Two that agree to `agreement` are one number. Where they do not, and the threshold is near, there
are more of them, and what is said holds for the least favourable two; threads, time and chance show in the same way.

What it cannot see is what makes the same instructions take longer: caches, branches, the kernel. That is what the CPU
tier is for; `memory_bound` reads the two together.
"""

import contextlib
import itertools
import os
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

from tidegauge.bench.callgrind import LOG, Cost, Valgrind, environment, read_dump
from tidegauge.bench.client import WorkerError
from tidegauge.bench.decide import Judgement, Outcome
from tidegauge.bench.layout import Layout
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.sides import SIDES, folder_of, of_both, who, worker_of

HASH_SEED = 0
LOG_BYTES_MAX = 64 * 1024
# How many times as long everything takes below callgrind: what cannot fit at the least of it is not tried, and what is
# tried is kept to half of its time at the most of it.
SLOWDOWN_MIN, SLOWDOWN_MAX = 40, 120
SHIFT = 7  # objects of each size from one run to the next
CLEAR = 3  # spreads
BUSY = 2  # on a busy machine what was planned takes longer


class CountSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`threshold` and `agreement` are fractions; `count_ms` is what the counted calls take without callgrind.

    At five runs a side that scatters by chance is wholly above the other once in 252 times, before any threshold.
    """

    threshold: float = 0.005
    agreement: float = 1e-4
    runs_min: int = 2
    runs_max: int = 5
    count_ms: float = 5.0
    run_s_max: float = 10.0


class Count(msgspec.Struct, frozen=True, kw_only=True):
    """Instructions a call, run by run, and the functions of the last run of each side.

    Without them `error` (the suite's own, without callgrind), `skipped` or `unfit` says why.
    """

    benchmark: str
    number: int = 0
    batches: int = 0
    base: tuple[float, ...] = ()
    head: tuple[float, ...] = ()
    base_functions: dict[str, Cost] = {}
    head_functions: dict[str, Cost] = {}
    seconds: float = 0.0
    error_side: str = ""
    error: str = ""
    skipped: str = ""
    unfit: str = ""

    @property
    def note(self) -> str:
        """Why nothing was counted, as a clause; empty when it was."""
        if self.error:
            return f"it failed on {self.error_side}: {self.error}"
        return f"{self.skipped} skips it" if self.skipped else self.unfit


class CountJudgement(msgspec.Struct, frozen=True, kw_only=True):
    """`ratio` is head to base, `low` and `high` the extremes of the runs, `spread` the larger one of the two sides."""

    outcome: Outcome
    reason: str
    ratio: float | None = None
    low: float | None = None
    high: float | None = None
    spread: float = 0.0


def count(
    benchmark: Benchmark, base: Side, head: Side, *, valgrind: Valgrind, scratch: Path, settings: CountSettings
) -> Count:
    """Counts both sides. Never raises for what a suite does."""
    started_s = time.monotonic()
    added = environment()
    sides = {side: with_environment(built, added) for side, built in (("base", base), ("head", head))}
    counted = Count(benchmark=benchmark.name)
    try:
        counted = _sized(benchmark, sides, scratch, settings)
    except WorkerError as error:
        counted = msgspec.structs.replace(counted, error_side=error.side, error=error.sentence)
    if not counted.note:
        counted = _counted(counted, benchmark, sides, valgrind=valgrind, scratch=scratch, settings=settings)
    return msgspec.structs.replace(counted, seconds=round(time.monotonic() - started_s, 3))


def judge(counted: Count, settings: CountSettings) -> CountJudgement:
    """What the counts allow to be said."""
    if counted.note:
        return CountJudgement(outcome=Outcome.NOT_MEASURED, reason=counted.note)
    runs = {"base": counted.base, "head": counted.head}
    empty = [side for side in SIDES if min(runs[side]) <= 0]
    if empty:
        return CountJudgement(outcome=Outcome.NOT_MEASURED, reason=f"no instruction was counted on {who(empty)}")
    spreads = {side: _spread(runs[side]) for side in SIDES}
    apart = max(SIDES, key=lambda side: spreads[side])
    base, head = (sum(runs[side]) / len(runs[side]) for side in SIDES)
    low, high = min(counted.head) / max(counted.base), max(counted.head) / min(counted.base)
    change = f"{head / base - 1:+.2%} instructions"
    if low > 1 + settings.threshold:
        outcome, reason = Outcome.SLOWER, f"{change}, more than {settings.threshold:.1%} more"
    elif high < 1 - settings.threshold:
        outcome, reason = Outcome.FASTER, f"{change}, more than {settings.threshold:.1%} fewer"
    elif high <= 1 + settings.threshold:
        outcome, reason = Outcome.NOT_SLOWER, f"{change}, no more than {settings.threshold:.1%} more"
    else:
        detectable = (1 + settings.threshold) * (1 + spreads["base"]) * (1 + spreads["head"]) - 1
        outcome = Outcome.UNDECIDED
        reason = (
            f"{change}, undecided: {len(runs[apart])} runs of {apart} differ by {spreads[apart]:.2%}, by their "
            f"addresses, threads, time or chance; a rise of {detectable:.1%} could have been seen"
        )
    return CountJudgement(outcome=outcome, reason=reason, ratio=head / base, low=low, high=high, spread=spreads[apart])


def compared(cpu: Judgement | None, counts: CountJudgement | None) -> tuple[str, str]:
    """What each tier's sentence gains from the other's: to the CPU finding's, and to the instruction finding's."""
    if cpu is None or counts is None or cpu.estimate is None or counts.ratio is None:
        return "", ""
    more = f"{counts.ratio - 1:+.2%} instructions"
    if cpu.outcome is Outcome.SLOWER and counts.outcome in {Outcome.NOT_SLOWER, Outcome.FASTER}:
        return f"; memory-bound: {more}, so that caches, branches or the kernel take the time", ""
    if counts.outcome is Outcome.SLOWER and cpu.outcome is not Outcome.SLOWER:
        return "", f"; by CPU time it is {cpu.outcome.replace('_', ' ')} ({cpu.estimate - 1:+.2%})"
    return "", ""


def with_environment(side: Side, added: dict[str, str]) -> Side:
    """The side with more in its environment."""
    return msgspec.structs.replace(side, env=side.env | added)


def _sized(benchmark: Benchmark, sides: dict[str, Side], scratch: Path, settings: CountSettings) -> Count:
    """How many calls are counted, found without callgrind; what compiles itself has then left its cache behind."""
    counted, cores = Count(benchmark=benchmark.name), _cores()
    with contextlib.ExitStack() as stack:
        folders = of_both(lambda name: stack.enter_context(folder_of(benchmark, sides[name], name, scratch)))
        workers = {
            name: stack.enter_context(
                worker_of(benchmark, sides[name], name, folders[name], Layout(HASH_SEED, 0, 0), core=cores[name])
            )
            for name in SIDES
        }
        ready = of_both(lambda name: workers[name].wait_until_ready())
        skipped = [name for name in SIDES if ready[name]["skipped"]]
        if skipped:
            return msgspec.structs.replace(counted, skipped=who(skipped))
        plans = of_both(lambda name: workers[name].ask("calibrate", round(settings.count_ms * 1e6)))
        number, batches = (min(int(plan[key]) for plan in plans.values()) for key in ("number", "batches"))
        calls_ns = [answer["cpu_ns"] for answer in of_both(lambda name: workers[name].ask("run", number, 1)).values()]
        of_both(lambda name: workers[name].ask("stop"))
    batch_s = max(calls_ns) * number / 1e9
    if batch_s * SLOWDOWN_MIN > settings.run_s_max:
        calls = "a call" if number == 1 else f"{number} calls"
        unfit = f"{calls} of it need more than {batch_s * SLOWDOWN_MIN:.0f} s below callgrind"
        return msgspec.structs.replace(counted, unfit=f"{unfit}, and it has {settings.run_s_max:g} s")
    batches = max(1, min(batches, int(settings.run_s_max / 2 / max(batch_s * SLOWDOWN_MAX, 1e-9))))
    return msgspec.structs.replace(counted, number=number, batches=batches)


def _counted(
    counted: Count,
    benchmark: Benchmark,
    sides: dict[str, Side],
    *,
    valgrind: Valgrind,
    scratch: Path,
    settings: CountSettings,
) -> Count:
    found: dict[str, list[float]] = {name: [] for name in SIDES}
    functions: dict[str, dict[str, Cost]] = {}
    for run in range(settings.runs_max):
        if run >= settings.runs_min and _is_clear(found["base"], found["head"], settings):
            break
        with tempfile.TemporaryDirectory(prefix="count-", dir=scratch) as temporary:
            outs = {name: Path(temporary) / name for name in SIDES}
            try:
                _run(counted, benchmark, sides, valgrind, run=run, outs=outs, scratch=scratch, settings=settings)
            except WorkerError as error:
                return msgspec.structs.replace(counted, unfit=_unfit(error, outs))
            for name in SIDES:
                empty, full = read_dump(outs[name], 1), read_dump(outs[name], 2)
                calls = counted.number * counted.batches
                found[name].append((full.instructions - empty.instructions) / calls)
                functions[name] = full.functions
    return msgspec.structs.replace(
        counted,
        base=tuple(found["base"]),
        head=tuple(found["head"]),
        base_functions=functions["base"],
        head_functions=functions["head"],
    )


def _run(
    counted: Count,
    benchmark: Benchmark,
    sides: dict[str, Side],
    valgrind: Valgrind,
    *,
    run: int,
    outs: dict[str, Path],
    scratch: Path,
    settings: CountSettings,
) -> None:
    """Both sides once, at the same time: a count does not mind who else computes."""
    cores = _cores()
    with contextlib.ExitStack() as stack:
        folders = of_both(lambda name: stack.enter_context(folder_of(benchmark, sides[name], name, scratch)))
        workers = {}
        for name in SIDES:
            outs[name].mkdir()
            workers[name] = stack.enter_context(
                worker_of(
                    benchmark,
                    sides[name],
                    name,
                    folders[name],
                    Layout(HASH_SEED, 0, litter=SHIFT * run),
                    core=cores[name],
                    below=valgrind.below(outs[name]),
                    timeout_s=settings.run_s_max * BUSY,
                )
            )
        ready = of_both(lambda name: workers[name].wait_until_ready())
        for name in SIDES:
            if ready[name]["skipped"]:
                raise WorkerError(name, "it is skipped")
            workers[name].tell("count", counted.number, counted.batches)
        of_both(lambda name: workers[name].hear("count"))
        of_both(lambda name: workers[name].ask("stop"))


def _is_clear(base: Sequence[float], head: Sequence[float], settings: CountSettings) -> bool:
    """Whether more runs are of no use: they agree, or lie so far from the threshold that no such spread reaches it."""
    spread = max(_spread(base), _spread(head))
    if spread <= settings.agreement or min(base) <= 0:
        return True
    ratio = sum(head) / sum(base)
    return abs(ratio - 1 - settings.threshold) > CLEAR * spread


def _spread(runs: Sequence[float]) -> float:
    """How far the runs of a side lie apart, as a fraction; no instruction at all is `judge`'s to tell."""
    return max(runs) / min(runs) - 1 if min(runs) > 0 else 0.0


def _cores() -> dict[str, int]:
    """A core a side, as the CPU tier has it: a library that starts a thread a core starts none then."""
    return dict(zip(SIDES, itertools.cycle(sorted(os.sched_getaffinity(0))), strict=False))


def _unfit(error: WorkerError, outs: dict[str, Path]) -> str:
    """Why callgrind could not count it; an instruction that it does not know by its bytes."""
    side = "both sides" if error.side == "both" else error.side
    if "SIGILL" in error.sentence:
        for name in SIDES:
            with contextlib.suppress(OSError), (outs[name] / LOG).open(errors="replace") as file:
                for line in file.read(LOG_BYTES_MAX).splitlines():
                    _, marker, unknown = line.partition("unhandled instruction bytes: ")
                    if marker:
                        return f"on {side} it uses an instruction that valgrind does not know ({unknown.strip()})"
        return f"on {side} it died of an illegal instruction, below valgrind only"
    of_base, _, of_head = error.sentence.removeprefix("base: ").partition("; head: ")
    return f"below callgrind, on {side}: {of_base if of_base == of_head else error.sentence}"
