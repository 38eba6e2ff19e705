"""What tests of the bench lane have in common: repositories with a suite, and what the lane makes of them.

A side and a benchmark are as the lane knows them, for tests that look at what comes after the discovery.
"""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

from tidegauge.bench.suites.model import Benchmark, Side

VERSION = f"{sys.version_info[0]}.{sys.version_info[1]}"
COPY = "import shutil, sysconfig; shutil.copy(r'{build_dir}/toy.py', sysconfig.get_path('purelib'))"
TOY = {
    "version": 1,
    "project": "toy",
    "repo": ".",
    "environment_type": "existing",
    "benchmark_dir": "benchmarks",
    "results_dir": "results/asv",
    "env_dir": ".asv",
}
# Its one module in an environment that asv makes, without pip's build, which would ask an index for setuptools.
COPIED = {
    "pythons": [VERSION],
    "build_command": [],
    "install_command": [f'python -c "{COPY}"'],
    "uninstall_command": [],
}


def git(folder: Path, *arguments: str) -> str:
    """By nobody in particular."""
    command = ["git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def written(folder: Path, source: str) -> Path:
    """A suite of one file, `bench`."""
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "bench.py").write_text(textwrap.dedent(source))
    return folder


def side(suite: Path = Path(), env: dict[str, str] | None = None) -> Side:
    """This very Python, with a suite of its own."""
    return Side(
        name="base",
        commit="0" * 40,
        python=sys.executable,
        benchmark_dir=suite,
        own_benchmark_dir=suite,
        env=env or {},
        env_name="existing",
        python_version="3",
        release="cpython 3",
        requirements={},
    )


def benchmark(name: str) -> Benchmark:
    """One without parameters, that times."""
    return Benchmark(
        name=name,
        asv_name=name,
        param_index=None,
        params=(),
        axes=(),
        kind="time",
        unit="seconds",
        timeout_s=30,
        number=0,
        version="1",
        setup_cache_key=None,
        setup_cache_timeout_s=30,
        is_new=False,
    )
