"""What a paper account owns: cash and positions, moved by fills and by nothing else. Decimal to the cent."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal

from tradebot.domain.instruments import OptionContract
from tradebot.domain.orders import Fill, Position
from tradebot.domain.units import Money


class Ledger:
    """Positions that come back to zero are removed, so there are as many as contracts held."""

    def __init__(self, cash: Money) -> None:
        self.cash = cash
        self._positions: dict[OptionContract, Position] = {}

    def positions(self) -> tuple[Position, ...]:
        return tuple(self._positions.values())

    def book(self, fill: Fill) -> None:
        self.cash += fill.cash
        held = self._positions.get(fill.contract) or Position(contract=fill.contract, quantity=0)
        change = fill.side.sign * fill.quantity
        after = held.quantity + change
        if after == 0:
            self._positions.pop(fill.contract, None)
            return
        if held.quantity * change >= 0:  # more of the same: the average of both
            average = (held.average_price * held.quantity + fill.price * change) / after
        elif held.quantity * after > 0:  # less of it: what is left was bought as before
            average = held.average_price
        else:  # through zero: the rest is new
            average = fill.price
        self._positions[fill.contract] = Position(contract=fill.contract, quantity=after, average_price=average)

    def equity(self, mark: Callable[[OptionContract], Money]) -> Money:
        return self.cash + sum(
            (each.quantity * each.contract.multiplier * mark(each.contract) for each in self._positions.values()),
            Decimal(0),
        )
