"""The environments that asv.conf.json may name: what is here is made without a network, what is not is one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.channels import write_wheel
from support.suites import COPIED, TOY, VERSION
from tidegauge.bench.suites.build import BuildError, build, find_repository
from tidegauge.bench.suites.environment import Environment
from tidegauge.bench.suites.suite import asv_module, discover, read_config

CONFIG = TOY | COPIED | {"results_dir": "results", "env_dir": "env"}


def repository(folder: Path, **keys: Any) -> Path:
    """One commit of a suite whose configuration has these keys beside the usual ones."""
    config = {key: value for key, value in (CONFIG | keys).items() if value is not None}
    (folder / "benchmarks").mkdir(parents=True)
    (folder / ".gitignore").write_text("results\nenv\n")
    (folder / "asv.conf.json").write_text(json.dumps(config))
    (folder / "benchmarks" / "__init__.py").touch()
    (folder / "benchmarks" / "bench_toy.py").write_text("import toy\ndef time_work(): toy.work()\n")
    (folder / "toy.py").write_text("def work(): return 1\n")
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", *command], cwd=folder, check=True)
    return folder


def opened(folder: Path, python: str | None = None) -> tuple[list[str], list[str]]:
    """Both sides' Pythons, and the benchmarks that they find: those import the code."""
    config = read_config(folder, find_repository(folder))
    sides = build(config, "HEAD", "HEAD", python=python)
    assert {side.release for side in sides} == {f"{sys.implementation.name} {VERSION}"}
    suite = discover(config, *sides, scratch=folder / "env" / "scratch")
    return [side.python for side in sides], [each.name for each in suite.benchmarks]


def refused(folder: Path) -> BuildError:
    """What is said of a repository that cannot be built: one line with a remedy."""
    with pytest.raises(BuildError) as refusal:
        opened(folder)
    assert "\n" not in str(refusal.value)
    assert "--python same" in refusal.value.remedy
    return refusal.value


@pytest.mark.parametrize("kind", ["existing", "existing:same"])
def test_a_python_that_is_here_is_taken_as_it_is(tmp_path: Path, kind: str) -> None:
    """Both sides are this very Python, whichever way the file says so, and each imports its own commit."""
    pythons, benchmarks = opened(repository(tmp_path, environment_type=kind))
    assert pythons == [sys.executable, sys.executable]
    assert benchmarks == ["bench_toy.time_work"]


@pytest.mark.slow  # asv asks pip ten times
@pytest.mark.timeout(300)
def test_virtualenv_makes_an_environment_a_side(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each side has a Python of its own with the commit installed in it; all that asv asks for may lie in a folder."""
    wheels = tmp_path / "wheels"
    for name in ("wheel", "build", "asv_runner", "pympler"):  # what asv installs
        write_wheel(wheels, name)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheels))
    folder = repository(tmp_path / "repository", environment_type="virtualenv")
    sides = build(read_config(folder, folder), "HEAD", "HEAD")
    assert len({*(side.python for side in sides), sys.executable}) == 3
    for side in sides:
        subprocess.run([side.python, "-c", "import toy; assert toy.work()"], cwd=tmp_path, env=side.env, check=True)


def test_an_index_that_lacks_something_is_a_need_that_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit status 4: nothing was measured, and the code is not to blame."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path))
    error = refused(repository(tmp_path / "repository", environment_type="virtualenv"))
    assert error.exit_code == 4
    assert "its environment cannot be made" in error.sentence
    assert "package indexes" in error.remedy


def test_a_tool_that_raises_what_it_likes_is_no_defect_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """rattler's solver has errors of its own: whatever a plugin raises while it makes an environment is one line."""

    class SolverError(Exception):
        pass

    def create(_self: Environment) -> None:
        raise SolverError("No candidates were found\nfor python")

    monkeypatch.setattr(asv_module("environment").ExistingEnvironment, "create", create)
    error = refused(repository(tmp_path, environment_type="existing"))
    assert (error.exit_code, "No candidates were found for python" in error.sentence) == (4, True)


@pytest.mark.parametrize(
    ("kind", "remedy"),
    [
        ("conda", "Install conda"),
        ("mamba", "pip install py-rattler"),
        ("rattler", "pip install py-rattler"),
        ("pyenv", "correct environment_type"),
        (None, '"environment_type": "virtualenv"'),
    ],
)
def test_a_tool_that_is_not_here_is_wrong_use(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str | None, remedy: str
) -> None:
    """Exit status 2 and the way to get the tool, or to do without it."""
    monkeypatch.delenv("CONDA_EXE", raising=False)
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    by_name = asv_module("environment").get_environment_class_by_name

    def without_rattler(name: str) -> Any:
        if name == "rattler":
            raise asv_module("environment").EnvironmentUnavailable("Unknown environment type 'rattler'")
        return by_name(name)

    monkeypatch.setattr(asv_module("environment"), "get_environment_class_by_name", without_rattler)
    error = refused(repository(tmp_path, environment_type=kind))
    assert error.exit_code == 2
    assert remedy in error.remedy


def test_python_same_needs_no_tool(tmp_path: Path) -> None:
    """Whoever has not got conda measures in this Python, as the remedy says."""
    pythons, _ = opened(repository(tmp_path, environment_type="conda"), python="same")
    assert pythons == [sys.executable, sys.executable]


def test_a_commit_that_cannot_be_installed_is_to_blame(tmp_path: Path) -> None:
    """Exit status 1: the environment was there, the code did not get into it."""
    folder = repository(tmp_path, environment_type="existing")

    def install(*_: object) -> None:
        raise asv_module("util").ProcessError(["pip"], 1, "", "no such module")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(asv_module("environment").ExistingEnvironment, "install_project", install)
        with pytest.raises(BuildError, match="no such module") as refusal:
            opened(folder)
    assert refusal.value.exit_code == 1
