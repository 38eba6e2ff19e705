"""The book: sums that are sums, ticks that stay where they belong, errors that leave everything as it was."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.domain.errors import LimitExceeded, NotFound, PricingError
from tradebot.domain.greeks import FLAT, PositionGreeks, UnitGreeks
from tradebot.domain.instruments import OptionContract, Right
from tradebot.pricing.book import Book
from tradebot.pricing.calendar import expiry_instant, year_fraction
from tradebot.pricing.european import price_and_greeks

AT = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
EXPIRY = date(2026, 12, 18)
CALL = OptionContract("SPY", EXPIRY, Decimal(605), Right.CALL)
PUT = OptionContract("SPY", EXPIRY, Decimal(590), Right.PUT)
LATER = OptionContract("SPY", EXPIRY + timedelta(days=28), Decimal(605), Right.CALL)
OTHER = OptionContract("QQQ", EXPIRY, Decimal(500), Right.PUT)
CONTRACTS = (CALL, PUT, LATER, OTHER)
SIGMA = {CALL: 0.15, PUT: 0.19, LATER: 0.16, OTHER: 0.22}
SPOT = {"SPY": 600.0, "QQQ": 510.0}


def book(capacity: int = 100) -> Book:
    """A book that knows everything and holds nothing."""
    made = Book(capacity)
    for symbol, spot in SPOT.items():
        made.set_underlying(symbol, spot, 0.04, 0.012)
    made.revalue(AT)
    for contract, sigma in SIGMA.items():
        made.set_sigma(contract, sigma)
    return made


def unit(contract: OptionContract, *, spot: float | None = None, at: datetime = AT) -> tuple[float, ...]:
    figures = price_and_greeks(
        SPOT[contract.symbol] if spot is None else spot,
        float(contract.strike),
        year_fraction(contract.expiry, at),
        SIGMA[contract],
        0.04,
        0.012,
        contract.right is Right.CALL,
    )
    return tuple(float(figure) for figure in figures)


def figures(greeks: UnitGreeks | PositionGreeks) -> tuple[float, ...]:
    return msgspec.structs.astuple(greeks)


def state(of: Book, *strategies: str) -> list[object]:
    """Everything that can be read from a book."""
    return [
        len(of),
        of.symbols(),
        of.portfolio(),
        *(of.underlying(symbol) for symbol in of.symbols()),
        *(of.strategy(each) for each in strategies),
    ]


def test_a_contract_is_priced_as_the_formula_says() -> None:
    """One unit in the book has the Greeks of `price_and_greeks` for the same inputs."""
    held = book()
    held.add("a", CALL, -3)
    assert figures(held.contract(CALL)) == unit(CALL)


@settings(derandomize=True, deadline=None)
@given(
    holdings=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(CONTRACTS), st.integers(-9, 9).filter(bool)), max_size=12
    )
)
def test_totals_are_the_sums_over_contracts(holdings: list[tuple[str, OptionContract, int]]) -> None:
    """Strategy, underlying and portfolio are quantity times multiplier times Greeks, summed, whoever holds what."""
    held = book()
    for strategy_id, contract, quantity in holdings:
        held.add(strategy_id, contract, quantity)

    def total(
        *, strategy: str | None = None, symbol: str | None = None
    ) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
        rows = [
            np.array(unit(contract)) * quantity * 100
            for strategy_id, contract, quantity in holdings
            if strategy in {None, strategy_id} and symbol in {None, contract.symbol}
        ]
        return np.sum(rows, axis=0) if rows else np.zeros(6)

    np.testing.assert_allclose(figures(held.portfolio()), total(), rtol=1e-9, atol=1e-6)
    for symbol in SPOT:
        np.testing.assert_allclose(figures(held.underlying(symbol)), total(symbol=symbol), rtol=1e-9, atol=1e-6)
    net: dict[tuple[str, OptionContract], int] = {}
    for strategy_id, contract, quantity in holdings:
        net[strategy_id, contract] = net.get((strategy_id, contract), 0) + quantity
    assert len(held) == sum(quantity != 0 for quantity in net.values())
    for strategy_id in {strategy_id for (strategy_id, _), quantity in net.items() if quantity}:
        expected = total(strategy=strategy_id)
        np.testing.assert_allclose(figures(held.strategy(strategy_id)), expected, rtol=1e-9, atol=1e-6)


def test_a_tick_moves_its_own_underlying_only() -> None:
    """After a tick of SPY its contracts are priced at the new spot and QQQ is what it was, to the bit."""
    held = book()
    held.add("a", CALL, 1)
    held.add("a", OTHER, -1)
    untouched = held.underlying("QQQ"), held.contract(OTHER)
    held.on_tick("SPY", 612.5)
    assert figures(held.contract(CALL)) == pytest.approx(unit(CALL, spot=612.5), rel=1e-12)
    assert (held.underlying("QQQ"), held.contract(OTHER)) == untouched
    assert held.portfolio() == held.underlying("QQQ").plus(held.underlying("SPY"))


def test_time_moves_every_underlying() -> None:
    """Revalued a week later, each contract has a week less to live."""
    held = book()
    for contract in CONTRACTS:
        held.add("a", contract, 2)
    later = AT + timedelta(days=7)
    held.revalue(later)
    assert [figures(held.contract(each)) for each in CONTRACTS] == [unit(each, at=later) for each in CONTRACTS]


def test_a_new_volatility_reprices_its_contract_only() -> None:
    """Volatility belongs to a contract: its neighbour in the same block keeps its price."""
    held = book()
    held.add("a", CALL, 1)
    held.add("a", PUT, 1)
    before = held.contract(CALL), held.contract(PUT)
    held.set_sigma(CALL, 0.30)
    assert held.contract(CALL).price > before[0].price
    assert held.contract(PUT) == before[1]
    assert held.underlying("SPY").value == pytest.approx(100 * (held.contract(CALL).price + before[1].price))


@settings(derandomize=True, deadline=None)
@given(
    first=st.lists(st.tuples(st.sampled_from(CONTRACTS), st.integers(-9, 9).filter(bool)), min_size=1, max_size=6),
    second=st.lists(st.tuples(st.sampled_from(CONTRACTS), st.integers(1, 9)), min_size=1, max_size=6),
)
def test_remove_restores_exactly_what_was(
    first: list[tuple[OptionContract, int]], second: list[tuple[OptionContract, int]]
) -> None:
    """What a strategy added leaves with it, to the last bit, whether or not others hold the same contracts."""
    held = book()
    for contract, quantity in first:
        held.add("first", contract, quantity)
    before = state(held)
    for contract, quantity in second:
        held.add("second", contract, quantity)
    held.remove("second")
    assert state(held) == before
    with pytest.raises(NotFound):
        held.strategy("second")


def test_a_fill_that_closes_is_added_with_the_opposite_sign() -> None:
    """Quantities accumulate: half closed is half the position, all closed is no strategy."""
    held = book()
    held.add("a", PUT, -4)
    whole = held.portfolio()
    held.add("a", PUT, 2)
    np.testing.assert_allclose(figures(held.portfolio()), np.array(figures(whole)) / 2)
    held.add("a", PUT, 2)
    assert len(held) == 0
    assert held.portfolio() == FLAT
    with pytest.raises(NotFound):
        held.strategy("a")


def test_a_contract_that_two_hold_against_each_other_stays_priced() -> None:
    """Net zero is not gone: both strategies keep their own Greeks while the portfolio is flat."""
    held = book()
    held.add("long", CALL, 1)
    held.add("short", CALL, -1)
    assert held.portfolio() == FLAT
    assert held.strategy("long").delta == -held.strategy("short").delta > 0
    held.add("third", CALL, 2)
    held.remove("third")
    assert figures(held.contract(CALL)) == unit(CALL)
    held.remove("long")
    assert figures(held.contract(CALL)) == unit(CALL)


def test_an_expired_contract_is_worth_its_intrinsic_value() -> None:
    """Past expiry nothing decays any more, and the holding can still be closed."""
    held = book()
    held.add("a", PUT, -1)
    held.on_tick("SPY", 585.0)
    held.revalue(expiry_instant(EXPIRY) + timedelta(hours=1))
    assert figures(held.contract(PUT)) == (5.0, -1.0, 0.0, 0.0, 0.0, 0.0)
    held.add("a", PUT, 1)
    assert len(held) == 0


BAD: dict[str, tuple[Callable[[Book], None], str]] = {
    "tick nan": (lambda b: b.on_tick("SPY", math.nan), "spot must be"),
    "tick negative": (lambda b: b.on_tick("SPY", -1.0), "spot must be"),
    "tick zero": (lambda b: b.on_tick("SPY", 0.0), "spot must be"),
    "tick overflows": (lambda b: b.on_tick("SPY", 1e307), "not finite"),
    "tick unknown": (lambda b: b.on_tick("IWM", 1.0), "no underlying IWM"),
    "spot infinite": (lambda b: b.set_underlying("SPY", math.inf, 0.0, 0.0), "spot must be"),
    "rate nan": (lambda b: b.set_underlying("SPY", 1.0, math.nan, 0.0), "rate must be"),
    "dividend nan": (lambda b: b.set_underlying("SPY", 1.0, 0.0, math.nan), "dividend must be"),
    "rate overflows": (lambda b: b.set_underlying("SPY", 600.0, -1e6, 0.0), "not finite"),
    "sigma zero": (lambda b: b.set_sigma(CALL, 0.0), "sigma must be"),
    "sigma nan": (lambda b: b.set_sigma(CALL, math.nan), "sigma must be"),
    "sigma negative": (lambda b: b.set_sigma(PUT, -0.1), "sigma must be"),
    "sigma of unknown": (lambda b: b.set_sigma(msgspec.structs.replace(CALL, symbol="IWM"), 0.2), "no underlying IWM"),
    "no quantity": (lambda b: b.add("a", PUT, 0), "must not be 0"),
    "no volatility": (
        lambda b: b.add("a", msgspec.structs.replace(CALL, strike=Decimal(606)), 1),
        "has no volatility. Call set_sigma",
    ),
    "expired": (
        lambda b: b.add("a", msgspec.structs.replace(CALL, expiry=AT.date() - timedelta(days=1)), 1),
        "has expired",
    ),
    "naive time": (lambda b: b.revalue(AT.replace(tzinfo=None)), "no time zone"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_input_leaves_the_book_as_it_was(name: str) -> None:
    """Every input for which no price exists is a PricingError that says so, and changes nothing."""
    act, message = BAD[name]
    held = book()
    held.add("a", CALL, -2)
    before = [*state(held, "a"), held.contract(CALL)]
    with pytest.raises(PricingError, match=message):
        act(held)
    assert [*state(held, "a"), held.contract(CALL)] == before


def test_a_strike_that_is_not_positive_is_refused_on_add() -> None:
    """A malformed contract raises with the field's name before it has a place in the book."""
    held = book()
    broken = msgspec.structs.replace(CALL, strike=Decimal(-5))
    held.set_sigma(broken, 0.2)
    with pytest.raises(PricingError, match="strike must be"):
        held.add("a", broken, 1)
    assert len(held) == 0


def test_a_book_that_does_not_know_the_time_says_so() -> None:
    """The book owns no clock: before the first revalue nothing can be added."""
    held = Book(4)
    held.set_underlying("SPY", 600.0, 0.04, 0.012)
    held.set_sigma(CALL, 0.15)
    with pytest.raises(PricingError, match="Call revalue first"):
        held.add("a", CALL, 1)
    held.revalue(AT)
    held.add("a", CALL, 1)
    assert len(held) == 1


def test_what_nobody_holds_is_not_found() -> None:
    """Reading a strategy or a contract that is not there is an error, never a zero."""
    held = book()
    for read in (lambda: held.strategy("x"), lambda: held.remove("x"), lambda: held.contract(CALL)):
        with pytest.raises(NotFound):
            read()


def test_capacity_bounds_the_holdings() -> None:
    """The holding beyond the capacity is refused by name; room that is given back can be used again."""
    held = book(capacity=2)
    held.add("a", OTHER, 1)
    held.set_sigma(CALL, 0.15)
    held.add("b", CALL, 1)
    held.set_sigma(PUT, 0.19)
    before = state(held, "a", "b")
    with pytest.raises(LimitExceeded) as refused:
        held.add("b", PUT, 1)
    assert refused.value.limit == "book_capacity"
    assert state(held, "a", "b") == before
    held.add("b", CALL, 5)
    held.remove("a")
    held.add("b", PUT, 1)
    assert len(held) == held.capacity


def test_capacity_bounds_the_underlyings() -> None:
    """A stream of ever new symbols cannot grow the book without end."""
    held = book(capacity=2)
    with pytest.raises(LimitExceeded):
        held.set_underlying("IWM", 220.0, 0.04, 0.012)
    assert held.symbols() == ("QQQ", "SPY")


def test_waiting_volatilities_are_bounded_and_the_oldest_goes_first() -> None:
    """Volatilities of contracts that nobody ever holds do not pile up."""
    held = book(capacity=2)  # was told four, in the order of CONTRACTS
    with pytest.raises(PricingError, match="has no volatility"):
        held.add("a", CALL, 1)
    held.add("a", LATER, 1)
    held.add("a", OTHER, 1)


def test_the_order_of_adding_does_not_change_the_sums() -> None:
    """Equal holdings give equal sums, but for the last bit, however they came about."""
    forwards, backwards = book(), book()
    for contract in CONTRACTS:
        forwards.add("a", contract, 3)
    for contract in reversed(CONTRACTS):
        backwards.add("a", contract, 3)
    assert forwards.strategy("a") == backwards.strategy("a")
    for one, other in (
        (forwards.portfolio(), backwards.portfolio()),
        (forwards.underlying("SPY"), backwards.underlying("SPY")),
    ):
        assert figures(one) == pytest.approx(figures(other), rel=1e-14)
