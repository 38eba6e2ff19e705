"""Which code is measured: the commit of the working directory, asked of git.

A directory that is no repository, or a machine without git, is no error: the run then says None.
"""

import subprocess
from pathlib import Path

import msgspec

GIT_TIMEOUT_S = 10.0


class Subject(msgspec.Struct, frozen=True, kw_only=True):
    """The code under test; `base_commit` only where two commits are compared."""

    commit: str | None = None
    base_commit: str | None = None
    dirty: bool | None = None


def read_subject(root: Path) -> Subject:
    """The commit that is checked out at `root`, and whether files differ from it."""
    commit = _git(root, "rev-parse", "--verify", "-q", "HEAD")
    changes = _git(root, "status", "--porcelain")
    return Subject(commit=commit or None, dirty=None if changes is None else bool(changes))


def _git(root: Path, *arguments: str) -> str | None:
    # Without optional locks git leaves its index alone: a measurement changes nothing in the repository.
    command = ["git", "--no-optional-locks", "-C", str(root), *arguments]
    try:
        answer = subprocess.run(  # noqa: S603 - a fixed command
            command, capture_output=True, text=True, errors="replace", timeout=GIT_TIMEOUT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return answer.stdout.strip()
