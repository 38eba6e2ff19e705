"""The report for a terminal: complete, the verdict first, readable at any width and without colour."""

import io
from collections.abc import Callable

import msgspec
import pytest
from rich.console import Console

from tidegauge.records import Budget, Finding, Run, RunWriter
from tidegauge.report.terminal import Report, figure, line, number
from tidegauge.verdicts import Verdict

FINDINGS = (
    Finding(name="check/target/ready_s", verdict=Verdict.PASS, value=0.04, unit="s", reason="recorded"),
    Finding(
        name="check/pricing.European.time_book(10000, [bold]x[bold])/ratio",
        verdict=Verdict.FAIL,
        value=1234.5678,
        unit="ms",
        low=1.20,
        high=1.31,
        budget=Budget(max=1_100, unit="ms", why="quotes are older"),
        reason="above its budget, which is a long sentence that does not fit into any narrow window at all",
    ),
    Finding(name="soak/lane/verdict", verdict=Verdict.NOT_MEASURED, reason="the lane is not part of check yet"),
)


@pytest.fixture
def run(new_writer: Callable[..., RunWriter]) -> Run:
    """A run with a finding of most kinds."""
    writer = new_writer()
    for finding in FINDINGS:
        writer.add(finding)
    return writer.finish()


def rendered(run: Run, width: int, *, colour: bool = False) -> str:
    """What a console of this width shows."""
    stream = io.StringIO()
    Console(file=stream, width=width, force_terminal=colour, color_system="truecolor" if colour else None).print(
        Report(run)
    )
    return stream.getvalue()


@pytest.mark.parametrize("width", [40, 60, 80, 109, 110, 200])
def test_every_fact_is_there_at_any_width(run: Run, width: int) -> None:
    """A narrow window folds lines, it does not cut them, and none is wider than the window."""
    text = rendered(run, width)
    assert max(map(len, text.splitlines())) <= width
    joined = "".join(text.split())
    assert joined.startswith("FAILcheck:1fail,1notmeasured,1pass")
    for word in ("1,235ms(1.2to1.31)", "max1,100ms", "time_book(10000,", "0.04s", "notmeasured"):
        assert word in joined or width >= 110
    for finding in FINDINGS:
        assert all(word in joined for word in finding.reason.split())


def test_the_worst_comes_first(run: Run) -> None:
    """Fail, then undecided, then not measured, then pass."""
    text = rendered(run, 200)
    assert text.index("time_book") < text.index("soak/lane") < text.index("check/target/ready_s")


def test_colour_carries_no_meaning_alone(run: Run) -> None:
    """Without colours the text is the same, and names in square brackets are no markup."""
    plain, coloured = rendered(run, 80), rendered(run, 80, colour=True)
    assert "\x1b[" in coloured
    assert "\x1b[" not in plain
    assert "[bold]x[bold]" in plain


def test_no_line_ends_with_a_space(run: Run) -> None:
    """A report that is pasted into a ticket is clean."""
    assert all(text == text.rstrip() for text in rendered(run, 60).splitlines())


def test_a_run_without_findings_is_rendered(run: Run) -> None:
    """Nothing measured is said, not left blank."""
    empty = msgspec.structs.replace(run, findings=(), verdict=Verdict.NOT_MEASURED)
    assert rendered(empty, 80).startswith("NOT MEASURED  check: no findings")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0361512, "0.03615"),
        (12.345, "12.35"),
        (999.96, "1000"),
        (5000, "5,000"),
        (123456789.2, "123,456,789"),
        (0, "0"),
    ],
)
def test_numbers_are_short_and_never_exponents(value: float, text: str) -> None:
    """Four digits that matter are enough for a person."""
    assert number(value) == text


def test_progress_is_one_line() -> None:
    """A finding that needs attention brings its reason, one that passes does not."""
    good, bad, _ = FINDINGS
    assert line(good).plain == "pass          check/target/ready_s  0.04 s"
    assert line(bad).plain.endswith(f"{figure(bad)}  [max 1,100 ms]  {bad.reason}")
