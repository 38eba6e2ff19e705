"""What several verbs share: their options, their way to stdout, and what Ctrl-C and SIGTERM mean to them."""

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from types import FrameType
from typing import Annotated, NoReturn

import msgspec
import typer
from rich.console import Console

from tidegauge.records import Run, RunWriter
from tidegauge.report.terminal import Report

SEED_MAX = 2**63 - 1

Seed = Annotated[int, typer.Option(help="The seed of everything random in the run.", min=0, max=SEED_MAX)]
BudgetOverrides = Annotated[
    list[str], typer.Option("--budget", metavar="KEY=VALUE", help="Replace one budget's limit; repeatable.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON to stdout, and nothing else there.")]


class Terminated(KeyboardInterrupt):
    """SIGTERM: ends a verb as Ctrl-C does, with another exit status."""


@contextlib.contextmanager
def terminable() -> Iterator[None]:
    """Within it a SIGTERM raises `Terminated`, so that everything started is stopped."""

    def terminate(_number: int, _frame: FrameType | None) -> NoReturn:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def say(text: str) -> None:
    """Progress: one line to stderr."""
    sys.stderr.write(f"{text}\n")
    sys.stderr.flush()


class Stdout(Console):
    """Where results go. A reader that has seen enough, such as `head`, changes no exit status."""

    def __init__(self) -> None:
        super().__init__(highlight=False)

    def on_broken_pipe(self) -> None:
        """Instead of rich's own way, which is to exit with what is our status for a failed run."""
        discard_stdout()


def interrupted(writer: RunWriter, interrupt: KeyboardInterrupt, remedy: str) -> int:
    """Closes a run that Ctrl-C or SIGTERM ended; the exit status that says which."""
    by, status = ("SIGTERM", 143) if isinstance(interrupt, Terminated) else ("Ctrl-C", 130)
    writer.finish(unfinished=f"the run was interrupted by {by}; {remedy}")
    say(f"Interrupted by {by}; everything is stopped. See what was measured: tidegauge report {writer.id}")
    return status


def show_run(run: Run, *, json: bool) -> None:
    """The result of a verb: a report for a person, or the Run and nothing else."""
    if json:
        write_json(msgspec.json.format(msgspec.json.encode(run)))
    else:
        Stdout().print("", Report(run), "", markup=False)


def write_json(content: bytes) -> None:
    """The one thing on stdout under --json."""
    try:
        sys.stdout.write(content.decode() + "\n")
        sys.stdout.flush()
    except BrokenPipeError:
        discard_stdout()


def discard_stdout() -> None:
    """Nobody reads any more: Python would fail once again when it flushes at its end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)
