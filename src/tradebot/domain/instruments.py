"""What can be quoted and traded, and the chain it is chosen from."""

from __future__ import annotations

import enum
from datetime import date
from decimal import Decimal

import msgspec


class Right(enum.StrEnum):
    CALL = "C"
    PUT = "P"


class Stock(msgspec.Struct, frozen=True, gc=False, order=True, tag="stock"):
    symbol: str

    @property
    def key(self) -> str:
        return self.symbol


class OptionContract(msgspec.Struct, frozen=True, gc=False, order=True, tag="option"):
    symbol: str
    expiry: date
    strike: Decimal
    right: Right
    multiplier: int = 100

    @property
    def key(self) -> str:
        """Readable and unique: `SPY-20261218-C-600`."""
        return f"{self.symbol}-{self.expiry:%Y%m%d}-{self.right}-{self.strike.normalize():f}"


Instrument = Stock | OptionContract


class OptionChain(msgspec.Struct, frozen=True, gc=False):
    """The expiries and strikes a venue lists for one underlying, both ascending."""

    symbol: str
    multiplier: int
    expiries: tuple[date, ...]
    strikes: tuple[Decimal, ...]
