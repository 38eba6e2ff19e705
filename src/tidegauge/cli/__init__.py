"""The command: a verb a file, its docstring its help. `main` is the one place that catches.

Each verb returns its exit status: 0 pass, 1 fail, 2 wrong use, 3 undecided, 4 not measured; 130 and 143 after
Ctrl-C and SIGTERM. Results go to stdout, progress and errors to stderr.
"""

import sys
import traceback
from collections.abc import Sequence

import typer
from typer.exceptions import TyperException

from tidegauge.cli import bench, check, doctor, history, load, report, serve
from tidegauge.errors import TidegaugeError

app = typer.Typer(
    name="tidegauge",
    help="Is this commit slower, how much load does the bot's API carry, does the bot leak: each with a confidence.",
    epilog="Exit status: 0 pass, 1 fail, 2 wrong use, 3 undecided, 4 not measured. Start with: tidegauge doctor",
    add_completion=False,
    rich_markup_mode=None,
)
for verb in (check.check, bench.bench, load.load, history.history, report.report, doctor.doctor, serve.serve):
    app.command()(verb)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one verb; returns the exit status."""
    try:
        status = app(
            args=(sys.argv[1:] if arguments is None else arguments) or ["--help"],
            prog_name="tidegauge",
            standalone_mode=False,
        )
    except TidegaugeError as error:
        return _complain(str(error), error.exit_code)
    except TyperException as error:
        return _complain(f"{error.format_message().rstrip('.')}. See tidegauge --help.", 2)
    except Exception:  # noqa: BLE001 - a defect of the instrument must not look like a verdict on the target
        traceback.print_exc()
        return _complain("this is a defect of tidegauge, so nothing counts as measured. Please report it.", 4)
    return int(status or 0)


def _complain(line: str, status: int) -> int:
    sys.stderr.write(f"tidegauge: error: {line}\n")
    return status
