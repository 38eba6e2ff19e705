"""Keeping the book in step with what is held and quoted, and seeing a strategy as the rules see it.

quotes -> spots and volatilities of the book; strategies -> its holdings. A strategy whose underlying has no quote
yet (after a restart, say) waits here until the first one arrives.
"""

from __future__ import annotations

import math

import msgspec
import structlog

from tradebot.decisions.context import PositionView, position_view
from tradebot.domain.errors import LimitExceeded, NotFound, PricingError
from tradebot.domain.greeks import FLAT, PositionGreeks
from tradebot.domain.instruments import OptionContract, Stock
from tradebot.domain.market import Quote
from tradebot.domain.strategies import Strategy, StrategyState
from tradebot.domain.units import Money
from tradebot.gates.situation import Exposure
from tradebot.kernel.clock import Clock
from tradebot.market.board import QuoteBoard
from tradebot.market.lines import MarketLines
from tradebot.pricing.book import Book

log = structlog.get_logger(__name__)

SIGMA_UNTIL_QUOTED = 0.25


class Valuation:
    def __init__(self, *, book: Book, board: QuoteBoard, lines: MarketLines, clock: Clock, rate: float) -> None:
        self._book = book
        self._board = board
        self._lines = lines
        self._clock = clock
        self._rate = rate
        self._known_spots: set[str] = set()  # membership only; bounded by the symbols traded
        self._waiting: dict[str, Strategy] = {}
        self._held: dict[str, dict[OptionContract, int]] = {}
        self._pending: dict[str, tuple[str, PositionGreeks]] = {}
        self.unpriced = 0

    def reserve(self, strategy_id: str, symbol: str, greeks: PositionGreeks) -> None:
        """Count an entry that passed the gates until its legs are in the book, or it failed."""
        self._pending[strategy_id] = (symbol, greeks)

    def exposure(
        self, *, equity: Money, strategies: tuple[Strategy, ...], orders_in_flight: int, vix: float
    ) -> Exposure:
        """Everything the limits look at: what is held and what is on its way."""
        by_symbol = {symbol: self._book.underlying(symbol) for symbol in self._book.symbols()}
        portfolio = self._book.portfolio()
        for symbol, greeks in self._pending.values():
            by_symbol[symbol] = by_symbol.get(symbol, FLAT).plus(greeks)
            portfolio = portfolio.plus(greeks)
        return Exposure(
            equity=equity,
            portfolio=portfolio,
            by_symbol=by_symbol,
            strategies=strategies,
            orders_in_flight=orders_in_flight,
            vix=vix,
        )

    def on_quote(self, quote: Quote) -> None:
        try:
            if isinstance(quote.instrument, Stock):
                self._on_spot(quote.instrument.symbol, quote.mid)
            elif math.isfinite(quote.iv) and quote.iv > 0.0 and quote.instrument.symbol in self._known_spots:
                self._book.set_sigma(quote.instrument, quote.iv)
        except PricingError as error:
            self.unpriced += 1
            log.debug("quote_not_priced", instrument=quote.instrument.key, error=str(error))

    def on_strategy(self, strategy: Strategy) -> None:
        """Make the book hold what the strategy holds now."""
        if strategy.state is StrategyState.PENDING:
            return
        self._pending.pop(strategy.id, None)
        if strategy.plan.symbol not in self._known_spots:
            self._waiting[strategy.id] = strategy
            return
        self._waiting.pop(strategy.id, None)
        # A wing that was left to expire is nobody's to watch: it would keep its market line for ever.
        watched = strategy.state in {StrategyState.OPEN, StrategyState.PARTIAL}
        target = {leg.leg.contract: leg.leg.side.sign * leg.held for leg in strategy.legs if leg.held and watched}
        before = self._held.get(strategy.id, {})
        for contract in dict.fromkeys((*before, *target)):
            change = target.get(contract, 0) - before.get(contract, 0)
            if change:
                self._change(strategy.id, contract, change, new=contract not in before)
        self._pin(before, target)
        if target:
            self._held[strategy.id] = target
        else:
            self._held.pop(strategy.id, None)

    def view(self, strategy: Strategy) -> PositionView:
        """The strategy as the rules see it, at the market's mids; its value is NaN while a leg has no quote."""
        value = 0.0
        for leg in strategy.legs:
            if leg.held:
                quote = self._board.latest(leg.leg.contract)
                mid = math.nan if quote is None else quote.mid
                value += leg.leg.side.sign * leg.held * leg.leg.contract.multiplier * mid
        try:
            greeks = self._book.strategy(strategy.id)
        except NotFound:
            greeks = FLAT
        return position_view(strategy, msgspec.structs.replace(greeks, value=value), self._clock.now())

    def _on_spot(self, symbol: str, spot: float) -> None:
        if symbol in self._known_spots:
            self._book.on_tick(symbol, spot)
            return
        self._book.set_underlying(symbol, spot, self._rate, 0.0)
        self._known_spots.add(symbol)
        for strategy in [each for each in self._waiting.values() if each.plan.symbol == symbol]:
            self.on_strategy(strategy)

    def _change(self, strategy_id: str, contract: OptionContract, change: int, *, new: bool) -> None:
        try:
            if new:
                quote = self._board.latest(contract)
                known = quote is not None and math.isfinite(quote.iv) and quote.iv > 0.0
                self._book.set_sigma(contract, quote.iv if quote is not None and known else SIGMA_UNTIL_QUOTED)
            self._book.add(strategy_id, contract, change)
        except (PricingError, LimitExceeded) as error:
            self.unpriced += 1
            log.warning("holding_not_priced", contract=contract.key, error=str(error))

    def _pin(self, before: dict[OptionContract, int], target: dict[OptionContract, int]) -> None:
        self._lines.unpin(contract for contract in before if contract not in target)
        try:
            self._lines.pin(contract for contract in target if contract not in before)
        except LimitExceeded as error:
            log.warning("legs_not_streamed", error=str(error))
