"""The book: everything that is held, priced and summed, kept up to date as spots, volatilities and time move.

fills -> `add` -> (strategies x contracts, a sparse matrix of quantities) -> one `Block` an underlying, in which each
contract is priced once however many strategies hold it -> totals by strategy, by underlying and of the portfolio. A
tick reprices its own underlying and nothing else; `revalue` moves the time of all.

Order of use: `set_underlying`, `revalue` (the book owns no clock), then for each contract `set_sigma` before the
first `add`. `add` accumulates: a fill that closes is added with the opposite sign, and what reaches zero is gone, so
a partial close needs nothing else. A contract leaves the blocks with its last holder; its volatility stays behind
for the next one.

Bounds: `capacity` holdings (pairs of strategy and contract, which bounds contracts and strategies too), as many
underlyings, and as many volatilities that wait for a holder, of which the oldest are forgotten first. `len(book)` is
the number of holdings: the owner registers it against `capacity`.

An input for which no price exists is a `PricingError` and leaves the book as it was.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime

import numpy as np

from tradebot.domain.errors import LimitExceeded, NotFound, PricingError
from tradebot.domain.greeks import PositionGreeks, UnitGreeks
from tradebot.domain.instruments import OptionContract
from tradebot.pricing.block import FIGURES, Block, Row, position
from tradebot.pricing.calendar import expiry_instant, timestamp_s
from tradebot.pricing.european import Floats, checked


class Book:
    def __init__(self, capacity: int) -> None:
        if capacity <= 0:
            raise ValueError(f"a book's capacity must be positive, not {capacity}")
        self.capacity = capacity
        self._at_s: float | None = None
        self._blocks: dict[str, Block] = {}
        self._strategies: dict[str, dict[OptionContract, int]] = {}
        self._holdings = 0
        self._holders: Counter[OptionContract] = Counter()
        self._waiting_sigma: dict[OptionContract, float] = {}

    def __len__(self) -> int:
        return self._holdings

    def symbols(self) -> tuple[str, ...]:
        """The underlyings the book knows, held or not."""
        return tuple(sorted(self._blocks))

    def set_underlying(self, symbol: str, spot: float, rate: float, dividend: float) -> None:
        _positive("spot", spot)
        checked("rate", rate)
        checked("dividend", dividend)
        block = self._blocks.get(symbol)
        if block is None:
            self._room("underlyings", len(self._blocks))
            self._blocks[symbol] = Block.empty(spot, rate, dividend)
        else:
            self._blocks[symbol] = self._priced(replace(block, spot=spot, rate=rate, dividend=dividend))

    def on_tick(self, symbol: str, price: float) -> None:
        """Move one underlying's spot; no other underlying is touched."""
        _positive("spot", price)
        self._blocks[symbol] = self._priced(replace(self._block(symbol), spot=price))

    def revalue(self, at: datetime) -> None:
        """Move time. A contract past its expiry is worth its intrinsic value until its strategy is removed."""
        at_s = timestamp_s(at)
        blocks = {symbol: block.priced(at_s) for symbol, block in self._blocks.items()}
        self._blocks, self._at_s = blocks, at_s

    def set_sigma(self, contract: OptionContract, sigma: float) -> None:
        _positive("sigma", sigma)
        block = self._block(contract.symbol)
        if contract in block:
            self._blocks[contract.symbol] = block.with_sigma(block.place(contract), sigma, self._time_s())
        else:
            self._keep_sigma(contract, sigma)

    def add(self, strategy_id: str, contract: OptionContract, quantity: int) -> None:
        """Change what a strategy holds of a contract by a signed number of contracts."""
        if quantity == 0:
            raise PricingError(f"quantity of {contract.key} must not be 0")
        held = self._strategies.get(strategy_id, {}).get(contract)
        if held is None:
            self._room("holdings", len(self))
            self._blocks[contract.symbol] = self._with_column(contract)
            self._waiting_sigma.pop(contract, None)
            self._strategies.setdefault(strategy_id, {})[contract] = 0
            self._holders[contract] += 1
            self._holdings += 1
        self._hold(strategy_id, contract, (held or 0) + quantity)

    def remove(self, strategy_id: str) -> None:
        for contract in tuple(self._legs(strategy_id)):
            self._hold(strategy_id, contract, 0)

    def contract(self, contract: OptionContract) -> UnitGreeks:
        block = self._block(contract.symbol)
        if contract not in block:
            raise NotFound(f"nobody in the book holds {contract.key}")
        return block.unit(block.place(contract))

    def strategy(self, strategy_id: str) -> PositionGreeks:
        return position(_sum(self._leg_totals(*leg) for leg in sorted(self._legs(strategy_id).items())))

    def underlying(self, symbol: str) -> PositionGreeks:
        return position(self._block(symbol).totals)

    def portfolio(self) -> PositionGreeks:
        return position(_sum(self._blocks[symbol].totals for symbol in self.symbols()))

    def _hold(self, strategy_id: str, contract: OptionContract, quantity: int) -> None:
        """Set one holding, which exists; nothing here can fail, for a quantity needs no pricing."""
        legs = self._strategies[strategy_id]
        block = self._blocks[contract.symbol]
        column = block.place(contract)
        change = (quantity - legs[contract]) * contract.multiplier
        block = block.with_shares(column, float(block.inputs[Row.SHARES, column]) + change)
        legs[contract] = quantity
        if quantity == 0:
            del legs[contract]
            if not legs:
                del self._strategies[strategy_id]
            self._holders[contract] -= 1
            self._holdings -= 1
            if self._holders[contract] == 0:
                del self._holders[contract]
                self._keep_sigma(contract, float(block.inputs[Row.SIGMA, column]))
                block = block.without(column)
        self._blocks[contract.symbol] = block

    def _with_column(self, contract: OptionContract) -> Block:
        """The contract's block with a priced column for it, or the reason why it can have none."""
        block = self._block(contract.symbol)
        at_s = self._time_s()
        if expiry_instant(contract.expiry).timestamp() <= at_s:
            raise PricingError(f"{contract.key} has expired")
        if contract in block:
            return block
        if (sigma := self._waiting_sigma.get(contract)) is None:
            raise PricingError(f"{contract.key} has no volatility", remedy="Call set_sigma first")
        return block.with_contract(contract, sigma, at_s)

    def _keep_sigma(self, contract: OptionContract, sigma: float) -> None:
        self._waiting_sigma.pop(contract, None)
        if len(self._waiting_sigma) >= self.capacity:
            del self._waiting_sigma[next(iter(self._waiting_sigma))]
        self._waiting_sigma[contract] = sigma

    def _time_s(self) -> float:
        if self._at_s is None:
            raise PricingError("the book does not know the time", remedy="Call revalue first")
        return self._at_s

    def _priced(self, block: Block) -> Block:
        """Before the first `revalue` no block holds a contract, so there is nothing to price."""
        return block.priced(self._time_s()) if block.contracts else block

    def _leg_totals(self, contract: OptionContract, quantity: int) -> Floats:
        block = self._blocks[contract.symbol]
        greeks: Floats = block.greeks[:, block.place(contract)]
        return greeks * (quantity * contract.multiplier)

    def _block(self, symbol: str) -> Block:
        block = self._blocks.get(symbol)
        if block is None:
            raise PricingError(f"the book knows no underlying {symbol}", remedy="Call set_underlying first")
        return block

    def _legs(self, strategy_id: str) -> dict[OptionContract, int]:
        legs = self._strategies.get(strategy_id)
        if legs is None:
            raise NotFound(f"no strategy {strategy_id} in the book")
        return legs

    def _room(self, what: str, length: int) -> None:
        if length >= self.capacity:
            raise LimitExceeded(
                "book_capacity", value=f"{length + 1} {what}", bound=self.capacity, remedy="Close something first"
            )


def _sum(parts: Iterable[Floats]) -> Floats:
    total = np.zeros(FIGURES)
    for part in parts:
        total += part
    return total


def _positive(name: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0.0):
        raise PricingError(f"{name} must be a finite number above 0, not {value}")
