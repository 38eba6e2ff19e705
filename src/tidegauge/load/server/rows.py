"""One look at the target beside the load: `server` writes one twice a second, reports draw them under the latencies.

None stands for what nobody could tell: a process on another machine, a metric that this target does not have.
`Extremes` keeps what a long run would have to be read through for.
"""

from typing import Any

import msgspec


class Queue(msgspec.Struct, frozen=True):
    """A bounded thing of the target, by its own account; `capacity` 0 where it names no bound."""

    length: float
    capacity: float

    @property
    def fullness(self) -> float:
        """0 to 1; 0 where there is no bound to reach."""
        return self.length / self.capacity if self.capacity > 0 else 0.0


class ServerRow(msgspec.Struct, frozen=True, kw_only=True):
    """`t_s` is monotonic, as the latencies are; `wall_s` is for whoever compares logs.

    Shares of CPU are of one core: `cpu_share` of the process and its children together, `cpu_busiest_share` of the one
    among them that works most; `machine_cpu_share` is of all cores, whoever uses them, `disk_wait_share` the time in
    which they had nothing but a disk to wait for.
    """

    t_s: float
    wall_s: float
    cpu_share: float | None = None
    cpu_busiest_share: float | None = None
    machine_cpu_share: float | None = None
    disk_wait_share: float | None = None
    rss_bytes: int | None = None
    fds: int | None = None
    threads: int | None = None
    sockets: int | None = None
    client_sockets: int | None = None  # those that the generator itself holds open
    answer_ms: float | None = None  # of /metrics: what a small request waits for the loop
    loop_lag_ms: float | None = None
    gc_pause_ms: float | None = None  # since the row before
    queues: dict[str, Queue] = {}


def flat(row: dict[str, Any]) -> dict[str, Any]:
    """A row as builtins in one level: `queues: {bus: {length}}` becomes `queues.bus.length`."""
    cells: dict[str, Any] = {}
    for name, value in row.items():
        if isinstance(value, dict):
            cells |= {f"{name}.{below}": cell for below, cell in flat(value).items()}
        else:
            cells[name] = value
    return cells


class Extremes:
    """Of each column the newest figure, the least and the most of all rows, those included that are drawn no longer."""

    def __init__(self) -> None:
        self.by_name: dict[str, dict[str, float]] = {}

    def add(self, row: dict[str, Any]) -> None:
        """A row as builtins."""
        for name, value in flat(row).items():
            if value is None or name in {"t_s", "wall_s"}:
                continue
            kept = self.by_name.setdefault(name, {"least": value, "most": value, "samples": 0})
            kept["now"] = value
            kept["least"], kept["most"] = min(kept["least"], value), max(kept["most"], value)
            kept["samples"] += 1
