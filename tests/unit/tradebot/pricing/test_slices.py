"""The kernels of a book: as wide as the CPU, without allocation, and right at every change of a slice's length."""

from __future__ import annotations

import re
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from types import ModuleType
from typing import Any, cast

import llvmlite.binding
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.errors import NotFound
from tradebot.domain.instruments import OptionContract, Right
from tradebot.pricing import european, slices
from tradebot.pricing.book import Book
from tradebot.pricing.calendar import year_fraction
from tradebot.pricing.compiler import assembly
from tradebot.pricing.european import GreekArrays, price_and_greeks
from tradebot.pricing.formula import FIGURES
from tradebot.pricing.lanes import Lanes, table

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
EXPIRIES = [date(2026, 12, 18) + timedelta(days=28 * month) for month in range(4)]
SPOT, RATE, DIVIDEND, SIGMA = 100.0, 0.04, 0.012, 0.25


def contract(number: int, symbol: str = "X") -> OptionContract:
    """A different one for each number."""
    right = Right.CALL if number % 2 else Right.PUT
    return OptionContract(symbol, EXPIRIES[number // 2 % 4], Decimal(60 + number // 8), right)


def book(count: int, symbols: tuple[str, ...] = ("X",)) -> Book:
    made = Book(10_000)
    for symbol in symbols:
        made.set_underlying(symbol, SPOT, RATE, DIVIDEND)
    made.revalue(AT)
    for symbol in symbols:
        for number in range(count):
            made.set_sigma(contract(number, symbol), SIGMA)
            made.add(f"s{number % 7}", contract(number, symbol), number % 5 - 7)
    return made


def expected(numbers: list[int], shares: list[float], spot: float = SPOT) -> np.ndarray[Any, np.dtype[np.float64]]:
    """The six totals by the other way in."""
    each = [contract(number) for number in numbers]
    figures = price_and_greeks(
        spot,
        [float(one.strike) for one in each],
        [year_fraction(one.expiry, AT) for one in each],
        SIGMA,
        RATE,
        DIVIDEND,
        [one.right is Right.CALL for one in each],
    )
    return cast("np.ndarray[Any, np.dtype[np.float64]]", (np.stack(figures) * shares).sum(axis=1))


def totals(of: Book, symbol: str = "X") -> list[float]:
    each = of.underlying(symbol)
    return [each.value, each.delta, each.gamma, each.theta, each.vega, each.rho]


@pytest.mark.parametrize("count", [1, 7, 8, 9, 63, 64, 65, 300, 1_100, 2_200])
def test_totals_are_right_at_every_length(count: int) -> None:
    """Whether a slice fills its vectors or its blocks, or the tables have moved, makes no difference to the sums."""
    held = book(count)
    shares = [100.0 * (number % 5 - 7) for number in range(count)]
    np.testing.assert_allclose(totals(held), expected(list(range(count)), shares), rtol=1e-12, atol=1e-9)
    held.on_tick("X", 107.0)
    np.testing.assert_allclose(totals(held), expected(list(range(count)), shares, 107.0), rtol=1e-11, atol=1e-9)


@settings(derandomize=True, deadline=None, max_examples=30)
@given(moves=st.lists(st.tuples(st.integers(0, 60), st.integers(-3, 3).filter(bool)), max_size=120))
def test_any_sequence_of_fills_leaves_the_sums_of_what_is_held(moves: list[tuple[int, int]]) -> None:
    """Lanes are taken, given back and taken again: the book holds what the fills add up to."""
    held = Book(100)
    held.set_underlying("X", SPOT, RATE, DIVIDEND)
    held.revalue(AT)
    net: dict[int, int] = {}
    for number, quantity in moves:
        held.set_sigma(contract(number), SIGMA)
        held.add("s", contract(number), quantity)
        net[number] = net.get(number, 0) + quantity
    net = {number: quantity for number, quantity in net.items() if quantity}
    assert len(held) == len(net)
    if net:
        reference = expected(list(net), [100.0 * quantity for quantity in net.values()])
        np.testing.assert_allclose(totals(held), reference, rtol=1e-9, atol=1e-8)
        assert held.recompute() < 1e-12


@pytest.mark.parametrize("leaving", [0, 8, 16, 72])
def test_a_contract_that_leaves_takes_its_own_place_with_it(leaving: int) -> None:
    """First, middle or last of its slice: it is gone, and each of the others is what it was."""
    held = book(80)
    others = [number for number in range(80) if number != leaving]
    before = [held.contract(contract(number)) for number in others]
    held.add(f"s{leaving % 7}", contract(leaving), 7 - leaving % 5)
    with pytest.raises(NotFound):
        held.contract(contract(leaving))
    assert [held.contract(contract(number)) for number in others] == before
    held.on_tick("X", 101.0)
    shares = [100.0 * (number % 5 - 7) for number in others]
    np.testing.assert_allclose(totals(held), expected(others, shares, 101.0), rtol=1e-11, atol=1e-9)


def test_lanes_stay_dense_and_tables_bounded() -> None:
    """What comes and goes for long does not grow the tables: they follow what is held."""
    lanes = Lanes()
    row = lanes.add_underlying(SPOT, RATE, DIVIDEND)
    for number in range(400):
        lanes.add(row, contract(number), SIGMA)
    for number in range(392):
        lanes.remove(contract(number))
    for turn in range(50):
        for number in range(1000 + turn, 1040 + turn):
            lanes.add(row, contract(number), SIGMA)
        for number in range(1000 + turn, 1040 + turn):
            lanes.remove(contract(number))
    columns = [lanes.column(contract(number)) for number in range(392, 400)]
    assert len(set(columns)) == 8
    assert lanes.inputs.shape[1] <= 6 * 400 + slices.LANES * 4


def test_the_running_portfolio_does_not_drift() -> None:
    """After 2 000 ticks of two underlyings the running sum is the fresh one, to a part in 1e14."""
    held = book(40, ("X", "Y"))
    rng = np.random.default_rng(5)
    for step, move in enumerate(rng.normal(0, 0.01, 2000).tolist()):
        held.on_tick("XY"[step % 2], 100.0 * (1.0 + move))
    assert held.recompute() == held.drift < 1e-14


def test_a_drift_that_is_a_defect_is_reported() -> None:
    """The recomputation reads nothing of the running sums, so a wrong one is found, and then right again."""
    held = book(40)
    truth = held.portfolio()
    held._lanes.underlyings[slices.PORTFOLIO, slices.TOTALS + 1] *= 1.001
    assert held.recompute() > 1e-5
    assert held.portfolio().delta == pytest.approx(truth.delta, rel=1e-14)
    assert held.recompute() < 1e-14


def test_a_tick_allocates_nothing() -> None:
    """No block of Python memory is left by a thousand ticks."""
    held = book(40)
    prices = [100.0 + step / 64 for step in range(1000)]
    for price in prices:
        held.on_tick("X", price)
    before = sys.getallocatedblocks()
    for price in prices:
        held.on_tick("X", price)
    assert sys.getallocatedblocks() - before <= 1


def test_rows_do_not_share_their_place_in_a_page() -> None:
    """Tables begin on a cache line, and their rows are never a multiple of 4 KiB apart."""
    for columns in (8, 512, 1000, 4096):
        made = table(5, columns)
        assert made.ctypes.data % 64 == 0
        assert made.flags.c_contiguous
        assert made.shape[1] >= columns
        assert made.strides[0] % 64 == 0
        assert made.strides[0] % 4096


@pytest.mark.parametrize("columns", [5_000, 8_192, 100_000, 999_936])
def test_long_rows_are_spread_over_a_page(columns: int) -> None:
    """From a row to the next it is at least 8 cache lines of a page, however many columns are asked for."""
    within = table(6, columns).strides[0] % 4096
    assert 8 * 64 <= within <= 4096 - 8 * 64


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("room", "functions"), [(slices, ("reprice", "recomputed")), (european, ("price_each",))])
def test_the_hot_loops_are_as_wide_as_the_cpu(room: ModuleType, functions: tuple[str, ...]) -> None:
    """Multiplications and fused additions of a whole formula are on the widest registers that the CPU offers.

    LLVM keeps to half of AVX-512 on the Intel generations that slow down under it.
    """
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        register = "zmm" if llvmlite.binding.get_host_cpu_name().startswith("znver") else "[yz]mm"
    elif features.get("avx"):
        register = "ymm"
    else:
        register = r"v\d+\.2d"
    for source in assembly(room.__name__, functions).values():
        arithmetic = re.findall(rf"\b(?:v?fn?m|vmul|fmul|fml)\w*[^\n]*\b%?{register}", source)
        assert len(arithmetic) >= 65  # two of the three passes of `price_slice` have 63


def test_a_width_of_figures_is_the_width_of_the_tuple() -> None:
    """The tables' rows are those of `GreekArrays`."""
    assert len(GreekArrays._fields) == FIGURES == Lanes().outputs.shape[0]
