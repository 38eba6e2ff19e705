"""When each arrival is due: an absolute schedule, so that a slow answer never makes the next question late.

A `Profile` is a rate over time, made of straight pieces, each of a phase. Its integral counts arrivals: the k-th is due
when the integral reaches k, whatever the rate does in between. Spaced constantly that is every whole number; a
Poisson process draws unit exponentials on the same axis, so that one piece of mathematics serves every shape. One
worker of several takes every `of`-th arrival, from its own `index` on: together they are the whole, evenly spaced.
`Schedule` is fixed before the run; `LiveSchedule` follows a rate that a person or a shape changes while it runs.
"""

import itertools
import math
import random
from collections.abc import Iterable, Iterator
from typing import Any, Literal, Self

import msgspec

from tidegauge.errors import TidegaugeError
from tidegauge.load.times.shapes import KINDS, SHAPES, STEADY, Point

Spacing = Literal["constant", "poisson"]


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A straight line from one rate to another."""

    seconds: float
    from_per_s: float
    to_per_s: float
    phase: str = STEADY

    @property
    def arrivals(self) -> float:
        """How many become due in it."""
        return self.seconds * (self.from_per_s + self.to_per_s) / 2

    def rate_at(self, seconds: float) -> float:
        """The rate so long after its beginning."""
        return self.from_per_s + (self.to_per_s - self.from_per_s) * seconds / self.seconds

    def time_of(self, arrivals: float) -> float:
        """The seconds after which so many have become due; written so that a flat piece divides by no zero."""
        slope = (self.to_per_s - self.from_per_s) / self.seconds
        root = math.sqrt(max(self.from_per_s**2 + 2 * slope * arrivals, 0.0))
        return min(2 * arrivals / (self.from_per_s + root), self.seconds) if arrivals else 0.0


class Profile(msgspec.Struct, frozen=True):
    """A rate over time."""

    pieces: tuple[Piece, ...]

    def __post_init__(self) -> None:
        """Whatever makes no schedule is said before anything runs."""
        for piece in self.pieces:
            rates = (piece.seconds, piece.from_per_s, piece.to_per_s)
            if not all(map(math.isfinite, rates)) or piece.seconds <= 0 or min(rates) < 0:
                raise TidegaugeError(
                    f"{piece} is no piece of a load", "Give it a positive time and rates of 0 or more."
                )
        if not any(piece.arrivals for piece in self.pieces):
            raise TidegaugeError("A load without a single arrival measures nothing", "Give it a rate above 0.")

    @classmethod
    def constant(cls, rate_per_s: float, seconds: float) -> Self:
        """The same rate all the time."""
        return cls((Piece(seconds=seconds, from_per_s=rate_per_s, to_per_s=rate_per_s),))

    @classmethod
    def through(cls, points: Iterable[Point]) -> Self:
        """Straight lines through points of (second, rate, phase that begins there)."""
        return cls(
            tuple(
                Piece(seconds=end_s - begin_s, from_per_s=start, to_per_s=end, phase=phase)
                for (begin_s, start, phase), (end_s, end, _) in itertools.pairwise(points)
                if end_s > begin_s
            )
        )

    @classmethod
    def named(cls, kind: str, peak_per_s: float, seconds: float) -> Self:
        """The profile of one of `KINDS`."""
        if kind not in SHAPES:
            raise TidegaugeError(f"{kind!r} is no load profile", f"There are {', '.join(KINDS)}.")
        return cls.through((share * seconds, height * peak_per_s, phase) for share, height, phase in SHAPES[kind])

    def scaled(self, *, peak_per_s: float | None = None, seconds: float | None = None) -> "Profile":
        """The same shape with another highest rate, another length, or both."""
        rates = 1.0 if peak_per_s is None else peak_per_s / self.peak_per_s
        times = 1.0 if seconds is None else seconds / self.duration_s
        return Profile(
            tuple(
                Piece(
                    seconds=piece.seconds * times,
                    from_per_s=piece.from_per_s * rates,
                    to_per_s=piece.to_per_s * rates,
                    phase=piece.phase,
                )
                for piece in self.pieces
            )
        )

    @property
    def duration_s(self) -> float:
        """From the first to the last moment."""
        return sum(piece.seconds for piece in self.pieces)

    @property
    def peak_per_s(self) -> float:
        """The highest rate."""
        return max(max(piece.from_per_s, piece.to_per_s) for piece in self.pieces)

    @property
    def arrivals(self) -> float:
        """How many become due in all of it."""
        return sum(piece.arrivals for piece in self.pieces)

    def at(self, seconds: float) -> tuple[Piece, float]:
        """The piece that holds then, and the seconds since it began; the last one ever after."""
        for piece in self.pieces[:-1]:
            if seconds < piece.seconds:
                return piece, seconds
            seconds -= piece.seconds
        return self.pieces[-1], min(seconds, self.pieces[-1].seconds)

    def rate_at(self, seconds: float) -> float:
        """The rate then."""
        piece, into = self.at(seconds)
        return piece.rate_at(into)

    def phase_at(self, seconds: float) -> str:
        """The phase then."""
        return self.at(seconds)[0].phase

    def span(self, phase: str) -> tuple[float, float] | None:
        """When a phase first begins and last ends."""
        found, at = [], 0.0
        for piece in self.pieces:
            if piece.phase == phase:
                found.append((at, at + piece.seconds))
            at += piece.seconds
        return (found[0][0], found[-1][1]) if found else None

    def times_of(self, counts: Iterator[float]) -> Iterator[float]:
        """The time of each count of an ascending row, as long as there is one."""
        pieces = iter(self.pieces)
        piece, before_s, before = next(pieces), 0.0, 0.0
        for count in counts:
            while count - before >= piece.arrivals:
                before, before_s = before + piece.arrivals, before_s + piece.seconds
                following = next(pieces, None)
                if following is None:
                    return
                piece = following
            yield before_s + piece.time_of(count - before)


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """The due times of one worker's part of a profile, or of recorded arrivals."""

    profile: Profile
    spacing: Spacing = "constant"
    seed: int = 1
    replayed_s: tuple[float, ...] = ()
    index: int = 0
    of: int = 1

    @classmethod
    def replay(cls, times_s: tuple[float, ...]) -> Self:
        """Arrivals as they were recorded, the first of them at once."""
        if not times_s or list(times_s) != sorted(times_s):
            raise TidegaugeError("Recorded arrivals are not in the order of time", "Write one time in seconds a line.")
        since = tuple(time_s - times_s[0] for time_s in times_s)
        seconds = max(since[-1], 1e-3)
        return cls(profile=Profile.constant(len(since) / seconds, seconds), replayed_s=since)

    def share(self, index: int, of: int) -> "Schedule":
        """The part of one worker of several."""
        return msgspec.structs.replace(self, index=index, of=of)

    def due_s(self) -> Iterator[float]:
        """Each due time, in seconds since the start."""
        if self.replayed_s:
            return iter(self.replayed_s[self.index :: self.of])
        if self.spacing == "poisson":
            draws = random.Random(f"{self.seed}/{self.index}/{self.of}")
            gaps = (draws.expovariate(1.0) * self.of for _ in itertools.count())
            return self.profile.times_of(itertools.accumulate(gaps))
        return self.profile.times_of(float(count) for count in itertools.count(self.index, self.of))


class FixedSchedule:
    """What a generator asks of a `Schedule`: the next due time, infinite after the last."""

    def __init__(self, schedule: Schedule) -> None:
        self.ends_s = schedule.profile.duration_s
        self._times = schedule.due_s()
        self.due_s = next(self._times, math.inf)

    def pop(self) -> None:
        """The next one."""
        self.due_s = next(self._times, math.inf)


class LiveSchedule:
    """A rate that changes while it runs: what became due stays due, what comes follows the new rate."""

    ends_s = math.inf

    def __init__(self, *, spacing: Spacing = "constant", seed: int = 1, index: int = 0, of: int = 1) -> None:
        draws: Any = random.Random(f"{seed}/{index}/{of}")
        self._gap = (lambda: draws.expovariate(1.0)) if spacing == "poisson" else (lambda: 1.0)
        self._rate_per_s = 0.0
        self._since_s = 0.0
        self._left = self._gap() if spacing == "poisson" else index / of

    @property
    def due_s(self) -> float:
        """The next due time, infinite while there is no rate."""
        return self._since_s + self._left / self._rate_per_s if self._rate_per_s else math.inf

    def set_rate(self, rate_per_s: float, now_s: float) -> None:
        """From now on the rate is another."""
        # Below 0 when the generator is late: what became due under the old rate is not forgotten.
        self._left -= (now_s - self._since_s) * self._rate_per_s
        self._since_s, self._rate_per_s = now_s, rate_per_s

    def pop(self) -> None:
        """The next one."""
        self._since_s, self._left = self.due_s, self._gap()
