"""What the comparison of pricing with its peers owes them, and us."""

from __future__ import annotations

import itertools

import numpy as np

import peers_pricing as peers
from compare_pricing import moving
from peers_pricing import Sample


def test_the_price_is_another_at_each_tick() -> None:
    """Who keeps what it computed for the price of before, as QuantLib does, has to compute again."""
    seen: list[float] = []
    tick = moving(seen.append)
    for _ in range(6):
        tick()
    assert all(before != after for before, after in itertools.pairwise(seen))


def test_both_sides_of_the_table_price_the_same_book() -> None:
    """Ours, in the book's own order, and numpy's arrays agree on every figure of every option."""
    sample = Sample.of(700, seed=3)
    ours, numpy = peers.ours_in_order(sample)(101.0), peers.numpy_ndtr(sample)(101.0)
    np.testing.assert_allclose(ours, numpy, rtol=1e-9, atol=1e-11)
