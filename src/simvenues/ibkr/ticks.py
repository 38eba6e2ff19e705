"""Streaming market data: what each subscriber has seen, and what changed since.

A `Line` is one subscription. After every market step the gateway asks each line for its news: a quote is computed once
a step for all subscribers of a contract, and only values that differ from those last sent become messages.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from simvenues.ibkr import messages
from simvenues.instruments import Instrument
from simvenues.market import Market, OptionQuote

# "Nobody quotes this side", on the wire.
NO_PRICE = -1.0


class View(msgspec.Struct, frozen=True):
    """One contract's values at one step, as ticks."""

    ticks: tuple[tuple[int, float, int], ...]
    model: OptionQuote | None = None


class Views:
    """Views of the current step, by contract; at most one a contract that somebody watches."""

    def __init__(self, market: Market) -> None:
        self._market = market
        self._made: dict[int, View] = {}

    def clear(self) -> None:
        """Forget all: the market has moved."""
        self._made.clear()

    def of(self, instrument: Instrument) -> View:
        view = self._made.get(instrument.con_id)
        if view is None:
            view = self._made[instrument.con_id] = self._make(instrument)
        return view

    def _make(self, instrument: Instrument) -> View:
        if instrument.expiry is not None:
            option = self._market.option_quote(instrument)
            sides = (
                _side(messages.BID, option.bid, option.bid_size),
                _side(messages.ASK, option.ask, option.ask_size),
            )
            return View(sides, option)
        quote = self._market.quote(instrument.symbol)
        last = (messages.LAST, quote.last, 1), (messages.CLOSE, quote.close, 0)
        if instrument.kind == "IND":
            return View(last)
        return View(
            (_side(messages.BID, quote.bid, quote.bid_size), _side(messages.ASK, quote.ask, quote.ask_size), *last)
        )


def _side(tick: int, price: float, size: int) -> tuple[int, float, int]:
    return (tick, price, size) if price > 0 else (tick, NO_PRICE, 0)


class Line:
    """One subscription of one client."""

    def __init__(self, request_id: int, instrument: Instrument) -> None:
        self.request_id = request_id
        self.instrument = instrument
        self._seen: dict[int, tuple[int, float, int]] = {}
        self._model: OptionQuote | None = None

    def news(self, view: View) -> Iterator[bytes]:
        """Messages for what this subscriber has not seen."""
        for tick in view.ticks:
            if self._seen.get(tick[0]) != tick:
                self._seen[tick[0]] = tick
                yield messages.tick_price(self.request_id, *tick)
        if view.model is not None and view.model != self._model:
            self._model = view.model
            yield messages.model_ticks(self.request_id, view.model)
