"""The lane as a part of `check`: what it compares with, and what it says where it cannot measure."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tidegauge.bench.short import NAME, run_short
from tidegauge.bench.suites.build import base_of_changes
from tidegauge.budgets import Budgets
from tidegauge.config import BenchConfig
from tidegauge.machine import read_machine
from tidegauge.records import Finding, RunWriter
from tidegauge.subject import read_subject
from tidegauge.verdicts import Verdict


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", *arguments], cwd=folder, check=True)


def commit(folder: Path, content: str) -> None:
    (folder / "code.py").write_text(content, encoding="ascii")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", content)


def test_changes_are_compared_with_what_they_were_made_of(tmp_path: Path) -> None:
    """A changed tree with HEAD, a clean one with the commit before, a first commit with itself."""
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "one")
    assert base_of_changes(tmp_path) == "HEAD"
    commit(tmp_path, "two")
    assert base_of_changes(tmp_path) == "HEAD~1"
    (tmp_path / "code.py").write_text("three", encoding="ascii")
    assert base_of_changes(tmp_path) == "HEAD"


def found(folder: Path, config: BenchConfig | None) -> list[Finding]:
    writer = RunWriter(
        folder / "runs", "check", subject=read_subject(folder), machine=read_machine(), seed=1, config={}
    )
    with writer:
        run_short(folder, config, writer, budgets=Budgets({}), seed=1, scratch=folder / "scratch", show=lambda _: None)
        return list(writer.finish().findings)


def test_a_project_that_names_no_benchmark_is_told_how(tmp_path: Path) -> None:
    """Not measured, and never the end of the check."""
    (finding,) = found(tmp_path, None)
    assert (finding.name, finding.verdict) == (NAME, Verdict.NOT_MEASURED)
    assert "select = [...]" in finding.reason


def test_without_asv_the_rest_of_the_check_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has not installed the extra reads which one it is."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    (finding,) = found(tmp_path, BenchConfig(select=("time_it",)))
    assert "tidegauge[bench]" in finding.reason


def test_a_folder_without_a_suite_is_not_measured(tmp_path: Path) -> None:
    """The lane's own error is the reason."""
    git(tmp_path, "init", "-q", "-b", "main")
    commit(tmp_path, "one")
    (finding,) = found(tmp_path, BenchConfig(select=("time_it",)))
    assert finding.verdict is Verdict.NOT_MEASURED
    assert "asv.conf.json" in finding.reason
