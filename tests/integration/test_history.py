"""`tidegauge history` over a store that asv itself wrote: what was planted is what it says, and how it exits."""

import json
import math
import random
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tidegauge.bench.suites.suite import asv_module

CONFIG = {"version": 1, "project": "toy", "repo": ".", "benchmark_dir": "benchmarks", "results_dir": "results/asv"}
TIMED: dict[str, Any] = {
    "name": "bench_toy.time_work",
    "type": "time",
    "unit": "seconds",
    "version": "v1",
    "params": [["10", "20"]],
    "param_names": ["size"],
}
TRACKED = TIMED | {"name": "bench_toy.track_size", "type": "track", "unit": "bytes", "params": []}
COMMITS = 40
SLOWER_FROM = 34


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def keep(folder: Path, commit: str, seconds: list[float | None], machine: str = "rig") -> None:
    """One commit's medians of `time_work`, and a tracked size, by asv's own hand."""
    params = {"machine": machine, "cpu": "a fast one", "python": "3.11"}
    results = asv_module("results").Results(params, {}, commit, 0, "3.11", "existing-py", {})
    for benchmark, values in ((TIMED, seconds), (TRACKED, [17.0])):
        count = len(values)
        blank: list[None] = [None] * count
        result = asv_module("runner").BenchmarkResult(values, list(blank), list(blank), 0, "", None)
        results.add_result(benchmark, result)
    results.save(str(folder / "results/asv"))


@pytest.fixture
def store(tmp_path: Path) -> tuple[Path, list[str]]:
    """Forty commits, the third one without a result; `time_work(20)` is 10 % slower in the last six."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "asv.conf.json").write_text(json.dumps(CONFIG))
    commits = []
    for _ in range(COMMITS):
        git(tmp_path, "commit", "-q", "--allow-empty", "-m", "a step")
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
    rng = random.Random(1)
    for place, commit in enumerate(commits):
        if place != SLOWER_FROM - 1:
            slower = 1.1 if place >= SLOWER_FROM else 1.0
            keep(tmp_path, commit, [1e-3 * math.exp(rng.gauss(0, 0.01)), 2e-3 * slower * math.exp(rng.gauss(0, 0.01))])
    keep(tmp_path, "f" * 40, [1.0, None])
    describe_machine(tmp_path, "rig")
    conf = asv_module("config").Config.load(str(tmp_path / "asv.conf.json"))
    conf.results_dir = str(tmp_path / "results/asv")
    asv_module("benchmarks").Benchmarks(conf, [TIMED, TRACKED]).save()
    return tmp_path, commits


def describe_machine(folder: Path, name: str) -> None:
    path = folder / "results/asv" / name / "machine.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"machine": name, "version": 1}))


def history(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegauge", "history", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)


def test_a_planted_slowdown_is_found_in_asv_s_own_store(store: tuple[Path, list[str]]) -> None:
    """By its parameters, with its commit and the one before it that has no result; the rest of the store is silent."""
    folder, commits = store
    done = history(folder, "--json")
    assert done.returncode == 1, done.stderr
    run = json.loads(done.stdout)
    assert (run["lane"], run["config"]["results_left_out"]) == ("bench", 1)
    flat, slower = run["findings"]
    assert (flat["name"], flat["verdict"]) == ("bench/bench_toy.time_work(10)/history", "pass")
    assert (slower["name"], slower["verdict"]) == ("bench/bench_toy.time_work(20)/history", "fail")
    assert slower["low"] < 1.1 < slower["high"]
    (change,) = slower["evidence"]["changes"]
    assert (change["since"], change["commit"]) == (commits[SLOWER_FROM - 2], commits[SLOWER_FROM])
    assert change["suspects"] == [commits[SLOWER_FROM - 1]]
    assert history(folder, "-b", r"time_work\(10\)").returncode == 0


def test_results_on_side_branches_do_not_count(store: tuple[Path, list[str]]) -> None:
    """What HEAD's first parents do not hold is left out: from an old commit the slow ones are unknown."""
    folder, commits = store
    git(folder, "checkout", "-q", commits[29])
    done = history(folder, "--json")
    assert done.returncode == 0, done.stderr
    run = json.loads(done.stdout)
    # Nine commits with two parameters, and the one of the unknown commit that ran.
    assert (run["config"]["results"], run["config"]["results_left_out"]) == (60, 19)


def test_machines_are_not_mixed(store: tuple[Path, list[str]]) -> None:
    """A store of two machines asks which, says why, and reads one."""
    folder, commits = store
    keep(folder, commits[0], [1.0, 1.0], machine="other")
    describe_machine(folder, "other")
    done = history(folder)
    assert (done.returncode, done.stdout) == (2, "")
    assert "times of 2 machines (other, rig), which cannot be compared" in done.stderr
    assert history(folder, "--machine", "rig").returncode == 1
    few = history(folder, "--machine", "other")
    assert few.returncode == 4
    assert "1 results are too few" in " ".join(few.stdout.split())
    unknown = history(folder, "--machine", "third")
    assert (unknown.returncode, "knows no machine 'third'" in unknown.stderr) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "said"), [(("-b", "nothing"), "Correct --bench"), (("-b", "("), "is not a regular expression")]
)
def test_what_selects_nothing_is_one_line(store: tuple[Path, list[str]], arguments: tuple[str, ...], said: str) -> None:
    """A user's mistake is no traceback and leaves no run."""
    done = history(store[0], *arguments)
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
    assert said in done.stderr


def test_an_empty_store_is_one_line(tmp_path: Path) -> None:
    """Nothing measured yet: where results come from."""
    git(tmp_path, "init", "-q", "-b", "main")
    (tmp_path / "asv.conf.json").write_text(json.dumps(CONFIG))
    done = history(tmp_path)
    assert (done.returncode, "holds no results" in done.stderr) == (2, True)
