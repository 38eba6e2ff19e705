"""The slices of a pair: as many as it takes until what they say of the two sides no longer scatters.

    two Forks, ready ──calibrate──▶ a slice of a millisecond ──run──▶ 8 turns: A B B A A B B A … ──▶ settled? ──▶ Taken

Both sides are asked for the same number of calls, and take their turns without us (`relay`). Looks at how far the turns
scatter decide when it is enough, never looks at where they lie: neither side gains by it.
"""

import math
import time
from collections.abc import Callable, Sequence

import msgspec

from tidegauge.bench.judging import ranks
from tidegauge.bench.processes.conversation import hear_all
from tidegauge.bench.processes.forks import Fork
from tidegauge.bench.processes.sides import SIDES, of_both
from tidegauge.machine import waited_us

TURNS, TURNS_MIN = 8, 2  # at once; even numbers: each side has been first as often
LONG_SLICE_NS = 20e6  # of slices that take longer there are TURNS_MIN turns at once
LOOK_GROWTH = 1.5  # at least, of the turns between two looks at how far they scatter: a look costs their square


class PairSettings(msgspec.Struct, frozen=True, kw_only=True):
    """`slices` a side, or as many more up to `slices_max` as bring the error of the log ratio down to `error_max`.

    After `measure_s_max` a pair ends with at least `slices_min`.

    Many short slices rather than few long ones. Where a benchmark misses the caches, its slices differ by 10 to 14 %
    while others use the machine, in modes that last some tens of milliseconds: two slices of 1 ms lie within one mode,
    two of 5 ms often not. In the same time the spread of a pair was 1.4 to 1.9 % by the short ones, 2.5 to 4.6 % by the
    others; of what hits the caches it was the same. The bound is 96 because time also has to buy pairs; while the next
    pair is being set up more slices cost nothing, and up to `slices_free_max` are taken.
    """

    slice_ms: float = 1.0
    slices: int = 16
    slices_max: int = 96
    slices_free_max: int = 192
    slices_min: int = 4
    error_max: float = 0.003
    measure_s_max: float = 0.6


class Slices(msgspec.Struct, frozen=True):
    """Nanoseconds a call, slice by slice."""

    cpu_ns: list[float]
    wall_ns: list[float]


class Taken(msgspec.Struct, frozen=True, kw_only=True):
    """The slices of each side, of `number` calls; `pressure`: the share of the time in which someone lacked a core."""

    slices: dict[str, Slices]
    number: int
    pressure: float | None

    def log_ratios(self, clock: str) -> list[float]:
        """Of each turn: its two slices are neighbours in time, so that what the machine does to both cancels."""
        base_ns, head_ns = (getattr(self.slices[name], clock) for name in SIDES)
        return [math.log(head / base) for base, head in zip(base_ns, head_ns, strict=True)]


def take_slices(
    forks: dict[str, Fork],
    order: tuple[str, ...],
    settings: PairSettings,
    timeout_s: float,
    is_awaited: Callable[[], bool],
) -> Taken:
    """Of both sides; the first of `order` begins. Raises `WorkerError`."""
    plans = of_both(lambda name: forks[name].ask("calibrate", round(settings.slice_ms * 1e6)))
    # Equal on both sides: the least of means over different numbers of calls is not the same figure.
    number, batches = (min(int(plan[key]) for plan in plans.values()) for key in ("number", "batches"))
    turns = TURNS if max(plan["slice_ns"] for plan in plans.values()) < LONG_SLICE_NS else TURNS_MIN
    patience_s = timeout_s if turns == TURNS else 2 * turns * timeout_s
    slices = {name: Slices([], []) for name in SIDES}
    waited_from_us, began_s = waited_us(), time.monotonic()
    next_look = settings.slices
    while not _is_enough(taken := len(slices["base"].cpu_ns), settings, time.monotonic() - began_s, is_awaited):
        if taken >= next_look:
            if _is_settled(slices, settings.error_max):
                break
            next_look = int(taken * LOOK_GROWTH)
        for name, other in zip(SIDES, reversed(SIDES), strict=True):
            forks[name].tell("run", number, batches, turns, int(name == order[0]), forks[other].turns)
        order = order[::-1]  # who begins after a pause finds his caches cold: 2 % in each pair, were it always the same
        for name, answer in hear_all(forks, "run", patience_s).items():
            slices[name].cpu_ns.extend(answer["cpu_ns"])
            slices[name].wall_ns.extend(answer["wall_ns"])
    waited = None if waited_from_us is None else ((waited_us() or 0) - waited_from_us) / 1e6
    pressure = None if waited is None else waited / max(time.monotonic() - began_s, 1e-6)
    return Taken(slices=slices, number=number * batches, pressure=pressure)


def typical(log_ratios: Sequence[float]) -> float:
    """The median of the averages of two turns.

    The side that begins a turn often ended the last, and finds its caches warm: the turns fall into two modes, between
    which the median of the turns themselves is drawn by chance. Where a benchmark misses the caches it spread by 6 %,
    this by 1.8 %.
    """
    return ranks.quantile(ranks.averages(log_ratios), 0.5)


def error(log_ratios: Sequence[float]) -> float:
    """What `typical` of them scatters by."""
    return ranks.error(ranks.averages(log_ratios), len(log_ratios))


def _is_enough(taken: int, settings: PairSettings, seconds: float, is_awaited: Callable[[], bool]) -> bool:
    """Whether there are as many as may be, however they scatter."""
    if taken >= settings.slices_max:
        return taken >= settings.slices_free_max or is_awaited()
    return taken >= settings.slices_min and seconds > settings.measure_s_max


def _is_settled(slices: dict[str, Slices], error_max: float) -> bool:
    """Whether more turns are of little use."""
    if min(min(slices[name].cpu_ns) for name in SIDES) <= 0:
        return True  # what the clock cannot see does not become clearer
    log_ratios = Taken(slices=slices, number=1, pressure=None).log_ratios("cpu_ns")
    return error(log_ratios) <= error_max
