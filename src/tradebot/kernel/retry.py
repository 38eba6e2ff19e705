"""The one retry policy: exponential back-off with a bound and seeded jitter, used by whoever tries again."""

from __future__ import annotations

import random
from collections.abc import Iterator

import msgspec

from tradebot.domain.ranges import Seconds, Share


class Backoff(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    initial_s: Seconds = 0.1
    factor: float = 2.0
    max_s: Seconds = 30.0
    jitter: Share = 0.2  # share of each delay that is random
    attempts_max: int | None = None  # None: for ever, at max_s

    def delays_s(self, seed: int) -> Iterator[float]:
        rng = random.Random(seed)
        delay_s = self.initial_s
        attempt = 0
        while self.attempts_max is None or attempt < self.attempts_max:
            yield delay_s * (1.0 + self.jitter * (rng.random() - 0.5))
            delay_s = min(delay_s * self.factor, self.max_s)
            attempt += 1
