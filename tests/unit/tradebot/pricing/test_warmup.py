"""The kernels are ready before the first tick, and what is compiled later does not go unnoticed."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numba
import pytest
from numba.core import config

from tradebot.pricing import warmup
from tradebot.pricing.warmup import BOOK_KERNELS, WarmUp, warm_up

REPORT = """
import sys
from pathlib import Path
import numpy as np
from tradebot.pricing import slices, warmup
alerts = []
warm = warmup.warm_up(Path(sys.argv[1]), alerts.append)
warmup.exercise_book()
print(warm.compiled, warm.compiles_since_warmup(), bool(warm.problem), len(alerts))
slices.place(np.zeros((6, 16)), 0, 100, 100.0, 0.2)  # an integer where a float belongs
print(warm.compiles_since_warmup(), len(alerts))
"""


def start(cache_dir: Path) -> list[list[str]]:
    """A fresh process that warms up, trades, and makes the mistake of a new type."""
    done = subprocess.run(
        [sys.executable, "-c", REPORT, str(cache_dir)], capture_output=True, text=True, timeout=50, check=True
    )
    return [line.split() for line in done.stdout.splitlines()]


def test_the_second_start_compiles_nothing(tmp_path: Path) -> None:
    """The first start fills the cache, the second lives off it; a compile while trading is counted and told.

    The cache keeps the mistake too: the second time, the wrong type is there already and costs nothing.
    """
    assert start(tmp_path) == [[str(len(BOOK_KERNELS)), "0", "False", "0"], ["1", "1"]]
    assert start(tmp_path) == [["0", "0", "False", "0"], ["0", "0"]]


def made() -> Any:
    """A kernel of its own for each test."""

    def doubled(x: float) -> float:
        return 2.0 * x

    return numba.njit(doubled)


def warmed(cache_dir: Path, kernel: Any, run: Callable[[], None] | None = None) -> WarmUp:
    warm = warm_up(cache_dir, lambda _: None, kernels=[kernel], run=run or (lambda: cast("None", kernel(1.0))))
    warm.since.close()
    return warm


def test_without_a_writable_folder_it_works_and_says_so(tmp_path: Path) -> None:
    """A file where the folder should be: the kernel is compiled in memory, and the reason is there to be logged."""
    (tmp_path / "cache").write_text("in the way")
    kernel = made()
    warm = warmed(tmp_path / "cache", kernel)
    assert kernel(4.0) == 8.0
    assert warm.compiled == 1
    assert "each start compiles them" in warm.problem


def test_a_cache_that_breaks_while_it_is_used_is_given_up(tmp_path: Path) -> None:
    """A disk that fills up during the warm-up costs the cache and not the start."""
    kernel = made()
    calls: list[int] = []

    def run() -> None:
        calls.append(1)
        if len(calls) == 1:
            raise OSError(28, "No space left on device")
        kernel(1.0)

    warm = warmed(tmp_path, kernel, run)
    assert "No space left" in warm.problem
    assert len(calls) == 2


def test_numbas_own_setting_is_left_as_it_was(tmp_path: Path) -> None:
    """The cache folder is ours alone: kernels of other libraries go where they always went."""
    settings: Any = config
    before = settings.CACHE_DIR
    warmed(tmp_path, made())
    assert before == settings.CACHE_DIR


def test_another_version_has_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change in any module of the package, also one that a kernel merely calls, leaves the old cache aside."""
    sources = tmp_path / "sources"
    sources.mkdir()
    (sources / "warmup.py").write_text("")
    (sources / "math64.py").write_text("a = 1")
    monkeypatch.setattr(warmup, "__file__", str(sources / "warmup.py"))
    before = warmup._version()
    (sources / "math64.py").write_text("a = 2")
    assert warmup._version() != before


def test_compiles_are_counted_only_until_closed(tmp_path: Path) -> None:
    """Who closes the count is told nothing more."""
    told: list[str] = []
    kernel = made()
    warm = warm_up(tmp_path, told.append, kernels=[kernel], run=lambda: None)
    kernel(1.0)
    warm.since.close()
    made()(1.0)
    assert warm.compiles_since_warmup() == len(told) == 1
