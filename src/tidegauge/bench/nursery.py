"""Many benchmarks in one worker: what they import is imported once, and each runs in a fork of its own.

    driver ──fork TASK──▶ nursery ──fork──▶ child: set up, carry out commands, tear down, end
           ◀───answer────         ◀──file──

Below valgrind a Python and what a suite imports take seconds, of which a count needs nothing but that they are there.
A fork has them at once, valgrind's translation of them included. What one benchmark leaves behind dies with its
child, and so does what kills it: the nursery says how it ended and goes on.

It imports the `modules` of its job, and where it `learns`, those that a child has imported, before the next one. What
the imports made is frozen out of garbage collection: a collection in one benchmark does not walk through what the
others import. The holes that they left in the heap are filled: see `heap`. Only a process of one thread can be forked
as it is: each answer says how many `threads` there are.

A TASK is JSON: `id`, `folder` to run in, `commands`, and what it may take, `cpu_s` and `wall_s`. An answer is what the
commands answered, in one object, with the child's `pid` and the names of the `modules` that it imported; or `failed`:
why there is none.

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
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, NoReturn

POLL_S = 0.005
JEMALLOC = "jemalloc_bg_thd"
ANSWER_NAME = "tidegauge-answer.json"


class Nursery:
    """`prepare`, `obey` and `describe` are the worker's own: a child does what a worker does. `fill` is the heap's."""

    def __init__(
        self,
        job: "dict[str, Any]",
        prepare: "Callable[[dict[str, Any]], Any]",
        obey: "Callable[[Any, list[str]], dict[str, Any]]",
        describe: "Callable[[BaseException], str]",
        fill: "Callable[[], Any]",
    ) -> None:
        self._job = {**job, "litter": 0}
        self._prepare, self._obey, self._describe = prepare, obey, describe
        discovery = importlib.import_module("asv_runner.discovery")
        discovery.update_sys_path(job["benchmark_dir"])
        import_all(job["modules"])
        self._filled = fill()

    def fork_all(self, tasks: "Iterable[dict[str, Any]]") -> "Iterator[dict[str, Any]]":
        """First whether it can be forked, then the answer to each task."""
        yield threads()
        for task in tasks:
            yield {**self.fork(task), **threads()}

    def fork(self, task: "dict[str, Any]") -> "dict[str, Any]":
        """The answer of a child that has ended."""
        answer = Path(task["folder"], ANSWER_NAME)
        answer.unlink(missing_ok=True)
        gc.collect()
        gc.freeze()
        child = os.fork()
        if not child:
            self._be_child(task, answer)
        status = wait(child, task["wall_s"])
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child, signal.SIGKILL)  # what it left behind
        if status is None:
            return {"failed": f"it took longer than {task['wall_s']:g} s"}
        if status == -signal.SIGXCPU:
            return {"failed": f"it took longer than {task['cpu_s']:g} s of CPU time"}
        if status:
            how = f"exit status {status}" if status > 0 else signal.Signals(-status).name
            return {"failed": f"it ended by {how}"}
        found: dict[str, Any] = json.loads(answer.read_text())
        answer.unlink()
        if self._job["learns"]:
            import_all(found["modules"])
        return {**found, "pid": child}

    def _be_child(self, task: "dict[str, Any]", answer: Path) -> "NoReturn":
        status = 1
        try:
            os.setpgid(0, 0)
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(task["cpu_s"]), resource.RLIM_INFINITY))
            os.chdir(task["folder"])
            imported = set(sys.modules)
            found = self._carried_out(task)
            found["modules"] = [name for name in sys.modules if name not in imported]
            answer.write_text(json.dumps(found))
            status = 0
        finally:
            with contextlib.suppress(Exception):
                sys.stdout.flush()
                sys.stderr.flush()
            os._exit(status)

    def _carried_out(self, task: "dict[str, Any]") -> "dict[str, Any]":
        try:
            subject = self._prepare({**self._job, "id": task["id"]})
            found: dict[str, Any] = {"skipped": subject is None}
            for command in () if subject is None else (*task["commands"], "stop"):
                found |= self._obey(subject, command.split())
        except BaseException as error:  # noqa: BLE001 - whatever a suite raises, the other end must hear of it
            return {"failed": self._describe(error)}
        return found


def threads() -> "dict[str, Any]":
    """How many we have, without those of jemalloc, which sees to its own when it is forked."""
    names = (path.read_text().strip() for path in Path("/proc/self/task").glob("*/comm"))
    return {"threads": sum(name != JEMALLOC for name in names)}


def wait(child: int, limit_s: float) -> "int | None":
    """How a child ended; None where it had to be ended."""
    deadline_s = time.monotonic() + limit_s
    while True:
        process, status = os.waitpid(child, os.WNOHANG)
        if process:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline_s:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return None
        time.sleep(POLL_S)


def import_all(names: "list[str]") -> None:
    """In this order, which is the one in which they were begun; what cannot be imported here, its benchmark meets."""
    for name in names:
        with contextlib.suppress(BaseException):
            importlib.import_module(name)
