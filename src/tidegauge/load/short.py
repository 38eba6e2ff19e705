"""The lane in its short form, as a part of `tidegauge check`: the load of [load] for a few seconds, on its target.

    [load] of tidegauge.toml ─▶ Locust on the target that is up anyway ─▶ findings in the run of `check`

What keeps the lane from measuring is a finding, never the end of `check`.
"""

import importlib.util
from collections.abc import Callable
from pathlib import Path
from typing import Final

import msgspec

from tidegauge.budgets import Budgets
from tidegauge.config import Config
from tidegauge.load.lane import LoadJob, run_load
from tidegauge.records import Finding, RunWriter
from tidegauge.target import Target
from tidegauge.verdicts import Verdict

NAME: Final = "load/lane/verdict"
# Enough for the p99 of whatever comes thirty times a second, and for a leak of sockets; the rest is the verb's.
SECONDS_MAX: Final = 20.0


def run_short(
    config: Config,
    target: Target,
    budgets: Budgets,
    writer: RunWriter,
    *,
    seed: int,
    overrides: tuple[str, ...],
    log_dir: Path,
    show: Callable[[Finding | str], None],
) -> None:
    """Adds the lane's findings to the run."""
    path = config.root / config.load.locustfile
    if why := _missing(config.load.locustfile, path):
        writer.add(Finding(name=NAME, verdict=Verdict.NOT_MEASURED, reason=why))
        return
    short = msgspec.structs.replace(config.load, seconds=min(config.load.seconds, SECONDS_MAX))
    job = LoadJob(config=short, locustfile=path, host="", seed=seed, overrides=overrides).on(target)
    run_load(job, budgets=budgets, writer=writer, cwd=config.root, log_dir=log_dir, target=target, show=show)


def _missing(named: str, path: Path) -> str:
    """What there is no load without."""
    if not named:
        return "[load] of tidegauge.toml names no workload: locustfile = ..."
    if not path.is_file():
        return f"there is no locustfile {path}; correct it under [load]"
    if importlib.util.find_spec("locust") is None:
        return "Locust is not installed: pip install 'tidegauge[load]'"
    return ""
