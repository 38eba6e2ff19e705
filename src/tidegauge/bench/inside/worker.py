"""One side of a pair: a process that holds one prepared benchmark and times slices of it on command.

    driver ──stdin: the job as a line of JSON, then a command a line──▶ worker (the SIDE's own Python)
           ◀─stdout: a line of JSON for each of them────────────────

It is run as a file by the Python of the commit that is measured, where tidegauge is not installed: it uses
the standard library, asv_runner (which asv puts into every environment that it makes) and nothing else.
The end of stdin ends it. The suite never sees the two pipes: its stdin is empty, its stdout is stderr.

Commands, each answered by `{"error": "Type: message"}` when the suite raises:

    calibrate SLICE_NS     {"number": calls in a batch, "batches": batches in a slice of about SLICE_NS,
                            "slice_ns": what such a slice took}
    run NUMBER BATCHES     {"cpu_ns": [CPU a call], "wall_ns": [wall a call]}, each of the batch with the least
    run NUMBER BATCHES TURNS FIRST PIPE    the same of all its slices, in turn with who listens to that pipe (`relay`)
    value                  {"value": what a track_ or peakmem_ benchmark returns}
    size SLICE_NS          what calibrate answers, and {"cpu_ns": CPU a call, "setup_ns": CPU to set up a batch}
    count NUMBER BATCHES   {"calls": how many}; callgrind has dumped a batch without calls, and then all with them
    profile NUMBER BATCHES {"calls": how many}, and their stacks in a file beside it
    stop                   {"stopped": true} after the teardown

A job without a benchmark's id makes it a `nursery`, which forks a process for each benchmark that it is told. Those
serve one benchmark in the same way, over pipes of their own.
"""

import contextlib
import functools
import importlib
import importlib.util
import json
import os
import pickle
import sys
from pathlib import Path

TYPE_CHECKING = False
if TYPE_CHECKING:  # typing costs more than it says here, in a process that is started for every pair
    from typing import Any, BinaryIO

LITTER_SIZES = range(0, 480, 16)


def main() -> int:
    """Serves one benchmark until stdin ends."""
    folder = str(Path(__file__).resolve().parent)
    # Python puts a script's folder first: our modules must not shadow the suite's.
    sys.path[:] = [path for path in sys.path if path != folder]
    commands, replies = take_pipes()
    line = commands.readline()
    if not line:
        return 0
    job = json.loads(line)
    if not job["id"]:
        return nurse(job, commands, replies)
    return serve(job, commands, replies)


def serve(job: "dict[str, Any]", commands: "BinaryIO", replies: "BinaryIO") -> int:
    """One benchmark. A fork says, when it is ready and when it stops, which modules it has imported so far."""
    try:
        subject = prepare(job)
    except BaseException as error:  # noqa: BLE001 - whatever a suite raises, the other end must hear of it
        reply(replies, {"error": describe(error)})
        return 1
    reply(replies, {"skipped": subject is None, **news(job)})
    for command in commands:
        if subject is None:
            break
        try:
            answer = obey(subject, command.decode().split(maxsplit=5), job)
        except BaseException as error:  # noqa: BLE001 - as above
            answer = {"error": describe(error)}
        if "stopped" in answer:
            reply(replies, answer | news(job))
            break
        reply(replies, answer)
    return 0


def nurse(job: "dict[str, Any]", commands: "BinaryIO", replies: "BinaryIO") -> int:
    """Serves many benchmarks until stdin ends."""
    if job["core"] is not None:
        stay_on(job["setup_core"])  # a library that starts a thread a core starts none then
    job["kept"] = litter(job["litter"])
    nursery = load("nursery").Nursery(job, serve, load("heap").fill, (commands.fileno(), replies.fileno()))
    job["kept"] += litter(job["litter"])  # moves what comes after the imports too: it begins in fresh memory
    reply(replies, {"to": 0, **nursery.threads()})
    for command in commands:
        reply(replies, nursery.obey(command.decode()))
    return 0


def news(job: "dict[str, Any]") -> "dict[str, Any]":
    """The modules that a fork imported and its nursery had not."""
    return {"modules": [name for name in sys.modules if name not in job["imported"]]} if "imported" in job else {}


def take_pipes() -> "tuple[BinaryIO, BinaryIO]":
    """Keeps our two pipes for ourselves and leaves the suite an empty stdin and stderr as its stdout."""
    commands = os.fdopen(os.dup(0), "rb")
    replies = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return commands, replies


def reply(replies: "BinaryIO", answer: "dict[str, Any]") -> None:
    """One line; a driver that is gone ends us through SIGPIPE's exception."""
    replies.write(json.dumps(answer).encode() + b"\n")
    replies.flush()


def describe(error: BaseException) -> str:
    """The type and the message, in one line of bounded length."""
    return " ".join(f"{type(error).__name__}: {error}".split())[:2_000]


def prepare(job: "dict[str, Any]") -> "Any | None":
    """Imports the suite and sets the benchmark up; None when the suite skips it."""
    if job["core"] is not None:
        stay_on(job["setup_core"])
    job["kept"] = litter(job["litter"])  # for as long as the job, which is the process's life
    discovery = importlib.import_module("asv_runner.discovery")
    benchmark = discovery.get_benchmark_from_name(job["benchmark_dir"], job["id"])
    if benchmark.setup_cache_key is not None:
        cache = pickle.loads(Path("cache.pickle").read_bytes())  # noqa: S301 - the suite's own, made a moment ago
        if hasattr(benchmark, "set_cache"):
            benchmark.set_cache(cache)
        elif cache is not None:  # asv_runner before 0.3
            benchmark.insert_param(cache)
    skips = benchmark.do_setup()
    if job["core"] is not None:
        stay_on(job["core"])
    return None if skips else load("timed").Subject(benchmark, job["slowdown"])


def stay_on(core: int) -> None:
    """All our threads on one core; those that they start inherit it."""
    if hasattr(os, "sched_setaffinity"):
        for thread in os.listdir("/proc/self/task"):  # noqa: PTH208 - it wants the names alone
            with contextlib.suppress(ProcessLookupError):  # it ended in between
                os.sched_setaffinity(int(thread), {core})


def litter(each: int) -> "list[bytes]":
    """Moves what the suite allocates later: so many objects of every size that Python's allocator keeps apart."""
    return [bytes(size) for size in LITTER_SIZES for _ in range(each)]


def obey(subject: "Any", command: "list[str]", job: "dict[str, Any]") -> "dict[str, Any]":
    """Carries out one command."""
    if command[0] == "run":
        number, batches = int(command[1]), int(command[2])
        slices: list[tuple[int, int]] = []
        take_slice = functools.partial(run_slice, subject, number, batches, slices)
        if len(command) > 3:
            if "relay" not in job:
                job["relay"] = load("relay").Relay(f"{job['pipes']}.turns", command[5].rstrip("\n"))
                job["drift"] = load("drift").Drift(load("heap"))
            take_slice = functools.partial(job["drift"].moved, take_slice)
            job["relay"].run(int(command[3]), is_first=command[4] == "1", take_slice=take_slice)
        else:
            take_slice()
        return {"cpu_ns": [cpu / number for cpu, _ in slices], "wall_ns": [wall / number for _, wall in slices]}
    if command[0] == "calibrate":
        number, batches, slice_ns = subject.calibrate(int(command[1]))
        return {"number": number, "batches": batches, "slice_ns": slice_ns}
    if command[0] == "size":
        number, batches, _ = subject.calibrate(int(command[1]))
        cpu_ns, _ = subject.run(number, 1)
        return {"number": number, "batches": batches, "cpu_ns": cpu_ns / number, "setup_ns": subject.setup_ns}
    if command[0] == "value":
        return {"value": subject.value()}
    if command[0] in {"count", "profile"}:
        number, batches = int(command[1]), int(command[2])
        if command[0] == "count":
            subject.count(number, batches, load("meter").Meter(), load("heap").make_room)
        else:
            subject.profile(number, batches, load("stacks").Stacks())
        return {"calls": number * batches}
    subject.benchmark.do_teardown()
    return {"stopped": True}


def run_slice(subject: "Any", number: int, batches: int, slices: "list[tuple[int, int]]") -> None:
    slices.append(subject.run(number, batches))


def load(name: str) -> "Any":
    """A module that lies beside this file, without its folder on the path."""
    spec = importlib.util.spec_from_file_location(f"_tidegauge_{name}", Path(__file__).with_name(f"{name}.py"))
    if spec is None or spec.loader is None:
        raise ImportError(name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if __name__ == "__main__":
    sys.exit(main())
