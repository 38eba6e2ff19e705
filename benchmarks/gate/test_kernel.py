"""What the kernel promises; `conftest.py` makes a test of each promise."""

from __future__ import annotations

from collections.abc import Callable


def test_kernel(hold: Callable[[], None]) -> None:
    """A case costs no more and takes no longer than `tidegauge.toml` promises."""
    hold()
