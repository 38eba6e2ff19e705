"""What the decisions promise; `conftest.py` makes a test of each promise."""

from __future__ import annotations

from collections.abc import Callable


def test_decisions(hold: Callable[[], None]) -> None:
    """A case costs no more and takes no longer than `tidegauge.toml` promises."""
    hold()
