"""Positions as our own fills make them: what reconciliation holds against the venue's."""

from __future__ import annotations

from datetime import datetime, timedelta

from tradebot.domain.instruments import OptionContract
from tradebot.domain.orders import Fill, Position
from tradebot.pricing.calendar import expiry_instant

SETTLED_AFTER = timedelta(days=1)


def after_fill(held: Position, fill: Fill) -> Position:
    """Average price moves only while a position grows; a position that turns starts at the fill's price."""
    signed = fill.side.sign * fill.quantity
    quantity = held.quantity + signed
    if quantity == 0:
        return Position(contract=held.contract, quantity=0)
    if held.quantity == 0 or held.quantity * quantity < 0:
        return Position(contract=held.contract, quantity=quantity, average_price=fill.price)
    if held.quantity * signed < 0:
        return Position(contract=held.contract, quantity=quantity, average_price=held.average_price)
    paid = held.average_price * abs(held.quantity) + fill.price * fill.quantity
    return Position(contract=held.contract, quantity=quantity, average_price=paid / abs(quantity))


class Positions:
    """Net quantity and average price a contract; flat contracts are forgotten, so the size is that of the book."""

    def __init__(self) -> None:
        self._held: dict[OptionContract, Position] = {}

    def on_fill(self, fill: Fill) -> Position:
        position = after_fill(self.of(fill.contract), fill)
        if position.quantity == 0:
            self._held.pop(fill.contract, None)
        else:
            self._held[fill.contract] = position
        return position

    def expire(self, at: datetime) -> None:
        """Forget what expired more than a day ago: the venue has settled it by then."""
        for contract in [each for each in self._held if expiry_instant(each.expiry) + SETTLED_AFTER < at]:
            del self._held[contract]

    def of(self, contract: OptionContract) -> Position:
        return self._held.get(contract) or Position(contract=contract, quantity=0)

    def all(self) -> tuple[Position, ...]:
        return tuple(self._held[contract] for contract in sorted(self._held))
