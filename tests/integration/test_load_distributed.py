"""Several workers are one generator: real masters and workers of Locust, on this machine and across network namespaces.

What an arrival takes is computed here from its number, so that two runs differ in nothing but who made the arrivals.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from support import locusts
from tidegauge.load.judging import result
from tidegauge.load.times.clocks import Clocks
from tidegauge.load.times.schedule import Profile, Schedule
from tidegauge.verdicts import Verdict

# What was due k/300 s after the start has an answer of k + 100 us: below 2 048 us each value has a bin of its own.
COMPUTED = """
from locust import User, task
from tidegauge.load.arrivals.generator import current

class Computed(User):
    @task
    def answer(self):
        number = round((current().due_s - self.environment.tidegauge.started_s) * 300)
        self.environment.events.request.fire(
            request_type="GET", name="computed", response_time=(number + 100.5) / 1e3, response_length=0,
            exception=None, context={},
        )
"""
NOWHERE = "http://127.0.0.1:9"


def service(path: Path) -> dict[str, dict[int, int]]:
    """The bins of the answers' times, by phase."""
    clocks = Clocks.from_builtins(result.read(path).clocks)
    return {phase: histogram.bins for (_, clock, phase), histogram in clocks.histograms.items() if clock == "service"}


def test_four_processes_and_one_give_the_same_histogram(tmp_path: Path) -> None:
    """Bin for bin, in each phase: every arrival is made once, by one of the workers, at the time that one alone has."""
    found = []
    for name, more in (("one", []), ("four", ["--processes", "4"])):
        folder = tmp_path / name
        folder.mkdir()
        outcome = locusts.run(folder, COMPUTED, NOWHERE, *more, profile="spike", rate=400, seconds=4, warm_up=0.5)
        assert outcome.snapshot["generator"]["workers"] == max(len(more) * 2, 1), outcome.output
        found.append(service(folder / "load.json"))
    one, four = found
    assert set(one) == {"warm-up", "steady", "spike", "recovery"}
    due = list(Schedule(profile=Profile.named("spike", 400, 4)).due_s())
    assert sum(sum(bins.values()) for bins in one.values()) == len(due)
    assert one == four


@contextlib.contextmanager
def swarm(
    folder: Path, locustfile: str, host: str, *more: str, workers: int, at: str = "127.0.0.1", **options: Any
) -> Iterator[Swarm]:
    """A master and as many workers, each started as a user does it: the workers have the locustfile from the master."""
    command = [*locusts.words(folder, locustfile, host, **options), *more, "--master", "--expect-workers", str(workers)]
    with locusts.locust(folder, [*command, "--master-bind-host", at]) as process, contextlib.ExitStack() as stack:
        made = Swarm(folder, process, command[command.index("--master-port") + 1], at, stack)
        for _ in range(workers):
            made.add_worker()
        yield made


class Swarm:
    """Several processes of one load."""

    def __init__(
        self, folder: Path, process: subprocess.Popen[str], port: str, at: str, stack: contextlib.ExitStack
    ) -> None:
        self._folder = folder
        self._master = process
        self._where = ["--master-host", at, "--master-port", port]
        self._stack = stack
        self._read = ""
        self.workers: list[subprocess.Popen[str]] = []

    def add_worker(self, *before: str) -> None:
        """One more, below a command that takes a command."""
        own = self._folder / f"worker{len(self.workers)}"
        own.mkdir()
        command = [*before, "env", f"TMPDIR={own}", sys.executable, "-m", "locust", "-f", "-", "--worker", *self._where]
        self.workers.append(self._stack.enter_context(locusts.locust(own, command)))

    def wait_for(self, said: str) -> None:
        """Until the master has said it."""
        self._read += locusts.read_until(self._master, said)

    def end(self) -> locusts.Outcome:
        """The whole run, as the master has it."""
        output, _ = self._master.communicate(timeout=locusts.TIMEOUT_S)
        path = self._folder / "load.json"
        return locusts.Outcome(
            self._master.returncode, self._read + output, result.read(path) if path.exists() else None
        )


SPAWNED = "All users spawned"


def test_a_worker_that_comes_late_makes_no_arrival_twice(tmp_path: Path) -> None:
    """The shares of a schedule are given out at its start: who comes later stands by, and nothing is asked double."""
    with (
        locusts.serving(tmp_path) as server,
        swarm(tmp_path, locusts.OURS, server.url, workers=2, rate=40, seconds=7) as made,
    ):
        made.wait_for(SPAWNED)
        made.add_worker()
        outcome = made.end()
        sent_s = server.stop()
    assert "3 workers connected" in outcome.output
    generator = outcome.snapshot["generator"]
    assert (generator["scheduled"], generator["workers"], generator["workers_lost"]) == (280, 2, 0), outcome.output
    assert len(sent_s) == 280


@pytest.mark.load
def test_a_worker_that_comes_late_takes_its_part_of_a_live_rate(tmp_path: Path) -> None:
    """As many arrivals a second as users, before and after one more worker came; and it counts as one of them."""
    with (
        locusts.serving(tmp_path) as server,
        swarm(
            tmp_path,
            locusts.OURS,
            server.url,
            *("-u", "40", "-r", "40", "--run-time", "14s"),
            workers=1,
            profile="users",
        ) as made,
    ):
        made.wait_for(SPAWNED)
        made.add_worker()
        outcome = made.end()
    generator, rows = outcome.snapshot["generator"], outcome.snapshot["series"]
    assert (generator["workers"], generator["workers_lost"]) == (2, 0), outcome.output
    assert [row["t_s"] for row in rows] == sorted({row["t_s"] for row in rows})
    assert generator["scheduled"] == pytest.approx(40 * outcome.snapshot["elapsed_s"], rel=0.1)


def test_a_worker_that_was_killed_is_missed(tmp_path: Path) -> None:
    """What a worker took with it makes the whole not measured."""
    with (
        locusts.serving(tmp_path) as server,
        swarm(tmp_path, locusts.OURS, server.url, workers=2, rate=40, seconds=5) as made,
    ):
        made.wait_for(SPAWNED)
        made.workers[1].kill()
        outcome = made.end()
    lost = outcome.finding("load/generator/workers_lost")
    assert (lost.verdict, lost.value) == (Verdict.NOT_MEASURED, 1)
    assert outcome.finding("load/look/error_share").verdict is Verdict.NOT_MEASURED
    assert outcome.status == 4, outcome.output


def test_a_load_without_any_worker_left_ends(tmp_path: Path) -> None:
    """When the last worker is gone the master does not wait for ever, and says that nothing was measured."""
    with (
        locusts.serving(tmp_path) as server,
        swarm(tmp_path, locusts.OURS, server.url, workers=1, rate=40, seconds=8) as made,
    ):
        made.wait_for(SPAWNED)
        made.workers[0].kill()
        outcome = made.end()
    assert outcome.status == 4, outcome.output


def test_workers_that_begin_apart_say_so(tmp_path: Path) -> None:
    """A worker that was held up for a second as the load began leaves a rate that nobody asked for: not measured."""
    held_up = (
        locusts.OURS
        + """
from locust import events
import os, time

@events.test_start.add_listener
def hold_up(environment, **_):
    if "worker1" in os.getcwd():
        time.sleep(1.5)
"""
    )
    with (
        locusts.serving(tmp_path) as server,
        swarm(tmp_path, held_up, server.url, workers=2, rate=40, seconds=4) as made,
    ):
        outcome = made.end()
    apart = outcome.finding("load/generator/workers_apart_share")
    assert apart.verdict is Verdict.NOT_MEASURED, outcome.output
    assert apart.value == pytest.approx(0.25, abs=0.15)
    assert outcome.status == 4


def namespaced(*command: str) -> None:
    """Of `ip`; where this machine does not allow it, the test was not measured."""
    try:
        subprocess.run(["ip", *command], check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        pytest.fail(f"not measured: no network namespaces here (Linux, root and iproute2 have them): {said}")


@pytest.fixture
def hosts() -> Iterator[list[str]]:
    """Two network namespaces, hosts of their own as far as a network goes: 10.213.7.1 and .2, joined by a wire."""
    names = [f"tidegauge-{os.getpid()}-{number}" for number in (1, 2)]
    made: list[str] = []
    try:
        for name in names:
            namespaced("netns", "add", name)
            made.append(name)
        namespaced("link", "add", "wire", "netns", names[0], "type", "veth", "peer", "name", "wire", "netns", names[1])
        for number, name in enumerate(names, start=1):
            namespaced("-n", name, "address", "add", f"10.213.7.{number}/24", "dev", "wire")
            namespaced("-n", name, "link", "set", "wire", "up")
            namespaced("-n", name, "link", "set", "lo", "up")
        yield names
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "delete", name], check=False)


def test_workers_on_another_host_are_one_generator_with_their_master(tmp_path: Path, hosts: list[str]) -> None:
    """Across network namespaces two workers, which bring nothing but the master's address, give the bins of one."""
    inside = [["ip", "netns", "exec", name] for name in hosts]
    command = locusts.words(tmp_path, COMPUTED, NOWHERE, rate=100, seconds=4)
    command += ["--master", "--expect-workers", "2", "--master-bind-host", "10.213.7.1"]
    with locusts.locust(tmp_path, [*inside[0], *command]) as process, contextlib.ExitStack() as stack:
        made = Swarm(tmp_path, process, command[command.index("--master-port") + 1], "10.213.7.1", stack)
        made.add_worker(*inside[1])
        made.add_worker(*inside[1])
        outcome = made.end()
    assert outcome.snapshot["generator"]["workers_lost"] == 0, outcome.output
    # 100 a second are due each 3/300 s, and 100 us is the first answer.
    assert service(tmp_path / "load.json") == {"steady": dict.fromkeys(range(100, 1_300, 3), 1)}


def test_the_verb_takes_several_processes(tmp_path: Path) -> None:
    """`tidegauge load --processes 2` shares the schedule out, on a port that no other load and no other host has."""
    (tmp_path / "theirs.py").write_text(COMPUTED)
    command = [sys.executable, "-m", "tidegauge", "load", "--host", NOWHERE, "-f", "theirs.py", "--processes", "2"]
    command += ["--rate", "100", "--seconds", "2", "--json"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=55, check=False)
    (path,) = (tmp_path / "results" / "runs").glob("*.logs/load.json")
    generator = result.read(path).snapshot["generator"]
    assert (generator["workers"], generator["scheduled"]) == (2, 200), done.stderr
