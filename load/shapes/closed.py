"""The shapes for Locust: each a LoadTestShape that reads its points of `profiles.py` as numbers of users.

Locust asks `tick` once a second and takes whole users; whoever wants every point exactly reads the points.
"""

from __future__ import annotations

from typing import ClassVar

from locust import LoadTestShape

from shapes.profiles import PROFILES, rate_at, scaled

SPAWN_PER_S = 100.0  # a jump in the shape is a jump in the load


class ProfileShape(LoadTestShape):
    """Abstract; a subclass names its profile. `peak` and `seconds` take the place of the profile's own."""

    abstract = True
    profile: ClassVar[str]

    def __init__(self, peak: float | None = None, seconds: float | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.points = scaled(PROFILES[self.profile], peak=peak, seconds=seconds)

    def tick(self) -> tuple[int, float] | None:
        rate = rate_at(self.points, self.get_run_time())  # type: ignore[no-untyped-call]
        return None if rate is None else (round(rate), SPAWN_PER_S)


class Smoke(ProfileShape):
    profile = "smoke"


class Step(ProfileShape):
    profile = "step"


class Spike(ProfileShape):
    profile = "spike"


class Soak(ProfileShape):
    profile = "soak"


class Knee(ProfileShape):
    profile = "knee"


class Day(ProfileShape):
    profile = "day"


SHAPES: dict[str, type[ProfileShape]] = {each.profile: each for each in (Smoke, Step, Spike, Soak, Knee, Day)}
