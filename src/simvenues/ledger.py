"""One account's money: fills go in, cash, positions and the room for the next order come out.

The margin rule is plain and stated, not a broker's: a short option ties up the premium received plus a quarter of its
underlying's value, a short share one and a half times its value; long positions are paid in full. Spreads get no
relief. An order is affordable when it leaves funds of at least zero, or only gets out of a position: a margin call
must not lock anybody in.
"""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

import msgspec

from simvenues.instruments import Instrument
from simvenues.orders import ZERO, money

SHORT_OPTION_SHARE = Decimal("0.25")
SHORT_STOCK_SHARE = Decimal("1.5")


class Position(msgspec.Struct, frozen=True):
    instrument: Instrument
    quantity: Decimal
    # For one unit, without multiplier and commission.
    average_price: Decimal


class Summary(msgspec.Struct, frozen=True):
    """The account at current marks; liquidation value = cash + value of all positions."""

    cash: Decimal
    position_value: Decimal
    gross_value: Decimal
    requirement: Decimal
    realized_pnl: Decimal
    unrealized_pnl: Decimal

    @property
    def liquidation_value(self) -> Decimal:
        return self.cash + self.position_value


class Ledger:
    def __init__(self, cash: Decimal) -> None:
        self.cash = cash
        self.realized_pnl = ZERO
        # Bounded by the number of listed contracts: a flat position is removed.
        self.positions: dict[int, Position] = {}
        # Short units times multiplier by (underlying, kind), and premium received, kept so that the
        # requirement does not cost a walk over all positions with every order.
        self._short_units: dict[tuple[str, str], Decimal] = {}
        self._short_premium = ZERO

    def requirement(self, spot: Callable[[str], float]) -> Decimal:
        total = self._short_premium
        for (symbol, kind), units in self._short_units.items():
            share = SHORT_OPTION_SHARE if kind == "OPT" else SHORT_STOCK_SHARE
            total += share * units * money(spot(symbol))
        return total

    def margin_change(self, instrument: Instrument, signed: Decimal, price: Decimal, spot: float) -> Decimal:
        """What the requirement grows by when this fill happens."""
        held = self.positions.get(instrument.con_id)
        before = held.quantity if held else ZERO
        premium_before = -before * held.average_price * instrument.multiplier if held and before < 0 else ZERO
        after, average = _merged(held, signed, price)
        short = (max(-after, ZERO) - max(-before, ZERO)) * instrument.multiplier
        if instrument.kind != "OPT":
            return SHORT_STOCK_SHARE * short * money(spot)
        premium_after = -after * average * instrument.multiplier if after < 0 else ZERO
        return SHORT_OPTION_SHARE * short * money(spot) + premium_after - premium_before

    def affordable(
        self, instrument: Instrument, signed: Decimal, price: Decimal, commission: Decimal, spot: Callable[[str], float]
    ) -> bool:
        held = self.positions.get(instrument.con_id)
        if held is not None and held.quantity * signed < 0 and abs(signed) <= abs(held.quantity):
            return True
        change = -signed * price * instrument.multiplier - commission
        change -= self.margin_change(instrument, signed, price, spot(instrument.symbol))
        return self.cash - self.requirement(spot) + change >= 0

    def fill(self, instrument: Instrument, signed: Decimal, price: Decimal, commission: Decimal) -> Decimal:
        """Book a fill; gives the profit it realised, commission included."""
        held = self.positions.get(instrument.con_id)
        after, average = _merged(held, signed, price)
        realized = -commission
        if held is not None and held.quantity * signed < 0:
            closed = min(abs(held.quantity), abs(signed)) * (1 if held.quantity > 0 else -1)
            realized += closed * (price - held.average_price) * instrument.multiplier
        self._count_short(held, -1)
        self.cash -= signed * price * instrument.multiplier + commission
        self.realized_pnl += realized
        if after:
            self.positions[instrument.con_id] = Position(instrument, after, average)
            self._count_short(self.positions[instrument.con_id], 1)
        else:
            self.positions.pop(instrument.con_id, None)
        return realized

    def summary(self, spot: Callable[[str], float], mid: Callable[[Instrument], float]) -> Summary:
        value = gross = unrealized = ZERO
        for position in self.positions.values():
            mark = money(mid(position.instrument))
            worth = position.quantity * mark * position.instrument.multiplier
            value += worth
            gross += abs(worth)
            unrealized += position.quantity * (mark - position.average_price) * position.instrument.multiplier
        return Summary(self.cash, value, gross, self.requirement(spot), self.realized_pnl, unrealized)

    def _count_short(self, position: Position | None, sign: int) -> None:
        if position is None or position.quantity >= 0:
            return
        instrument = position.instrument
        key = (instrument.symbol, instrument.kind)
        units = -position.quantity * instrument.multiplier * sign
        self._short_units[key] = self._short_units.get(key, ZERO) + units
        if instrument.kind == "OPT":
            self._short_premium += units * position.average_price


def _merged(held: Position | None, signed: Decimal, price: Decimal) -> tuple[Decimal, Decimal]:
    """Quantity and average price after a fill: adding averages, reducing keeps, crossing zero starts anew."""
    if held is None:
        return signed, price
    after = held.quantity + signed
    if held.quantity * signed > 0:
        return after, (held.quantity * held.average_price + signed * price) / after
    return after, held.average_price if held.quantity * after > 0 else price
