"""Which commit was measured."""

import subprocess
from pathlib import Path

import pytest

from tidegauge.subject import Subject, read_subject


def test_a_folder_without_git_has_no_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No repository, or no git at all, is no error."""
    assert read_subject(tmp_path) == Subject()
    monkeypatch.setenv("PATH", str(tmp_path))
    assert read_subject(tmp_path) == Subject()


def test_a_repository_says_its_commit_and_whether_it_is_changed(tmp_path: Path) -> None:
    """A changed file makes it dirty: the commit alone would not reproduce the run."""

    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    git("init", "-q")
    (tmp_path / "bot.py").write_text("1")
    assert read_subject(tmp_path) == Subject(commit=None, dirty=True)
    git("add", ".")
    git("commit", "-q", "-m", "first")
    commit = git("rev-parse", "HEAD")
    assert read_subject(tmp_path) == Subject(commit=commit, dirty=False)
    (tmp_path / "bot.py").write_text("2")
    assert read_subject(tmp_path) == Subject(commit=commit, dirty=True)
