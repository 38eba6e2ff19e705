"""The clocks: bins of an HdrHistogram, sums that agree however they were split."""

import random
from pathlib import Path

import pytest
from hdrh.histogram import HdrHistogram
from hdrh.log import HistogramLogReader
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.load.times.clocks import (
    OTHERS,
    SUBJECTS_MAX,
    US_MAX,
    Clocks,
    Histogram,
    bin_of,
    hlog,
    subject_of,
    top_of,
)
from tidegauge.records import NAME


@given(st.integers(0, US_MAX))
def test_a_bin_is_that_of_an_hdr_histogram(us: int) -> None:
    """Each value falls into the bin, and reads as the value, that HdrHistogram with three digits gives it."""
    peer = HdrHistogram(1, US_MAX, 3)
    assert bin_of(us) == peer._counts_index_for(us)
    assert top_of(bin_of(us)) == peer.get_highest_equivalent_value(us)


def test_percentiles_are_those_of_an_hdr_histogram() -> None:
    """Percentiles agree with HdrHistogram's, and lie within a thousandth of the samples' own."""
    draws = random.Random(3)
    values = [int(draws.lognormvariate(8, 1.5)) for _ in range(20_000)]
    ours, peer = Histogram(), HdrHistogram(1, US_MAX, 3)
    for value in values:
        ours.record(value)
        peer.record_value(value)
    ordered = sorted(values)
    for share in (0.5, 0.9, 0.99, 0.999):
        exact = ordered[int(share * len(values)) - 1]
        assert ours.value_at(share) == pytest.approx(exact, rel=1e-3, abs=1)
        assert ours.value_at(share) == pytest.approx(peer.get_value_at_percentile(share * 100), rel=1e-3)
    assert (ours.count, ours.max_us) == (len(values), max(values))
    assert ours.mean_us == pytest.approx(sum(values) / len(values))


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 10**7)), max_size=60), st.integers(1, 4))
def test_what_was_split_adds_up_bin_for_bin(samples: list[tuple[str, int]], of: int) -> None:
    """Samples split over workers, sent as builtins and merged, are the samples of one."""
    whole, merged = Clocks(), Clocks()
    parts = [Clocks() for _ in range(of)]
    for number, (subject, us) in enumerate(samples):
        for clocks in (whole, parts[number % of]):
            clocks.record(subject, "due", "steady", us)
            clocks.add("seen")
            clocks.peak("largest", us)
    for part in parts:
        merged.merge(Clocks.from_builtins(part.to_builtins()))
    assert {key: found.bins for key, found in merged.histograms.items()} == {
        key: found.bins for key, found in whole.histograms.items()
    }
    assert (merged.counters, merged.peaks) == (whole.counters, whole.peaks)


def test_taking_leaves_nothing_behind() -> None:
    """What was taken is not there a second time."""
    clocks = Clocks()
    clocks.record("a", "due", "steady", 5)
    assert clocks.take().select("due").count == 1
    assert clocks.take().select("due").count == 0


def test_subjects_are_bounded() -> None:
    """A locustfile with an identity in each name fills no memory: what is too many is counted together."""
    clocks = Clocks()
    for number in range(SUBJECTS_MAX * 3):
        clocks.record(f"GET |orders|{number}", "service", "steady", 1)
    assert len(clocks.histograms) <= SUBJECTS_MAX + 1
    assert clocks.select("service").count == SUBJECTS_MAX * 3


def test_an_api_of_many_routes_is_not_too_many() -> None:
    """Subjects are counted, not their clocks and phases: 200 routes stay 200, in one process and merged from four."""
    merged = Clocks()
    for _worker in range(4):
        clocks = Clocks()
        for number in range(200):
            for clock in ("service", "due"):
                for phase in ("steady", "spike", "recovery"):
                    clocks.record(f"GET |route|{number}", clock, phase, 1)
        merged.merge(Clocks.from_builtins(clocks.to_builtins()))
    assert len({subject for subject, _, _ in merged.histograms}) == 200
    assert merged.select("due", "GET |route|199").count == 12


def test_what_was_too_many_in_one_second_is_so_in_the_next() -> None:
    """The bound is one of a run: a name does not come and go with the seconds, nor with the worker."""
    clocks = Clocks()
    for number in range(SUBJECTS_MAX):
        clocks.record(f"a{number}", "service", "steady", 1)
    clocks.take()
    clocks.record("late", "service", "steady", 1)
    assert [subject for subject, _, _ in clocks.histograms] == [OTHERS]
    for number in range(SUBJECTS_MAX):
        other = Clocks()
        other.record(f"b{number}", "service", "steady", 1)
        clocks.merge(other)
    assert clocks.select("service", OTHERS).count == SUBJECTS_MAX + 1
    assert clocks.copy().select("service", OTHERS).count == SUBJECTS_MAX + 1


@given(st.text(max_size=200))
def test_every_name_becomes_a_subject(name: str) -> None:
    """Whatever a locustfile calls a step, its finding has a name that can be kept."""
    assert NAME.fullmatch(f"load/{subject_of(name)}/p99_due_ms")


def test_the_interval_log_is_read_by_others(tmp_path: Path) -> None:
    """What is written is an interval log of HdrHistogram, and holds every sample."""
    clocks = Clocks()
    for us in (100, 100, 250_000):
        clocks.record("entry", "workflow", "steady", us)
    hlog([(0.0, 1.0, clocks)], tmp_path / "load.hlog")
    reader = HistogramLogReader(str(tmp_path / "load.hlog"), HdrHistogram(1, US_MAX, 3))
    read = reader.get_next_interval_histogram()
    reader.input_file.close()
    assert read.get_total_count() == 3
    assert read.get_value_at_percentile(50) == 100
