"""Many benchmarks in one worker: what they import is imported once, and each runs in a fork of its own.

    driver ──fork TASK──▶ nursery ──fork──▶ child: set up, serve, tear down, end
           ◀────pid─────                      ▲
           └──────────commands, answers───────┘ (two named pipes of its own)

A Python and what a suite imports take a second, and below valgrind many, of which a benchmark needs nothing but that
they are there. A fork has them at once. What one benchmark leaves behind dies with its child, and so does what kills
it: the nursery says how it ended and goes on. What made itself a session of its own ends with the nursery.

What the imports made is frozen out of garbage collection: a collection in one benchmark does not walk through what the
others import. The holes that they left in the heap are filled: see `heap`. Only a process of one thread can be forked
as it is: answers say how many `threads` there are.

Each command begins with a number, which its answer repeats as `to`.

    import NAMES   {"threads": …}, once it has imported the modules of a list, in JSON
    fork TASK      {"pid": …, "threads": …}; a TASK is JSON: the benchmark's `id`, its `slowdown`, the `folder` it runs
                   in, its `pipes` (.commands, .answers, .turns) and how many seconds of CPU time it may take, `cpu_s`
    end PID S      {"ended": how a child ended}; it is killed, with its process group, if it takes longer than S seconds

It is loaded as a file by `worker`, in the Python of the commit that is measured, and uses the standard library alone.
"""

import contextlib
import gc
import importlib
import json
import math
import os
import resource
import signal
import sys
import time
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs more than it says here, in a process that is started below valgrind
    from collections.abc import Callable
    from typing import Any, BinaryIO, NoReturn

POLL_S = 0.001
JEMALLOC = "jemalloc_bg_thd"


class Nursery:
    """`serve` is what a child does with its job and its pipes; `own_pipes` are ours, of which it has no need."""

    def __init__(
        self,
        job: "dict[str, Any]",
        serve: "Callable[[dict[str, Any], BinaryIO, BinaryIO], int]",
        fill: "Callable[[], Any]",
        own_pipes: "tuple[int, int]",
    ) -> None:
        self._job, self._serve, self._fill, self._own_pipes = job, serve, fill, own_pipes
        self._filled: list[Any] = []
        discovery = importlib.import_module("asv_runner.discovery")
        discovery.update_sys_path(job["benchmark_dir"])
        self._import_all(job["modules"])

    def obey(self, command: str) -> "dict[str, Any]":
        """Carries out one command; its number comes first, and stands in the answer."""
        number, verb, rest = command.split(" ", 2)
        return {"to": int(number), **self._answer(verb, rest)}

    def _answer(self, verb: str, rest: str) -> "dict[str, Any]":
        if verb == "fork":
            return {"pid": self._fork(json.loads(rest)), **self.threads()}
        if verb == "import":
            self._import_all(json.loads(rest))
            return self.threads()
        child, patience_s = rest.split()
        return {"ended": self._end(int(child), float(patience_s))}

    def threads(self) -> "dict[str, Any]":
        """How many we have, without those of jemalloc, which sees to its own when it is forked."""
        names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
        return {"threads": sum(name != JEMALLOC for name in names)}

    def _import_all(self, names: "list[str]") -> None:
        """In this order, that in which they were begun; what cannot be imported here, its benchmark meets."""
        for name in names:
            with contextlib.suppress(BaseException):
                importlib.import_module(name)
        self._filled.append(self._fill())

    def _fork(self, task: "dict[str, Any]") -> int:
        # Whoever asked may have given it up already, and closed his end: opening it must not wait for him.
        commands = os.open(f"{task['pipes']}.commands", os.O_RDONLY | os.O_NONBLOCK)
        os.set_blocking(commands, True)
        answers = os.open(f"{task['pipes']}.answers", os.O_WRONLY)
        gc.collect()
        gc.freeze()
        child = os.fork()
        if not child:
            self._be_child(task, commands, answers)
        os.close(commands)
        os.close(answers)
        with contextlib.suppress(
            PermissionError, ProcessLookupError
        ):  # as the child does: who is first does not matter
            os.setpgid(child, child)
        return child

    def _be_child(self, task: "dict[str, Any]", commands: int, answers: int) -> "NoReturn":
        status = 1
        try:
            os.setpgid(0, 0)
            for pipe in self._own_pipes:
                os.close(pipe)
            if task["cpu_s"]:
                resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(task["cpu_s"]), resource.RLIM_INFINITY))
            os.chdir(task["folder"])
            job = {**self._job, **task, "imported": set(sys.modules)}
            with os.fdopen(commands, "rb") as questions, os.fdopen(answers, "wb") as replies:
                status = self._serve(job, questions, replies)
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _end(self, child: int, patience_s: float) -> str:
        """A clause: it ended by a signal, or with a status."""
        status = wait(child, patience_s)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # it, or what it left behind
        if status is None:
            status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        if status == -signal.SIGXCPU:
            return "took all of its CPU time"
        return f"ended by exit status {status}" if status >= 0 else f"ended by {signal.Signals(-status).name}"


def wait(child: int, patience_s: float) -> "int | None":
    """How a child ended; None where it has not."""
    deadline_s = time.monotonic() + patience_s
    while True:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline_s:
            return None
        time.sleep(POLL_S)
