"""What of the server was at its end first: read from the rows beside the steps, so that a knee comes with its cause.

Each resource is a rule: how near its end a row shows it, and what to do about it. Rows are read in the order of the
rates; the resource that reaches its end at the lowest rate was first, and among those of one rate the one that was
there in most of the rows. A step that was not honest accuses nobody. A resource that nobody could see is no suspect,
and that none could be seen is said.
"""

from collections.abc import Callable, Sequence
from statistics import median

import msgspec

from tidegauge.load.knee.steps import Outcome, Step
from tidegauge.load.server.rows import ServerRow

FULL = 0.9
LAG_MS_MAX = 50.0
DISK_WAIT_MAX = 0.3
MACHINE_MAX = 0.97
POOLS = ("pool", "connection", "socket", "worker")


class Saturation(msgspec.Struct, frozen=True, kw_only=True):
    """The resource that was at its end first; `advice` is what a person can do about it."""

    resource: str
    level: float
    unit: str
    rate_per_s: float
    advice: str

    def __str__(self) -> str:
        """A clause: `server CPU at 0.97 cores from 480/s on`."""
        return f"{self.resource} at {self.level:.3g} {self.unit} from {self.rate_per_s:.4g}/s on"


class _Rule(msgspec.Struct, frozen=True):
    resource: str
    unit: str
    end: float
    advice: str
    read: Callable[[ServerRow], float | None]


def _fullest(row: ServerRow, *, pools: bool) -> float | None:
    return max(
        (each.fullness for name, each in row.queues.items() if any(word in name for word in POOLS) is pools),
        default=None,
    )


# In the order in which they explain each other: a full queue behind a busy core is the core's doing.
RULES = (
    _Rule(
        "server CPU",
        "cores",
        FULL,
        "one core is all that one loop has: profile the step that costs most, or run another process",
        lambda row: row.cpu_busiest_share,
    ),
    _Rule(
        "disk",
        "of the time waited for",
        DISK_WAIT_MAX,
        "commits wait for the disk: gather them, or give the journal a faster one",
        lambda row: row.disk_wait_share,
    ),
    _Rule(
        "machine CPU",
        "of all cores",
        MACHINE_MAX,
        "the machine is full, and not by the target alone: load it from another machine",
        lambda row: row.machine_cpu_share,
    ),
    _Rule(
        "pool",
        "full",
        FULL,
        "more work waits for it than it has places: widen it, or hold each place for less time",
        lambda row: _fullest(row, pools=True),
    ),
    _Rule(
        "queue",
        "full",
        FULL,
        "it is filled faster than it is drained: look at its consumer",
        lambda row: _fullest(row, pools=False),
    ),
    _Rule(
        "loop lag",
        "ms",
        LAG_MS_MAX,
        "something holds the loop: look for a long call in a coroutine",
        lambda row: row.answer_ms if row.loop_lag_ms is None else row.loop_lag_ms,
    ),
)


def first_saturated(steps: Sequence[Step]) -> Saturation | None:
    """What was at its end at the lowest rate; None where nothing was, or nothing was seen."""
    steps = [step for step in steps if step.outcome is not Outcome.NOT_MEASURED]
    rates = sorted({step.rate_per_s for step in steps})
    for rate in rates:
        rows = [row for step in steps if step.rate_per_s == rate for row in step.server]
        found = [(rule, level) for rule in RULES if (level := _level(rule, rows)) is not None and level >= rule.end]
        if found:
            rule, level = found[0]
            resource = rule.resource
            if resource in {"pool", "queue"}:
                resource = f"{resource} {_name_of_fullest(rows, pools=resource == 'pool')}"
            return Saturation(resource=resource, level=level, unit=rule.unit, rate_per_s=rate, advice=rule.advice)
    return None


def _level(rule: _Rule, rows: Sequence[ServerRow]) -> float | None:
    """Of half of the rows at least: a single look says little."""
    seen = [value for row in rows if (value := rule.read(row)) is not None]
    return median(seen) if seen else None


def _name_of_fullest(rows: Sequence[ServerRow], *, pools: bool) -> str:
    candidates = [
        (each.fullness, name)
        for row in rows
        for name, each in row.queues.items()
        if any(word in name for word in POOLS) is pools
    ]
    return max(candidates)[1]
