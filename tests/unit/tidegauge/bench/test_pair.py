"""A pair of sides that are this very Python: what is drawn from the seed, what comes back, what is cleaned up."""

import os
import sys
from pathlib import Path

import psutil
import pytest

from tidegauge.bench.client import Worker, WorkerError
from tidegauge.bench.model import Benchmark, Side
from tidegauge.bench.pair import Pair, PairSettings, run_pair

QUICK = PairSettings(slice_ms=1, slices=4, measure_s_max=0.2)
SUITE = """
import os

def time_seed():
    with open(os.environ["SEEN"], "a") as file:
        file.write(os.environ["PYTHONHASHSEED"] + "\\n")

def time_hello():
    print("last words")
    os._exit(0)
"""


@pytest.fixture
def side(tmp_path: Path) -> Side:
    suite = tmp_path / "suite"
    suite.mkdir()
    (suite / "__init__.py").touch()
    (suite / "bench.py").write_text(SUITE)
    return Side(
        name="base",
        commit="0" * 40,
        python=sys.executable,
        benchmark_dir=suite,
        own_benchmark_dir=suite,
        env={**os.environ, "SEEN": str(tmp_path / "seen")},
        env_name="existing",
        python_version="3",
        requirements={},
    )


def benchmark(name: str) -> Benchmark:
    return Benchmark(
        name=name,
        asv_name=name,
        param_index=None,
        params=(),
        axes=(),
        kind="time",
        unit="seconds",
        timeout_s=30,
        number=0,
        version="1",
        setup_cache_key=None,
        setup_cache_timeout_s=30,
        is_new=False,
    )


def run(side: Side, name: str, index: int, scratch: Path, seed: int = 7) -> Pair:
    return run_pair(benchmark(name), side, side, index=index, seed=seed, core=None, scratch=scratch, settings=QUICK)


def test_hash_seeds_are_equal_in_a_pair_and_differ_between_pairs(side: Side, tmp_path: Path) -> None:
    """One hash seed for both sides of a pair, another one for the next; the same seed draws the same again."""
    seen: list[set[str]] = []
    for index in (0, 1, 0):
        assert run(side, "bench.time_seed", index, tmp_path / "scratch").log_ratio is not None
        seen.append(set((tmp_path / "seen").read_text().split()))
        (tmp_path / "seen").unlink()
    assert [len(seeds) for seeds in seen] == [1, 1, 1]
    assert seen[0] == seen[2] != seen[1]


def test_the_order_is_turned_round_in_every_second_pair(side: Side, tmp_path: Path) -> None:
    """Whichever side begins pair 0 comes second in pair 1, so that an even number of pairs is balanced."""
    firsts = [run(side, "bench.time_seed", index, tmp_path / "scratch").first for index in range(4)]
    assert sorted(firsts[:2]) == sorted(firsts[2:]) == ["base", "head"]


def test_a_pair_leaves_no_file_behind(side: Side, tmp_path: Path) -> None:
    """The folders that workers run in are gone with them, after an error too."""
    descriptors = psutil.Process().num_fds()
    pair = run(side, "bench.time_hello", 0, tmp_path / "scratch")
    assert pair.error_side == "both"
    assert list((tmp_path / "scratch").iterdir()) == []
    assert psutil.Process().num_fds() == descriptors


def test_a_dead_worker_says_how_it_ended(side: Side, tmp_path: Path) -> None:
    """The exit status and the last line that it printed stand in the error."""
    job = {"benchmark_dir": str(side.benchmark_dir), "id": "bench.time_hello", "core": None, "slowdown": 0.0}
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
    worker = Worker("base", "/nowhere/python", {}, env=side.env, cwd=tmp_path, timeout_s=30)
    try:
        with pytest.raises(WorkerError, match="it cannot be started: No such file"):
            worker.wait_until_ready()
    finally:
        worker.close()
