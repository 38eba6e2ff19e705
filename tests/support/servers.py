"""Servers whose capacity is known, simulated: arrivals at an open rate in, response times from due time out.

`Server` is what `knee` takes for a way to measure; `truth` is the rate at which one arrival in a hundred is late in the
long run. One worker takes arrivals in order, so that a response is Lindley's recursion, done here on whole arrays.
"""

from collections import deque
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from tidegauge.load.knee.steps import Slice, Step
from tidegauge.load.server.rows import ServerRow

Seconds = NDArray[np.float64]
WARM_UP_S = 1.0
DRAIN_S = 0.3
PLACES = 40  # of the server that refuses what it has no place for
PAUSE_EVERY_S = 1.7

# What `truth_simulated` says, by capacity and patience: a share of the capacity.
CASES: tuple[tuple[float, float], ...] = ((170, 85), (150, 40), (800, 8), (800, 20), (800, 60), (3000, 20))
TRUTH = {
    kind: dict(zip(CASES, shares, strict=True))
    for kind, shares in {
        "steady": (0.972, 0.938, 0.720, 0.886, 0.957, 0.886),
        "scattered": (0.944, 0.887, 0.426, 0.769, 0.924, 0.769),
        "limit": (0.960, 0.908, 0.426, 0.769, 0.959, 0.769),
        "degrading": (0.751, 0.730, 0.579, 0.694, 0.742, 0.694),
        "pausing": (0.720, 0.783, 0.683, 0.820, 0.890, 0.869),
        "noisy": (0.920, 0.850, 0.406, 0.725, 0.871, 0.731),
    }.items()
}


class Server:
    """`patience` is the SLO in service times, `mu` the capacity in services per second.

    `drain_s`: how long a step goes on after its last arrival, for the rest to be done and the next to be begun.
    """

    def __init__(self, kind: str, mu: float, patience: float, seed: int, drain_s: float = DRAIN_S) -> None:
        self.kind = kind
        self.mu = mu
        self.slo_s = patience / mu
        self.drain_s = drain_s
        self.rng = np.random.default_rng(seed)

    def responses(self, rate: float, seconds: float) -> tuple[Seconds, Seconds]:
        """Due times and response times; infinite for what was refused."""
        due = np.sort(self.rng.uniform(0, seconds, max(1, self.rng.poisson(rate * seconds))))
        service = getattr(self, f"_{self.kind}")(due, rate)
        if self.kind == "limit":
            return due, _with_places(due, service)
        done = np.cumsum(service)
        return due, np.maximum.accumulate(due - (done - service)) + done - due

    def __call__(self, rate: float, seconds: float) -> Step:
        """One step."""
        due, response = self.responses(rate, seconds + WARM_UP_S)
        kept = due > WARM_UP_S
        ended = due + response - WARM_UP_S
        due, response = due[kept] - WARM_UP_S, response[kept]
        count = max(1, round(seconds))
        index = np.minimum((due / seconds * count).astype(int), count - 1)
        offered = np.bincount(index, minlength=count)
        over = np.bincount(index, weights=response > self.slo_s, minlength=count)
        done = np.isfinite(response)
        return Step(
            rate_per_s=rate,
            seconds=seconds,
            took_s=seconds + WARM_UP_S + self.drain_s,
            slices=tuple(Slice(int(of), int(late)) for of, late in zip(offered, over, strict=True)),
            p50_ms=1e3 * float(np.median(response[done])),
            p99_ms=1e3 * float(np.quantile(response[done], 0.99)),
            achieved_share=float(np.mean(done & (due + response <= seconds + self.drain_s))),
            done_per_s=float(np.sum((ended > 0) & (ended <= seconds))) / seconds,
            server=(ServerRow(t_s=0.0, wall_s=0.0, cpu_busiest_share=min(1.0, rate / self.mu)),),
        )

    def _steady(self, due: Seconds, _rate: float) -> Seconds:
        return np.full(len(due), 1 / self.mu)

    def _scattered(self, due: Seconds, _rate: float) -> Seconds:
        return self.rng.exponential(1 / self.mu, len(due))

    _limit = _scattered

    def _degrading(self, due: Seconds, rate: float) -> Seconds:
        """Half as slow again at what would be its capacity: contention."""
        return np.full(len(due), (1 + 0.5 * (rate / self.mu) ** 2) / self.mu)

    def _pausing(self, due: Seconds, rate: float) -> Seconds:
        """Stands still for most of the SLO, again and again: a collector of garbage."""
        service = self._steady(due, rate)
        pauses = np.searchsorted(due, np.arange(self.rng.uniform(0, PAUSE_EVERY_S), due[-1], PAUSE_EVERY_S))
        service[pauses] += 0.8 * self.slo_s
        return service

    def _noisy(self, due: Seconds, rate: float) -> Seconds:
        """Each second has a speed of its own, and each step: a shared machine."""
        speed = np.exp(self.rng.normal(0, 0.06, int(due[-1]) + 1) + self.rng.normal(0, 0.01))
        service: Seconds = self._scattered(due, rate) * speed[due.astype(int)]
        return service


def _with_places(due: Seconds, service: Seconds) -> Seconds:
    waiting: deque[float] = deque()
    response = np.full(len(due), np.inf)
    free_s = 0.0
    for index, (now_s, takes_s) in enumerate(zip(due.tolist(), service.tolist(), strict=True)):
        while waiting and waiting[0] <= now_s:
            waiting.popleft()
        if len(waiting) < PLACES:
            free_s = max(free_s, now_s) + takes_s
            waiting.append(free_s)
            response[index] = free_s - now_s
    return response


def truth_simulated(kind: str, mu: float, patience: float) -> float:
    """The knee in the long run as a share of the capacity, by halving over a million arrivals."""
    low, high = 0.02 * mu, 1.2 * mu
    arrivals = 1_000_000
    for _ in range(12):
        middle = (low * high) ** 0.5
        server = Server(kind, mu, patience, 1)
        _, response = server.responses(middle, arrivals / middle)
        if np.mean(response > server.slo_s) <= 0.01:
            low = middle
        else:
            high = middle
    return float((low * high) ** 0.5) / mu


def truth(kind: str, mu: float, patience: float) -> float:
    """The knee in the long run, in 1/s; a slow test simulates it again."""
    return mu * TRUTH[kind][mu, patience]


def spread(values: Sequence[float]) -> float:
    """The coefficient of variation."""
    return float(np.std(values, ddof=1) / np.mean(values))
