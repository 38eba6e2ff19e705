"""Many benchmarks in one worker: what they import is imported once, and each runs in a fork of its own.

    driver ──fork TASK──▶ nursery ──fork──▶ child: set up, carry out commands, tear down, end
           ◀───answer────         ◀──file──

Below valgrind a Python and what a suite imports take seconds, of which a count needs nothing but that they are there.
A fork has them at once, valgrind's translation of them included. What one benchmark leaves behind dies with its
child, and so does what kills it: the nursery says how it ended and goes on.

It imports the `modules` of its job, and where it `learns`, those that a child has imported, before the next one. What
the imports made is frozen out of garbage collection: a collection in one benchmark does not walk through what the
others import. The holes that they left in the heap are filled: the calls of a benchmark cost up to 0.4 % more or less,
on identical code, where they found room among the objects of others. Only a process of one thread can be forked as it
is: each answer says how many `threads` there are.

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

# As CPython's allocator has it: its largest size, the columns of its table, and what a bytes object takes by itself.
SMALL_MAX, CLASS_FIELDS, EMPTY = 512, 5, sys.getsizeof(b"")
BIG = 1 << 20  # no integer that Python keeps, and none that takes more than 32 bytes
POLL_S = 0.005
JEMALLOC = "jemalloc_bg_thd"
ANSWER_NAME = "tidegauge-answer.json"


class Nursery:
    """`prepare`, `obey` and `describe` are the worker's own: a child does what a worker does."""

    def __init__(
        self,
        job: "dict[str, Any]",
        prepare: "Callable[[dict[str, Any]], Any]",
        obey: "Callable[[Any, list[str]], dict[str, Any]]",
        describe: "Callable[[BaseException], str]",
    ) -> None:
        self._job = {**job, "litter": 0}
        self._prepare, self._obey, self._describe = prepare, obey, describe
        discovery = importlib.import_module("asv_runner.discovery")
        discovery.update_sys_path(job["benchmark_dir"])
        import_all(job["modules"])
        self._filled = fill_heap()

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


def fill_heap() -> "list[list[object]]":
    """Objects in all the room that Python's allocator has, so that whatever comes later lies in fresh memory."""
    filled: list[list[object]] = []
    for line in allocator_statistics().splitlines():
        fields = line.split()
        if len(fields) == CLASS_FIELDS and all(map(str.isdigit, fields)):
            filled.append(objects(size=int(fields[1]), count=int(fields[4])))
        elif fields[1:4] == ["unused", "pools", "*"]:
            filled.append(objects(size=SMALL_MAX, count=int(fields[0]) * (int(fields[4]) // SMALL_MAX)))
    return filled


def objects(size: int, count: int) -> "list[object]":
    """So many that take `size` bytes each, which is a whole number of sixteens."""
    if size == 16:
        return [object() for _ in range(count)]
    if size == 32:
        return list(range(BIG, BIG + count))
    return [bytes(size - EMPTY) for _ in range(count)]


def allocator_statistics() -> str:
    """A table of CPython's own; another Python has none, and its heap stays as it is."""
    if not hasattr(sys, "_debugmallocstats"):
        return ""
    sys.stderr.flush()
    stderr, written = os.dup(2), os.memfd_create("statistics")
    os.dup2(written, 2)
    try:
        sys._debugmallocstats()  # noqa: SLF001 - there is no other way to know
    finally:
        os.dup2(stderr, 2)
        os.close(stderr)
    os.lseek(written, 0, os.SEEK_SET)
    with os.fdopen(written, errors="replace") as file:
        return file.read()


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
