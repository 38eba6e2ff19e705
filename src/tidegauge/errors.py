"""What can go wrong for a user: one root, each error one sentence, one remedy and one exit status.

TidegaugeError               2   wrong use, unless a subclass says otherwise
├── RunNotReadable           2   a run that is missing, cut short, foreign or newer than this version
├── RunNotWritten            4   the results cannot be kept (a full disk): nothing counts as measured
└── TargetError              1   the program under test; 4 when a need of it is to blame
    ├── TargetDied
    └── TargetNotReady

`cli.main` is the only place that catches the root.
"""

from pathlib import Path


class TidegaugeError(Exception):
    """An error that a user can act on."""

    exit_code = 2

    def __init__(self, sentence: str, remedy: str = "") -> None:
        super().__init__(sentence)
        self.sentence = sentence
        self.remedy = remedy

    def __str__(self) -> str:
        """One line, whatever was put into it: a log keeps it whole."""
        return " ".join(f"{self.sentence}. {self.remedy}".split())


class RunNotReadable(TidegaugeError):
    """A run file cannot be understood."""


class RunNotWritten(TidegaugeError):
    """A run file cannot be written."""

    exit_code = 4


class TargetError(TidegaugeError):
    """A program that we started did not do its part; `is_need` tells a need from the target itself."""

    def __init__(self, sentence: str, log: Path, tail: tuple[str, ...], *, is_need: bool) -> None:
        super().__init__(sentence, f"Read its output in {log}.")
        self.tail = tail
        self.is_need = is_need
        self.exit_code = 4 if is_need else 1


class TargetDied(TargetError):
    """A program ended by itself; negative exit statuses are signals."""

    def __init__(self, sentence: str, log: Path, tail: tuple[str, ...], *, is_need: bool, exit_status: int) -> None:
        super().__init__(sentence, log, tail, is_need=is_need)
        self.exit_status = exit_status


class TargetNotReady(TargetError):
    """A program runs, but did not become ready in its time."""
