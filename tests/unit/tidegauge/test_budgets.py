"""Budgets: the interval decides, no promise is forgotten, and a mistake in the file names its line."""

import math
from collections.abc import Callable

import pytest

from tidegauge.budgets import Budgets
from tidegauge.errors import TidegaugeError
from tidegauge.records import Budget
from tidegauge.tomlfile import TomlFile
from tidegauge.verdicts import Verdict

NewToml = Callable[[str], TomlFile]
NAME = "check/entry/p50_ms"


def budgets(maximum: float | None = 25, minimum: float | None = None) -> Budgets:
    """One budget for NAME."""
    return Budgets({NAME: Budget(max=maximum, min=minimum, unit="ms", why="quotes are older after that")})


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (20, 24, Verdict.PASS),
        (20, 25, Verdict.PASS),
        (20, 25.1, Verdict.UNDECIDED),
        (25, 30, Verdict.UNDECIDED),
        (25.1, 30, Verdict.FAIL),
        (None, 30, Verdict.UNDECIDED),
        (20, None, Verdict.PASS),
    ],
)
def test_the_interval_decides(low: float | None, high: float | None, verdict: Verdict) -> None:
    """All inside passes, all outside fails, across is undecided; a missing end is the value itself."""
    value = 24.0 if low is None or low <= 24 else 27.0
    assert budgets().judge(NAME, value, "ms", low, high).verdict is verdict


@pytest.mark.parametrize(("value", "verdict"), [(25, Verdict.PASS), (25.001, Verdict.FAIL)])
def test_without_an_interval_the_value_decides(value: float, verdict: Verdict) -> None:
    """Exactly at the budget still holds it."""
    assert budgets().judge(NAME, value, "ms").verdict is verdict


@pytest.mark.parametrize(
    ("value", "verdict"), [(4, Verdict.FAIL), (5, Verdict.PASS), (9, Verdict.PASS), (10, Verdict.FAIL)]
)
def test_a_budget_may_have_two_ends(value: float, verdict: Verdict) -> None:
    """A min and a max hold together."""
    assert budgets(9, 5).judge(NAME, value, "ms").verdict is verdict


def test_an_interval_across_both_ends_is_undecided() -> None:
    """Neither end was shown to be broken."""
    assert budgets(9, 5).judge(NAME, 7, "ms", 1, 20).verdict is Verdict.UNDECIDED


def test_a_failure_says_by_how_much_and_why_it_matters() -> None:
    """The reason is something to act on."""
    finding = budgets().judge(NAME, 30, "ms")
    assert finding.reason == "above its budget of max 25 ms, by 20.0%: quotes are older after that"
    assert finding.budget == budgets().by_name[NAME]


def test_undecided_says_what_could_have_been_detected() -> None:
    """The spread is put in the budget's unit, so that one knows how many samples are missing."""
    assert "could have told a difference of 4 ms or more" in budgets().judge(NAME, 24, "ms", 21, 28).reason


def test_a_figure_without_a_budget_is_a_record_and_says_so() -> None:
    """Nothing was promised, so nothing was broken; the empty budget keeps it from looking like a promise kept."""
    finding = budgets().judge("check/exit/p50_ms", 1e9, "ms")
    assert (finding.verdict, finding.budget, finding.reason) == (
        Verdict.PASS,
        None,
        "recorded; no budget is set for it",
    )


@pytest.mark.parametrize(
    ("value", "low", "high"), [(math.nan, None, None), (math.inf, None, None), (1, math.nan, 2), (1, 3, 2)]
)
def test_a_number_that_is_none_is_not_measured(value: float, low: float | None, high: float | None) -> None:
    """NaN compares as false with everything: it must not slip through as a pass."""
    finding = budgets().judge(NAME, value, "ms", low, high)
    assert (finding.verdict, finding.value) == (Verdict.NOT_MEASURED, None)


def test_a_figure_in_another_unit_is_not_judged() -> None:
    """0.030 s is not below 25 ms."""
    finding = budgets().judge(NAME, 0.030, "s")
    assert finding.verdict is Verdict.NOT_MEASURED
    assert "measured in s, but its budget is in ms" in finding.reason


def test_a_budget_that_nothing_measured_is_not_forgotten() -> None:
    """Each unmet budget of the lane becomes a finding; other lanes' budgets are not its business."""
    both = Budgets(budgets().by_name | {"soak/heap/leak_bytes_per_hour": Budget(max=1, unit="B/h", why="it grows")})
    (finding,) = both.unmet("check", [], "nothing measured it")
    assert (finding.name, finding.verdict, finding.reason) == (NAME, Verdict.NOT_MEASURED, "nothing measured it")
    assert both.unmet("check", [NAME], "nothing measured it") == []


def test_the_file_is_read(toml: NewToml) -> None:
    """Each line is one budget."""
    file = toml(f'[budgets]\n"{NAME}" = {{ max = 25, unit = "ms", why = "quotes are older after that" }}')
    assert Budgets.read(file) == budgets()
    assert Budgets.read(toml("[target]")) == Budgets({})


@pytest.mark.parametrize(
    ("entry", "problem"),
    [
        ('{ unit = "ms", why = "w" }', "has neither max nor min"),
        ('{ max = "25", unit = "ms", why = "w" }', "has a max that is no finite number: '25'"),
        ('{ max = "x", unit = "ms", why = "w" }', "has a max that is no finite number: 'x'"),
        ('{ max = true, unit = "ms", why = "w" }', "has a max that is no finite number: True"),
        ('{ min = nan, unit = "ms", why = "w" }', "has a min that is no finite number: nan"),
        ('{ max = 1, min = 2, unit = "ms", why = "w" }', "has a min above its max"),
        ('{ max = 1, why = "w" }', "lacks 'unit', a text"),
        ('{ max = 1, unit = "ms", why = " " }', "lacks 'why', a text"),
        ('{ max = 1, unit = "ms", why = "w", maxx = 1 }', "has the unknown key 'maxx'"),
        ("25", "is not a table"),
    ],
)
def test_a_mistake_names_file_line_and_key(toml: NewToml, entry: str, problem: str) -> None:
    """The message leads straight to the place in the file."""
    good = '"check/a/b_ms" = { max = 1, unit = "ms", why = "w" }'
    file = toml(f'# {NAME}\n[target]\ncommand = "x"\n\n[budgets]\n{good}\n"{NAME}" = {entry}\n')
    with pytest.raises(TidegaugeError) as caught:
        Budgets.read(file)
    assert str(caught.value).startswith(f"{file.path}:7: budgets.{NAME}: {problem}. ")


def test_a_budget_may_be_a_table_of_its_own(toml: NewToml) -> None:
    """The long form is the same budget, and its mistakes have lines too."""
    text = f'[budgets."{NAME}"]\nmax = 25\nunit = "ms"\nwhy = "quotes are older after that"\n'
    assert Budgets.read(toml(text)) == budgets()
    with pytest.raises(TidegaugeError, match=r"tidegauge.toml:2: budgets.check/entry/p50_ms: lacks 'unit'"):
        Budgets.read(toml("\n" + text.replace("unit", "# unit")))


def test_a_name_that_is_no_path_is_refused(toml: NewToml) -> None:
    """A budget that could never meet a finding is a mistake, not a silent nothing."""
    with pytest.raises(TidegaugeError, match=r":2: budgets.entry_p50: is not lane/subject/measure"):
        Budgets.read(toml('[budgets]\nentry_p50 = { max = 1, unit = "ms", why = "w" }'))


def test_an_override_replaces_one_limit() -> None:
    """--budget changes the number and leaves unit and reason."""
    assert budgets().override([f"{NAME}=30"]) == budgets(30)
    assert budgets(None, 5).override([f"{NAME}=30", f"{NAME}=40.5"]) == budgets(None, 40.5)


@pytest.mark.parametrize(
    ("assignment", "problem"),
    [
        (NAME, "is not KEY=NUMBER"),
        (f"{NAME}=fast", "is not KEY=NUMBER"),
        (f"{NAME}=nan", "is not KEY=NUMBER"),
        ("check/entry/p5O_ms=3", "no such budget"),
    ],
)
def test_an_override_that_means_nothing_is_wrong_use(assignment: str, problem: str) -> None:
    """A typing error must not pass silently as no override."""
    with pytest.raises(TidegaugeError, match=problem):
        budgets().override([assignment])
    with pytest.raises(TidegaugeError, match="it has a min and a max"):
        budgets(9, 5).override([f"{NAME}=7"])
