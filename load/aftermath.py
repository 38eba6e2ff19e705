"""How the bot is before the load and after it: what the invariants look at, read through its API and the venue's truth.

    Before.read(api)  ->  the load  ->  After.read(api, control_port), which waits until the bot has settled

Strategies may still close by the bot's own decision while it is asked: then everything is asked again, so that what
is compared was true in one moment.
"""

from __future__ import annotations

import re
import time
from collections import Counter
from typing import Any, Self

import httpx
import msgspec

from simvenues.control import ControlClient
from users.answers import LIST_MAX, Bound, Limits, Order, Position, Strategy, Workflow, Wrong, read

SETTLE_S = 20.0  # longer than a workflow may take, and than the lake's longest batch
SETTLE_POLL_S = 0.05
STILL_ATTEMPTS_MAX = 5
# Of all bounded things those that somebody works off; the others are caches and memories, which may be full.
QUEUES = re.compile(
    r"(bus|door|lake)\..+|journal\.queue|orders\.open|supervisor\.jobs|market\.board_waiters"
    r"|api\.outbox\.longest|.+\.(orders_working|fills_pending)"
)
TASKS, JOBS = "bot_background_tasks", 'bot_bound_length{name="supervisor.jobs"}'
SAMPLE = re.compile(r"^([a-z_]+(?:\{\S+\})?) (\S+)$", re.MULTILINE)


class Before(msgspec.Struct, frozen=True):
    """What is needed of the time before the load."""

    tasks: int
    positions_max: dict[str, int]  # strategies at once, by symbol; a symbol without this limit is not in it

    @classmethod
    def read(cls, api: httpx.Client) -> Self:
        """Raises `Wrong` where the bot cannot tell."""
        held = Counter(each.plan.symbol for each in _strategies(api) if each.alive)
        limits = _get(api, "/api/limits", Limits).remaining
        rooms = {symbol: rooms.get("symbol_positions") for symbol, rooms in limits.items()}
        return cls(
            tasks=_services(api),
            positions_max={symbol: round(room) + held[symbol] for symbol, room in rooms.items() if room is not None},
        )


class After(msgspec.Struct, frozen=True):
    """Everything that the invariants look at once the load is over."""

    undrained: dict[str, int]  # queues that were never seen empty, with their least length
    tasks: int
    limits: dict[str, dict[str, float | None]]
    unfinished: int  # workflows
    orders: tuple[Order, ...]
    strategies: tuple[Strategy, ...]
    positions: tuple[Position, ...]
    truth: dict[str, Any] | None = None  # the venue's

    @classmethod
    def read(cls, api: httpx.Client, control_port: int | None) -> Self:
        """Waits for the bot to settle; raises `Wrong` where it cannot tell."""
        undrained = settle(api)
        for _ in range(STILL_ATTEMPTS_MAX):
            strategies = _strategies(api)
            found = cls(
                undrained=undrained,
                tasks=_services(api),
                limits=_get(api, "/api/limits", Limits).remaining,
                unfinished=sum(
                    len(_get(api, "/api/workflows", list[Workflow], state=state, limit=LIST_MAX))
                    for state in ("accepted", "running")
                ),
                orders=tuple(_get(api, "/api/orders", list[Order], limit=LIST_MAX)),
                strategies=strategies,
                positions=tuple(_get(api, "/api/positions", list[Position])),
                truth=None if control_port is None else _truth(control_port),
            )
            if not found.unfinished and strategies == _strategies(api):
                break
        return found


def settle(api: httpx.Client, *, timeout_s: float = SETTLE_S) -> dict[str, int]:
    """Waits until each queue was empty once; gives those that never were, with the least that was in them."""
    least: dict[str, int] = {}
    deadline_s = time.monotonic() + timeout_s
    while True:
        for bound in _get(api, "/api/bounds", list[Bound]):
            if QUEUES.fullmatch(bound.name):
                least[bound.name] = min(bound.length, least.get(bound.name, bound.length))
        undrained = {name: length for name, length in least.items() if length}
        if not undrained or time.monotonic() > deadline_s:
            return undrained
        time.sleep(SETTLE_POLL_S)


def _get(api: httpx.Client, path: str, kind: type[Any], **params: str | int) -> Any:
    return read(kind, api.get(path, params=params).raise_for_status().content)


def _services(api: httpx.Client) -> int:
    """Background tasks that are no jobs: services stay, jobs are work that comes and goes."""
    text = api.get("/metrics").raise_for_status().text
    samples = dict(SAMPLE.findall(text))
    if TASKS not in samples:
        raise Wrong(f"the metrics hold no {TASKS}")
    return round(float(samples[TASKS]) - float(samples.get(JOBS, 0)))


def _strategies(api: httpx.Client) -> tuple[Strategy, ...]:
    return tuple(_get(api, "/api/strategies", list[Strategy], limit=LIST_MAX))


def _truth(control_port: int) -> dict[str, Any]:
    with ControlClient("127.0.0.1", control_port) as control:
        return control.truth()
