"""Streaming prices on one connection: a line an instrument, a quote only when something changed.

The client's own book of tickers is bypassed: it serves a ticker again when its contract is asked for again, old
prices and all, and never forgets one. A line here has its own ticker, born empty, gone with the line.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import ib_async

from tradebot.domain.instruments import Instrument
from tradebot.domain.market import Quote
from tradebot.kernel.clock import Clock
from tradebot.venues.ibkr import mapping
from tradebot.venues.port import VenueListener

# Errors about a line after which it brings nothing more, by the name they are counted under.
_LINE_ERRORS = {200: "line_unknown_contract", 101: "line_beyond_limit", 300: "line_unknown", 321: "line_refused"}
_NO_DATA = "line_no_data"
_WARNINGS = frozenset({10090, 10167})  # part of the data is missing, or it is delayed: prices still come


class _Line:
    __slots__ = ("instrument", "req_id", "said", "ticker")

    def __init__(self, req_id: int, instrument: Instrument, ticker: ib_async.Ticker) -> None:
        self.req_id = req_id
        self.instrument = instrument
        self.ticker = ticker
        self.said: tuple[float | None, ...] | None = None


class Streams:
    def __init__(self, ib: ib_async.IB, listener: VenueListener, clock: Clock) -> None:
        self._ib = ib
        self._client: Any = ib.client  # its methods carry no types
        self._listener = listener
        self._clock = clock
        self._by_instrument: dict[Instrument, _Line] = {}
        self._by_req_id: dict[int, _Line] = {}
        ib.pendingTickersEvent += self._on_tickers
        ib.errorEvent += self._on_error

    def __len__(self) -> int:
        return len(self._by_instrument)

    def close(self) -> None:
        self._ib.pendingTickersEvent -= self._on_tickers
        self._ib.errorEvent -= self._on_error

    def subscribe(self, instruments: Sequence[Instrument]) -> None:
        client, wrapper = self._client, self._ib.wrapper
        for instrument in instruments:
            if instrument in self._by_instrument:
                continue
            req_id = client.getReqId()
            contract = mapping.contract_for(instrument)
            line = _Line(req_id, instrument, ib_async.Ticker(contract=contract, defaults=wrapper.defaults))
            wrapper.reqId2Ticker[req_id] = line.ticker
            self._by_instrument[instrument] = self._by_req_id[req_id] = line
            client.reqMktData(req_id, contract, "", snapshot=False, regulatorySnapshot=False, mktDataOptions=[])

    def unsubscribe(self, instruments: Sequence[Instrument]) -> None:
        for instrument in instruments:
            line = self._by_instrument.get(instrument)
            if line is not None:
                self._end(line)
                self._client.cancelMktData(line.req_id)

    def end_all(self, *, cancel: bool) -> None:
        """Forget every line, so that asking again asks the gateway again; `cancel` where it still keeps them."""
        for line in tuple(self._by_instrument.values()):
            self._end(line)
            if cancel:
                self._client.cancelMktData(line.req_id)

    def _end(self, line: _Line) -> None:
        del self._by_instrument[line.instrument]
        del self._by_req_id[line.req_id]
        self._ib.wrapper.reqId2Ticker.pop(line.req_id, None)
        self._ib.wrapper.pendingTickers.discard(line.ticker)

    def _on_tickers(self, tickers: Iterable[ib_async.Ticker]) -> None:
        changed = set(map(id, tickers))
        now = self._clock.now()
        # In the order of subscription, not of the set.
        for line in [line for line in self._by_req_id.values() if id(line.ticker) in changed]:
            try:
                quote = mapping.quote_from(line.instrument, line.ticker, now)
            except mapping.BadMessage as bad:
                self._listener.on_bad_message(bad.reason)
                continue
            if quote is not None and (says := _said(quote)) != line.said:
                line.said = says
                self._listener.on_quote(quote)

    def _on_error(self, req_id: int, code: int, _message: str, _contract: object) -> None:
        line = self._by_req_id.get(req_id)
        if line is not None and code not in _WARNINGS:
            self._listener.on_bad_message(_LINE_ERRORS.get(code, _NO_DATA))
            self._end(line)


def _said(quote: Quote) -> tuple[float | None, ...]:
    """What makes two quotes the same; NaN is unlike itself, None is not."""
    return tuple(None if math.isnan(each) else each for each in (quote.bid, quote.ask, quote.last, quote.iv))
