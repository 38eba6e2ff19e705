"""Units that look alike and must never be mixed: the type says which.

Money is Decimal. Greeks are float64. A delta is either per unit of the underlying (0.30: the condor's short strike)
or in shares (50: the portfolio's limit); confusing the two is a known way to lose money, so each has its own type,
and a conversion is written out where quantity and multiplier are known.
"""

from __future__ import annotations

from decimal import Decimal
from typing import NewType

Money = Decimal

PerUnitDelta = NewType("PerUnitDelta", float)
"""Change of one option's price per 1.00 of its underlying: between -1 and 1."""

ShareDelta = NewType("ShareDelta", float)
"""The number of shares that would move as the position does."""
