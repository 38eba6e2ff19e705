"""The verb `history`: when did it become slower? Reads what was kept, binds it to a run, and says the verdict."""

from pathlib import Path
from typing import Annotated

import typer

from tidegauge.cli.options import AsJson, Seed, say, show_run
from tidegauge.config import load_bench
from tidegauge.errors import TidegaugeError
from tidegauge.machine import read_machine
from tidegauge.records import RUNS, RunWriter
from tidegauge.report.terminal import words
from tidegauge.subject import read_subject

Select = Annotated[
    list[str], typer.Option("--bench", "-b", metavar="REGEX", help="Only benchmarks that match; repeatable.")
]
Machine = Annotated[str, typer.Option(metavar="M", help="Whose results; needed where the store has several machines.")]
Base = Annotated[
    str, typer.Option(metavar="COMMIT", help="Read ratios to this commit, of all machines that measured it.")
]
Delta = Annotated[float, typer.Option(min=0.001, max=1.0, help="The slowdown that must not last, as a fraction.")]
Last = Annotated[int, typer.Option(min=3, max=300, help="How many results back a slowdown still fails.")]


def history(
    *,
    select: Select = [],  # noqa: B006 - typer copies it
    machine: Machine = "",
    base: Base = "",
    delta: Delta = 0.03,
    last: Last = 10,
    seed: Seed = 1,
    json: AsJson = False,
) -> int:
    """Find the commits at which a benchmark's kept times changed their level.

    Measures nothing: it reads the times that `tidegauge bench` and `asv run` keep in the results_dir of
    asv.conf.json, in the order of HEAD's first parents, and needs 24 of a benchmark. A change is told with
    its commit, the commits before it that have no result, its ratio and the ratio's 95 % interval.

    Times of two machines are never compared, only ratios to one base commit, measured in the same run: with --base, or
    where tidegauge.toml pins one under [bench], the runs in results/runs that compare a commit with it are read,
    whatever machine they are of. Measure with `tidegauge bench COMMIT`, and put the runs of all machines there.

    Example: tidegauge history --bench time_tick --last 20
    """
    try:  # numpy and asv are needed by this verb alone
        from tidegauge.bench.changes.history import HistorySettings, read_history  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise TidegaugeError(f"{error.name} is not installed here", "pip install 'tidegauge[bench]'.") from error

    if base and machine:
        raise TidegaugeError("--base reads the runs of all machines, and --machine the times of one", "Leave one out.")
    root = Path.cwd()
    pinned = base or ("" if machine else load_bench(root).bench.pinned)
    settings = HistorySettings(
        select=tuple(select), machine=machine or None, base=pinned or None, delta=delta, last=last, seed=seed
    )
    found = read_history(root, settings)
    config = {"verb": "history", "select": select, "machine": found.machine, "base": pinned}
    writer = RunWriter(
        root / RUNS,
        "bench",
        subject=read_subject(root),
        machine=read_machine(),
        seed=seed,
        config=config
        | {"delta": delta, "last": last, "results": found.results, "results_left_out": found.unknown}
        | {"left_out": found.left_out},
    )
    say(f"tidegauge history, run {writer.id}: {found.results} results of {found.machine}")
    for what in found.left_out:
        say(f"Left out: {what}")
    with writer:
        for finding in found.findings:
            writer.add(finding)
        run = writer.finish()
    show_run(run, json=json)
    say(f"Run: {writer.path}\nExit status {run.verdict.exit_status}: {words(run.verdict)}.")
    return run.verdict.exit_status
