"""The lane in its short form, as a part of `tidegauge check`: a handful of benchmarks, by CPU and by wall time.

    [bench] of tidegauge.toml ─▶ base, HEAD or the working tree ─▶ Lane ─▶ findings in the run of `check`

What keeps the lane from measuring is a finding, never the end of `check`.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

from tidegauge.budgets import Budgets
from tidegauge.config import BenchConfig
from tidegauge.errors import TidegaugeError
from tidegauge.records import Finding, RunWriter
from tidegauge.verdicts import Verdict

NAME = "bench/lane/verdict"
TIERS = ("cpu", "wall")  # counting takes minutes, and profiles are for whoever asks


def run_short(
    root: Path,
    config: BenchConfig | None,
    writer: RunWriter,
    *,
    budgets: Budgets,
    seed: int,
    scratch: Path,
    show: Callable[[str], None],
) -> None:
    """Adds the lane's findings to the run."""
    if config is None or not config.select:
        reason = "[bench] of tidegauge.toml selects nothing: name a handful of benchmarks, select = [...]"
        writer.add(Finding(name=NAME, verdict=Verdict.NOT_MEASURED, reason=reason))
        return
    if importlib.util.find_spec("asv") is None:
        reason = "asv is not installed: pip install 'tidegauge[bench]'"
        writer.add(Finding(name=NAME, verdict=Verdict.NOT_MEASURED, reason=reason))
        return
    # Imported here, because whoever has no asv can check all the rest.
    from tidegauge.bench.judging.plan import Plan  # noqa: PLC0415
    from tidegauge.bench.lane import BenchSettings, Lane  # noqa: PLC0415
    from tidegauge.bench.promises import Promises  # noqa: PLC0415
    from tidegauge.bench.suites.build import base_of_changes, find_repository  # noqa: PLC0415

    try:
        settings = BenchSettings(
            base=config.base or base_of_changes(find_repository(root)),
            head=None,
            select=config.select,
            python=config.python or None,
            plan=Plan(seconds_max=config.max_seconds),
            tiers=TIERS,
            promises=Promises.made(budgets),
        )
        Lane(root, settings, writer, seed=seed, show=show).run(scratch)
    except TidegaugeError as error:
        writer.add(Finding(name=NAME, verdict=Verdict.NOT_MEASURED, reason=str(error)))
