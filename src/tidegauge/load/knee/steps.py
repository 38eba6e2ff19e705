"""What one step of a search is: a while at one open rate, and whether the target carried it.

`search` asks for steps, whoever drives the generator measures them, `levels` resamples their slices. A step is
carried when at most one arrival in a hundred was late (which is p99 from due time within the SLO, said so that slices
can be added) and at least 99 % of what was offered was done. A step whose generator was not honest, or whose machine
others used too, is neither carried nor broken: it says nothing about the target.

What counts as `over` is every arrival due in the slice that was not answered well within the SLO: late, failed,
refused, or never sent because the pool was full. A pool that holds at least rate x SLO arrivals is only ever full of
late ones, so its drops are the target's doing; the drops of a smaller pool are the generator's, and make the step not
honest.
"""

import enum
from collections.abc import Callable, Iterable

import msgspec

from tidegauge.load.server.rows import ServerRow

LATE_SHARE_MAX = 0.01
ACHIEVED_SHARE_MIN = 0.99


class Slice(msgspec.Struct, frozen=True):
    """About a second of a step: arrivals that were due in it, and how many of them were not answered within the SLO."""

    offered: int
    over: int


class Outcome(enum.StrEnum):
    """What one step says about the target."""

    CARRIED = "carried"
    BROKEN = "broken"
    NOT_MEASURED = "not_measured"


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step as it was measured, its warm-up already cut; `took_s` is all the time it cost, warm-up and drain too."""

    rate_per_s: float
    seconds: float
    took_s: float
    slices: tuple[Slice, ...]
    p50_ms: float
    p99_ms: float
    achieved_share: float
    done_per_s: float = 0.0  # while it lasted: what the target bears, where that is less than was asked
    honest: bool = True
    reason: str = ""  # why it was not
    others_share: float | None = None  # of the target's machine
    server: tuple[ServerRow, ...] = ()

    @property
    def outcome(self) -> Outcome:
        """Carried, broken, or nothing."""
        if not self.honest or not any(each.offered for each in self.slices):
            return Outcome.NOT_MEASURED
        held = late_share(self.slices) <= LATE_SHARE_MAX and self.achieved_share >= ACHIEVED_SHARE_MIN
        return Outcome.CARRIED if held else Outcome.BROKEN


# Drives the target at a rate (1/s) for so many seconds after its warm-up, then lets it drain.
Measure = Callable[[float, float], Step]
# Waits until the machine is calm, or so many seconds at most; says how many it took.
Wait = Callable[[float], float]


def late_share(slices: Iterable[Slice]) -> float:
    """Of all arrivals of these slices, the share that was not answered within the SLO."""
    offered = over = 0
    for each in slices:
        offered += each.offered
        over += each.over
    return over / offered
