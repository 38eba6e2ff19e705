"""What every run of the lane begins with: both commits built, the suite discovered, and nobody else in their way.

    names of commits ──build──▶ two sides ──discover──▶ their suite

Either may take minutes, and whoever ends the run meanwhile has no figure yet that could be *not measured*: the step
that was not finished then stands for all of them.
"""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from tidegauge.bench.suites.build import build, only_one
from tidegauge.bench.suites.model import Side, Suite, SuiteConfig
from tidegauge.bench.suites.suite import discover
from tidegauge.records import Finding
from tidegauge.verdicts import Verdict

AGAIN = "run the same command again, which keeps what was built"


@contextlib.contextmanager
def prepared(
    config: SuiteConfig,
    base: str,
    head: str | None,
    python: str | None,
    select: Sequence[str],
    *,
    scratch: Path,
    add: Callable[[Finding], None],
    show: Callable[[str], None],
) -> Iterator[tuple[Side, Side, Suite]]:
    """Base, head and what there is to measure, for as long as the context lasts."""
    commits = f"{base} and {head or 'the working tree'}"
    with only_one(config):
        show(f"building {commits}")
        with _told("build", f"it built {commits}", add):
            sides = build(config, base, head, python=python)
        with _told("discovery", "it looked for the benchmarks of the suite", add):
            suite = discover(config, *sides, scratch=scratch, select=select)
        yield *sides, suite


@contextlib.contextmanager
def _told(step: str, doing: str, add: Callable[[Finding], None]) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        _end_children()
        reason = f"nothing was measured, because the run was interrupted while {doing}: {AGAIN}"
        add(Finding(name=f"bench/{step}/finished", verdict=Verdict.NOT_MEASURED, reason=reason))
        raise


def _end_children() -> None:
    """Of asv's builders, one whose start was interrupted is known to nobody but the system."""
    for child in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):
            child.kill()
