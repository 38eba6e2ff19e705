"""Bounded things and bounded memories."""

import pytest

from tradebot.kernel.bounds import Bounds
from tradebot.kernel.history import History


def test_a_history_forgets_the_oldest_first() -> None:
    """At its bound a history keeps the newest entries; writing one again makes it the newest."""
    bounds = Bounds()
    history: History[str, int] = History(bounds, "recent", 2)
    history.put("a", 1)
    history.put("b", 2)
    history.put("a", 3)
    history.put("c", 4)
    assert history.values() == (3, 4)
    assert "b" not in history
    (bound,) = bounds.snapshot()
    assert (bound.name, bound.length, bound.capacity) == ("recent", 2, 2)


def test_a_name_is_registered_once_and_a_bound_is_positive() -> None:
    """Two things under one name, or a bound of nothing, are mistakes found at once."""
    bounds = Bounds()
    bounds.register("queue", lambda: 0, 1)
    with pytest.raises(ValueError, match="queue"):
        bounds.register("queue", lambda: 0, 1)
    with pytest.raises(ValueError, match="positive"):
        bounds.register("other", lambda: 0, 0)
