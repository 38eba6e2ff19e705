"""Which commits lie between two, and how the answer is told in the words of git."""

import subprocess
from pathlib import Path

import pytest

from tidegauge.bench.search.culprit import between, describe, told
from tidegauge.bench.search.halving import Found
from tidegauge.verdicts import Verdict


class Repository:
    """Empty commits, each with its subject."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@localhost", "-c", "commit.gpgsign=false"]
        command = ["git", *identity, "-C", str(self.root), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    def commit(self, subject: str) -> str:
        self.git("commit", "-q", "--allow-empty", "-m", subject, "--date", "2024-05-06T07:08:09+00:00")
        return self.git("rev-parse", "HEAD")

    def merge(self, branch: str) -> str:
        self.git("merge", "-q", "--no-ff", "-m", f"Merge {branch}", branch)
        return self.git("rev-parse", "HEAD")


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


def found(commits: tuple[str, ...], why: str = "") -> Found:
    return Found(benchmark="bench.time_it", commits=commits, before=1.01, after=1.2, probes=(), why=why)


def test_the_commits_between_are_head_s_first_parents(repository: Repository) -> None:
    """Oldest first, head last, base not among them; what a merge brought is the merge."""
    base = repository.commit("base")
    first = repository.commit("first")
    repository.git("checkout", "-q", "-b", "side", base)
    repository.commit("aside")
    repository.git("checkout", "-q", "main")
    merge = repository.merge("side")
    last = repository.commit("last")
    assert between(repository.root, base, last) == ([first, merge, last], "")
    assert describe(repository.root, merge).is_merge
    finding = told(found((merge,)), repository.root, base, "bench.time_it")
    assert f"what it brought is in {merge[:12]}^1..{merge[:12]}" in finding.reason


def test_where_base_is_no_ancestor_the_fork_is_asked_first(repository: Repository) -> None:
    """A base that went on without head may itself be what changed; then nobody between is blamed."""
    fork = repository.commit("fork")
    base = repository.commit("faster on main")
    repository.git("checkout", "-q", "-b", "work", fork)
    head = repository.commit("work")
    assert between(repository.root, base, head) == ([fork, head], "")
    assert "base has something that head lacks" in told(found((fork,)), repository.root, base, "b").reason
    assert "since" in told(found((head,)), repository.root, base, "b").reason


def test_a_head_that_base_holds_has_nothing_to_search(repository: Repository) -> None:
    """An older head is told apart from an empty search."""
    old = repository.commit("old")
    new = repository.commit("new")
    assert between(repository.root, new, old) == ([], "head holds no commit that base lacks: exchange the two")


def test_the_culprit_is_told_with_subject_line_date_and_ratios(repository: Repository) -> None:
    """All that a person needs to go and look."""
    base, culprit = repository.commit("base"), repository.commit("Sum with a loop\n\nBecause.")
    finding = told(found((culprit,)), repository.root, base, "bench.time_it(1)")
    assert (finding.name, finding.verdict) == ("bench/bench.time_it(1)/culprit", Verdict.FAIL)
    assert finding.evidence["culprit"] == {
        "commit": culprit,
        "subject": "Sum with a loop",
        "author_date": "2024-05-06T07:08:09+00:00",
        "is_merge": False,
    }
    assert (finding.evidence["ratio_before"], finding.evidence["ratio_after"]) == (1.01, 1.2)
    assert f"since {culprit[:12]} (Sum with a loop, 2024-05-06)" in finding.reason


def test_a_range_is_told_with_its_reason(repository: Repository) -> None:
    """Undecided, with its first and last commit and why it is no single one."""
    base, *rest = (repository.commit(f"step {number}") for number in range(4))
    finding = told(found(tuple(rest), "time was up"), repository.root, base, "bench.time_it")
    assert finding.verdict is Verdict.UNDECIDED
    assert [each["commit"] for each in finding.evidence["range"]] == rest
    assert finding.reason.startswith(f"one of 3 commits from {rest[0][:12]} (step 1, 2024-05-06) to {rest[2][:12]}")
    assert finding.reason.endswith("because time was up")
