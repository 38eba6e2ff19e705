"""The shapes for Locust: each a LoadTestShape that reads its `Profile` as numbers of users.

Locust asks `tick` once a second and takes whole users. In open loop our plugin reads the same `profile` as arrivals a
second, and exactly.
"""

from __future__ import annotations

from typing import ClassVar

from locust import LoadTestShape

from shapes.profiles import PROFILES

SPAWN_PER_S = 100.0  # a jump in the shape is a jump in the load


class ProfileShape(LoadTestShape):
    """Abstract; a subclass names its profile. `peak` and `seconds` take the place of the profile's own."""

    abstract = True
    kind: ClassVar[str]

    def __init__(self, peak: float | None = None, seconds: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.profile = PROFILES[self.kind].scaled(peak_per_s=peak, seconds=seconds)

    def tick(self) -> tuple[int, float] | None:
        now_s = self.get_run_time()  # type: ignore[no-untyped-call]
        return None if now_s >= self.profile.duration_s else (round(self.profile.rate_at(now_s)), SPAWN_PER_S)


class Smoke(ProfileShape):
    kind = "smoke"


class Step(ProfileShape):
    kind = "step"


class Spike(ProfileShape):
    kind = "spike"


class Soak(ProfileShape):
    kind = "soak"


class Knee(ProfileShape):
    kind = "knee"


class Day(ProfileShape):
    kind = "day"


SHAPES: dict[str, type[ProfileShape]] = {each.kind: each for each in (Smoke, Step, Spike, Soak, Knee, Day)}
