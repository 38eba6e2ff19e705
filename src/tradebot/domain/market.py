"""A price as a venue reported it, after its adapter mapped it and before anybody believed it."""

from __future__ import annotations

import math
from datetime import datetime

import msgspec

from tradebot.domain.instruments import Instrument


class Quote(msgspec.Struct, frozen=True, gc=False):
    """Prices are float64 market data; money that is booked is Decimal."""

    instrument: Instrument
    at: datetime
    bid: float
    ask: float
    last: float = math.nan
    iv: float = math.nan  # the venue's model volatility, for options that carry one

    @property
    def mid(self) -> float:
        return 0.5 * (self.bid + self.ask)
