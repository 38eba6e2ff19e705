"""The verb `check`: the main job. Binds configuration, run file and lane, and says the verdict."""

import tempfile
from pathlib import Path

from rich.console import Console

from tidegauge.bench.short import run_short
from tidegauge.check import run_check
from tidegauge.cli.options import AsJson, BudgetOverrides, Seed, interrupted, say, show_run, terminable
from tidegauge.config import load
from tidegauge.errors import TidegaugeError
from tidegauge.load.short import NAME as LOAD_NAME
from tidegauge.load.short import run_short as load_short
from tidegauge.machine import read_machine
from tidegauge.records import Finding, RunWriter
from tidegauge.report.terminal import line, words
from tidegauge.subject import read_subject
from tidegauge.target import Target
from tidegauge.verdicts import Verdict


def check(*, seed: Seed = 1, budget: BudgetOverrides = [], json: AsJson = False) -> int:  # noqa: B006 - typer copies it
    """Start the target, have it work, judge every figure.

    The target, the work and a budget for each figure stand in tidegauge.toml, which is looked for from
    the current directory upwards. The run is kept under results/runs beside it, with the output of every program.

    Example: tidegauge check --budget check/entry/p50_ms=30

    A handful of benchmarks, named in [bench], is compared with the commit before.

    The load of [load] is put on the target for 20 s at most, and judged by [load.slo].

    The lane soak is not part of check yet, so the best exit status is 4, not measured.
    """
    config = load(Path.cwd())
    budgets = config.budgets.override(budget)
    if config.check is None:
        raise TidegaugeError("tidegauge.toml has no [check]", "Name the program that does the work: workload = ...")
    progress = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(what: Finding | str) -> None:
        progress.print(line(what) if isinstance(what, Finding) else f"  | {what}", markup=False)

    writer = RunWriter(
        config.runs,
        "check",
        subject=read_subject(config.root),
        machine=read_machine(),
        seed=seed,
        # Commands as they are written: no environment and no token, for a run travels further than the file.
        config={
            "target": config.target.command,
            "needs": {need.name: need.command for need in config.target.needs},
            "workload": config.check.workload,
            "workload_timeout_s": config.check.timeout_s,
            "budget_overrides": budget,
        },
    )
    say(f"tidegauge check, run {writer.id}")
    log_dir = config.runs / f"{writer.id}.logs"

    reached: list[Target] = []

    def loaded(target: Target) -> None:
        reached.append(target)
        overrides = tuple(each for each in budget if each.startswith("load/"))
        load_short(config, target, budgets, writer, seed=seed, overrides=overrides, log_dir=log_dir, show=show)

    with writer, terminable():
        try:
            run_check(config, config.check, budgets, writer, seed=seed, log_dir=log_dir, show=show, then=loaded)
            if not reached:
                reason = "the target was not there to be loaded; see check/target/alive"
                writer.add(Finding(name=LOAD_NAME, verdict=Verdict.NOT_MEASURED, reason=reason))
            with tempfile.TemporaryDirectory(prefix="tidegauge-bench-") as scratch:
                run_short(
                    config.root, config.bench, writer, budgets=budgets, seed=seed, scratch=Path(scratch), show=show
                )
        except KeyboardInterrupt as interrupt:
            return interrupted(writer, interrupt, "run it again")
        run = writer.finish()
    show_run(run, json=json)
    say(f"Run: {writer.path}\nOutput of every program: {log_dir}")
    say(f"Exit status {run.verdict.exit_status}: {words(run.verdict)}.{_at_best(run.verdict is Verdict.NOT_MEASURED)}")
    return run.verdict.exit_status


def _at_best(is_not_measured: bool) -> str:
    """Whoever sees 4 for the first time shall not search for a fault of his own."""
    if not is_not_measured:
        return ""
    return " As long as soak is not part of check, it cannot exit 0."
