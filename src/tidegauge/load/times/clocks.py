"""The four clocks of a load, kept whole: every sample counts, and what several workers measured adds up bin for bin.

`service` is how long an answer took, `due` how long it took from the time at which its question was due, `workflow` the
same of a whole workflow, and `lag` how late the generator itself was. (Beside these four, `reading` is how long what a
socket had received lay there unread.) Each lives in a histogram by subject, clock and
phase; its bins are those of an HdrHistogram of microseconds with three digits, kept as a sparse dict, because recording
then costs a fifth of a microsecond and a worker's part of a second is a short list. Counters add up, peaks keep the
largest. `Clocks.take` hands over what came since the last time, `merge` adds it to another; `hlog` writes intervals in
the format that every HdrHistogram tool reads.
"""

import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, Final, Literal, Self

Clock = Literal["service", "due", "workflow", "lag", "reading"]
Key = tuple[str, str, str]

# The layout of an HdrHistogram from 1 us on with three digits: 2 048 bins of 1 us, then 1 024 for each doubling.
HALF_BITS: Final = 10
HALF: Final = 1 << HALF_BITS
US_MAX: Final = 3_600_000_000
SUBJECTS_MAX: Final = 300
OTHERS: Final = "other requests"


def bin_of(us: int) -> int:
    """The index of the bin that holds a value."""
    shift = us.bit_length() - HALF_BITS - 1
    return us if shift <= 0 else (shift << HALF_BITS) + (us >> shift)


def top_of(index: int) -> int:
    """The largest value of a bin, which is what a percentile reports."""
    shift = (index >> HALF_BITS) - 1
    if shift <= 0:
        return index
    return (((index & (HALF - 1)) + HALF + 1) << shift) - 1


class Histogram:
    """Counts by bin, and what bins would round: number, sum and maximum."""

    __slots__ = ("bins", "count", "max_us", "sum_us")

    def __init__(self) -> None:
        self.bins: dict[int, int] = {}
        self.count = 0
        self.sum_us = 0
        self.max_us = 0

    def record(self, us: int) -> None:
        """One sample."""
        us = min(max(us, 0), US_MAX)
        shift = us.bit_length() - HALF_BITS - 1  # `bin_of` written out: this runs several times a request
        index = us if shift <= 0 else (shift << HALF_BITS) + (us >> shift)
        self.bins[index] = self.bins.get(index, 0) + 1
        self.count += 1
        self.sum_us += us
        self.max_us = max(self.max_us, us)

    def merge(self, other: "Histogram") -> None:
        """All samples of another."""
        for index, count in other.bins.items():
            self.bins[index] = self.bins.get(index, 0) + count
        self.count += other.count
        self.sum_us += other.sum_us
        self.max_us = max(self.max_us, other.max_us)

    def copy(self) -> Self:
        """As it is now."""
        made = type(self)()
        made.bins, made.count, made.sum_us, made.max_us = self.bins.copy(), self.count, self.sum_us, self.max_us
        return made

    @property
    def mean_us(self) -> float:
        """Of what was recorded, not of the bins."""
        return self.sum_us / self.count if self.count else 0.0

    def value_at(self, share: float) -> int:
        """The value below which that share of the samples lies."""
        return self.value_of_rank(math.ceil(share * self.count))

    def value_of_rank(self, rank: int) -> int:
        """The value of the sample that is the rank-th when they are sorted; ranks begin at 1."""
        seen, rank = 0, min(max(rank, 1), self.count)
        for index in sorted(self.bins):
            seen += self.bins[index]
            if seen >= rank:
                return min(top_of(index), self.max_us)
        return 0

    def to_builtins(self) -> list[Any]:
        """For the wire and for files."""
        return [self.sum_us, self.max_us, [number for pair in sorted(self.bins.items()) for number in pair]]

    @classmethod
    def from_builtins(cls, content: list[Any]) -> Self:
        """The way back."""
        made = cls()
        made.sum_us, made.max_us, flat = content
        made.bins = dict(zip(flat[::2], flat[1::2], strict=True))
        made.count = sum(made.bins.values())
        return made


class Clocks:
    """Histograms by subject, clock and phase; counters and peaks by name."""

    def __init__(self) -> None:
        self.histograms: dict[Key, Histogram] = {}
        self.counters: dict[str, int] = {}
        self.peaks: dict[str, float] = {}
        self._subjects: set[str] = set()  # since ever: who was too many in one second stays so in the next

    def record(self, subject: str, clock: str, phase: str, us: int) -> None:
        """One sample."""
        key = (subject, clock, phase)
        histogram = self.histograms.get(key)
        if histogram is None:
            histogram = self._histogram(key)
        return histogram.record(us)

    def add(self, name: str, number: int = 1) -> None:
        """Counts."""
        self.counters[name] = self.counters.get(name, 0) + number

    def peak(self, name: str, value: float) -> None:
        """Keeps the largest."""
        self.peaks[name] = max(self.peaks.get(name, value), value)

    def merge(self, other: "Clocks") -> None:
        """Everything of another, which stays as it is."""
        for key, histogram in other.histograms.items():
            self._histogram(key).merge(histogram)
        for name, number in other.counters.items():
            self.add(name, number)
        for name, value in other.peaks.items():
            self.peak(name, value)

    def _histogram(self, key: Key) -> Histogram:
        """The one of this key, or of OTHERS: subjects are bounded, in one process and in all that are merged."""
        subject, clock, phase = key
        if subject not in self._subjects:
            if len(self._subjects) >= SUBJECTS_MAX:
                key = (OTHERS, clock, phase)
            else:
                self._subjects.add(subject)
        return self.histograms.setdefault(key, Histogram())

    def copy(self) -> "Clocks":
        """As it is now: a few microseconds a histogram, where a merge would take one a bin."""
        made = Clocks()
        made.histograms = {key: histogram.copy() for key, histogram in self.histograms.items()}
        made.counters, made.peaks = self.counters.copy(), self.peaks.copy()
        made._subjects = self._subjects.copy()
        return made

    def take(self) -> "Clocks":
        """What came since the last time; nothing is left behind."""
        taken = Clocks()
        taken.histograms, self.histograms = self.histograms, {}
        taken.counters, self.counters = self.counters, {}
        taken.peaks, self.peaks = self.peaks, {}
        return taken

    def select(self, clock: str, subject: str | None = None, phases: Iterable[str] | None = None) -> Histogram:
        """One histogram of all that match."""
        merged = Histogram()
        wanted = None if phases is None else set(phases)
        for (its_subject, its_clock, phase), histogram in self.histograms.items():
            if its_clock == clock and subject in {None, its_subject} and (wanted is None or phase in wanted):
                merged.merge(histogram)
        return merged

    def to_builtins(self) -> dict[str, Any]:
        """For the wire and for files."""
        return {
            "histograms": [[*key, *histogram.to_builtins()] for key, histogram in self.histograms.items()],
            "counters": self.counters,
            "peaks": self.peaks,
        }

    @classmethod
    def from_builtins(cls, content: dict[str, Any]) -> Self:
        """The way back."""
        made = cls()
        for subject, clock, phase, *rest in content["histograms"]:
            made.histograms[(subject, clock, phase)] = Histogram.from_builtins(rest)
            made._subjects.add(subject)
        made.counters, made.peaks = dict(content["counters"]), dict(content["peaks"])
        return made


def subject_of(name: str) -> str:
    """A name that can stand in a finding's: no slash, no control character, no space at an end, and not too long."""
    return re.sub(r"[\x00-\x1f\x7f]", " ", name.replace("/", "|")).strip()[:160].strip() or "nameless"


def hlog(intervals: Iterable[tuple[float, float, Clocks]], path: Path) -> None:
    """Writes (start, seconds, clocks) as an interval log of HdrHistogram, a tag for each subject, clock and phase."""
    with path.open("w", encoding="utf-8") as file:
        file.writelines(_hlog_lines(intervals))


def _hlog_lines(intervals: Iterable[tuple[float, float, Clocks]]) -> Iterator[str]:
    from hdrh.histogram import HdrHistogram  # noqa: PLC0415 - of the extra `load`; what reads clocks needs it not

    yield "#[Histogram log format version 1.3]\n"
    yield '"StartTimestamp","Interval_Length","Interval_Max","Interval_Compressed_Histogram"\n'
    for start_s, seconds, clocks in intervals:
        for (subject, clock, phase), histogram in clocks.histograms.items():
            encoded = HdrHistogram(1, US_MAX, 3)
            for index, count in histogram.bins.items():
                encoded.record_value(top_of(index), count)
            tag = re.sub(r"[\s,]+", "_", f"{clock}:{phase}:{subject}")
            text = encoded.encode().decode()
            yield f"Tag={tag},{start_s:.3f},{seconds:.3f},{histogram.max_us / 1e6:.6f},{text}\n"
