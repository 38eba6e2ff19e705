"""What of the server was at its end first: read from the rows beside the steps, so that a knee comes with its cause.

Each resource is a rule: how near its end a row shows it, and what to do about it. Rows are read in the order of the
rates; the resource that reaches its end at the lowest rate was first, and among those of one rate the one that explains
the others. A bounded thing that was full while the promises were kept hinders nobody: subscriptions are all taken, and
what remembers the last thousand is full after a thousand. A step that was not honest accuses nobody. A resource that
nobody could see is no suspect, and that none could be seen is said.
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
UNIT_OF_BOUNDED = "full"
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
    read: Callable[[ServerRow], dict[str, float]]  # by name, where there are several


def _one(value: float | None) -> dict[str, float]:
    return {} if value is None else {"": value}


def _full(row: ServerRow, *, pools: bool) -> dict[str, float]:
    return {name: each.fullness for name, each in row.queues.items() if any(word in name for word in POOLS) is pools}


# In the order in which they explain each other: a full queue behind a busy core is the core's doing.
RULES = (
    _Rule(
        "server CPU",
        "cores",
        FULL,
        "one core is all that one loop has: profile the step that costs most, or run another process",
        lambda row: _one(row.cpu_busiest_share),
    ),
    _Rule(
        "disk",
        "of the time waited for",
        DISK_WAIT_MAX,
        "commits wait for the disk: gather them, or give the journal a faster one",
        lambda row: _one(row.disk_wait_share),
    ),
    _Rule(
        "machine CPU",
        "of all cores",
        MACHINE_MAX,
        "the machine is full, and not by the target alone: load it from another machine",
        lambda row: _one(row.machine_cpu_share),
    ),
    _Rule(
        "pool",
        UNIT_OF_BOUNDED,
        FULL,
        "more work waits for it than it has places: widen it, or hold each place for less time",
        lambda row: _full(row, pools=True),
    ),
    _Rule(
        "queue",
        UNIT_OF_BOUNDED,
        FULL,
        "it is filled faster than it is drained: look at its consumer",
        lambda row: _full(row, pools=False),
    ),
    _Rule(
        "loop lag",
        "ms",
        LAG_MS_MAX,
        "something holds the loop: look for a long call in a coroutine",
        lambda row: _one(row.answer_ms if row.loop_lag_ms is None else row.loop_lag_ms),
    ),
)


def first_saturated(steps: Sequence[Step]) -> Saturation | None:
    """What was at its end at the lowest rate; None where nothing was, or nothing was seen."""
    steps = [step for step in steps if step.outcome is not Outcome.NOT_MEASURED]
    carried = [step for step in steps if step.outcome is Outcome.CARRIED]
    harmless = {
        each.resource
        for step in carried
        for each in _at_their_end(step.rate_per_s, step.server)
        if each.unit == UNIT_OF_BOUNDED
    }
    for rate in sorted({step.rate_per_s for step in steps}):
        found = _at_their_end(rate, [row for step in steps if step.rate_per_s == rate for row in step.server])
        if suspects := [each for each in found if each.resource not in harmless]:
            return suspects[0]
    return None


def _at_their_end(rate: float, rows: Sequence[ServerRow]) -> list[Saturation]:
    """In the order of the rules; of pools and of queues the fullest first."""
    found = []
    for rule in RULES:
        levels = sorted(((level, name) for name, level in _levels(rule, rows) if level >= rule.end), reverse=True)
        found += [
            Saturation(
                resource=f"{rule.resource} {name}".strip(),
                level=level,
                unit=rule.unit,
                rate_per_s=rate,
                advice=rule.advice,
            )
            for level, name in levels
        ]
    return found


def _levels(rule: _Rule, rows: Sequence[ServerRow]) -> list[tuple[str, float]]:
    """Of half of the rows at least, by name where there are several: a single look says little."""
    seen: dict[str, list[float]] = {}
    for row in rows:
        for name, value in rule.read(row).items():
            seen.setdefault(name, []).append(value)
    return [(name, median(values)) for name, values in seen.items()]
