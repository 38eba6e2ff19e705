"""A side and a benchmark as the lane knows them, for tests that look at what comes after the discovery."""

from __future__ import annotations

import sys
from pathlib import Path

from tidegauge.bench.model import Benchmark, Side


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
