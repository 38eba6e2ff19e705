"""The order of verdicts and their exit statuses."""

import itertools

import pytest

from tidegauge.verdicts import Verdict, worst

FROM_WORST = [Verdict.FAIL, Verdict.UNDECIDED, Verdict.NOT_MEASURED, Verdict.PASS]


@pytest.mark.parametrize(("worse", "better"), list(itertools.combinations(FROM_WORST, 2)))
def test_the_worse_of_two_wins(worse: Verdict, better: Verdict) -> None:
    """Fail, undecided, not measured, pass: in whatever order they come."""
    assert worst([worse, better]) is worst([better, worse]) is worse


def test_nothing_is_not_measured() -> None:
    """A run without a finding never passes."""
    assert worst([]) is Verdict.NOT_MEASURED


def test_exit_statuses_are_those_of_the_manual() -> None:
    """0 pass, 1 fail, 3 undecided, 4 not measured; 2 is left to wrong use."""
    assert [verdict.exit_status for verdict in FROM_WORST] == [1, 3, 4, 0]


def test_a_verdict_is_written_as_its_word() -> None:
    """Files and messages hold `not_measured`, not a name of the code."""
    assert [str(verdict) for verdict in FROM_WORST] == ["fail", "undecided", "not_measured", "pass"]
