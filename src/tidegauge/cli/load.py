"""The verb `load`: how much does it carry? Binds configuration, target, run file and lane, and says the verdict."""

import contextlib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from rich.console import Console

from tidegauge.cli.options import AsJson, BudgetOverrides, Seed, interrupted, say, show_run, terminable
from tidegauge.config import Config, LoadFile, find_root, load_load
from tidegauge.config import load as load_config
from tidegauge.errors import TargetError, TidegaugeError
from tidegauge.load.lane import LoadJob, run_load
from tidegauge.load.times.schedule import Profile
from tidegauge.load.times.shapes import KINDS
from tidegauge.machine import read_machine
from tidegauge.records import RUNS, Finding, RunWriter
from tidegauge.report.terminal import line, words
from tidegauge.subject import read_subject
from tidegauge.target import Target
from tidegauge.verdicts import Verdict

KNEE = "knee"  # which is searched for, step by step; as a shape in a Locust it is the coarse search alone

ProfileName = Annotated[
    str, typer.Option("--profile", help=f"The rate over time: {', '.join(KINDS)}; knee searches for the highest.")
]
Host = Annotated[str, typer.Option(metavar="URL", help="Load this URL; without it, the target is started.")]
Locustfile = Annotated[str, typer.Option("-f", "--locustfile", metavar="FILE", help="Whose tasks to run.")]
Rate = Annotated[float, typer.Option(min=0.0, max=1e6, help="Arrivals a second, or the profile's peak.")]
SecondsLong = Annotated[
    float, typer.Option("--seconds", min=0.0, max=86_400.0, help="How long; a search for the knee takes 300 at most.")
]
OpenApi = Annotated[
    str, typer.Option("--openapi", metavar="URL", help="Ask every safe route of this OpenAPI document, URL or file.")
]
SloMs = Annotated[
    float, typer.Option("--slo-ms", min=0.0, max=1e6, help="Of the knee: how late a workflow without a promise may be.")
]
Processes = Annotated[int, typer.Option(min=0, max=256, help="Generate in so many processes.")]


def load(
    *,
    profile: ProfileName = "",
    host: Host = "",
    locustfile: Locustfile = "",
    rate: Rate = 0.0,
    seconds: SecondsLong = 0.0,
    openapi: OpenApi = "",
    slo_ms: SloMs = 0.0,
    processes: Processes = 0,
    seed: Seed = 1,
    budget: BudgetOverrides = [],  # noqa: B006 - typer copies it
    json: AsJson = False,
) -> int:
    """Load the target, or any URL, in open loop, and judge what it answers by its promises.

    Each arrival is due at an absolute time and runs one task of the locustfile, whatever became of those before it:
    times count from when an arrival was due. A generator that was late, dropped arrivals or had no core to itself
    leaves the run not measured. The promises stand under [load.slo] in tidegauge.toml; what is not said here, under
    [load].

    With --profile knee it searches, from --rate on, for the highest rate at which the promises are kept, and says what
    was at its end first. With --openapi the routes of a document are the load: those that only read.

    The locustfile needs to know nothing of tidegauge. Its arrivals find TIDEGAUGE_URL, TIDEGAUGE_TOKEN and
    TIDEGAUGE_SEED in their environment.

    Example: tidegauge load --host http://127.0.0.1:8080 -f theirs.py --rate 200 --seconds 30
    """
    file: Config | LoadFile = load_load(Path.cwd()) if host or openapi else load_config(Path.cwd())
    root = find_root(Path.cwd()) or Path.cwd()
    changes: dict[str, Any] = {"profile": profile, "rate": rate, "seconds": seconds, "processes": processes}
    config = msgspec.structs.replace(file.load, **{name: value for name, value in changes.items() if value})
    Profile.named(config.profile, config.rate, config.seconds)  # wrong use is said before anything starts
    env = {}
    if openapi:
        from tidegauge.load.openapi import document  # noqa: PLC0415 - httpx, 100 ms that only a document needs

        path = document.locustfile()
        env[document.DOCUMENT] = source = openapi if "://" in openapi else str(Path(openapi).resolve())
        host = host or document.host_of(document.read_document(source), source)
        if not host:
            raise TidegaugeError(f"{openapi} does not say where its API is", "Name it with --host.")
    else:
        path = _locustfile(locustfile, config.locustfile, root)
    job = LoadJob(
        config=config, locustfile=path, host=host, seed=seed, overrides=tuple(budget), is_ours=not openapi, env=env
    )
    budgets = file.budgets.override(budget)
    if profile == KNEE:
        from tidegauge.load import capacity  # noqa: PLC0415 - psutil and httpx as well

        file = capacity.under_knee(file) if isinstance(file, Config) else file
        search = capacity.Search(slo_ms=slo_ms or config.slo_ms, seconds_max=seconds or capacity.SECONDS_MAX)
        return _run(file, job, root, json=json, work=partial(capacity.run_knee, search, budgets=budgets))
    return _run(file, job, root, json=json, work=partial(run_load, budgets=budgets))


def _run(file: Config | LoadFile, job: LoadJob, root: Path, *, json: bool, work: Callable[..., None]) -> int:
    """Target, run file and what becomes of a target that fails: the same for every load."""
    writer = RunWriter(
        root / RUNS,
        "load",
        subject=read_subject(root),
        machine=read_machine(),
        seed=job.seed,
        config=msgspec.to_builtins(job.config)
        | {"locustfile": str(job.locustfile), "host": job.host, "budget_overrides": list(job.overrides)},
    )
    say(f"tidegauge load, run {writer.id}")
    log_dir = root / RUNS / f"{writer.id}.logs"
    progress = Console(stderr=True, highlight=False, soft_wrap=True)

    def show(what: Finding | str) -> None:
        progress.print(line(what) if isinstance(what, Finding) else f"  | {what}", markup=False)

    with writer, terminable():
        try:
            with contextlib.ExitStack() as stack:
                target = None
                if isinstance(file, Config):
                    target = stack.enter_context(Target.start(file.target, seed=job.seed, log_dir=log_dir, cwd=root))
                    show(f"target ready at {target.url or f'pid {target.pid}'} after {target.ready_s:.2f} s")
                work(job.on(target), writer=writer, cwd=root, log_dir=log_dir, target=target, show=show)
        except TargetError as error:
            verdict = Verdict.NOT_MEASURED if error.is_need else Verdict.FAIL
            writer.add(Finding(name="load/target/alive", verdict=verdict, reason=str(error)))
        except KeyboardInterrupt as interrupt:
            return interrupted(writer, interrupt, "run it again")
        run = writer.finish()
    show_run(run, json=json)
    say(f"Run: {writer.path}\nOutput of every program: {log_dir}")
    say(f"Exit status {run.verdict.exit_status}: {words(run.verdict)}.")
    return run.verdict.exit_status


def _locustfile(given: str, configured: str, root: Path) -> Path:
    path = Path(given).resolve() if given else root / configured if configured else None
    if path is None:
        raise TidegaugeError("No locustfile is named", "Name one with -f, or as locustfile under [load].")
    if not path.is_file():
        raise TidegaugeError(f"There is no locustfile {path}", "Correct -f, or locustfile under [load].")
    return path
