"""Where each contract of a book lies in the tables of `slices`, and how the tables make room.

A slice's contracts are dense: a new one takes the first free lane after the others, and one that leaves gives its
lane to the slice's last. So neither moves more than a column, a slice is priced without holes, and what a strategy
brought leaves no trace once it is taken out again.

A slice that is full moves to a run of columns of twice the size at the end of the tables. When the tables are full,
all slices move to new tables, twice as large as what they use: each column moves a bounded number of times on
average, and the tables are never larger than START_COLUMNS or 6 times the columns that were in use when they were
made.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tradebot.domain.instruments import OptionContract, Right
from tradebot.pricing import slices as kernels
from tradebot.pricing.calendar import expiry_instant
from tradebot.pricing.formula import DEVIATION, FIGURES, INVERSE, STRIKE, Floats
from tradebot.pricing.slices import FIRST, INPUTS, LANES, NEXT, NONE, SIGMA

START_COLUMNS: Final = 16 * LANES
START_ROWS: Final = 8
CACHE_LINE: Final = 64  # bytes
PAGE_COLUMNS: Final = 512  # float64 in 4 KiB
APART: Final = 104  # columns from row to row within a page: of twenty distances the best beyond the caches
LONG: Final = 8 * PAGE_COLUMNS  # a row, for which that is worth up to a page of room


@dataclass(slots=True)
class Slice:
    row: int
    underlying: int
    expires_s: float
    start: int
    room: int
    contracts: list[OptionContract] = field(default_factory=list)

    @property
    def stop(self) -> int:
        return self.start + max(-(-len(self.contracts) // LANES) * LANES, LANES)


class Lanes:
    def __init__(self) -> None:
        self.inputs = table(INPUTS, START_COLUMNS)
        self.outputs = table(FIGURES, START_COLUMNS)
        self.slices = table(START_ROWS, kernels.SLICE_COLUMNS)
        self.underlyings = table(START_ROWS, kernels.UNDERLYING_COLUMNS)
        self.underlyings[:, FIRST] = NONE
        self.count = kernels.PORTFOLIO + 1  # rows of `underlyings` in use
        self.version = 0  # rises when a table is replaced: who keeps the arrays must fetch them again
        self._columns = 0  # used so far, up to the last slice's room
        self._by_expiry: dict[int, dict[float, Slice]] = {}  # of each underlying
        self._rows = 0  # of `slices`, used so far
        self._slice_of: dict[OptionContract, Slice] = {}
        self._offset: dict[OptionContract, int] = {}
        self._free_rows: list[int] = []

    def __contains__(self, contract: OptionContract) -> bool:
        return contract in self._offset

    def column(self, contract: OptionContract) -> int:
        return self._slice_of[contract].start + self._offset[contract]

    def add_underlying(self, spot: float, rate: float, dividend: float) -> int:
        if self.count == len(self.underlyings):
            self.underlyings = grown(self.underlyings)
            self.version += 1
        row = self.count
        self.count += 1
        self._by_expiry[row] = {}
        self.underlyings[row] = 0.0
        self.underlyings[row, : FIRST + 1] = spot, rate, dividend, spot, NONE
        return row

    def add(self, underlying: int, contract: OptionContract, sigma: float) -> None:
        """Place a contract of which nobody holds any yet; the caller prices its underlying."""
        expires_s = expiry_instant(contract.expiry).timestamp()
        home = self._by_expiry[underlying].get(expires_s) or self._add_slice(underlying, expires_s)
        offset = len(home.contracts)
        if offset == home.room:
            self._move(home, 2 * home.room)
        strike = float(contract.strike) * (1.0 if contract.right is Right.CALL else -1.0)
        reference = float(self.underlyings[underlying, kernels.REFERENCE])
        home.contracts.append(contract)
        kernels.place(self.inputs, home.start + offset, strike, reference, sigma)
        self._slice_of[contract], self._offset[contract] = home, offset
        self.slices[home.row, kernels.STOP] = home.stop

    def remove(self, contract: OptionContract) -> None:
        """Free a contract's lane; the caller prices its underlying."""
        home, offset = self._slice_of.pop(contract), self._offset.pop(contract)
        last = home.contracts.pop()
        vacated = home.start + len(home.contracts)
        if last != contract:
            self.inputs[:, home.start + offset] = self.inputs[:, vacated]
            self.outputs[:, home.start + offset] = self.outputs[:, vacated]
            home.contracts[offset] = last
            self._offset[last] = offset
        self.inputs[:, vacated] = padding(1)[:, 0]
        self.slices[home.row, kernels.STOP] = home.stop
        if not home.contracts:
            self._remove_slice(home)

    def _add_slice(self, underlying: int, expires_s: float) -> Slice:
        if self._free_rows:
            row = self._free_rows.pop()
        else:
            row = self._rows
            self._rows += 1
            if row == len(self.slices):
                self.slices = grown(self.slices)
                self.version += 1
        home = Slice(row, underlying, expires_s, start=0, room=0)
        self.slices[row] = 0.0
        self.slices[row, kernels.EXPIRES_S] = expires_s
        self._by_expiry[underlying][expires_s] = home
        self._move(home, LANES)
        self._chain(underlying)
        return home

    def _remove_slice(self, home: Slice) -> None:
        del self._by_expiry[home.underlying][home.expires_s]
        self._free_rows.append(home.row)
        self._chain(home.underlying)

    def _chain(self, underlying: int) -> None:
        """Link an underlying's slices by expiry: sums then do not depend on the order in which they came."""
        slices = self._by_expiry[underlying]
        rows = [slices[expires_s].row for expires_s in sorted(slices)]
        self.underlyings[underlying, FIRST] = rows[0] if rows else NONE
        for row, following in itertools.pairwise([*rows, NONE]):
            self.slices[int(row), NEXT] = following

    def _every_slice(self) -> Iterator[Slice]:
        return itertools.chain.from_iterable(slices.values() for slices in self._by_expiry.values())

    def _move(self, home: Slice, room: int) -> None:
        """Give a slice room at the end of the tables, in new tables where these are full."""
        if self._columns + room > self.inputs.shape[1]:
            self._rebuild(2 * (room + sum(each.stop - each.start for each in self._every_slice())))
        self._copy(home, self.inputs, self.outputs, room)

    def _rebuild(self, columns: int) -> None:
        inputs, outputs = self.inputs, self.outputs
        self.inputs, self.outputs = table(INPUTS, columns), table(FIGURES, columns)
        self.version += 1
        self._columns = 0
        for each in self._every_slice():
            self._copy(each, inputs, outputs, each.stop - each.start)

    def _copy(self, home: Slice, inputs: Floats, outputs: Floats, room: int) -> None:
        start, used = self._columns, len(home.contracts)
        self._columns += room
        self.inputs[:, start : start + room] = padding(room)
        self.outputs[:, start : start + room] = 0.0
        self.inputs[:, start : start + used] = inputs[:, home.start : home.start + used]
        self.outputs[:, start : start + used] = outputs[:, home.start : home.start + used]
        home.start, home.room = start, room
        self.slices[home.row, kernels.START] = home.start
        self.slices[home.row, kernels.STOP] = home.stop


def padding(columns: int) -> Floats:
    """Options that have a price and of which nobody holds any."""
    values = np.zeros((INPUTS, columns))
    values[[STRIKE, SIGMA, DEVIATION, INVERSE]] = 1.0
    return values


def grown(old: Floats) -> Floats:
    """The same rows and as many again."""
    new = table(2 * len(old), old.shape[1])
    new[: len(old)] = old
    return new


def table(rows: int, columns: int) -> Floats:
    """Zeros whose rows begin on cache lines, and not all on the same line of their page: rows a multiple of 4 KiB
    apart would drive one another out of the first-level cache. Beyond the caches the distance is worth a third of the
    time of a book: 2.2 ns an option, or 3.4."""
    stride = -(-columns // LANES) * LANES
    if stride >= LONG:
        stride += (APART - stride) % PAGE_COLUMNS
    elif stride % PAGE_COLUMNS == 0:
        stride += LANES
    buffer = np.zeros(rows * stride + LANES)
    skip = -buffer.ctypes.data % CACHE_LINE // buffer.itemsize
    return buffer[skip : skip + rows * stride].reshape(rows, stride)
