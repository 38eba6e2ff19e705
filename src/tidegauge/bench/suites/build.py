"""Two commits, built once, side by side: from names of commits to two `Side`s that can run the suite.

    names ──resolve, snapshot──▶ commits ──check_out──▶ their files ──asv's environments──▶ Side, Side

The suite of HEAD runs on both sides, as under asv: what is compared is the code, by one and the same
benchmark. A side in an environment that asv made imports the code that asv installed there; in a Python that
was there before, nothing is installed and the code is imported from the files (`src/` before the root).
Both sides live in folders of equal length: the length of a path is part of what a process measures.

HEAD may be the working tree. Its commit is made by plumbing alone: a copy of the index takes up every change
and every new file that is not ignored, `write-tree` and `commit-tree` make objects of it. Index, working tree,
refs and reflog stay as they are; no ref names the commit, and git's own housekeeping removes it in time.
Equal content makes an equal commit, so that asv need not build it again.
"""

import contextlib
import fcntl
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path

from tidegauge.bench.suites.environment import open_environment
from tidegauge.bench.suites.libraries import share_libraries
from tidegauge.bench.suites.model import Side, SuiteConfig
from tidegauge.bench.suites.suite import SuiteError
from tidegauge.errors import TidegaugeError
from tidegauge.records import RUNS

GIT_S_MAX = 300.0
IDENTITY = {
    f"GIT_{role}_{what}": value
    for role in ("AUTHOR", "COMMITTER")
    for what, value in (("NAME", "tidegauge"), ("EMAIL", "tidegauge@localhost"))
}


class BuildError(TidegaugeError):
    """One side cannot be built; `side` says which, the exit status whether the code is to blame."""

    def __init__(self, side: str, sentence: str, remedy: str, *, exit_code: int = 1) -> None:
        super().__init__(sentence, remedy)
        self.side = side
        self.exit_code = exit_code


def find_repository(start: Path) -> Path:
    """The top of the repository that `start` lies in."""
    return Path(git(start if start.is_dir() else start.parent, "rev-parse", "--show-toplevel")).resolve()


def resolve(repository: Path, name: str) -> str:
    """The hash of a commit."""
    try:
        return git(repository, "rev-parse", "--verify", "-q", "--end-of-options", f"{name}^{{commit}}")
    except TidegaugeError as error:
        raise TidegaugeError(
            f"There is no commit {name!r} in {repository}", "`git log` shows what there is."
        ) from error


def base_of_changes(repository: Path) -> str:
    """HEAD where the working tree differs from it, else the commit before; HEAD too where history ends there."""
    if git(repository, "status", "--porcelain"):
        return "HEAD"
    return "HEAD~1" if git(repository, "rev-list", "--max-count=2", "HEAD").count("\n") else "HEAD"


def snapshot(config: SuiteConfig) -> str:
    """A commit of the working tree as it is; HEAD itself where nothing differs."""
    repository = config.repository
    head, head_tree, date = git(repository, "log", "-1", "--format=%H %T %ct").split()
    # asv's own folders and ours are no part of the code, whether or not they are ignored.
    ours = [
        f":(exclude,top){folder.relative_to(repository)}"
        for folder in (config.environments, config.results, config.path.parent / RUNS)
        if folder != repository and folder.is_relative_to(repository) and not _is_ignored(repository, folder)
    ]
    index = Path(git(repository, "rev-parse", "--path-format=absolute", "--git-path", "index"))
    with tempfile.TemporaryDirectory(prefix="tidegauge-index-") as folder:
        copy = Path(folder) / "index"
        if index.exists():
            shutil.copy2(index, copy)
        env = {"GIT_INDEX_FILE": str(copy)}
        git(repository, "add", "--all", "--", ":/", *ours, env=env)
        tree = git(repository, "write-tree", env=env)
    if tree == head_tree:
        return head
    # Its parent's date: now would make a new commit, and a new build, of the same content.
    dates = {"GIT_AUTHOR_DATE": f"{date} +0000", "GIT_COMMITTER_DATE": f"{date} +0000"}
    return git(repository, "commit-tree", tree, "-p", head, "-m", "The working tree", env=IDENTITY | dates)


def check_out(repository: Path, commit: str, folder: Path) -> Path:
    """The files of `commit` in `folder`, which keeps one commit at a time."""
    mark = folder / "commit"
    tree = folder / "tree"
    if mark.exists() and mark.read_text() == commit:
        return tree
    shutil.rmtree(folder, ignore_errors=True)
    tree.mkdir(parents=True)
    with tempfile.TemporaryDirectory(prefix="tidegauge-index-") as temporary:
        env = {"GIT_INDEX_FILE": str(Path(temporary) / "index")}
        git(repository, "read-tree", commit, env=env)
        git(repository, "checkout-index", "--all", "--force", f"--prefix={tree}/", env=env)
    mark.write_text(commit)  # last: a checkout that was killed has none
    return tree


@contextlib.contextmanager
def only_one(config: SuiteConfig) -> Iterator[None]:
    """Nobody else builds or measures in these environments meanwhile: two runs would take each other's commits away."""
    folder = config.environments / "tidegauge"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise TidegaugeError(
                f"Another run measures in {folder}", "Wait for its end, or give this one an env_dir of its own."
            ) from error
        yield


def build(config: SuiteConfig, base: str, head: str | None, *, python: str | None = None) -> tuple[Side, Side]:
    """Builds `base` and `head`, names of commits; no head is the working tree, `python` an existing Python ("same")."""
    commits = {
        "base": resolve(config.repository, base),
        "head": resolve(config.repository, head) if head else snapshot(config),
    }
    trees = {
        side: check_out(config.repository, commit, config.environments / "tidegauge" / side / "checkout")
        for side, commit in commits.items()
    }
    suite = trees["head"] / config.benchmarks
    if not suite.is_dir():
        raise BuildError("head", f"head has no folder {config.benchmarks}", f"Correct benchmark_dir in {config.path}.")
    sides = [
        _side(config, name, commits[name], tree=trees[name], suite=suite, python=python) for name in ("base", "head")
    ]
    if not python:
        share_libraries(*(config.environments / "tidegauge" / side.name for side in sides))
    return sides[0], sides[1]


def build_probe(config: SuiteConfig, commit: str, suite: Path, *, python: str | None = None) -> Side:
    """A commit between the two, in HEAD's place: there only the project is installed anew, not what it needs.

    `suite` are HEAD's benchmarks in a folder that outlasts this.
    """
    tree = check_out(config.repository, commit, config.environments / "tidegauge" / "head" / "checkout")
    return _side(config, "head", commit, tree=tree, suite=suite, python=python)


def _side(config: SuiteConfig, name: str, commit: str, *, tree: Path, suite: Path, python: str | None) -> Side:
    try:
        environment = open_environment(config, name, commit, python)
    except SuiteError as error:
        raise BuildError(name, error.sentence, error.remedy, exit_code=error.exit_code) from error
    env = {key: value for key, value in os.environ.items() if key not in {"PYTHONPATH", "PYTHONHOME"}}
    env["PATH"] = os.pathsep.join((str(Path(environment.python).parent), env.get("PATH", os.defpath)))
    env |= environment.env | {"ASV": "true", "ASV_COMMIT": commit}
    if environment.is_existing:
        project = tree / config.project
        env["PYTHONPATH"] = os.pathsep.join(str(path) for path in (project / "src", project) if path.is_dir())
    return Side(
        name=name,
        commit=commit,
        python=environment.python,
        benchmark_dir=suite,
        own_benchmark_dir=tree / config.benchmarks,
        env=env,
        env_name=environment.name,
        python_version=environment.python_version,
        release=environment.release,
        requirements=environment.requirements,
    )


def _is_ignored(repository: Path, folder: Path) -> bool:
    """Whether git leaves it out already: then it must not be named to it."""
    try:
        git(repository, "check-ignore", "-q", "--", str(folder / "_"))
    except TidegaugeError:
        return False
    return True


def git(folder: Path, *arguments: str, env: Mapping[str, str] | None = None) -> str:
    """What git answers in `folder`; it changes nothing there that it was not told to."""
    # Without optional locks git leaves the index alone, even where it could refresh it.
    command = ["git", "--no-optional-locks", "-C", str(folder), *arguments]
    with contextlib.suppress(OSError, subprocess.TimeoutExpired):
        answer = subprocess.run(  # noqa: S603 - fixed commands; names of commits come after --end-of-options
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=GIT_S_MAX,
            check=False,
            env={**os.environ, **(env or {})},
        )
        if not answer.returncode:
            return answer.stdout.strip()
        said = answer.stderr.strip() or f"exit status {answer.returncode}"
        raise TidegaugeError(f"git {arguments[0]} failed in {folder}: {said}", "Is this a git repository?")
    raise TidegaugeError(f"git {arguments[0]} did not run in {folder}", f"It needs git, and at most {GIT_S_MAX:g} s.")
