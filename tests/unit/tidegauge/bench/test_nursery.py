"""The nursery, as a process on a suite in a folder: each benchmark in a fork, none of which can spoil another."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import msgspec
import pytest

from support.suites import written
from tidegauge.bench.client import WORKER, WorkerJob

SUITE = """
    import os, signal, threading, time

    STATE = []

    class Lasting:
        def setup(self):
            import colorsys
            STATE.append("setup")

        def time_it(self):
            assert STATE == ["setup"], STATE

        time_it.number = 1

    def time_dies():
        os.kill(os.getpid(), signal.SIGILL)

    def time_raises():
        raise ValueError("no")

    def time_stuck():
        time.sleep(60)

    def time_computes():
        while True:
            pass

    def time_leaves():
        if not os.fork():
            time.sleep(60)

    def time_imports():
        import threaded
"""
THREADED = """
    import threading, time
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "threaded.py").write_text(textwrap.dedent(THREADED))
    return written(tmp_path / "suite", SUITE)


def converse(suite: Path, *names: str, cpu_s: float = 30.0, wall_s: float = 30.0, **job: Any) -> list[dict[str, Any]]:
    """What a nursery says first, and of each benchmark."""
    first = msgspec.to_builtins(WorkerJob(benchmark_dir=str(suite), id="", core=0, setup_core=0, **job))
    tasks = (
        {
            "id": f"bench.{name}",
            "folder": str(suite.parent),
            "commands": ["run 1 1"],
            "cpu_s": cpu_s,
            "wall_s": wall_s,
        }
        for name in names
    )
    answer = subprocess.run(
        [sys.executable, WORKER],
        input="\n".join((json.dumps(first), *(f"fork {json.dumps(task)}" for task in tasks))) + "\n",
        cwd=suite.parent,
        env={**os.environ, "PYTHONPATH": str(suite.parent)},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )
    return [json.loads(line) for line in answer.stdout.splitlines()]


def test_each_benchmark_finds_the_process_as_the_first_one_did(suite: Path) -> None:
    """What one leaves behind in its modules is gone with it, and its teardown has run."""
    ready, *answers = converse(suite, "Lasting.time_it", "Lasting.time_it")
    assert ready == {"threads": 1}
    assert [answer["stopped"] for answer in answers] == [True, True], answers


def test_what_ends_one_benchmark_spares_the_next(suite: Path) -> None:
    """A signal, an exception and a time that is up are each told, and the nursery goes on."""
    _, *answers = converse(suite, "time_dies", "time_raises", "time_stuck", "Lasting.time_it", wall_s=5.0)
    assert [answer.get("failed") for answer in answers] == [
        "it ended by SIGILL",
        "ValueError: no",
        "it took longer than 5 s",
        None,
    ]
    _, computes, after = converse(suite, "time_computes", "Lasting.time_it", cpu_s=1.0, wall_s=40.0)
    assert (computes["failed"], after["skipped"]) == ("it took longer than 1 s of CPU time", False)


def test_what_a_benchmark_leaves_running_ends_with_it(suite: Path) -> None:
    """Else it would compute beside the benchmarks that follow; here it would hold our pipe for a minute."""
    _, left, after = converse(suite, "time_leaves", "Lasting.time_it")
    assert left["skipped"] is after["skipped"] is False


@pytest.mark.parametrize(("learns", "imported"), [(True, [True, False]), (False, [True, True])])
def test_a_nursery_that_learns_imports_what_its_children_did(suite: Path, learns: bool, imported: list[bool]) -> None:
    """The second child has at once what the first imported, and a nursery that does not learn is the same for each."""
    _, *answers = converse(suite, "Lasting.time_it", "Lasting.time_it", learns=learns)
    assert ["colorsys" in answer["modules"] for answer in answers] == imported


def test_modules_are_imported_beforehand(suite: Path) -> None:
    """Those of the job, and what cannot be imported is left to the benchmark that needs it."""
    _, answer = converse(suite, "Lasting.time_it", modules=("there.is.none", "colorsys", "suite.bench"))
    assert answer["modules"] == []


def test_threads_that_an_import_starts_are_told(suite: Path) -> None:
    """A fork would lose them: whoever asks must know."""
    ready, _ = converse(suite, "Lasting.time_it", modules=("threaded",))
    assert ready == {"threads": 2}
    ready, answer = converse(suite, "time_imports", learns=True)
    assert (ready, answer["threads"]) == ({"threads": 1}, 2)
