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
TRUTH_ARRIVALS = {"limit": 100_000}

# What `truth_simulated` says, by capacity and patience: a share of the capacity.
TRUTH: dict[str, dict[tuple[float, float], float]] = {
    "steady": {(150, 40): 0.938, (800, 8): 0.720, (800, 20): 0.886, (800, 60): 0.957, (3000, 20): 0.886},
    "scattered": {(150, 40): 0.887, (800, 8): 0.426, (800, 20): 0.769, (800, 60): 0.924, (3000, 20): 0.769},
    "limit": {(150, 40): 0.927, (800, 8): 0.432, (800, 20): 0.788, (800, 60): 0.973, (3000, 20): 0.788},
    "degrading": {(150, 40): 0.730, (800, 8): 0.579, (800, 20): 0.694, (800, 60): 0.742, (3000, 20): 0.694},
    "pausing": {(150, 40): 0.783, (800, 8): 0.683, (800, 20): 0.820, (800, 60): 0.890, (3000, 20): 0.869},
    "noisy": {(150, 40): 0.850, (800, 8): 0.406, (800, 20): 0.725, (800, 60): 0.871, (3000, 20): 0.731},
}


class Server:
    """`patience` is the SLO in service times, `mu` the capacity in services per second."""

    def __init__(self, kind: str, mu: float, patience: float, seed: int) -> None:
        self.kind = kind
        self.mu = mu
        self.slo_s = patience / mu
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
        due, response = due[kept] - WARM_UP_S, response[kept]
        count = max(1, round(seconds))
        index = np.minimum((due / seconds * count).astype(int), count - 1)
        offered = np.bincount(index, minlength=count)
        over = np.bincount(index, weights=response > self.slo_s, minlength=count)
        done = np.isfinite(response)
        return Step(
            rate_per_s=rate,
            seconds=seconds,
            took_s=seconds + WARM_UP_S + DRAIN_S,
            slices=tuple(Slice(int(of), int(late)) for of, late in zip(offered, over, strict=True)),
            p50_ms=1e3 * float(np.median(response[done])),
            p99_ms=1e3 * float(np.quantile(response[done], 0.99)),
            achieved_share=float(np.mean(done & (due + response <= seconds + DRAIN_S))),
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
    arrivals = TRUTH_ARRIVALS.get(kind, 1_000_000)
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
