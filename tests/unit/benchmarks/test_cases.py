"""Every shared case does what it says, equally for equal seeds, and some benchmark times it."""

from __future__ import annotations

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import psutil
import pytest

import smoke
from bench_memory import live_bytes
from cases import CASES, SEED, Case, Line, Work
from suite import LAKES, LakeSuite, Suite

FOLDER = Path(__file__).parents[3] / "benchmarks"
MODULES = sorted(path.stem for path in FOLDER.glob("bench_*.py"))
FIXED = "pricing.european"


def digests(work: Work, runs: int) -> list[str]:
    try:
        return [work() for _ in range(runs)]
    finally:
        if work.close is not None:
            work.close()


def suites() -> Iterator[type[Suite]]:
    for name in MODULES:
        for _, made in inspect.getmembers(import_module(name), inspect.isclass):
            if issubclass(made, Suite) and made.__module__ == name:
                yield made


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_case(case: Case) -> None:
    """A case gives the digest that is recorded, run after run, and so does another one made from the same seed."""
    first = digests(case.make(case.smoke, SEED), 2)
    again = digests(case.make(case.smoke, SEED), 1)
    assert set(first + again) == {case.recorded or first[0]}


def test_seed_matters() -> None:
    """Another seed is other work: a case whose digest saw nothing would agree with any."""
    case = CASES[FIXED]
    assert digests(case.make(case.smoke, SEED + 1), 1) != [case.recorded]


def test_every_case_is_timed() -> None:
    """Each case is some benchmark's, swept over its own sizes with a name for them."""
    timed = {made.case.name for made in suites()}
    assert timed == set(CASES)
    for made in suites():
        params: Any = vars(made)["params"]
        assert set(params[0]) <= set(made.case.sizes)
        assert vars(made)["param_names"] == (made.case.unit,)


def test_benchmarks_are_what_asv_looks_for() -> None:
    """Each class of a suite has a method by one of asv's names, and takes its one parameter."""
    for made in suites():
        found = [name for name in vars(made) if name.startswith(("time_", "track_", "peakmem_"))]
        assert found, made
        for name in found:
            assert list(inspect.signature(getattr(made, name)).parameters) == ["self", made.case.unit]


def test_kept_work_is_kept_and_held_work_is_closed() -> None:
    """Memory alone is prepared once for all timed calls; a folder is gone when a benchmark is torn down."""

    class Memory(Suite):
        case = CASES["codecs.frames"]

    class Folder(Suite):
        case = CASES["store.append"]

    memory, folder = Memory(), Folder()
    memory.setup(memory.case.smoke)
    kept = memory.work
    memory.teardown(memory.case.smoke)
    memory.setup(memory.case.smoke)
    assert memory.work is kept

    folder.setup(folder.case.smoke)
    held = folder.work
    folder.teardown(folder.case.smoke)
    folder.teardown(folder.case.smoke)
    with pytest.raises(Exception, match=r"lake|No such file|not found"):
        held.run()


def test_what_is_dear_is_written_once_and_only_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A lake of `setup_cache` is what a suite reads, gives the recorded digest, and is there when it is torn down."""

    class Lake(LakeSuite):
        case = CASES["store.history"]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("suite.LAKES", (Lake.case.smoke,))
    Lake().setup_cache()
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert before
    for _ in range(2):
        suite = Lake()
        suite.setup(suite.case.smoke)
        assert suite.work() == suite.case.recorded
        suite.teardown(suite.case.smoke)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before


def test_all_lakes_have_one_cache() -> None:
    """Suites that read lakes share one `setup_cache`, so that it runs once an environment, for all sizes they ask."""
    lakes = [made for made in suites() if issubclass(made, LakeSuite) and made is not LakeSuite]
    assert {made.case.name for made in lakes} == {"store.history", "store.positions"}
    assert {made.setup_cache for made in lakes} == {LakeSuite.setup_cache}
    assert {size for made in lakes for size in made.case.sizes} == set(LAKES)


@pytest.mark.parametrize("name", ["gateway.entries", "loopback.entries"])
def test_a_venue_leaves_nothing(name: str) -> None:
    """After a case at a gateway no process, socket, thread or task is left."""
    this = psutil.Process()
    digests(CASES[name].make(1, SEED), 1)  # what libraries open once, they keep
    before = _held(this)
    digests(CASES[name].make(1, SEED), 1)
    gc.collect()
    assert _held(this) == before


def _held(this: psutil.Process) -> tuple[object, ...]:
    tasks = [each for each in gc.get_objects() if isinstance(each, asyncio.Task) and not each.done()]
    return this.children(recursive=True), this.net_connections(), threading.active_count(), this.num_fds(), tasks


def test_a_failed_start_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bot that cannot be started takes its gateway down with it."""

    def refuse(*_: object, **__: object) -> None:
        raise RuntimeError("refused by the test")

    monkeypatch.setattr("cases.profile.build_bot", refuse)
    with pytest.raises(RuntimeError, match="refused by the test"):
        CASES["loopback.entries"].make(1, SEED)
    assert psutil.Process().children(recursive=True) == []


def test_a_failed_case_leaves_nothing() -> None:
    """A case that finds less than it needs closes the bot that it had started, gateway and all."""
    with pytest.raises(RuntimeError, match="100000 are wanted"):
        CASES["loopback.quotes"].make(100_000, SEED)
    assert psutil.Process().children(recursive=True) == []


def test_live_bytes_see_both_allocators() -> None:
    """A thousand small objects and one large array are in the count, by their size."""
    before = live_bytes()
    small, large = [object() for _ in range(10_000)], bytearray(50_000_000)
    grown = live_bytes() - before
    assert grown == pytest.approx(sys.getsizeof(small) + 10_000 * 16 + sys.getsizeof(large), rel=0.02)


def test_smoke_runs_every_benchmark() -> None:
    """The smoke command knows each class of each module and each method that asv would run."""
    found = {name for name, _ in smoke.benchmarks()}
    for made in suites():
        for verb in vars(made):
            if verb.startswith(smoke.KINDS):
                assert f"{made.__module__}.{made.__name__}.{verb}" in found


def test_smoke_sums_up() -> None:
    """Run on one benchmark, the smoke command says what it and all of it took."""
    argv = [sys.executable, str(FOLDER / "smoke.py"), "-k", "bench_codecs.Frames"]
    said = subprocess.run(argv, check=True, timeout=50, capture_output=True, text=True).stdout.splitlines()
    assert [line.split()[0] for line in said] == ["bench_codecs.Frames.time_convert", "1"]


def test_a_missing_room_skips() -> None:
    """On a commit without a case's room, asv is told to skip it, and why."""

    class Missing(Suite):
        case = Case("attic.ghosts", "ghosts", (1,), Line(1, (1, 2, 3, 4)))

    with pytest.raises(NotImplementedError, match=r"attic\.ghosts: No module named 'cases\.attic'"):
        Missing().setup(1)


def test_asv_discovers_them_as_a_package() -> None:
    """Imported the way asv does it, from the folder above and in a fresh process, every module loads."""
    code = f"import benchmarks, importlib\nfor name in {MODULES!r}: importlib.import_module('benchmarks.' + name)"
    subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, check=True, timeout=50)
