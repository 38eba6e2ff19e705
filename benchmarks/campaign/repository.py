"""A repository of four kernels with a known truth: a branch for each slowdown, and one that only says it changed.

Work is counted in equal steps, and a slowdown is that many steps more: a hundredth of slowdown is a hundredth of work.
The kernels stress what makes timing hard: the interpreter, a library of C, the allocator, the caches.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

SLOWDOWNS = (0.0, 0.02, 0.03, 0.05, 0.10)
BASE = "main"

KERNELS = '''"""Four kernels; `STEPS` is what a slowdown adds to."""

import random

import numpy as np

STEPS = {steps}
_NUMBERS = np.random.default_rng(1).random(4_000)
_NODES: list[tuple[int, ...]] = []


def interpret() -> int:
    total = 0
    for step in range(STEPS):
        for each in range(20):
            total += each * step % 7
    return total


def compute() -> float:
    total = 0.0
    for _ in range(STEPS // 4):
        total += float((_NUMBERS * _NUMBERS + _NUMBERS).sum())
    return total


def allocate() -> int:
    total = 0
    for step in range(STEPS // 4):
        total += len([(step, str(each), [each]) for each in range(20)])
    return total


def prepare() -> None:
    """Objects linked in random order, more than any cache holds."""
    if not _NODES:
        order = list(range(200_000))
        random.Random(1).shuffle(order)
        _NODES.extend((after, -after) for after in order)


def chase() -> int:
    at = 0
    for _ in range(STEPS * 5):
        at = _NODES[at][0]
    return at
'''
SUITE = """from kernels import allocate, chase, compute, interpret, prepare


class Kernels:
    def time_interpret(self):
        interpret()

    def time_compute(self):
        compute()

    def time_allocate(self):
        allocate()


class Chase:
    number = 20

    def setup(self):
        prepare()

    def time_chase(self):
        chase()
"""
TESTS = """from kernels import allocate, chase, compute, interpret, prepare


def test_interpret(benchmark):
    benchmark(interpret)


def test_compute(benchmark):
    benchmark(compute)


def test_allocate(benchmark):
    benchmark(allocate)


def test_chase(benchmark):
    prepare()
    benchmark(chase)
"""
PROJECT = """[project]
name = "kernels"
version = "1"
requires-python = ">=3.11"
dependencies = ["numpy"]

[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[tool.hatch.build.targets.wheel]
only-include = ["src/kernels.py"]
sources = ["src"]
"""
STEPS = 400


def branch_of(slowdown: float) -> str:
    return f"plus-{round(100 * slowdown)}"


def make_repository(folder: Path) -> Path:
    """The repository, with its branches; what is there already stays."""
    if (folder / ".git").exists():
        return folder
    for part in ("src", "benchmarks"):
        (folder / part).mkdir(parents=True)
    (folder / "pyproject.toml").write_text(PROJECT, encoding="utf-8")
    (folder / "asv.conf.json").write_text(json.dumps(_asv_config()), encoding="utf-8")
    (folder / ".gitignore").write_text(".asv\nresults\n", encoding="utf-8")
    (folder / "benchmarks" / "__init__.py").touch()
    (folder / "benchmarks" / "kernels_suite.py").write_text(SUITE, encoding="utf-8")
    (folder / "test_kernels.py").write_text(TESTS, encoding="utf-8")
    _commit(folder, "Four kernels", KERNELS.format(steps=STEPS))
    for slowdown in SLOWDOWNS:
        git(folder, "checkout", "-q", "-b", branch_of(slowdown), BASE)
        steps = round(STEPS * (1 + slowdown))
        _commit(folder, f"{slowdown:.0%} slower", KERNELS.format(steps=steps) + "\n# A remark.\n")
    git(folder, "checkout", "-q", BASE)
    return folder


def work_tree(repository: Path, branch: str) -> Path:
    """The files of a branch, for who measures files."""
    folder = repository.with_name(f"{repository.name}-{branch}")
    if not folder.exists():
        git(repository, "worktree", "add", "-q", "--detach", str(folder), branch)
    return folder


def git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=campaign", "-c", "user.email=campaign@localhost")
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True)


def _commit(folder: Path, message: str, kernels: str) -> None:
    if not (folder / ".git").exists():
        git(folder, "init", "-q", "-b", BASE)
    (folder / "src" / "kernels.py").write_text(kernels, encoding="utf-8")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


def _asv_config() -> dict[str, object]:
    return {
        "version": 1,
        "project": "kernels",
        "repo": ".",
        "branches": [BASE],
        "environment_type": "uv",
        "pythons": [f"{sys.version_info.major}.{sys.version_info.minor}"],
        "build_command": ["python -m pip wheel -q --no-deps -w {build_cache_dir} {build_dir}"],
        "install_command": ["in-dir={env_dir} python -m pip install -q {wheel_file}"],
        "uninstall_command": ["return-code=any python -m pip uninstall -q -y {project}"],
        "build_cache_size": 10,
        "benchmark_dir": "benchmarks",
        "results_dir": "results/asv",
        "env_dir": ".asv",
    }
