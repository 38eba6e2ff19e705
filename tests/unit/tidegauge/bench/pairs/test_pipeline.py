"""Pairs one after the other: which of them share a nursery, and what becomes of those that no nursery can be."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.suites import benchmark, written
from support.suites import side as a_side
from tidegauge.bench.pairs.pair import Bench, Pair, PairJob
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.pairs.slices import PairSettings
from tidegauge.bench.suites.model import Side

QUICK = PairSettings(slice_ms=1, slices=4, slices_max=4, measure_s_max=0.2)
SUITE = """
import os, signal, sys

NOTED = []

def note(name):
    if NOTED:
        return
    NOTED.append(name)
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{name} {os.getppid()} {'colorsys' in sys.modules or 'threaded' in sys.modules}\\n")

class First:
    def setup(self):
        note("first")
        import colorsys
    def time_it(self):
        pass

class Second:
    def setup(self):
        note("second")
    def time_it(self):
        pass

class Threads:
    def setup(self):
        note("threads")
        import threaded
    def time_it(self):
        pass

class Kills:
    def setup(self):
        with open(f"/proc/{os.getppid()}/cmdline") as file:
            if "guard.py" not in file.read():  # the other side was first, perhaps: then our parent is the guard
                os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()
    def time_it(self):
        pass
"""
THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


@pytest.fixture
def side(tmp_path: Path) -> Side:
    (tmp_path / "threaded.py").write_text(THREADED)
    env = {**os.environ, "SEEN": str(tmp_path / "seen"), "PYTHONPATH": str(tmp_path)}
    return a_side(written(tmp_path / "suite", SUITE), env)


def measured(side: Side, scratch: Path, *names: str) -> list[Pair]:
    """A pair of each, in this order; the next two are always set up ahead."""
    jobs = [
        PairJob(benchmark=benchmark(f"bench.{name}.time_it"), base=side, head=side, index=names[:at].count(name))
        for at, name in enumerate(names)
    ]
    with Pipeline(Bench(seed=7, core=None, scratch=scratch, settings=QUICK)) as pipeline:
        return [pipeline.measure(job, jobs[at + 1 : at + 3]) for at, job in enumerate(jobs)]


def test_no_benchmark_is_forked_twice_from_one_nursery(side: Side, tmp_path: Path) -> None:
    """Those of a round share one; the pairs of one benchmark differ in all that a process's life has in common."""
    pairs = measured(side, tmp_path / "scratch", "First", "Second", "First", "Second", "First")
    assert [pair.error for pair in pairs] == [""] * 5
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    parents = {name: [parent for who, parent, _ in seen if who == name] for name in ("first", "second")}
    assert len(set(parents["first"])) == 3  # each of both sides of a pair, which is one side here
    assert len(set(parents["second"])) == 2
    assert set(parents["second"]) < set(parents["first"])


def test_what_a_pair_imported_is_there_for_the_next_round(side: Side, tmp_path: Path) -> None:
    """The first pair imports for itself, and all nurseries after it beforehand."""
    measured(side, tmp_path / "scratch", "First", "Second", "First", "Second")
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    assert [imported for who, _, imported in seen if who == "first"] == ["False", "False", "True", "True"]


def test_a_suite_whose_imports_start_threads_is_measured_all_the_same(side: Side, tmp_path: Path) -> None:
    """Nurseries that cannot be forked are given up for those that import nothing."""
    pairs = measured(side, tmp_path / "scratch", "Threads", "Second", "Threads", "Second", "Threads")
    assert [pair.error for pair in pairs] == [""] * 5
    seen = [line.split() for line in (tmp_path / "seen").read_text().splitlines()]
    assert [imported for who, _, imported in seen if who == "threads"][-2:] == ["False", "False"]


def test_a_benchmark_that_ends_its_nursery_spoils_no_other_pair(side: Side, tmp_path: Path) -> None:
    """It fails with a sentence of its own, and the next pairs come from other nurseries."""
    kills, *others = measured(side, tmp_path / "scratch", "Kills", "Second", "First", "Second")
    assert "SIGKILL" in kills.error
    assert [pair.error for pair in others] == [""] * 3
