"""The verb `report`: renders a run that was kept."""

from pathlib import Path
from typing import Annotated

import msgspec
import typer

from tidegauge.cli.options import AsJson, Stdout, write_json
from tidegauge.config import find_root
from tidegauge.records import RUNS, find_run, read_run
from tidegauge.report.terminal import Report


def report(
    run: Annotated[str | None, typer.Argument(help="The id or the path of a run; without it the newest.")] = None,
    *,
    json: AsJson = False,
) -> int:
    """Show a run: its verdict and every finding.

    Exit status 0 says that the run could be shown; the run's own verdict is its first word.

    Example: tidegauge report --json | jq .verdict
    """
    root = find_root(Path.cwd()) or Path.cwd()
    found = read_run(find_run(root / RUNS, run))
    if json:
        write_json(msgspec.json.format(msgspec.json.encode(found)))
    else:
        Stdout().print(Report(found))
    return 0
