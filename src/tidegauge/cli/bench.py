"""The verb `bench`: is this commit slower? Binds options, run file and lane, and says the verdict."""

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from tidegauge.cli.options import AsJson, BudgetOverrides, Seed, interrupted, say, show_run, terminable
from tidegauge.config import load_bench
from tidegauge.errors import TidegaugeError
from tidegauge.machine import read_machine
from tidegauge.records import RUNS, RunWriter
from tidegauge.report.terminal import words
from tidegauge.subject import Subject, read_subject

Base = Annotated[str, typer.Argument(help="The commit to compare with.")]
Head = Annotated[str, typer.Argument(help="The commit that may be slower; without it, the working tree.")]
Select = Annotated[
    list[str], typer.Option("--bench", "-b", metavar="REGEX", help="Only benchmarks that match; repeatable.")
]
MaxSeconds = Annotated[float, typer.Option(min=1.0, max=3600.0, help="Time for a benchmark; the rest is lent on.")]
Delta = Annotated[float, typer.Option(min=0.001, max=1.0, help="The slowdown that must not pass, as a fraction.")]
Python = Annotated[str, typer.Option(metavar="same", help="Measure in this Python instead of asv's environments.")]
Tiers = Annotated[
    str, typer.Option("--tier", metavar="TIERS", help="What judges: cpu, wall, instructions, values; all.")
]
SelfProofOnly = Annotated[
    bool, typer.Option("--self-proof-only", help="Compare nothing: how well can this machine tell a slowdown?")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the pairs that an interrupted run left.")]
Bisect = Annotated[bool, typer.Option("--bisect", help="Then find the commit that made a benchmark slower.")]
BisectSeconds = Annotated[float, typer.Option(min=1.0, max=86_400.0, help="Time for --bisect, all benchmarks.")]


def bench(
    base: Base = "main",
    head: Head = "",
    *,
    select: Select = [],  # noqa: B006 - typer copies it
    max_seconds: MaxSeconds = 10.0,
    delta: Delta = 0.03,
    python: Python = "",
    tier: Tiers = "cpu,wall,instructions,values",
    self_proof_only: SelfProofOnly = False,
    resume: Resume = False,
    bisect: Bisect = False,
    bisect_seconds: BisectSeconds = 300.0,
    seed: Seed = 1,
    budget: BudgetOverrides = [],  # noqa: B006 - typer copies it
    json: AsJson = False,
) -> int:
    """Compare two commits of any repository with an asv.conf.json, benchmark by benchmark.

    Each benchmark runs in pairs of fresh processes, one a commit, in turn on one core; the pair is the unit of the
    test. Slower, not slower, or undecided: the risk of a false alarm in the whole suite is 1 %. A benchmark that waits
    is judged by wall time too, while the machine is quiet. Where valgrind is here, the instructions of a call are
    counted; a rise of 0.5 % or more is a fail. Peaks of memory and counts are compared as they are.

    --budget gives one figure a limit of its own, as [budgets] of tidegauge.toml does: certainly above it fails,
    certainly below it passes. --budget 'bench/bench_x.time_y(10)/cpu_ratio=1.10' lets it be 10 % slower, and
    instructions_ratio, wall_ratio, peakmem_ratio and track_ratio likewise. A name that this run does not judge is
    wrong use.

    With --bisect the commits between the two are halved, by the same pairs against BASE, until one commit is left for
    each of the largest slowdowns, or the range that cannot be judged: its finding is bench/<benchmark>/culprit.

    Example: tidegauge bench main --bench time_tick --bisect
    """
    from tidegauge.bench.counts.instructions import CountSettings  # noqa: PLC0415 - asv is needed by this verb alone
    from tidegauge.bench.judging.plan import Plan  # noqa: PLC0415
    from tidegauge.bench.lane import BenchSettings, Lane  # noqa: PLC0415
    from tidegauge.bench.promises import TIERS, Promises  # noqa: PLC0415

    tiers = tuple(filter(None, (name.strip() for name in tier.split(","))))
    if not tiers or not set(tiers) <= set(TIERS):
        raise TidegaugeError(f"--tier {tier} is not of {', '.join(TIERS)}", "For example: --tier cpu.")
    if budget and self_proof_only:
        raise TidegaugeError("--budget says nothing of --self-proof-only, which compares nothing", "Leave one out.")
    root = Path.cwd()
    settings = BenchSettings(
        base=base,
        head=head or None,
        select=tuple(select),
        python=python or None,
        plan=Plan(delta=delta, seconds_max=max_seconds),
        count=CountSettings(run_s_max=max_seconds),
        tiers=tiers,
        promises=Promises.made(load_bench(root).budgets, budget),
        resume=resume,
        bisect_seconds_max=bisect_seconds if bisect else 0.0,
    )
    writer = RunWriter(
        root / RUNS,
        "bench",
        subject=subject_of_run(root, base, head),
        machine=read_machine(),
        seed=seed,
        config=msgspec.to_builtins(settings),
    )
    progress = Console(stderr=True, highlight=False, soft_wrap=True)
    lane = Lane(root, settings, writer, seed=seed, show=lambda text: progress.print(f"  | {text}", markup=False))
    return _recorded(writer, lane.prove if self_proof_only else lane.run, json=json)


def subject_of_run(root: Path, base: str, head: str) -> Subject:
    """What is compared: a commit that was named stands for itself, whatever is checked out."""
    from tidegauge.bench.suites.build import find_repository, resolve  # noqa: PLC0415 - as above

    repository = find_repository(root)
    named = Subject(commit=resolve(repository, head), dirty=False) if head else read_subject(root)
    return msgspec.structs.replace(named, base_commit=resolve(repository, base))


def _recorded(writer: RunWriter, measure: Callable[[Path], None], *, json: bool) -> int:
    """The exit status of what was measured, and of what an interrupt left."""
    say(f"tidegauge bench, run {writer.id}")
    with writer, terminable(), tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as scratch:
        try:
            measure(Path(scratch))
        except KeyboardInterrupt as interrupt:
            return interrupted(writer, interrupt, "go on with --resume")
        run = writer.finish()
    show_run(run, json=json)
    say(f"Run: {writer.path}\nExit status {run.verdict.exit_status}: {words(run.verdict)}.")
    return run.verdict.exit_status
