"""What a workload prints becomes findings; what it prints wrongly becomes one too."""

from collections.abc import Callable

import pytest

from tidegauge.budgets import Budgets
from tidegauge.check import Recorder
from tidegauge.records import Budget, Finding, RunWriter
from tidegauge.verdicts import Verdict

NewWriter = Callable[..., RunWriter]


class Listener:
    """A recorder with one budget, and what it showed."""

    def __init__(self, writer: RunWriter) -> None:
        self.shown: list[Finding | str] = []
        budgets = Budgets({"check/entry/p50_ms": Budget(max=25, unit="ms", why="quotes are older after that")})
        self.recorder = Recorder(budgets, writer, self.shown.append)

    def take(self, *lines: str) -> list[Finding]:
        """The findings that came of the lines."""
        for line in lines:
            self.recorder.take(line)
        return [shown for shown in self.shown if isinstance(shown, Finding)]


@pytest.fixture
def listener(new_writer: NewWriter) -> Listener:
    """A recorder that writes to a run."""
    return Listener(new_writer())


def test_a_measure_is_judged_with_its_interval(listener: Listener) -> None:
    """Value, unit, interval and samples all arrive."""
    line = '{"name":"check/entry/p50_ms","value":24,"unit":"ms","low":20,"high":30,"samples":9,"evidence":{"a":1}}'
    (finding,) = listener.take(line)
    assert (finding.verdict, finding.value, finding.low, finding.high) == (Verdict.UNDECIDED, 24, 20, 30)
    assert finding.evidence == {"a": 1, "samples": 9}


def test_an_invariant_brings_its_verdict(listener: Listener) -> None:
    """Its reason is kept; without one the finding says that there is none."""
    first, second = listener.take(
        '{"name":"check/orders/lost","verdict":"fail","reason":"2 are lost"}',
        ' {"name":"check/orders/doubled","verdict":"undecided"}',
    )
    assert (first.verdict, first.reason) == (Verdict.FAIL, "2 are lost")
    assert (second.verdict, second.reason) == (Verdict.UNDECIDED, "the workload gave no reason")


@pytest.mark.parametrize(
    ("value", "said", "verdict", "reason"),
    [
        (10, "fail", Verdict.FAIL, "said so"),
        (10, "pass", Verdict.PASS, "said so"),
        (30, "pass", Verdict.FAIL, "above its budget of max 25 ms, by 20.0%: quotes are older after that"),
    ],
)
def test_a_workload_cannot_talk_a_broken_budget_away(
    listener: Listener, value: float, said: str, verdict: Verdict, reason: str
) -> None:
    """Of the workload's verdict and the budget's the worse one counts."""
    line = f'{{"name":"check/entry/p50_ms","value":{value},"unit":"ms","verdict":"{said}","reason":"said so"}}'
    (finding,) = listener.take(line)
    assert (finding.verdict, finding.reason) == (verdict, reason)


def test_other_lines_are_progress(listener: Listener) -> None:
    """Only a line that begins with a brace claims to be a measure."""
    assert listener.take("warming up", "", "[1] {x}") == []
    assert listener.shown == ["warming up", "", "[1] {x}"]


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("{", "truncated"),
        ("{}", "missing required field `name`"),
        ('{"name":"check/a/b"}', "neither a value nor a verdict"),
        ('{"name":"check/a/b","value":NaN}', "invalid character"),
        ('{"name":"check/a/b","value":"fast"}', "Expected `float | null`, got `str`"),
        ('{"name":"check/a/b","verdict":"fine"}', "Invalid enum value 'fine'"),
        ('{"name":"check/a/b","valeu":1}', "unknown field `valeu`"),
        ('{"name":"check/a","value":1}', "is not lane/subject/measure"),
        ('{"name":"soak/a/b","value":1}', "does not begin with check/"),
    ],
)
def test_a_malformed_line_is_a_failure_that_quotes_it(listener: Listener, line: str, problem: str) -> None:
    """A measure that was meant but not understood must not vanish."""
    (finding,) = listener.take(line)
    assert (finding.name, finding.verdict) == ("check/workload/output", Verdict.FAIL)
    assert problem in finding.reason
    assert finding.reason.endswith(line)


def test_many_malformed_lines_are_one_finding(listener: Listener) -> None:
    """The first says it; the others are shown, and do not fill the run."""
    assert len(listener.take("{", "{", "{")) == 1
    assert listener.shown.count("malformed line: {") == 3


def test_a_name_counts_once(listener: Listener) -> None:
    """A second value for a name would leave open which one was judged."""
    first, second = listener.take('{"name":"check/a/b","value":1}', '{"name":"check/a/b","value":2}')
    assert (first.value, second.name) == (1, "check/workload/output")
    assert "was there before" in second.reason
