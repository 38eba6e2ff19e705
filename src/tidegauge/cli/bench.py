"""The verb `bench`: is this commit slower? Binds options, run file and lane, and says the verdict."""

import tempfile
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from rich.console import Console

from tidegauge.cli.options import AsJson, Seed, interrupted, say, show_run, terminable
from tidegauge.machine import read_machine
from tidegauge.records import RunWriter
from tidegauge.report.terminal import words
from tidegauge.subject import read_subject

Base = Annotated[str, typer.Argument(help="The commit to compare with.")]
Head = Annotated[str, typer.Argument(help="The commit that may be slower; without it, the working tree.")]
Select = Annotated[
    list[str], typer.Option("--bench", "-b", metavar="REGEX", help="Only benchmarks that match; repeatable.")
]
MaxSeconds = Annotated[float, typer.Option(min=1.0, max=3600.0, help="Time for one benchmark.")]
Delta = Annotated[float, typer.Option(min=0.001, max=1.0, help="The slowdown that must not pass, as a fraction.")]
Python = Annotated[str, typer.Option(metavar="same", help="Measure in this Python instead of asv's environments.")]
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
    resume: Resume = False,
    bisect: Bisect = False,
    bisect_seconds: BisectSeconds = 300.0,
    seed: Seed = 1,
    json: AsJson = False,
) -> int:
    """Compare two commits of any repository with an asv.conf.json, benchmark by benchmark.

    Each benchmark runs in pairs of fresh processes, one a commit, in turn on one core; the pair is the unit of the
    test. Slower, not slower, or undecided: the risk of a false alarm in the whole suite is 1 %.

    With --bisect the commits between the two are halved, by the same pairs against BASE, until one commit is left for
    each of the largest slowdowns, or the range that cannot be judged: its finding is bench/<benchmark>/culprit.

    Example: tidegauge bench main --bench time_tick --bisect
    """
    from tidegauge.bench.lane import BenchSettings, Lane  # noqa: PLC0415 - asv is needed by this verb alone
    from tidegauge.bench.plan import Plan  # noqa: PLC0415

    root = Path.cwd()
    settings = BenchSettings(
        base=base,
        head=head or None,
        select=tuple(select),
        python=python or None,
        plan=Plan(delta=delta, seconds_max=max_seconds),
        resume=resume,
        bisect_seconds_max=bisect_seconds if bisect else 0.0,
    )
    progress = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(text: str) -> None:
        progress.print(f"  | {text}", markup=False)

    subject = read_subject(root)
    writer = RunWriter(
        root / "results" / "runs",
        "bench",
        subject=msgspec.structs.replace(subject, base_commit=base),
        machine=read_machine(),
        seed=seed,
        config={"base": base, "head": head, "select": select, "max_seconds": max_seconds, "delta": delta}
        | {"bisect_seconds": bisect_seconds if bisect else 0.0},
    )
    say(f"tidegauge bench, run {writer.id}")
    with writer, terminable(), tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as scratch:
        try:
            Lane(root, settings, writer, seed=seed, show=show).run(Path(scratch))
        except KeyboardInterrupt as interrupt:
            return interrupted(writer, interrupt, "go on with --resume")
        run = writer.finish()
    show_run(run, json=json)
    say(f"Run: {writer.path}\nExit status {run.verdict.exit_status}: {words(run.verdict)}.")
    return run.verdict.exit_status
