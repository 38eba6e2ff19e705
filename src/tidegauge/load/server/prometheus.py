"""Prometheus' text format, as far as a row beside the load needs it: no client library, and whatever target it is.

    /metrics ─▶ samples (name, label, value) ─▶ what names say: loop lag, GC pauses, queues and bounds

Names differ from bot to bot, so they are known by their shape: `…loop_lag…_seconds`, `…gc_pause…_seconds[_total|_sum]`,
`X_length` beside `X_capacity` with the same labels, `…queue_size|length|depth`. A name of another shape is passed over.
"""

import math
import re
from collections.abc import Iterator

import msgspec

from tidegauge.load.server.rows import Queue

LINE = re.compile(r"([A-Za-z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)(?:\s+-?\d+)?\s*")
LABEL = re.compile(r'[A-Za-z_]\w*="((?:[^"\\]|\\.)*)"')
LOOP_LAG = re.compile(r"loop_lag\w*_seconds$")
GC_PAUSES = re.compile(r"gc_pause\w*_seconds(_total|_sum)?$")
QUEUE = re.compile(r"queue_(length|size|depth)$")
QUEUES_MAX = 100  # of one target, by name


class Sample(msgspec.Struct, frozen=True):
    """One line: its labels' values joined, because only which is which matters."""

    name: str
    label: str
    value: float


class Metrics(msgspec.Struct, frozen=True, kw_only=True):
    """What the names said; `gc_pauses_s` is a sum that only grows."""

    loop_lag_ms: float | None = None
    gc_pauses_s: float | None = None
    queues: dict[str, Queue] = {}


def samples(text: str) -> Iterator[Sample]:
    """Each line that is one; what is none is passed over."""
    for line in text.splitlines():
        match = LINE.fullmatch(line)
        if not match:
            continue
        try:
            value = float(match[3])
        except ValueError:
            continue
        if math.isfinite(value):
            yield Sample(match[1], ",".join(LABEL.findall(match[2] or "")), value)


def read_metrics(text: str) -> Metrics:
    """What a row shows of them."""
    found = list(samples(text))
    lags = [each.value for each in found if LOOP_LAG.search(each.name)]
    pauses = [each.value for each in found if GC_PAUSES.search(each.name)]
    capacities = {
        (each.name.removesuffix("_capacity"), each.label): each.value
        for each in found
        if each.name.endswith("_capacity")
    }
    queues: dict[str, Queue] = {}
    for each in found:
        bound = capacities.get((each.name.removesuffix("_length"), each.label))
        if (bound is not None or QUEUE.search(each.name)) and len(queues) < QUEUES_MAX:
            queues[each.label or each.name] = Queue(each.value, bound or 0.0)
    return Metrics(
        loop_lag_ms=1e3 * max(lags) if lags else None,
        gc_pauses_s=sum(pauses) if pauses else None,
        queues=queues,
    )
