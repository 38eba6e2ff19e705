"""The worker alone, as a process on a suite in a folder: its protocol, its honesty about setup, its errors."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.suites import written
from tidegauge.bench.processes.client import WORKER, WorkerJob

SUITE = """
    import gc, os, sys

    EVENTS = []

    class Fresh:
        def setup(self):
            EVENTS.append("setup")

        def teardown(self):
            EVENTS.append("teardown")
            with open("events", "w") as file:
                file.write(" ".join(EVENTS))

        def time_it(self):
            EVENTS.append("call")

    class Batched(Fresh):
        number = 3

    def time_collects():
        assert not gc.isenabled()

    def time_stdout():
        print("to stdout")
        assert sys.stdin.read() == ""

    def time_shadowed():
        import pair

    def time_stuck():
        raise KeyboardInterrupt

    def track_answer():
        return 42

    def time_computes():
        sum(range(1000))

    def time_core():
        assert len(os.sched_getaffinity(0)) == 1
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    return written(tmp_path / "suite", SUITE)


def converse(suite: Path, name: str, *commands: str, core: int | None = None) -> list[dict[str, Any]]:
    """Everything that a worker answers to the job and these commands, up to the end of its stdin."""
    job = msgspec.to_builtins(WorkerJob(benchmark_dir=str(suite), id=f"bench.{name}", core=core, setup_core=core))
    answer = subprocess.run(
        [sys.executable, WORKER],
        input="\n".join((json.dumps(job), *commands)) + "\n",
        cwd=suite.parent,
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


@pytest.mark.parametrize(
    ("name", "command", "events"),
    [
        ("Fresh.time_it", "run 1 3", "setup call teardown setup call teardown setup call teardown"),
        ("Batched.time_it", "run 3 2", "setup call call call teardown setup call call call teardown"),
    ],
)
def test_setup_runs_again_before_each_batch(suite: Path, name: str, command: str, events: str) -> None:
    """Each batch meets a freshly set-up state; where the suite says `number`, a batch is that many calls."""
    ready, ran, stopped = converse(suite, name, command, "stop")
    assert (ready, stopped) == ({"skipped": False}, {"stopped": True})
    assert min(ran["wall_ns"]) > 0
    assert (suite.parent / "events").read_text() == events


@pytest.mark.parametrize(("name", "number"), [("Fresh.time_it", 1), ("Batched.time_it", 3)])
def test_calibration_leaves_the_number_that_the_suite_means(suite: Path, name: str, number: int) -> None:
    """With setup hooks only the batches grow; without, the calls of a fixed number of batches do."""
    _, plan = converse(suite, name, "calibrate 50000000")
    assert plan["number"] == number
    assert plan["batches"] > 1
    _, plan = converse(suite, "time_computes", "calibrate 50000000")
    assert plan["number"] > 1
    assert plan["batches"] == 5


@pytest.mark.parametrize("name", ["time_collects", "time_stdout", "time_core"])
def test_the_suite_has_a_quiet_process_to_itself(suite: Path, name: str) -> None:
    """No collection within a slice, our pipes out of reach, one core."""
    _, ran = converse(suite, name, "run 1 1", core=0)
    assert "error" not in ran, ran


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("time_shadowed", "ModuleNotFoundError: No module named 'pair'"),
        ("time_stuck", "KeyboardInterrupt:"),
        ("time_missing", "ValueError: Could not find benchmark 'bench.time_missing'"),
    ],
)
def test_whatever_is_raised_comes_back_as_text(suite: Path, name: str, error: str) -> None:
    """Type and message in one line, for every exception there is; our own modules are out of the suite's sight."""
    assert converse(suite, name, "run 1 1")[-1] == {"error": error}


def test_a_profile_counts_calls_and_leaves_the_clock_alone(suite: Path) -> None:
    """As many calls as were asked for, by their stack, in a file; what is timed afterwards is timed as before."""
    _, profiled, again, ran = converse(suite, "time_computes", "profile 3 2", "profile 3 2", "run 3 2")
    assert profiled == again == {"calls": 6}
    assert min(ran["cpu_ns"]) > 0
    rows = [json.loads(line) for line in (suite.parent / "tidegauge-stacks.jsonl").read_text().splitlines()]
    calls = {stack: number for stack, number, _ in rows}
    assert calls["suite.bench.time_computes"] == calls["suite.bench.time_computes;sum"] == 6


def test_nothing_is_counted_without_valgrind(suite: Path) -> None:
    """The instructions that ask callgrind do nothing on a CPU, and the worker says so instead of counting none."""
    error = {"error": "RuntimeError: this process does not run under valgrind"}
    assert converse(suite, "time_computes", "count 1 1")[-1] == error


def test_a_track_benchmark_says_its_value(suite: Path) -> None:
    """`value` runs a benchmark the way that asv does and passes on what it returns."""
    assert converse(suite, "track_answer", "value")[-1] == {"value": 42}


def test_the_end_of_stdin_ends_the_worker(suite: Path) -> None:
    """Without a command, and without even a job, the worker ends by itself."""
    assert converse(suite, "time_computes") == [{"skipped": False}]
    ended = subprocess.run([sys.executable, WORKER], stdin=subprocess.DEVNULL, timeout=50, check=False)
    assert ended.returncode == 0


def test_no_module_beside_the_worker_has_a_name_of_the_standard_library() -> None:
    """Python looks in a script's own folder first: what the worker imports would be ours."""
    ours = {path.stem for path in WORKER.parent.glob("*.py")}
    assert not ours & sys.stdlib_module_names
