"""A nursery and its children, as processes on a suite in a folder: each benchmark in a fork, none can spoil another."""

import os
import textwrap
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import psutil
import pytest

from support.suites import benchmark, side, written
from tidegauge.bench.processes.conversation import WorkerError, hear_all
from tidegauge.bench.processes.forks import Fork, Nursery
from tidegauge.bench.processes.layout import Layout

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

    def time_ends_all():
        os.kill(os.getppid(), signal.SIGKILL)
        signal.pause()

    def time_nothing():
        pass
"""
THREADED = """
    import threading, time
    threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
"""


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    (tmp_path / "threaded.py").write_text(textwrap.dedent(THREADED))
    return written(tmp_path / "suite", SUITE)


@contextmanager
def a_nursery(suite: Path, *modules: str) -> Iterator[Nursery]:
    folder = suite.parent / "nursery"
    folder.mkdir()
    built = side(suite, {**os.environ, "PYTHONPATH": str(suite.parent)})
    nursery = Nursery("base", built, folder, Layout(0, 0, 0), core=0, setup_core=0, timeout_s=30.0, modules=modules)
    try:
        yield nursery
    finally:
        nursery.close()


@contextmanager
def a_fork(nursery: Nursery, name: str, cpu_s: float = 0.0) -> Iterator[Fork]:
    fork = nursery.fork("head", benchmark(f"bench.{name}"), nursery.folder.parent, cpu_s=cpu_s)
    try:
        yield fork
    finally:
        fork.close()


def run_one(nursery: Nursery, name: str, cpu_s: float = 0.0, timeout_s: float = 30.0) -> list[str]:
    """The modules that a child imported before it ran once and stopped."""
    with a_fork(nursery, name, cpu_s) as fork:
        fork.wait_until_ready()
        fork.tell("run", 1, 1)
        fork.hear("run", timeout_s)
        return list(fork.ask("stop")["modules"])


def running() -> set[int]:
    """What was killed, and may still wait for its parent to take note, does not run."""
    every = psutil.Process().children(recursive=True)
    return {process.pid for process in every if process.status() != psutil.STATUS_ZOMBIE}


def test_each_benchmark_finds_the_process_as_the_first_one_did(suite: Path) -> None:
    """What one leaves behind in its modules is gone with it."""
    with a_nursery(suite) as nursery:
        assert "colorsys" in run_one(nursery, "Lasting.time_it")
        assert "colorsys" in run_one(nursery, "Lasting.time_it")


def test_what_ends_one_benchmark_spares_the_next(suite: Path) -> None:
    """A signal, an exception and a time that is up are each told of the side, and the nursery goes on."""
    with a_nursery(suite) as nursery:
        for name, sentence in (
            ("time_dies", "it ended by SIGILL"),
            ("time_raises", "ValueError: no"),
            ("time_stuck", "it took longer than 0.5 s to run"),
            ("time_computes", "it took all of its CPU time"),
        ):
            with pytest.raises(WorkerError, match=sentence) as raised:
                run_one(nursery, name, cpu_s=1.0, timeout_s=0.5 if name == "time_stuck" else 30.0)
            assert raised.value.side == "head"
        run_one(nursery, "Lasting.time_it")


def test_what_a_benchmark_leaves_running_ends_with_it(suite: Path) -> None:
    """Else it would compute beside the benchmarks that follow."""
    with a_nursery(suite) as nursery:
        run_one(nursery, "time_nothing")
        before = running()
        run_one(nursery, "time_leaves")
        _, alive = psutil.wait_procs([psutil.Process(pid) for pid in running() - before], timeout=10)
        assert alive == []


def test_a_child_that_is_given_up_before_its_birth_holds_nobody_up(suite: Path) -> None:
    """Its pipes have no other end when the nursery comes to it: the next child is served all the same."""
    with a_nursery(suite) as nursery:
        with a_fork(nursery, "Lasting.time_it"):
            pass
        run_one(nursery, "Lasting.time_it")
    assert list((suite.parent / "nursery").iterdir()) == []


def test_a_lost_nursery_says_how_it_ended(suite: Path) -> None:
    """To whoever asks next, and again."""
    with a_nursery(suite) as nursery:
        for _ in range(2):
            with pytest.raises(WorkerError, match="it ended by SIGKILL"):
                run_one(nursery, "time_ends_all")
        assert nursery.is_lost


def test_modules_are_imported_beforehand_and_later(suite: Path) -> None:
    """At the start or when it is told; what cannot be imported is left to the benchmark that needs it."""
    with a_nursery(suite, "there.is.none", "suite.bench") as nursery:
        assert "colorsys" in run_one(nursery, "Lasting.time_it")
        nursery.learn(["colorsys"])
        assert run_one(nursery, "Lasting.time_it") == []


def test_threads_that_an_import_starts_are_told(suite: Path) -> None:
    """A fork would lose them: whoever asks must know."""
    with a_nursery(suite) as nursery:
        nursery.wait_until_ready()
        assert nursery.threads == 1
        nursery.learn(["threaded"])
        nursery.settle()
        assert nursery.threads == 2


def test_two_children_take_turns_by_themselves(suite: Path) -> None:
    """Each answers with its own slices of all turns, whichever is told first."""
    with a_nursery(suite) as nursery, ExitStack() as stack:
        forks = {name: stack.enter_context(a_fork(nursery, "time_nothing")) for name in ("base", "head")}
        for fork in forks.values():
            fork.wait_until_ready()
        for first in (1, 0):
            forks["base"].tell("run", 1, 1, 4, first, forks["head"].turns)
            forks["head"].tell("run", 1, 1, 4, 1 - first, forks["base"].turns)
            answers = hear_all(forks, "run", 30.0)
            assert [len(answer["wall_ns"]) for answer in answers.values()] == [4, 4]


def test_the_death_of_one_is_heard_while_the_other_waits_for_it(suite: Path) -> None:
    """Who waits for his turn will not answer: the error is the other's, at once."""
    with a_nursery(suite) as nursery, a_fork(nursery, "time_nothing") as waits, a_fork(nursery, "time_dies") as dies:
        for fork in (waits, dies):
            fork.wait_until_ready()
        waits.tell("run", 1, 1, 2, 0, dies.turns)
        dies.tell("run", 1, 1, 2, 1, waits.turns)
        with pytest.raises(WorkerError, match="it ended by SIGILL"):
            hear_all({"base": waits, "head": dies}, "run", 30.0)
