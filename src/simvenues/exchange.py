"""The venue's truth: which orders exist, what filled, who owns what. It outlives every client.

Requests come in as calls (`place`, `modify`, `cancel`), market steps through `on_market_step`; changes go out to
listeners as frozen events. It knows neither sockets nor wire formats: a server translates, and several servers can
share one exchange. An `order_ref` may come twice, as at a real broker: `truth()` shows both, so a test can count.

Money is Decimal; what is remembered, and for how long, is `records`' business.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping
from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from simvenues.instruments import Instrument, expiries
from simvenues.ledger import Ledger, Position, Summary
from simvenues.market import Market
from simvenues.orders import (
    COMMISSION,
    MATCHING,
    PRICED,
    ZERO,
    Executed,
    Execution,
    Listener,
    Order,
    OrderChanged,
    OrderRequest,
    Refusal,
    RefusedError,
    Side,
    Status,
    money,
    validate,
)
from simvenues.records import CAPACITY, Records
from simvenues.sessions import Phase, closing_time

_FIRST_PERM_ID = 1_000_000_000
# Orders that no client sent: the settlement of expired options.
HOUSE_CLIENT_ID = -1
HOUSE_ORDER_REF = "EXPIRY"


class Exchange:
    def __init__(
        self,
        market: Market,
        accounts: Mapping[str, Decimal],
        *,
        seed: int = 0,
        partial_fills: bool = False,
        history_capacity: int = CAPACITY,
    ) -> None:
        self.market = market
        self.partial_fills = partial_fills
        self.listeners: list[Listener] = []
        self.records = Records(history_capacity)
        self.ledgers = {name: Ledger(cash) for name, cash in accounts.items()}
        self._seed = seed
        self._rng = random.Random(seed)
        self._placed = 0
        self._executed = 0
        # No held option expires before the nearest listed one, so until then there is nothing to look at.
        self._settle_at = self._next_close()

    # --- what a client asks

    def place(self, request: OrderRequest) -> Order:
        """Take an order and fill what can be filled at once; raises `RefusedError`, and remembers that it did."""
        try:
            order = self._accept(request)
        except RefusedError as error:
            self.records.keep_refusal(request.order_ref, error)
            raise
        self.records.keep(order)
        self._tell(OrderChanged(order))
        self._try_fill(order)
        order = self.records.order(order.perm_id)
        if request.tif == "IOC" and order.status is Status.WORKING:
            order = self._cancel(order, "The rest of an immediate-or-cancel order")
        return order

    def modify(self, perm_id: int, *, quantity: Decimal, limit_price: Decimal | None) -> Order:
        """Change size or price of a working order; it keeps its ids and what it has filled."""
        order = self._working_order(perm_id)
        request = replace(order.request, quantity=quantity, limit_price=limit_price)
        validate(request)
        if quantity <= order.filled:
            raise RefusedError(Refusal.BAD_QUANTITY, f"{order.filled} are filled already: ask for more than that.")
        order = replace(order, request=request)
        self.records.keep(order)
        self._tell(OrderChanged(order))
        self._try_fill(order)
        return self.records.order(perm_id)

    def cancel(self, perm_id: int, reason: str = "Cancelled by the client") -> Order:
        return self._cancel(self._working_order(perm_id), reason)

    def cancel_all(self, reason: str = "Global cancel") -> int:
        """Cancel every working order of every client; gives how many there were."""
        orders = list(self.records.working())
        for order in orders:
            self._cancel(order, reason)
        return len(orders)

    def margin_change(self, request: OrderRequest) -> Decimal:
        """What the margin requirement would grow by; the order is checked, not placed."""
        order = self._accept(request, placed=False)
        price = self._price_to_check(request, order)
        spot = self.market.spot(order.instrument.symbol)
        return self.ledgers[request.account].margin_change(order.instrument, _signed(request), price, spot)

    # --- what time does

    def on_market_step(self) -> None:
        """Try every working order against the market as it is now."""
        closed = self.market.phase is Phase.CLOSED
        for order in self.records.working():
            if self.market.expired(order.instrument):
                self._cancel(order, "The contract has expired")
            elif closed and order.request.tif == "DAY":
                self._cancel(order, "The session has closed")
            else:
                self._try_fill(order)
        if self.market.now >= self._settle_at:
            self._settle()

    # --- what anybody may read

    def positions(self, account: str) -> Iterator[Position]:
        return iter(list(self.ledgers[account].positions.values()))

    def summary(self, account: str) -> Summary:
        return self.ledgers[account].summary(self.market.spot, self.market.mid)

    # --- inside

    def _accept(self, request: OrderRequest, *, placed: bool = True) -> Order:
        if request.account not in self.ledgers:
            raise RefusedError(Refusal.UNKNOWN_ACCOUNT, f"There is no account {request.account!r}.")
        validate(request)
        instrument = self.market.listed(request.con_id)
        if instrument is None or instrument.kind == "IND":
            raise RefusedError(Refusal.UNKNOWN_CONTRACT, f"No contract with the id {request.con_id} trades here.")
        if self.market.expired(instrument):
            raise RefusedError(Refusal.EXPIRED_CONTRACT, f"{instrument.local_symbol} has expired: choose a later date.")
        phase = self.market.phase
        if phase is Phase.CLOSED or (phase is Phase.PRE_OPEN and request.kind not in PRICED):
            raise RefusedError(Refusal.MARKET_CLOSED, "The market is closed: send the order in regular hours.")
        if self.records.full:
            raise RefusedError(Refusal.TOO_MANY_ORDERS, "Too many orders are working: cancel some first.")
        order = self._numbered(request, instrument)
        price = self._price_to_check(request, order)
        if not self._affordable(order, _signed(request), price):
            raise RefusedError(
                Refusal.INSUFFICIENT_FUNDS, "The account's available funds do not cover this order: make it smaller."
            )
        self._placed += placed
        return order

    def _price_to_check(self, request: OrderRequest, order: Order) -> Decimal:
        """The worst price of a limit order, the current one of a market order."""
        if request.kind in PRICED and request.limit_price is not None:
            return request.limit_price
        bid, ask = self.market.two_sided(order.instrument)
        return money(ask if request.side == "BUY" else bid)

    def _affordable(self, order: Order, signed: Decimal, price: Decimal) -> bool:
        ledger = self.ledgers[order.request.account]
        commission = COMMISSION[order.instrument.kind] * abs(signed)
        return ledger.affordable(order.instrument, signed, price, commission, self.market.spot)

    def _working_order(self, perm_id: int) -> Order:
        order = self.records.order(perm_id)
        if order.status is not Status.WORKING:
            raise RefusedError(Refusal.NOT_WORKING, f"Order {order.venue_order_id} is {order.status.value} already.")
        return order

    def _try_fill(self, order: Order) -> None:
        if self.market.phase is not Phase.REGULAR:
            return
        bid, ask = self.market.two_sided(order.instrument)
        price = MATCHING[order.request.kind](order.request, bid, ask)
        if price is None:
            return
        quantity = order.remaining
        if self.partial_fills:
            quantity = Decimal(self._rng.randint(1, int(quantity)))
        signed = quantity if order.request.side == "BUY" else -quantity
        # Resting orders reserve nothing, so funds are checked again when the money moves.
        if not self._affordable(order, signed, price):
            self._cancel(order, "The account's available funds no longer cover the order")
            return
        self._execute(order, signed, price, COMMISSION[order.instrument.kind] * quantity)

    def _settle(self) -> None:
        """Close expired options at their intrinsic value in cash, as orders of the house."""
        for account in self.ledgers:
            for held in self.positions(account):
                option = held.instrument
                if not self.market.expired(option):
                    continue
                sign = 1 if option.right == "C" else -1
                value = money(max(sign * (self.market.spot(option.symbol) - option.strike), 0.0))
                side: Side = "SELL" if held.quantity > 0 else "BUY"
                request = OrderRequest(
                    account,
                    HOUSE_CLIENT_ID,
                    0,
                    option.con_id,
                    side,
                    abs(held.quantity),
                    "MKT",
                    order_ref=HOUSE_ORDER_REF,
                )
                order = self._numbered(request, option)
                self._placed += 1
                self._execute(order, ZERO - held.quantity, value, ZERO)
        self._settle_at = self._next_close()

    def _next_close(self) -> datetime:
        closes = map(closing_time, expiries(self.market.today))
        return next(close for close in closes if close > self.market.now)

    def _numbered(self, request: OrderRequest, instrument: Instrument) -> Order:
        """An order with the next free numbers, which whoever keeps it counts as used."""
        number = self._placed + 1
        return Order(f"V{number:08d}", _FIRST_PERM_ID + number, request, instrument, Status.WORKING, self.market.now)

    def _execute(self, order: Order, signed: Decimal, price: Decimal, commission: Decimal) -> None:
        request, quantity = order.request, abs(signed)
        realized = self.ledgers[request.account].fill(order.instrument, signed, price, commission)
        filled = order.filled + quantity
        order = replace(
            order,
            filled=filled,
            average_price=(order.average_price * order.filled + price * quantity) / filled,
            last_price=price,
        )
        if not order.remaining:
            order = replace(order, status=Status.FILLED, done_at=self.market.now)
        self.records.keep(order)
        self._executed += 1
        execution = Execution(
            exec_id=f"{self._seed & 0xFFFFFFFF:08x}.{self._executed:08x}.01.01",
            perm_id=order.perm_id,
            account=request.account,
            client_id=request.client_id,
            client_order_id=request.client_order_id,
            order_ref=request.order_ref,
            instrument=order.instrument,
            side=request.side,
            quantity=quantity,
            price=price,
            commission=commission,
            realized_pnl=realized,
            cumulative=filled,
            average_price=order.average_price,
            at=self.market.now,
        )
        self.records.keep_execution(execution)
        self._tell(Executed(order, execution))

    def _cancel(self, order: Order, reason: str) -> Order:
        order = replace(order, status=Status.CANCELLED, reason=reason, done_at=self.market.now)
        self.records.keep(order)
        self._tell(OrderChanged(order))
        return order

    def _tell(self, event: OrderChanged | Executed) -> None:
        for listener in self.listeners:
            listener(event)


def _signed(request: OrderRequest) -> Decimal:
    return request.quantity if request.side == "BUY" else ZERO - request.quantity
