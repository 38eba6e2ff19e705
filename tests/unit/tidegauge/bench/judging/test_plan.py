"""What a plan promises about its error, and which plans are refused."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidegauge.bench.judging.plan import PAIRS_MAX, RESERVE, Plan
from tidegauge.errors import TidegaugeError


@pytest.mark.parametrize("family", [1, 4, 400])
@pytest.mark.parametrize("looks", [(8, 10, 12, 16, 24, 32, 48, 64, 96, 128), (8,), (1, 20), (16, 17, PAIRS_MAX)])
def test_the_looks_spend_alpha_and_no_more(looks: tuple[int, ...], family: int) -> None:
    """The levels of all looks sum to what was granted, or to nothing where no look can decide anything."""
    plan = Plan(looks=looks, pairs_max=looks[-1], family=family)
    changes = sum(plan.level_of_change(at) for at in range(len(looks)))
    assert changes == pytest.approx(plan.alpha / family) or (changes == 0.0 and looks == (8,) and family > 1)
    assert sum(plan.level_of_bound(at) for at in range(len(looks))) == pytest.approx(1 - plan.confidence)


@pytest.mark.parametrize("family", [1, 4, 40])
@pytest.mark.parametrize("last", range(10))
def test_the_last_look_has_what_the_others_left(last: int, family: int) -> None:
    """Whichever look is the last, the levels of those that were taken sum to alpha, neither more nor less."""
    plan = Plan(family=family)
    for level_of, granted in (
        (plan.level_of_change, plan.alpha / family),
        (plan.level_of_bound, 1 - plan.confidence),
    ):
        before = sum(level_of(at) for at in range(last))
        assert before + level_of(last, is_last=True) == pytest.approx(granted)


@given(st.lists(st.booleans(), min_size=10, max_size=10), st.integers(1, 40))
def test_runs_that_are_resumed_spend_alpha_together(ends: list[bool], family: int) -> None:
    """Wherever runs ended, each with a last look at what there was, all looks of all of them sum to alpha at most."""
    plan, left = Plan(family=family), 1.0
    spent = 0.0
    for at, is_end in enumerate(ends):
        if is_end:
            spent += plan.level_of_change(at, is_last=True, left=(1 - RESERVE) * left)
            left *= RESERVE
        spent += plan.level_of_change(at, left=left)
    assert spent <= plan.alpha / family * (1 + 1e-9)
    assert spent >= plan.alpha / family * (1 - RESERVE) * (1 - 1e-9)


def test_a_look_that_can_decide_nothing_hands_its_share_on() -> None:
    """Where eight pairs of one mind are too few for a benchmark's part of alpha, the look at twelve may spend both."""
    looks = (8, 12, 16, 128)
    alone, together = Plan(looks=looks), Plan(looks=looks, family=4)
    assert alone.level_of_change(0) > 0.0 == together.level_of_change(0)
    both = alone.level_of_change(0) + alone.level_of_change(1)
    assert together.level_of_change(1) == pytest.approx(both / 4)
    assert together.level_of_change(2) == pytest.approx(alone.level_of_change(2) / 4)


def test_eight_pairs_of_one_mind_may_decide() -> None:
    """The first look's level is above 1/256, the smallest p that a signed-rank test of eight pairs knows."""
    assert Plan().level_of_change(0) > 2**-8
    assert Plan().level_of_bound(0) > 2**-8


def test_a_family_shares_alpha_but_not_the_confidence() -> None:
    """False "slower" is a risk of the whole suite; "not slower than delta" is said of each benchmark alone."""
    alone, together = Plan(), Plan().for_suite(40)
    assert together.level_of_change(5) == pytest.approx(alone.level_of_change(5) / 40)
    assert together.level_of_bound(5) == alone.level_of_bound(5)


def test_looks_beyond_the_most_pairs_are_not_taken() -> None:
    """`pairs_max` ends a comparison at the last look that lies within it."""
    assert Plan(pairs_max=40).looks_taken() == (8, 10, 12, 16, 24, 32)


@pytest.mark.parametrize("look_index", [-1, 10])
def test_a_look_that_the_plan_does_not_have_has_no_share(look_index: int) -> None:
    """A look that was not planned has nothing to spend."""
    with pytest.raises(IndexError, match="of 10"):
        Plan().level_of_change(look_index)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("alpha", 0.0),
        ("alpha", float("nan")),
        ("alpha", 0.5),
        ("confidence", 1.0),
        ("confidence", 0.5),
        ("effect_min", -0.001),
        ("effect_min", 0.03),
        ("delta", 0.005),
        ("delta", 3.0),
        ("allowed", -0.1),
        ("allowed", 0.04),
        ("looks", ()),
        ("looks", (8, 8)),
        ("looks", (0, 8)),
        ("looks", (8, PAIRS_MAX + 1)),
        ("pairs_max", 7),
        ("pairs_max", 129),
        ("seconds_max", 0.0),
        ("seconds_max", float("inf")),
        ("family", 0),
    ],
)
def test_a_plan_that_cannot_be_kept_is_refused_in_a_sentence(option: str, value: Any) -> None:
    """The options come from a person: the answer names the option and what would do."""
    with pytest.raises(TidegaugeError, match=option) as refusal:
        msgspec.structs.replace(Plan(), **{option: value})
    assert refusal.value.exit_code == 2
    assert refusal.value.remedy
