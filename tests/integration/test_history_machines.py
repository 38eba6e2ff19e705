"""`tidegauge history --base`: runs of two machines, one twice as fast as the other, read as ratios to one commit."""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.suites import benchmark, side
from tidegauge.bench.changes.steps import find_steps
from tidegauge.bench.findings import Measured, pair_findings
from tidegauge.bench.judging.plan import Plan
from tidegauge.bench.judging.selfproof import Proof
from tidegauge.bench.pairs.pair import Pair
from tidegauge.bench.pairs.trial import Trial
from tidegauge.cli.bench import subject_of_run
from tidegauge.machine import read_machine
from tidegauge.records import Finding, RunWriter
from tidegauge.subject import Subject

COMMITS = 40
SLOWER_FROM = 33
PLAN = Plan()
PROOF = Proof(ok=True, reason="it sees", false_alarm=False, seen=True)
NS = {"slow": 2_000.0, "fast": 1_000.0}  # what a call of the base takes there
Owner = Callable[[int], str]


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture(scope="module")
def commits(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[str]]:
    """A repository of forty commits, cloned by each test that keeps runs in it."""
    folder = tmp_path_factory.mktemp("commits")
    git(folder, "init", "-q", "-b", "main")
    hashes = []
    for _ in range(COMMITS):
        git(folder, "commit", "-q", "--allow-empty", "-m", "a step")
        hashes.append(git(folder, "rev-parse", "HEAD"))
    return folder, hashes


def pairs(name: str, machine: str, ratio: float, rng: random.Random) -> list[Pair]:
    """Eight of a benchmark whose base takes what it takes on this machine."""
    found = []
    for index in range(PLAN.looks[0]):
        base_ns = NS[machine] * math.exp(rng.gauss(0, 0.02))
        head_ns = base_ns * ratio * math.exp(rng.gauss(0, 0.01))
        log_ratio = math.log(head_ns / base_ns)
        found.append(
            Pair(benchmark=name, index=index, base_min_ns=base_ns, head_min_ns=head_ns, log_ratio=log_ratio, seconds=1)
        )
    return found


def measured(names: dict[str, list[Pair]], proof: Proof = PROOF) -> list[Finding]:
    """The findings that the lane makes of pairs."""
    trials = []
    for name, its_pairs in names.items():
        trial = Trial(name=name, benchmarks=[benchmark(name)], base=side(), head=side(), plan=PLAN)
        for pair in its_pairs:
            trial.add(pair)
        trials.append(Measured(trial))
    return list(pair_findings(trials, proof, PLAN, judges_cpu=True))


def keep(folder: Path, machine: str, subject: Subject, findings: list[Finding]) -> None:
    """One run, as `tidegauge bench` leaves it."""
    facts = msgspec.structs.replace(read_machine(), cpu=f"a {machine} one", cores=2)
    with RunWriter(folder / "results" / "runs", "bench", subject=subject, machine=facts, seed=1, config={}) as writer:
        for finding in findings:
            writer.add(finding)
        writer.finish()


def store(folder: Path, hashes: list[str], owner: Owner, slower: float) -> None:
    """A run a commit against the first one: `time_flat` never changes, `time_slower` does late."""
    rng = random.Random(5)
    for place, commit in enumerate(hashes):
        machine = owner(place)
        ratios = {"b.time_flat": 1.0, "b.time_slower": slower if place >= SLOWER_FROM else 1.0}
        found = measured({name: pairs(name, machine, ratio, rng) for name, ratio in ratios.items()})
        keep(folder, machine, Subject(commit=commit, base_commit=hashes[0], dirty=False), found)


def history(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    """The command's status, its findings by name, and what it says meanwhile."""
    command = [sys.executable, "-m", "tidegauge", "history", "--json", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=50, check=False)
    findings = json.loads(done.stdout)["findings"] if done.stdout else []
    return done.returncode, {each["name"].split("/")[1]: each for each in findings}, done.stderr


@pytest.fixture
def folder(commits: tuple[Path, list[str]], tmp_path: Path) -> Path:
    git(tmp_path, "clone", "-q", str(commits[0]), "clone")
    return tmp_path / "clone"


def test_a_true_slowdown_is_found_whatever_machine_measured(folder: Path, commits: tuple[Path, list[str]]) -> None:
    """Measured in turn on both machines: +10 % has its commit and interval, and what did not change has no change."""
    hashes = commits[1]
    store(folder, hashes, lambda place: ("slow", "fast")[place % 2], slower=1.1)
    status, findings, _ = history(folder, "--base", hashes[0])
    assert (status, findings["b.time_flat"]["verdict"], findings["b.time_slower"]["verdict"]) == (1, "pass", "fail")
    assert findings["b.time_flat"]["evidence"]["changes"] == []
    (change,) = findings["b.time_slower"]["evidence"]["changes"]
    assert change["commit"] == hashes[SLOWER_FROM]
    assert change["low"] < 1.1 < change["high"]
    assert hashes[SLOWER_FROM][:12] in findings["b.time_slower"]["reason"]


def test_a_faster_machine_is_no_change(folder: Path, commits: tuple[Path, list[str]]) -> None:
    """The faster machine takes over at commit 20: its times are half as long, the ratios what they were."""

    def owner(place: int) -> str:
        return "slow" if place < COMMITS // 2 else "fast"

    store(folder, commits[1], owner, slower=1.0)
    status, findings, _ = history(folder, "--base", commits[1][0])
    assert status == 0
    assert [each["evidence"]["changes"] for each in findings.values()] == [[], []]
    rng = random.Random(1)
    assert find_steps([NS[owner(place)] * math.exp(rng.gauss(0, 0.01)) for place in range(COMMITS)], seed=1)


def test_a_change_that_came_with_its_machine_is_undecided(folder: Path, commits: tuple[Path, list[str]]) -> None:
    """Where no machine measured before and after, nobody can tell which of the two changed."""
    store(folder, commits[1], lambda place: "slow" if place < SLOWER_FROM else "fast", slower=1.1)
    status, findings, _ = history(folder, "--base", commits[1][0], "-b", "time_slower")
    assert (status, findings["b.time_slower"]["verdict"]) == (3, "undecided")
    assert "no machine measured both before and after" in findings["b.time_slower"]["reason"]


def test_what_says_nothing_of_the_pin_is_left_out_and_counted(folder: Path, commits: tuple[Path, list[str]]) -> None:
    """Another base, a working tree, a machine that did not prove itself do not count; the file may pin the base."""
    hashes = commits[1]
    store(folder, hashes[:25], lambda _: "slow", slower=1.0)
    rng = random.Random(1)
    found = measured({"b.time_flat": pairs("b.time_flat", "fast", 3.0, rng)})
    for base, dirty in ((hashes[1], False), (hashes[2], False), (hashes[0], True)):
        keep(folder, "fast", Subject(commit=hashes[30], base_commit=base, dirty=dirty), found)
    blind = msgspec.structs.replace(PROOF, ok=False)
    subject = Subject(commit=hashes[31], base_commit=hashes[0], dirty=False)
    keep(folder, "fast", subject, measured({"b.time_flat": pairs("b.time_flat", "fast", 3.0, rng)}, blind))
    (folder / "tidegauge.toml").write_text(f'[bench]\npinned = "{hashes[0][:9]}"\n')
    status, findings, said = history(folder, "-b", "time_flat")
    assert (status, findings["b.time_flat"]["evidence"]["results"]) == (0, 25)
    assert "Left out: 2 runs of another base, 1 runs of a working tree that is no commit" in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [(("--base", "nowhere"), "no commit 'nowhere'"), (("--base", "HEAD"), "holds no ratio to")],
)
def test_a_base_that_nothing_was_measured_against_is_one_line(
    folder: Path, arguments: tuple[str, ...], said: str
) -> None:
    """Wrong use, with the command that would measure it."""
    status, findings, told = history(folder, *arguments)
    assert (status, findings, said in told, len(told.splitlines())) == (2, {}, True, 1)


def test_a_base_and_a_machine_exclude_each_other(folder: Path) -> None:
    """Ratios are of all machines, times of one."""
    status, _, told = history(folder, "--base", "HEAD", "--machine", "rig")
    assert (status, "Leave one out" in told) == (2, True)


def test_a_head_that_is_named_stands_for_itself(folder: Path, commits: tuple[Path, list[str]]) -> None:
    """A comparison of old commits belongs to them, not to what is checked out meanwhile, changed or not."""
    hashes = commits[1]
    (folder / "changed").touch()
    assert subject_of_run(folder, hashes[3], hashes[7]) == Subject(commit=hashes[7], base_commit=hashes[3], dirty=False)
    assert subject_of_run(folder, hashes[3], "") == Subject(commit=hashes[-1], base_commit=hashes[3], dirty=True)
