"""Errors are one line, with a remedy and an exit status."""

from pathlib import Path

import pytest

from tidegauge.errors import RunNotReadable, RunNotWritten, TargetDied, TargetNotReady, TidegaugeError


def test_an_error_is_one_line_whatever_it_quotes() -> None:
    """A target's last words may hold line ends; a log line must not."""
    error = TidegaugeError("The target said:\n  no\tmoney", "Pay it in.")
    assert str(error) == "The target said: no money. Pay it in."


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TidegaugeError("a"), 2),
        (RunNotReadable("a"), 2),
        (RunNotWritten("a"), 4),
        (TargetNotReady("a", Path("log"), (), is_need=False), 1),
        (TargetNotReady("a", Path("log"), (), is_need=True), 4),
        (TargetDied("a", Path("log"), (), is_need=False, exit_status=-9), 1),
    ],
)
def test_the_exit_status_says_whose_fault_it_is(error: TidegaugeError, status: int) -> None:
    """2 the user's, 1 the target's, 4 nobody's that was measured."""
    assert error.exit_code == status
