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

from support.suites import TOY, VERSION, git
from tidegauge.bench.lane import SLOWED
from tidegauge.bench.pairs.pair import Pair
from tidegauge.bench.rowlog import RowLog
from tidegauge.bench.sight import ITSELF
from tidegauge.bench.store import read_pairs

SUITE = "from toy import work\ndef time_known(): work()\ndef time_noisy(): work()\ndef track_size(): return 1\n"
KNOWN, NOISY = "bench_toy.time_known", "bench_toy.time_noisy"
LOOK = 8  # pairs at the plan's first look
SIGNALS = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]
PLUGIN = """
import sys
from asv import environment, util
class Endless(environment.Environment):
    tool_name = "endless"
    def __init__(self, conf, python, requirements, tagged_env_vars):
        self._python, self._requirements = python, requirements
        super().__init__(conf, python, requirements, tagged_env_vars)
    def _setup(self):
        util.check_call([sys.executable, "-c", "import time; time.sleep(600)  # endless"])
"""


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


def log_of(folder: Path, other: str = "") -> Path:
    commit = git(folder, "rev-parse", "HEAD")[:12]
    return folder / "results" / "asv" / "pairs" / f"{commit}-{other or commit}.jsonl"


def ended_in_rounds(folder: Path, number: signal.Signals, *arguments: str) -> tuple[int, dict[str, Any]]:
    """In a pair, of which both sides run."""
    return ended(folder, number, "--python", "same", *arguments, after="| round ", runs="worker.py", processes=2)


def ended(
    folder: Path, number: signal.Signals, *arguments: str, after: str, runs: str, processes: int = 1
) -> tuple[int, dict[str, Any]]:
    """Starts the command, sends the signal once it has said and started that; the status and the findings it leaves."""
    command = [sys.executable, "-m", "tidegauge", "bench", "main", *arguments]
    with subprocess.Popen(command, cwd=folder, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        lines = iter(process.stderr)
        assert any(after in line for line in lines), f"it ended before it said {after}"
        below: list[psutil.Process] = []

        def is_there() -> bool:
            below[:] = psutil.Process(process.pid).children(recursive=True)
            return sum(any(runs in word for word in words_of(child)[:3]) for child in below) >= processes

        wait_for(is_there)
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


@pytest.mark.parametrize(("number", "status"), SIGNALS)
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
    with RowLog(log_of(repository)) as log:
        for pair in before:
            log.add(pair)
    status, findings = ended_in_rounds(repository, signal.SIGINT, "--resume", "--tier", "cpu", "--max-seconds", "600")
    assert status == 130
    assert findings["bench/self-proof/seen"]["verdict"] == "pass"
    assert findings[f"bench/{KNOWN}/cpu_ratio"]["verdict"] == "pass"
    noisy = findings[f"bench/{NOISY}/cpu_ratio"]
    assert (noisy["verdict"], noisy["reason"].endswith("`tidegauge bench --resume` goes on")) == ("undecided", True)
    assert read_pairs(log_of(repository))[: len(before)] == before


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_build_that_nobody_waits_for_is_the_one_thing_not_measured(
    repository: Path, number: signal.Signals, status: int
) -> None:
    """Ended while asv makes an environment: the run says that it was building, and the builder is gone with it."""
    (repository / "endless.py").write_text(PLUGIN)
    own = {"plugins": [".endless"], "environment_type": "endless", "pythons": [VERSION]}
    (repository / "asv.conf.json").write_text(json.dumps(TOY | own))
    code, findings = ended(repository, number, after="| building ", runs="# endless")
    assert (code, set(findings)) == (status, {"bench/build/finished", "bench/run/finished"})
    built = findings["bench/build/finished"]
    assert (built["verdict"], "while it built main and the working tree" in built["reason"]) == ("not_measured", True)


@pytest.mark.parametrize(("number", "status"), SIGNALS)
def test_a_suite_that_is_not_known_yet_is_not_measured(repository: Path, number: signal.Signals, status: int) -> None:
    """Ended while the suite is imported: the run says what it waited for, and nothing imports it any more."""
    (repository / "benchmarks" / "bench_toy.py").write_text(f"import time\ntime.sleep(600)\n{SUITE}")
    code, findings = ended(repository, number, "--python", "same", after="| building ", runs="discover")
    assert (code, set(findings)) == (status, {"bench/discovery/finished", "bench/run/finished"})
    assert "looked for the benchmarks" in findings["bench/discovery/finished"]["reason"]


def test_too_few_pairs_say_nothing_of_this_machine(repository: Path) -> None:
    """A self-proof ended in its first rounds says how many pairs it lacks and how to go on."""
    status, findings = ended_in_rounds(repository, signal.SIGTERM, "--self-proof-only")
    assert (status, set(findings)) == (143, {"bench/self-proof/power", "bench/run/finished"})
    power = findings["bench/self-proof/power"]
    assert power["verdict"] == "not_measured"
    assert power["reason"].endswith("8 are the least: `tidegauge bench --self-proof-only --resume` goes on")


def test_the_pairs_of_a_self_proof_so_far_describe_the_machine(repository: Path) -> None:
    """Ended between its first look and its last, it says what is seen of each slowdown, and from how many pairs."""
    with RowLog(log_of(repository, "self")) as log:
        for name, index, ratio in decided():
            if name == ITSELF:
                log.add(Pair(benchmark=name, index=index, log_ratio=ratio, seconds=0.1))
    status, findings = ended_in_rounds(repository, signal.SIGINT, "--self-proof-only", "--resume")
    seen = findings["bench/self-proof/seen_at_10_percent"]
    assert (status, seen["verdict"]) == (130, "pass")
    assert seen["evidence"]["pairs"] >= LOOK
    assert f"; from {seen['evidence']['pairs']} of 96 pairs: " in seen["reason"]
    assert findings["bench/run/finished"]["verdict"] == "not_measured"


def decided() -> Iterator[tuple[str, int, float]]:
    """Pairs by which the proof holds, one benchmark is decided, and the other will not be for long."""
    levels = {ITSELF: 0.0, SLOWED: 0.03, KNOWN: 0.0}
    for (name, level), index in itertools.product(levels.items(), range(LOOK)):
        yield name, index, level + 1e-4 * index
    for index in range(LOOK):
        yield NOISY, index, 0.5 * (-1) ** index
