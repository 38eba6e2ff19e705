"""`tidegauge bench` that is ended in the middle: what it leaves is a run that says what it knows and how to go on."""

from __future__ import annotations

import itertools
import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from support.suites import TOY, git
from tidegauge.bench.lane import ITSELF, SLOWED
from tidegauge.bench.pair import Pair
from tidegauge.bench.store import PairLog, read_pairs

SUITE = "from toy import work\ndef time_known(): work()\ndef time_noisy(): work()\ndef track_size(): return 1\n"
KNOWN, NOISY = "bench_toy.time_known", "bench_toy.time_noisy"
LOOK = 8  # pairs at the plan's first look


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Two benchmarks that time and one that tracks, in one commit."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / ".gitignore").write_text("results\n.asv\n")
    (tmp_path / "asv.conf.json").write_text(json.dumps(TOY))
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "bench_toy.py").write_text(SUITE)
    (tmp_path / "toy.py").write_text("def work(): return sum(i * i for i in range(3000))\n")
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "-A")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def log_of(folder: Path) -> Path:
    commit = git(folder, "rev-parse", "HEAD")[:12]
    return folder / "results" / "asv" / "pairs" / f"{commit}-{commit}.jsonl"


def ended_in_rounds(folder: Path, number: signal.Signals, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Starts the command, sends the signal once both sides of a pair run; the status and the findings it leaves."""
    command = [sys.executable, "-m", "tidegauge", "bench", "main", "--python", "same", *arguments]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any("| round " in line for line in lines), "it ended before its first round"
        below: list[psutil.Process] = []

        def runs() -> bool:
            below[:] = psutil.Process(process.pid).children(recursive=True)
            return sum(any("worker.py" in word for word in words_of(child)[:2]) for child in below) >= 2

        wait_for(runs)
        process.send_signal(number)
        said = list(lines)
        status = process.wait(30)
    wait_for(lambda: not any(child.is_running() for child in below))
    assert not any("Traceback" in line for line in said)
    (path,) = sorted((folder / "results" / "runs").glob("*.json"))[-1:]
    return status, {each["name"]: each for each in json.loads(path.read_text())["findings"]}


def words_of(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.Error:
        return []


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline_s = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline_s
        time.sleep(0.02)


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_what_was_never_decided_is_not_measured_and_says_how_to_go_on(
    repository: Path, number: signal.Signals, status: int
) -> None:
    """Ctrl-C and SIGTERM in the first rounds: each figure that was to come is named, and nothing is left running."""
    ended, findings = ended_in_rounds(repository, number)
    assert ended == status
    figures = [f"bench/{name}/{tier}_ratio" for name in (KNOWN, NOISY) for tier in ("cpu", "instructions")]
    for name in ("bench/self-proof/seen", *figures, "bench/bench_toy.track_size/track_ratio"):
        if "instructions" in name and "bench/instructions/valgrind" in findings:
            continue
        assert (findings[name]["verdict"], "--resume" in findings[name]["reason"]) == ("not_measured", True), name
    assert findings["bench/run/finished"]["verdict"] == "not_measured"


def test_what_was_decided_before_stays_and_the_rest_is_undecided(repository: Path) -> None:
    """Of an interrupted run the decided benchmark passes; the noisy one is undecided, and its pairs are there."""
    before = [Pair(benchmark=name, index=index, log_ratio=ratio, seconds=0.1) for name, index, ratio in decided()]
    with PairLog(log_of(repository)) as log:
        for pair in before:
            log.add(pair)
    status, findings = ended_in_rounds(repository, signal.SIGINT, "--resume", "--tier", "cpu", "--max-seconds", "600")
    assert status == 130
    assert findings["bench/self-proof/seen"]["verdict"] == "pass"
    assert findings[f"bench/{KNOWN}/cpu_ratio"]["verdict"] == "pass"
    noisy = findings[f"bench/{NOISY}/cpu_ratio"]
    assert (noisy["verdict"], noisy["reason"].endswith("`tidegauge bench --resume` goes on")) == ("undecided", True)
    assert read_pairs(log_of(repository))[: len(before)] == before


def decided() -> Iterator[tuple[str, int, float]]:
    """Pairs by which the proof holds, one benchmark is decided, and the other will not be for long."""
    levels = {ITSELF: 0.0, SLOWED: 0.03, KNOWN: 0.0}
    for (name, level), index in itertools.product(levels.items(), range(LOOK)):
        yield name, index, level + 1e-4 * index
    for index in range(LOOK):
        yield NOISY, index, 0.5 * (-1) ** index
