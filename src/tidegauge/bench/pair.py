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
import math
import os
import random
import time
from pathlib import Path

import msgspec

from tidegauge.bench.client import Worker, WorkerError
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.sides import SIDES, folder_of, of_both, who, worker_of

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
            folders = of_both(lambda name: stack.enter_context(folder_of(benchmark, sides[name], name, scratch)))
            workers = {
                name: stack.enter_context(
                    worker_of(
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
            ready = of_both(lambda name: workers[name].wait_until_ready())
            skipped = [name for name in SIDES if ready[name]["skipped"]]
            if skipped:
                pair = msgspec.structs.replace(pair, skipped=who(skipped))
            else:
                pair = _measure(pair, workers, order, settings)
    except WorkerError as error:
        pair = msgspec.structs.replace(pair, error_side=error.side, error=error.sentence)
    return msgspec.structs.replace(pair, seconds=round(time.monotonic() - started_s, 6))


def read_value(benchmark: Benchmark, side: Side, *, hash_seed: int, scratch: Path) -> float:
    """What a `track_` or `peakmem_` benchmark returns on a side, in a fresh process; NaN where it is skipped."""
    with (
        folder_of(benchmark, side, side.name, scratch) as folder,
        worker_of(benchmark, side, side.name, folder=folder, core=None, hash_seed=hash_seed) as worker,
    ):
        if worker.wait_until_ready()["skipped"]:
            return math.nan
        return float(worker.ask("value")["value"])


def _measure(pair: Pair, workers: dict[str, Worker], order: tuple[str, ...], settings: PairSettings) -> Pair:
    plans = of_both(lambda name: workers[name].ask("calibrate", round(settings.slice_ms * 1e6)))
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
        raise WorkerError(who(blind), "it used less CPU time than the clock can see")
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
