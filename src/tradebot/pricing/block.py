"""One underlying's part of a book: its contracts as a structure of arrays, priced by one call.

A block is immutable. A change (a tick, a new contract, later time) makes a new block out of the old one's arrays, and
the book puts it in the old one's place only once it could be priced: a bad input can therefore leave nothing half
done. Rows are sorted by contract, so the rows of one expiry lie side by side, and the same holdings give the same
arrays and, bit for bit, the same sums, in whatever order they were put together.
"""

from __future__ import annotations

import bisect
import enum
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from tradebot.domain.greeks import PositionGreeks, UnitGreeks
from tradebot.domain.instruments import OptionContract, Right
from tradebot.domain.units import PerUnitDelta, ShareDelta
from tradebot.pricing.calendar import SECONDS_PER_YEAR, expiry_instant
from tradebot.pricing.european import Floats, GreekArrays, price_and_greeks

FIGURES: Final = len(GreekArrays._fields)
EVERY: Final = slice(None)


class Row(enum.IntEnum):
    """The rows of `Block.inputs`; each column is a contract."""

    STRIKE = 0
    EXPIRES_S = 1  # of the Unix epoch
    SIGMA = 2
    IS_CALL = 3
    SHARES = 4  # net quantity over all strategies, times the contract's multiplier


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    spot: float
    rate: float
    dividend: float
    contracts: tuple[OptionContract, ...]
    inputs: Floats  # one row for each `Row`
    greeks: Floats  # of one unit, one row for each field of `GreekArrays`
    totals: Floats  # greeks times shares, summed over the contracts

    @classmethod
    def empty(cls, spot: float, rate: float, dividend: float) -> Block:
        return cls(spot, rate, dividend, (), np.empty((len(Row), 0)), np.empty((FIGURES, 0)), np.zeros(FIGURES))

    def place(self, contract: OptionContract) -> int:
        """The contract's column, or the one it would take."""
        return bisect.bisect_left(self.contracts, contract)

    def __contains__(self, contract: OptionContract) -> bool:
        column = self.place(contract)
        return column < len(self.contracts) and self.contracts[column] == contract

    def priced(self, at_s: float, columns: slice = EVERY) -> Block:
        """This block with the Greeks of some contracts brought up to date."""
        inputs = self.inputs[:, columns]
        years = np.maximum(inputs[Row.EXPIRES_S] - at_s, 0.0) / SECONDS_PER_YEAR
        greeks = self.greeks.copy()
        greeks[:, columns] = price_and_greeks(
            self.spot, inputs[Row.STRIKE], years, inputs[Row.SIGMA], self.rate, self.dividend, inputs[Row.IS_CALL]
        )
        return replace(self, greeks=greeks, totals=_totals(greeks, self.inputs))

    def with_contract(self, contract: OptionContract, sigma: float, at_s: float) -> Block:
        """One more contract, priced, of quantity 0."""
        column = self.place(contract)
        is_call = 1.0 if contract.right is Right.CALL else 0.0
        values = (float(contract.strike), expiry_instant(contract.expiry).timestamp(), sigma, is_call, 0.0)
        grown = replace(
            self,
            contracts=(*self.contracts[:column], contract, *self.contracts[column:]),
            inputs=np.insert(self.inputs, column, values, axis=1),
            greeks=np.insert(self.greeks, column, 0.0, axis=1),
        )
        return grown.priced(at_s, slice(column, column + 1))

    def without(self, column: int) -> Block:
        greeks = np.delete(self.greeks, column, axis=1)
        inputs = np.delete(self.inputs, column, axis=1)
        contracts = (*self.contracts[:column], *self.contracts[column + 1 :])
        return replace(self, contracts=contracts, inputs=inputs, greeks=greeks, totals=_totals(greeks, inputs))

    def with_sigma(self, column: int, sigma: float, at_s: float) -> Block:
        inputs = self.inputs.copy()
        inputs[Row.SIGMA, column] = sigma
        return replace(self, inputs=inputs).priced(at_s, slice(column, column + 1))

    def with_shares(self, column: int, shares: float) -> Block:
        inputs = self.inputs.copy()
        inputs[Row.SHARES, column] = shares
        return replace(self, inputs=inputs, totals=_totals(self.greeks, inputs))

    def unit(self, column: int) -> UnitGreeks:
        price, delta, gamma, theta, vega, rho = self.greeks[:, column].tolist()
        return UnitGreeks(price=price, delta=PerUnitDelta(delta), gamma=gamma, theta=theta, vega=vega, rho=rho)


def position(totals: Floats) -> PositionGreeks:
    value, delta, gamma, theta, vega, rho = totals.tolist()
    return PositionGreeks(value=value, delta=ShareDelta(delta), gamma=gamma, theta=theta, vega=vega, rho=rho)


def _totals(greeks: Floats, inputs: Floats) -> Floats:
    """Not a matrix product: numpy's own sum gives the same bits on every machine and for every alignment."""
    totals: Floats = (greeks * inputs[Row.SHARES]).sum(axis=1)
    return totals
