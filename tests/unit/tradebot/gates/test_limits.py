"""The limit type: each comparison at its edge, and everything that is not a number."""

from __future__ import annotations

import math

import pytest

from tradebot.domain.errors import LimitExceeded
from tradebot.domain.units import PerUnitDelta, ShareDelta
from tradebot.gates.limits import Limit, Unit, Within


def limit(within: Within, bound: float | None = 10.0) -> Limit[float | None, float]:
    return Limit[float | None, float]("thing", bound, Unit.POINTS, lambda value: value, within)


@pytest.mark.parametrize(
    ("within", "passing", "refused"),
    [
        (Within.AT_MOST, 10.0, math.nextafter(10.0, 11.0)),
        (Within.BELOW, math.nextafter(10.0, 9.0), 10.0),
        (Within.ABOVE, math.nextafter(10.0, 11.0), 10.0),
    ],
)
def test_each_comparison_holds_to_the_last_bit(within: Within, passing: float, refused: float) -> None:
    """The last value inside passes, the first one outside is refused with the limit's name and both numbers."""
    limit(within).check(passing)
    with pytest.raises(LimitExceeded, match=f"It must be {within.value} 10 points") as error:
        limit(within).check(refused)
    assert (error.value.limit, error.value.value, error.value.bound) == ("thing", refused, 10.0)


@pytest.mark.parametrize("within", Within)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_a_number_is_within_nothing(within: Within, value: float) -> None:
    """NaN and infinities fail closed under every comparison, and leave no room."""
    with pytest.raises(LimitExceeded):
        limit(within).check(value)
    assert limit(within).remaining(value) == 0.0


def test_a_limit_may_be_off_or_not_apply() -> None:
    """No bound, or nothing to measure: nothing is refused, not even NaN, and no room is stated."""
    limit(Within.AT_MOST, None).check(math.nan)
    limit(Within.AT_MOST).check(None)
    assert limit(Within.AT_MOST, None).remaining(1e9) is None
    assert limit(Within.AT_MOST).remaining(None) is None


@pytest.mark.parametrize(
    ("within", "value", "room"),
    [
        (Within.AT_MOST, 4.0, 6.0),
        (Within.AT_MOST, 12.0, 0.0),
        (Within.BELOW, 4.0, 6.0),
        (Within.ABOVE, 14.0, 4.0),
        (Within.ABOVE, 4.0, 0.0),
    ],
)
def test_remaining_is_the_room_to_the_bound(within: Within, value: float, room: float) -> None:
    """How much is left, counted towards the bound, and never negative."""
    assert limit(within).remaining(value) == room


def test_units_of_delta_cannot_be_mixed() -> None:
    """A bound per unit on a measure in shares is refused by the type checker: the ignores below would be unused."""
    Limit[float, ShareDelta]("delta", ShareDelta(50.0), Unit.SHARES, ShareDelta)
    Limit[float, ShareDelta](
        "delta",
        PerUnitDelta(0.3),  # type: ignore[arg-type] # the mistake under test
        Unit.SHARES,
        ShareDelta,
    )
    Limit[float, PerUnitDelta](
        "delta",
        PerUnitDelta(0.3),
        Unit.PER_UNIT,
        ShareDelta,  # type: ignore[arg-type] # the mistake under test
    )
