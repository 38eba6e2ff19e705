"""Pricing: one option after the other, whole books, Americans on their boundaries, and a book that lives.

The samples and books are those of `peers_pricing`, which `make compare` times beside other libraries.
"""

from __future__ import annotations

from typing import Any

import numpy as np

import peers_pricing as peers
from cases.case import Work
from cases.profile import cache_dir
from peers_pricing import DIVIDEND, RATE, SPOT, Floats, Sample, Tick
from tradebot.pricing.book import Book
from tradebot.pricing.european import price_and_greeks
from tradebot.pricing.implied import implied_volatility
from tradebot.pricing.warmup import warm_up

OPTIONS_A_RUN = 100_000  # priced by a run at least, however few it was given: a millisecond or more
TICKED = 101.0


def _ready() -> None:
    warm_up(cache_dir(), lambda _kernel: None).close()


def _american_ready() -> None:
    """Imported here and below, not above: commits before Americans have everything else."""
    from tradebot.pricing.warmup import warm_up_american

    warm_up_american(cache_dir(), lambda _kernel: None).close()


def _few(figures: Any) -> list[float]:
    """Some of each row: a digest that costs nothing beside a million options."""
    return [float(value) for value in np.asarray(figures)[..., :: max(1, np.shape(figures)[-1] // 3)].ravel()]


def _repeated(tick: Tick, size: int) -> Work:
    calls = max(1, OPTIONS_A_RUN // size)

    def run() -> Floats:
        for _ in range(calls - 1):
            tick(SPOT)
        return tick(TICKED)

    return Work(run, _few, calls)


def european(size: int, seed: int) -> Work:
    """Options that share nothing."""
    _ready()
    return _repeated(peers.ours_any(Sample.of(size, seed)), size)


def slices(size: int, seed: int) -> Work:
    """One underlying, five expiries: every figure of every option, and the totals."""
    _ready()
    return _repeated(peers.ours_in_order(Sample.of(size, seed)), size)


def totals(size: int, seed: int) -> Work:
    _ready()
    return _repeated(peers.ours_totals(Sample.of(size, seed)), size)


def implied(size: int, seed: int) -> Work:
    """Cold: no volatility of a moment ago."""
    _ready()
    sample = Sample.of(size, seed)
    is_call = sample.sign > 0
    prices = price_and_greeks(SPOT, sample.strike, sample.years, sample.sigma, RATE, DIVIDEND, is_call).price
    calls = max(1, OPTIONS_A_RUN // size)

    def run() -> Floats:
        for _ in range(calls):
            found = implied_volatility(prices, SPOT, sample.strike, sample.years, RATE, DIVIDEND, is_call)
        return found.sigma

    return Work(run, _few, calls)


def american(size: int, seed: int) -> Work:
    """Every boundary solved afresh."""
    from tradebot.pricing import american as rooms

    _american_ready()
    sample, solver = Sample.of(size, seed), rooms.Solver(size)
    calls = max(1, 200 // size)

    def run() -> Any:
        for _ in range(calls):
            solver.clear()
            found = rooms.price_and_greeks(
                solver, SPOT, sample.strike, sample.years, sample.sigma, RATE, DIVIDEND, sample.sign > 0
            )
        return found

    return Work(run, _few, calls)


def chain(size: int, seed: int) -> Work:
    """A spot tick on boundaries that are at hand; five to a chain, as many as it has expiries."""
    from tradebot.pricing.american import Chain, Solver

    _american_ready()
    sample = Sample.of(size, seed)
    made = Chain(Solver(16), sample.strike, sample.years, 0.3, RATE, DIVIDEND, sample.sign > 0)
    return _repeated(made.tick, size)


def tick(size: int, seed: int) -> Work:
    """Every underlying of a book of strategies ticks in turn."""
    book, symbols = _book(size)
    calls = max(1, 1_000 // len(symbols))
    prices = np.random.default_rng(seed).uniform(95.0, 105.0, calls - 1).tolist()

    def run() -> Book:
        for price in (*prices, TICKED):
            for symbol in symbols:
                book.on_tick(symbol, price)
        return book

    return Work(run, _portfolio, calls * len(symbols))


def aggregation(size: int, seed: int) -> Work:
    """What each strategy and each underlying comes to, and the whole, summed afresh."""
    del seed  # the book's own
    book, symbols = _book(size)
    strategies = [f"s{number}" for number in range(-(-size // 4))]

    def run() -> Book:
        book.recompute()
        for symbol in symbols:
            book.underlying(symbol)
        for strategy_id in strategies:
            book.strategy(strategy_id)
        return book

    return Work(run, _portfolio)


def _book(size: int) -> tuple[Book, tuple[str, ...]]:
    _ready()
    book = peers.book(size, max(1, size // 200))
    return book, book.symbols()


def _portfolio(book: Book) -> object:
    whole = book.portfolio()
    return whole.value, float(whole.delta), whole.gamma, whole.theta, whole.vega, whole.rho
