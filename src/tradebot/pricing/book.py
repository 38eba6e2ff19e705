"""The book: everything that is held, priced and summed, kept up to date as spots, volatilities and time move.

fills -> `add` -> (strategies x contracts, a sparse matrix of quantities) -> the tables of `lanes`, in which each
contract is priced once however many strategies hold it -> totals by strategy, by underlying and of the portfolio. A
tick reprices its own underlying and nothing else, in one call that allocates nothing; `revalue` moves the time of
all.

Order of use: `set_underlying`, `revalue` (the book owns no clock), then for each contract `set_sigma` before the
first `add`. `add` accumulates: a fill that closes is added with the opposite sign, and what reaches zero is gone, so
a partial close needs nothing else. A contract leaves the tables with its last holder; its volatility stays behind
for the next one.

The portfolio's totals run along with the ticks. Every RECOMPUTE_TICKS ticks (and at each `recompute`) they are summed
afresh from the inputs, and `drift` says how far they had run apart: a part in 1e12 of the sizes summed is rounding,
more is a defect.

Bounds: `capacity` holdings (pairs of strategy and contract, which bounds contracts and strategies too), as many
underlyings, and as many volatilities that wait for a holder, of which the oldest are forgotten first. `len(book)` is
the number of holdings: the owner registers it against `capacity`.

An input for which no price exists is a `PricingError` and leaves the book as it was.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Final

import numpy as np

from tradebot.domain.errors import LimitExceeded, NotFound, PricingError
from tradebot.domain.greeks import PositionGreeks, UnitGreeks
from tradebot.domain.instruments import OptionContract
from tradebot.domain.units import PerUnitDelta, ShareDelta
from tradebot.pricing import slices as kernels
from tradebot.pricing.calendar import expiry_instant, timestamp_s
from tradebot.pricing.european import checked
from tradebot.pricing.formula import FIGURES, SHARES
from tradebot.pricing.lanes import Lanes
from tradebot.pricing.slices import DIVIDEND, PORTFOLIO, RATE, SIGMA, SPOT, TOTALS

RECOMPUTE_TICKS: Final = 100_000

Tick = Callable[[float], bool]  # `kernels.tick` of one underlying, which takes the spot


class Book:
    def __init__(self, capacity: int) -> None:
        if capacity <= 0:
            raise ValueError(f"a book's capacity must be positive, not {capacity}")
        self.capacity = capacity
        self.drift = 0.0
        self._at_s: float | None = None
        self._lanes = Lanes()
        self._rows: dict[str, int] = {}
        self._ticks_of: dict[str, Tick] = {}
        self._version = -1
        self._ticks = 0
        self._fresh = np.zeros((2, FIGURES))
        self._strategies: dict[str, dict[OptionContract, int]] = {}
        self._holdings = 0
        self._holders: Counter[OptionContract] = Counter()
        self._waiting_sigma: dict[OptionContract, float] = {}
        self._bind()

    def __len__(self) -> int:
        return self._holdings

    def symbols(self) -> tuple[str, ...]:
        """The underlyings the book knows, held or not."""
        return tuple(sorted(self._rows))

    def set_underlying(self, symbol: str, spot: float, rate: float, dividend: float) -> None:
        _positive("spot", spot)
        checked("rate", rate)
        checked("dividend", dividend)
        row = self._rows.get(symbol)
        if row is None:
            self._room("underlyings", len(self._rows))
            self._rows[symbol] = self._lanes.add_underlying(spot, rate, dividend)
            self._bind()
            return
        market = self._lanes.underlyings[row]
        before = market[[SPOT, RATE, DIVIDEND]]
        market[[SPOT, RATE, DIVIDEND]] = spot, rate, dividend
        if not self._reprice(row):
            market[[SPOT, RATE, DIVIDEND]] = before
            self._reprice(row)
            raise _not_finite(symbol)

    def on_tick(self, symbol: str, price: float) -> None:
        """Move one underlying's spot; no other underlying is touched."""
        _positive("spot", price)
        tick = self._ticks_of.get(symbol)
        if tick is None:
            raise _unknown(symbol)
        if not tick(price):
            raise _not_finite(symbol)
        self._ticks += 1
        if self._ticks >= RECOMPUTE_TICKS:
            self.recompute()

    def revalue(self, at: datetime) -> None:
        """Move time. A contract past its expiry is worth its intrinsic value until its strategy is removed."""
        at_s = timestamp_s(at)
        if not self._revalue_all(at_s):
            if self._at_s is not None:
                self._revalue_all(self._at_s)
            raise PricingError(f"the book has no value at {at}", remedy="Check the size of rates and volatilities")
        self._at_s = at_s

    def recompute(self) -> float:
        """Sum the portfolio afresh, put the sums in the running ones' place, and return how far these had drifted."""
        lanes = self._lanes
        self._recomputed(lanes.count)
        totals, sizes = self._fresh
        running = lanes.underlyings[PORTFOLIO, TOTALS : TOTALS + FIGURES]
        self.drift = float(np.max(np.abs(running - totals) / np.where(sizes > 0.0, sizes, 1.0)))
        lanes.underlyings[PORTFOLIO, TOTALS:] = 0.0
        for row in range(PORTFOLIO + 1, lanes.count):
            lanes.underlyings[row, TOTALS : TOTALS + FIGURES] = 0.0
            self._reprice(row)
        self._ticks = 0
        return self.drift

    def set_sigma(self, contract: OptionContract, sigma: float) -> None:
        _positive("sigma", sigma)
        row = self._row(contract.symbol)
        if contract not in self._lanes:
            self._keep_sigma(contract, sigma)
            return
        column = self._lanes.column(contract)
        before = float(self._lanes.inputs[SIGMA, column])
        self._lanes.inputs[SIGMA, column] = sigma
        if not self._reprice(row):
            self._lanes.inputs[SIGMA, column] = before
            self._reprice(row)
            raise _not_finite(contract.key)

    def add(self, strategy_id: str, contract: OptionContract, quantity: int) -> None:
        """Change what a strategy holds of a contract by a signed number of contracts."""
        if quantity == 0:
            raise PricingError(f"quantity of {contract.key} must not be 0")
        held = self._strategies.get(strategy_id, {}).get(contract)
        if held is None:
            self._room("holdings", len(self))
            self._price(contract)
            self._waiting_sigma.pop(contract, None)
            self._strategies.setdefault(strategy_id, {})[contract] = 0
            self._holders[contract] += 1
            self._holdings += 1
        self._hold(strategy_id, contract, (held or 0) + quantity)

    def remove(self, strategy_id: str) -> None:
        for contract in tuple(self._legs(strategy_id)):
            self._hold(strategy_id, contract, 0)

    def contract(self, contract: OptionContract) -> UnitGreeks:
        self._row(contract.symbol)
        if contract not in self._lanes:
            raise NotFound(f"nobody in the book holds {contract.key}")
        figures = self._lanes.outputs[:, self._lanes.column(contract)].tolist()
        price, delta, gamma, theta, vega, rho = figures
        return UnitGreeks(price=price, delta=PerUnitDelta(delta), gamma=gamma, theta=theta, vega=vega, rho=rho)

    def strategy(self, strategy_id: str) -> PositionGreeks:
        legs = self._legs(strategy_id)
        shares = [quantity * contract.multiplier for contract, quantity in legs.items()]
        figures = self._lanes.outputs[:, [self._lanes.column(contract) for contract in legs]]
        # `fsum` is exact: equal holdings give equal sums, in whatever order they were put together.
        return _position([math.fsum(row) for row in (figures * shares).tolist()])

    def underlying(self, symbol: str) -> PositionGreeks:
        return self._totals(self._row(symbol))

    def portfolio(self) -> PositionGreeks:
        return self._totals(PORTFOLIO)

    def _hold(self, strategy_id: str, contract: OptionContract, quantity: int) -> None:
        """Set one holding, which exists."""
        legs = self._strategies[strategy_id]
        column = self._lanes.column(contract)
        self._lanes.inputs[SHARES, column] += (quantity - legs[contract]) * contract.multiplier
        legs[contract] = quantity
        if quantity == 0:
            del legs[contract]
            if not legs:
                del self._strategies[strategy_id]
            self._holders[contract] -= 1
            self._holdings -= 1
            if self._holders[contract] == 0:
                del self._holders[contract]
                self._keep_sigma(contract, float(self._lanes.inputs[SIGMA, column]))
                self._lanes.remove(contract)
        self._reprice(self._rows[contract.symbol])
        if not self._holdings:
            self._lanes.underlyings[PORTFOLIO, TOTALS:] = 0.0  # nothing is nothing, not what rounding left of it

    def _price(self, contract: OptionContract) -> None:
        """Give the contract a priced column, or say why it can have none."""
        row = self._row(contract.symbol)
        if expiry_instant(contract.expiry).timestamp() <= self._time_s():
            raise PricingError(f"{contract.key} has expired")
        if contract in self._lanes:
            return
        if (sigma := self._waiting_sigma.get(contract)) is None:
            raise PricingError(f"{contract.key} has no volatility", remedy="Call set_sigma first")
        _positive("strike", float(contract.strike))
        self._lanes.add(row, contract, sigma)
        self._bind()
        if not self._reprice(row):
            self._lanes.remove(contract)
            self._reprice(row)
            raise _not_finite(contract.key)

    def _bind(self) -> None:
        """Kernels of the tables as they are now, put together beforehand; a tick knows its underlying's row too."""
        lanes = self._lanes
        tables = (lanes.inputs, lanes.outputs, lanes.slices, lanes.underlyings)
        if self._version != lanes.version:
            self._version = lanes.version
            self._revalue = kernels.revalue.bind(*tables)
            self._recomputed = kernels.recomputed.bind(*tables, self._fresh)
            self._ticks_of = {}
        for symbol, row in self._rows.items():
            if symbol not in self._ticks_of:
                self._ticks_of[symbol] = kernels.tick.bind(*tables, row)

    def _reprice(self, row: int) -> bool:
        """Before the first `revalue` nothing is held, so there is nothing to price."""
        if self._at_s is None:
            return True
        return self._revalue(row, row + 1, self._at_s)

    def _revalue_all(self, at_s: float) -> bool:
        return self._revalue(PORTFOLIO + 1, self._lanes.count, at_s)

    def _totals(self, row: int) -> PositionGreeks:
        return _position(self._lanes.underlyings[row, TOTALS : TOTALS + FIGURES].tolist())

    def _row(self, symbol: str) -> int:
        row = self._rows.get(symbol)
        if row is None:
            raise _unknown(symbol)
        return row

    def _keep_sigma(self, contract: OptionContract, sigma: float) -> None:
        self._waiting_sigma.pop(contract, None)
        if len(self._waiting_sigma) >= self.capacity:
            del self._waiting_sigma[next(iter(self._waiting_sigma))]
        self._waiting_sigma[contract] = sigma

    def _time_s(self) -> float:
        if self._at_s is None:
            raise PricingError("the book does not know the time", remedy="Call revalue first")
        return self._at_s

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


def _position(totals: list[float]) -> PositionGreeks:
    value, delta, gamma, theta, vega, rho = totals
    return PositionGreeks(value=value, delta=ShareDelta(delta), gamma=gamma, theta=theta, vega=vega, rho=rho)


def _positive(name: str, value: float) -> None:
    if not 0.0 < value < math.inf:
        raise PricingError(f"{name} must be a finite number above 0, not {value}")


def _unknown(symbol: str) -> PricingError:
    return PricingError(f"the book knows no underlying {symbol}", remedy="Call set_underlying first")


def _not_finite(what: str) -> PricingError:
    return PricingError(f"a figure of {what} is not finite", remedy="Check the size of spot, strike, rate and sigma")
