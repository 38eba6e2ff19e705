"""Two sides of one benchmark, alike in all but the commit: their folders, their workers, one question to both.

    Benchmark, Side ──folder_of──▶ where it runs ──worker_of──▶ Worker ──of_both──▶ an answer a side, or one error

Those are processes of their own; `pair` and `nurseries`, which need many of them, fork theirs (`forks`).
"""

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TypeVar

from tidegauge.bench.processes.client import Worker, WorkerJob
from tidegauge.bench.processes.conversation import WorkerError
from tidegauge.bench.processes.layout import Layout
from tidegauge.bench.suites.model import Benchmark, Side
from tidegauge.bench.suites.suite import SuiteError, make_setup_cache

Answer = TypeVar("Answer")

SIDES = ("base", "head")


@contextlib.contextmanager
def folder_of(benchmark: Benchmark, side: Side, name: str, scratch: Path) -> Iterator[Path]:
    """A folder of the worker's own, or the one where `setup_cache` left its files, as under asv."""
    if not benchmark.setup_cache_key:
        scratch.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f"{name}-", dir=scratch) as temporary:
            yield Path(temporary)
        return
    key = hashlib.sha256(f"{side.commit} {benchmark.setup_cache_key}".encode()).hexdigest()[:16]
    folder = scratch / name / key
    try:
        make_setup_cache(side, benchmark, folder)
    except SuiteError as error:
        raise WorkerError(name, error.sentence) from error
    yield folder


@contextlib.contextmanager
def worker_of(
    benchmark: Benchmark,
    side: Side,
    name: str,
    folder: Path,
    layout: Layout,
) -> Iterator[Worker]:
    """A worker for as long as the block lasts; its time limit is the suite's own."""
    job = WorkerJob(
        benchmark_dir=str(side.benchmark_dir),
        id=benchmark.id,
        litter=layout.litter,
    )
    env = side.env | layout.environment
    worker = Worker(name, side.python, job, env=env, cwd=folder, timeout_s=benchmark.timeout_s)
    try:
        yield worker
    finally:
        worker.close()


def another_core(core: int | None) -> int | None:
    """Where a pair is set up while another is measured on `core`."""
    others = os.sched_getaffinity(0) - {core} if core is not None else ()
    return min(others, default=core)


def who(names: Sequence[str]) -> str:
    """One side by its name, or "both"."""
    return "both" if len(names) == len(SIDES) else names[0]


def of_both(question: Callable[[str], Answer]) -> dict[str, Answer]:
    """Asks both sides before it raises, so that the error says whether one or both cannot answer."""
    answers: dict[str, Answer] = {}
    errors: dict[str, str] = {}
    for name in SIDES:
        try:
            answers[name] = question(name)
        except WorkerError as error:
            errors[name] = error.sentence
    if len(errors) == 1:
        ((name, sentence),) = errors.items()
        raise WorkerError(name, sentence)
    if errors:
        raise WorkerError("both", "; ".join(f"{name}: {sentence}" for name, sentence in errors.items()))
    return answers
