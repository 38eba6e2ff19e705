"""One ping-pong pair: a fresh process a side on one core, slices in turn, one number in the end.

    base ──Worker─┐  A B B A A B B A … slices of 5 to 20 ms   ┌─ least CPU a call of each side
                  ├──────────────────────────────────────────▶┤
    head ──Worker─┘                                           └─ log(head / base): the unit of every test

Both sides live through the same seconds on the same core, so that what the machine does to one it does to
the other; which side begins is drawn from the seed and turned round in the next pair. The hash seed differs
from pair to pair, because it decides layouts that outlast a process, and is equal on both sides of one.

A pair never raises for what a suite does: errors, time-outs and deaths come back as `error`, with the side.
Each worker lives under `tidegauge.guard`, which ends it and all that it started when we stop or are killed.
"""

import contextlib
import hashlib
import math
import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from tidegauge.bench.client import Worker, WorkerError
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.suite import SuiteError, make_setup_cache

Answer = TypeVar("Answer")

SIDES = ("base", "head")
HASH_SEED_MAX = 2**32 - 1


class PairSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`slices` a side at most; after `measure_s_max` a pair ends with at least `slices_min`.

    Many short slices rather than few long ones: on two busy cores the spread of one log ratio fell from 2.9 % to 1.9 %.
    """

    slice_ms: float = 5.0
    slices: int = 30
    slices_min: int = 2
    measure_s_max: float = 2.0


class Pair(msgspec.Struct, frozen=True, kw_only=True):
    """What one pair says; without a log ratio `error` or `skipped` says why, and of which side."""

    benchmark: str
    index: int
    base_min_ns: float | None = None
    head_min_ns: float | None = None
    log_ratio: float | None = None
    base_wall_min_ns: float | None = None
    head_wall_min_ns: float | None = None
    wall_log_ratio: float | None = None
    slices: int = 0
    number: int = 0
    load: float = 0.0
    seconds: float = 0.0
    first: str = "base"
    error_side: str = ""
    error: str = ""
    skipped: str = ""


class _Slices(msgspec.Struct, frozen=True):
    """Nanoseconds a call, slice by slice."""

    cpu_ns: list[float]
    wall_ns: list[float]


def run_pair(
    benchmark: Benchmark,
    base: Side,
    head: Side,
    *,
    index: int,
    seed: int,
    core: int | None,
    scratch: Path,
    settings: PairSettings = PairSettings(),  # noqa: B008 - frozen
    head_slowdown: float = 0.0,
) -> Pair:
    """Measures pair number `index`; `head_slowdown` makes head compute for nothing in that share of its time."""
    started_s, load = time.monotonic(), os.getloadavg()[0]
    # Drawn for two pairs at once and turned round in the second: the order is balanced at every even number.
    order = SIDES if random.Random(f"{seed} {benchmark.name} {index // 2}").random() < 0.5 else SIDES[::-1]
    if index % 2:
        order = order[::-1]
    hash_seed = random.Random(f"{seed} {benchmark.name} {index}").randint(0, HASH_SEED_MAX)
    pair = Pair(benchmark=benchmark.name, index=index, load=load, first=order[0])
    sides = {"base": base, "head": head}
    slowdowns = {"base": 0.0, "head": head_slowdown}
    try:
        with contextlib.ExitStack() as stack:
            folders = _of_both(lambda name: stack.enter_context(_folder(benchmark, sides[name], name, scratch)))
            workers = {
                name: stack.enter_context(
                    _worker(
                        benchmark,
                        sides[name],
                        name,
                        folder=folders[name],
                        core=core,
                        hash_seed=hash_seed,
                        slowdown=slowdowns[name],
                    )
                )
                for name in order
            }
            ready = _of_both(lambda name: workers[name].wait_until_ready())
            skipped = [name for name in SIDES if ready[name]["skipped"]]
            if skipped:
                pair = msgspec.structs.replace(pair, skipped="both" if len(skipped) == 2 else skipped[0])
            else:
                pair = _measure(pair, workers, order, settings)
    except WorkerError as error:
        pair = msgspec.structs.replace(pair, error_side=error.side, error=error.sentence)
    return msgspec.structs.replace(pair, seconds=round(time.monotonic() - started_s, 6))


def read_value(benchmark: Benchmark, side: Side, *, hash_seed: int, scratch: Path) -> float:
    """What a `track_` or `peakmem_` benchmark returns on a side, in a fresh process; NaN where it is skipped."""
    with (
        _folder(benchmark, side, side.name, scratch) as folder,
        _worker(benchmark, side, side.name, folder=folder, core=None, hash_seed=hash_seed, slowdown=0.0) as worker,
    ):
        if worker.wait_until_ready()["skipped"]:
            return math.nan
        return float(worker.ask("value")["value"])


@contextlib.contextmanager
def _folder(benchmark: Benchmark, side: Side, name: str, scratch: Path) -> Iterator[Path]:
    """A folder of the worker's own, or the one where `setup_cache` left its files, as under asv."""
    if not benchmark.setup_cache_key:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=scratch) as temporary:
            yield Path(temporary)
        return
    key = hashlib.sha256(f"{side.commit} {benchmark.setup_cache_key}".encode()).hexdigest()[:16]
    folder = scratch / name / key
    try:
        make_setup_cache(side, benchmark, folder)
    except SuiteError as error:
        raise WorkerError(name, error.sentence) from error
    yield folder


@contextlib.contextmanager
def _worker(
    benchmark: Benchmark, side: Side, name: str, *, folder: Path, core: int | None, hash_seed: int, slowdown: float
) -> Iterator[Worker]:
    """A worker for as long as the block lasts."""
    job = {"benchmark_dir": str(side.benchmark_dir), "id": benchmark.id, "core": core, "slowdown": slowdown}
    env = side.env | {"PYTHONHASHSEED": str(hash_seed)}
    worker = Worker(name, side.python, job, env=env, cwd=folder, timeout_s=benchmark.timeout_s)
    try:
        yield worker
    finally:
        worker.close()


def _measure(pair: Pair, workers: dict[str, Worker], order: tuple[str, ...], settings: PairSettings) -> Pair:
    plans = _of_both(lambda name: workers[name].ask("calibrate", round(settings.slice_ms * 1e6)))
    # Equal on both sides: the least of means over different numbers of calls is not the same figure.
    number, batches = (min(int(plan[key]) for plan in plans.values()) for key in ("number", "batches"))
    slices = {name: _Slices([], []) for name in SIDES}
    deadline_s = time.monotonic() + settings.measure_s_max
    for turn in range(settings.slices):
        if turn >= settings.slices_min and time.monotonic() > deadline_s:
            break
        for name in order if turn % 2 == 0 else order[::-1]:
            answer = workers[name].ask("run", number, batches)
            slices[name].cpu_ns.append(answer["cpu_ns"])
            slices[name].wall_ns.append(answer["wall_ns"])
    base_ns, head_ns = (min(slices[name].cpu_ns) for name in SIDES)
    base_wall_ns, head_wall_ns = (min(slices[name].wall_ns) for name in SIDES)
    blind = [name for name, least_ns in (("base", base_ns), ("head", head_ns)) if least_ns <= 0]
    if blind:
        raise WorkerError("both" if len(blind) == 2 else blind[0], "it used less CPU time than the clock can see")
    for worker in workers.values():
        worker.ask("stop")
    return msgspec.structs.replace(
        pair,
        base_min_ns=base_ns,
        head_min_ns=head_ns,
        log_ratio=math.log(head_ns / base_ns),
        base_wall_min_ns=base_wall_ns,
        head_wall_min_ns=head_wall_ns,
        wall_log_ratio=math.log(head_wall_ns / base_wall_ns),
        slices=len(slices["base"].cpu_ns),
        number=number * batches,
    )


def _of_both(question: Callable[[str], Answer]) -> dict[str, Answer]:
    """Asks both sides before it raises, so that the error says whether one or both cannot answer."""
    answers: dict[str, Answer] = {}
    errors: dict[str, str] = {}
    for name in SIDES:
        try:
            answers[name] = question(name)
        except WorkerError as error:
            errors[name] = error.sentence
    if len(errors) == 1:
        ((name, sentence),) = errors.items()
        raise WorkerError(name, sentence)
    if errors:
        raise WorkerError("both", "; ".join(f"{name}: {sentence}" for name, sentence in errors.items()))
    return answers
