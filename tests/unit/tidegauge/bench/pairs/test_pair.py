"""A pair of sides that are this very Python: what is drawn from the seed, what comes back, what is cleaned up."""

import math
import os
import random
import statistics
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from support.suites import benchmark, written
from support.suites import side as a_side
from tidegauge.bench.pairs.pair import Bench, Pair, PairJob
from tidegauge.bench.pairs.pipeline import Pipeline
from tidegauge.bench.pairs.slices import PairSettings, error, typical
from tidegauge.bench.processes.client import Worker, WorkerJob
from tidegauge.bench.processes.conversation import WorkerError
from tidegauge.bench.processes.layout import held_still, is_possible
from tidegauge.bench.suites.model import Side
from tidegauge.process import PREFERENCE

QUICK = PairSettings(slice_ms=1, slices=4, slices_max=4, measure_s_max=0.2)
SUITE = """
import os

def time_seed():
    with open(os.environ["SEEN"], "a") as file:
        file.write(os.environ["PYTHONHASHSEED"] + "\\n")

def time_core():
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{sorted(os.sched_getaffinity(0))}\\n")

def time_address():
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{id(os.getpid)} {len(os.environ['TIDEGAUGE_STACK_PADDING'])}\\n")

def time_preference():
    with open(os.environ["SEEN"], "a") as file:
        file.write(f"{os.getpriority(os.PRIO_PROCESS, 0)}\\n")

class Slow:
    def setup(self):
        import time
        time.sleep(1)

    def time_it(self):
        pass

def time_hello():
    print("last words")
    os._exit(0)
"""


@pytest.fixture
def side(tmp_path: Path) -> Side:
    suite = written(tmp_path / "suite", SUITE)
    return a_side(suite, {**os.environ, "SEEN": str(tmp_path / "seen")})


def run(
    side: Side, name: str, index: int, scratch: Path, *, core: int | None = None, settings: PairSettings = QUICK
) -> Pair:
    job = PairJob(benchmark=benchmark(name), base=side, head=side, index=index)
    with Pipeline(Bench(seed=7, core=core, scratch=scratch, settings=settings)) as pipeline:
        return pipeline.measure(job)


def test_hash_seeds_are_equal_in_a_pair_and_differ_between_pairs(side: Side, tmp_path: Path) -> None:
    """One hash seed for both sides of a pair, another one for the next; the same seed draws the same again."""
    seen: list[set[str]] = []
    for index in (0, 1, 0):
        assert run(side, "bench.time_seed", index, tmp_path / "scratch").log_ratio is not None
        seen.append(set((tmp_path / "seen").read_text().split()))
        (tmp_path / "seen").unlink()
    assert [len(seeds) for seeds in seen] == [1, 1, 1]
    assert seen[0] == seen[2] != seen[1]


def test_the_interpreter_lies_at_the_same_address_in_every_pair(side: Side, tmp_path: Path) -> None:
    """What both commits share is held still, where the system allows it; the stack moves, with both sides alike."""
    seen = []
    for index in (0, 1):
        run(side, "bench.time_address", index, tmp_path / "scratch")
        seen.append({tuple(line.split()) for line in (tmp_path / "seen").read_text().splitlines()})
        (tmp_path / "seen").unlink()
    ((address, padding),), ((address_next, padding_next),) = seen
    assert (address == address_next) == is_possible()
    assert padding != padding_next


def test_the_kernel_goes_on_to_draw_addresses_for_others() -> None:
    """Only what is started within `held_still` is held; the setting of our own thread is what it was before."""
    before = Path("/proc/self/personality").read_text(encoding="ascii")
    with held_still():
        assert (Path("/proc/self/personality").read_text(encoding="ascii") != before) == is_possible()
    assert Path("/proc/self/personality").read_text(encoding="ascii") == before


def test_both_sides_are_measured_on_the_core_that_was_asked_for(side: Side, tmp_path: Path) -> None:
    """Wherever a side was set up, its benchmark runs on the one core."""
    core = max(os.sched_getaffinity(0))
    run(side, "bench.time_core", 0, tmp_path / "scratch", core=core)
    assert set((tmp_path / "seen").read_text().splitlines()) == {f"[{core}]"}


def test_a_pair_that_was_set_up_ahead_is_the_pair_that_was_asked_for(side: Side, tmp_path: Path) -> None:
    """A right guess is measured, a wrong one is ended, and what is left at the end is ended too."""
    jobs = [PairJob(benchmark=benchmark("bench.time_seed"), base=side, head=side, index=index) for index in range(4)]
    bench = Bench(seed=7, core=None, scratch=tmp_path / "scratch", settings=QUICK)
    with Pipeline(bench) as pipeline:
        pairs = [pipeline.measure(jobs[0], jobs[1:3]), pipeline.measure(jobs[1], jobs[2:4])]
        assert len(psutil.Process().children(recursive=True)) >= 2
        pairs += [pipeline.measure(jobs[3], jobs[:1])]
    assert [pair.index for pair in pairs] == [0, 1, 3]
    assert all(pair.log_ratio is not None and pair.seconds > 0 for pair in pairs)
    assert psutil.Process().children(recursive=True) == []
    assert list((tmp_path / "scratch").iterdir()) == []


def test_the_order_is_turned_round_in_every_second_pair(side: Side, tmp_path: Path) -> None:
    """Whichever side begins pair 0 comes second in pair 1, so that an even number of pairs is balanced."""
    firsts = [run(side, "bench.time_seed", index, tmp_path / "scratch").first for index in range(4)]
    assert sorted(firsts[:2]) == sorted(firsts[2:]) == ["base", "head"]


@pytest.mark.parametrize(
    ("error_max", "slices"),
    [
        pytest.param(math.inf, 8, id="they agree"),
        pytest.param(-1.0, 24, id="they never do"),
    ],
)
def test_a_pair_goes_on_while_its_turns_disagree(side: Side, tmp_path: Path, error_max: float, slices: int) -> None:
    """Past the planned slices there are more of them while their error is too large, and never more than the most."""
    settings = PairSettings(slice_ms=1, slices=8, slices_max=24, error_max=error_max, measure_s_max=60.0)
    pair = run(side, "bench.time_core", 0, tmp_path, settings=settings)
    assert pair.slices == slices, pair.error


def test_a_pair_goes_on_while_nobody_waits_for_it(side: Side, tmp_path: Path) -> None:
    """Turns that disagree are taken past the most while the next pair is being set up, and up to the very most."""
    settings = PairSettings(slice_ms=1, slices=8, slices_max=16, slices_free_max=32, error_max=-1.0, measure_s_max=60.0)
    jobs = [
        PairJob(benchmark=benchmark(f"bench.{name}"), base=side, head=side, index=0)
        for name in ("time_core", "Slow.time_it")
    ]
    with Pipeline(Bench(seed=7, core=None, scratch=tmp_path, settings=settings)) as pipeline:
        assert pipeline.measure(jobs[0], jobs[1:]).slices == 32


def test_the_error_of_turns_is_blind_to_their_sign_and_place() -> None:
    """When a pair ends depends on how far its turns scatter: a faster and a slower head are measured equally long."""
    turns = [0.01, -0.02, 0.03, 0.0, 0.005, -0.04, 0.02, 0.9]
    expected = error(turns)
    assert error([-turn for turn in turns]) == pytest.approx(expected)
    assert error([turn + 0.05 for turn in turns]) == pytest.approx(expected)
    assert error([2 * turn for turn in turns]) == pytest.approx(2 * expected)


@pytest.mark.parametrize("mode", [0.0, 0.2])
def test_the_error_of_turns_is_that_of_what_they_say(mode: float) -> None:
    """It is what the figures of many samples scatter by, of turns in one mode and of turns that fall into two."""
    rng = random.Random(5)
    samples = [[rng.gauss(rng.choice((-mode, mode)), 0.1) for _ in range(24)] for _ in range(1_000)]
    scatter = statistics.pstdev(map(typical, samples))
    assert statistics.mean(map(error, samples)) == pytest.approx(scatter, rel=0.1)


def test_a_pair_leaves_no_file_behind(side: Side, tmp_path: Path) -> None:
    """The folders that workers run in are gone with them, after an error too."""
    descriptors = psutil.Process().num_fds()
    pair = run(side, "bench.time_hello", 0, tmp_path / "scratch")
    assert pair.error_side == "both"
    assert list((tmp_path / "scratch").iterdir()) == []
    assert psutil.Process().num_fds() == descriptors


@pytest.mark.parametrize("core", [0, None])
def test_what_is_timed_on_a_core_goes_first(side: Side, tmp_path: Path, core: int | None) -> None:
    """A worker with a core of its own asks for the scheduler's preference, and gets it where we may; no other does."""
    ask = f"import os; os.setpriority(os.PRIO_PROCESS, 0, {PREFERENCE})"
    may = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=False).returncode == 0
    ours = os.getpriority(os.PRIO_PROCESS, 0)
    run(side, "bench.time_preference", 0, tmp_path / "scratch", core=core)
    seen = {int(line) for line in (tmp_path / "seen").read_text().split()}
    assert seen == {PREFERENCE if may and core is not None else ours}


def test_a_dead_worker_says_how_it_ended(side: Side, tmp_path: Path) -> None:
    """The exit status and the last line that it printed stand in the error."""
    job = WorkerJob(benchmark_dir=str(side.benchmark_dir), id="bench.time_hello")
    env = {**side.env, "PYTHONUNBUFFERED": "1"}
    worker = Worker("head", side.python, job, env=env, cwd=tmp_path, timeout_s=30)
    try:
        worker.wait_until_ready()
        with pytest.raises(WorkerError, match="it ended by exit status 0: last words") as raised:
            worker.ask("run", 1, 1)
        assert raised.value.side == "head"
    finally:
        worker.close()


def test_a_python_that_does_not_exist_is_an_error(side: Side, tmp_path: Path) -> None:
    """A worker that cannot be started says why."""
    worker = Worker(
        "base", "/nowhere/python", WorkerJob(benchmark_dir="", id=""), env=side.env, cwd=tmp_path, timeout_s=30
    )
    try:
        with pytest.raises(WorkerError, match="it cannot be started: No such file"):
            worker.wait_until_ready()
    finally:
        worker.close()
