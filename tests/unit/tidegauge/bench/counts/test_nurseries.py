"""Both sides' nurseries from outside: what they learn, and how they go on when one is lost or cannot be forked."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from support.suites import benchmark, side
from tidegauge.bench.counts.nurseries import Nurseries
from tidegauge.bench.processes.conversation import WorkerError
from tidegauge.bench.suites.model import Side

SUITE = """
import os, signal
def time_imports():
    import colorsys
def time_starts_threads():
    import threaded
def time_ends_all():
    os.kill(os.getppid(), signal.SIGKILL)
    signal.pause()
"""
THREADED = "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"


@pytest.fixture
def sides(tmp_path: Path) -> dict[str, Side]:
    folder = tmp_path / "suite"
    folder.mkdir()
    (folder / "__init__.py").touch()
    (folder / "bench.py").write_text(SUITE)
    (tmp_path / "threaded.py").write_text(THREADED)
    env = {**os.environ, "PYTHONPATH": str(tmp_path)}
    return {name: side(folder, env) for name in ("base", "head")}


def ask(nurseries: Nurseries, name: str) -> None:
    nurseries.ask(benchmark(f"bench.{name}"), "run 1 1", cpu_s=30.0)


def test_what_children_import_is_learned_until_it_starts_threads(sides: dict[str, Side], tmp_path: Path) -> None:
    """The next nurseries import it; where they could not be forked for it, all of it is forgotten and they go on."""
    with Nurseries(sides, tmp_path) as nurseries:
        ask(nurseries, "time_imports")
        assert "colorsys" in nurseries.modules
        ask(nurseries, "time_starts_threads")
        assert nurseries.modules == {}
        ask(nurseries, "time_imports")
        assert nurseries.modules == {}


def test_a_nursery_that_is_lost_is_made_anew(sides: dict[str, Side], tmp_path: Path) -> None:
    """One benchmark is lost with it, and the error says how it ended."""
    with Nurseries(sides, tmp_path) as nurseries:
        with pytest.raises(WorkerError, match="it ended by SIGKILL"):
            ask(nurseries, "time_ends_all")
        ask(nurseries, "time_imports")


def test_threads_from_imports_are_done_without(sides: dict[str, Side], tmp_path: Path) -> None:
    """Nurseries that are told to import what starts threads begin again without importing anything."""
    with Nurseries(sides, tmp_path, modules=("threaded",)) as nurseries:
        ask(nurseries, "time_imports")
        assert nurseries.modules == {}
