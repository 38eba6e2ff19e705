"""What `main` makes of errors, and what a SIGTERM is within a verb."""

import os
import signal
from typing import NoReturn

import pytest

from tidegauge import cli
from tidegauge.cli.options import Terminated, terminable
from tidegauge.errors import RunNotWritten


def raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes every verb end with `error`."""

    def fail(**_options: object) -> NoReturn:
        raise error

    monkeypatch.setattr(cli, "app", fail)


def test_our_errors_are_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The sentence, the remedy and the error's own exit status."""
    raising(RunNotWritten("The disk is full", "Free some space."), monkeypatch)
    assert cli.main(["report"]) == 4
    assert capsys.readouterr() == ("", "tidegauge: error: The disk is full. Free some space.\n")


def test_a_defect_of_ours_is_no_verdict_on_the_target(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """An unforeseen error shows its traceback and exits as not measured: Python's own 1 would read as fail."""
    raising(ZeroDivisionError(), monkeypatch)
    assert cli.main(["report"]) == 4
    error = capsys.readouterr().err
    assert "Traceback" in error
    assert error.endswith("Please report it.\n")


def test_without_a_verb_the_help_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """Someone who only types the name learns the verbs, and it is no error."""
    assert cli.main([]) == 0
    shown = capsys.readouterr().out
    assert all(f"  {verb} " in shown for verb in ("check", "report", "doctor", "serve"))


def test_sigterm_ends_a_verb_as_ctrl_c_does() -> None:
    """Within `terminable` it is an exception that unwinds; afterwards it is what it was before."""
    before = signal.getsignal(signal.SIGTERM)

    def be_terminated() -> None:
        with terminable():
            os.kill(os.getpid(), signal.SIGTERM)
            signal.sigtimedwait([], 5)  # the handler runs before this returns

    with pytest.raises(Terminated):
        be_terminated()
    assert signal.getsignal(signal.SIGTERM) is before
