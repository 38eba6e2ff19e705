"""Orders on one connection: what we sent, what the gateway says became of it, and when it may be forgotten.

place() -> wire -> orderStatus, errors, executions, commissions -> updates and fills for the listener. The client
keeps every order and every fill for as long as it lives; here an order that is over and whose fills are all reported
moves to a short memory of finished orders (a late or repeated message still finds it) and from there to nowhere.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from decimal import Decimal

import ib_async
import structlog

from tradebot.domain.errors import OrderRejected, VenueError
from tradebot.domain.orders import FINAL_ORDER_STATES, Fill, OrderIntent, OrderState
from tradebot.kernel.clock import Clock
from tradebot.venues.ibkr import mapping
from tradebot.venues.ibkr.client import Reader, Writer
from tradebot.venues.ibkr.settings import IbkrSettings
from tradebot.venues.port import VenueListener

log = structlog.get_logger(__name__)

# The client has no event for the commission of an execution that somebody asked for again.
COMMISSION_POLL_S = 0.02


class _Pending:
    """An execution that waits for its commission."""

    __slots__ = ("fill", "timer", "trade")

    def __init__(self, trade: ib_async.Trade, fill: ib_async.Fill, timer: asyncio.TimerHandle) -> None:
        self.trade = trade
        self.fill = fill
        self.timer = timer


class Orders:
    def __init__(self, ib: ib_async.IB, listener: VenueListener, clock: Clock, settings: IbkrSettings) -> None:
        self._ib = ib
        self._wrapper = ib.wrapper
        self._listener = listener
        self._clock = clock
        self._settings = settings
        self._writer = Writer(ib)
        self._reader = Reader(ib)
        self._by_client_id: dict[str, ib_async.Trade] = {}  # working and recently finished
        self._unfinished: dict[str, ib_async.Trade] = {}  # of them those that are not among `finished`
        self.finished: dict[ib_async.Order, ib_async.Trade] = {}
        self.pending: dict[str, _Pending] = {}  # by execution id
        self._awaited = 0  # callers that wait for commissions
        ib.orderStatusEvent += self._on_status
        ib.openOrderEvent += self._on_open_order
        ib.execDetailsEvent += self._on_execution
        ib.commissionReportEvent += self._on_commission
        ib.errorEvent += self._on_error
        for trade in self._wrapper.trades.values():
            self._know(trade)

    @property
    def working(self) -> int:
        """Ours alone: while completed orders are asked for, the client holds every one of the day."""
        return sum(1 for trade in self._unfinished.values() if not trade.isDone())

    def close(self) -> None:
        """Fills still waiting for a commission are dropped: the venue tells them, complete, to whoever asks again."""
        self._ib.orderStatusEvent -= self._on_status
        self._ib.openOrderEvent -= self._on_open_order
        self._ib.execDetailsEvent -= self._on_execution
        self._ib.commissionReportEvent -= self._on_commission
        self._ib.errorEvent -= self._on_error
        for pending in self.pending.values():
            pending.timer.cancel()
        self.pending.clear()

    def place(self, intent: OrderIntent, account: str) -> None:
        """Hand it to the wire; one that this connection already knows is not sent twice."""
        if intent.client_id in self._by_client_id:
            return
        # Counted one by one only where it may matter.
        if len(self._unfinished) >= self._settings.orders_working_max <= (working := self.working):
            raise OrderRejected(f"{working} orders are already working", remedy="Cancel some first")
        order = mapping.order_for(intent, account)
        self._know(self._writer.place(mapping.contract_for(intent.contract), order))

    def cancel(self, client_id: str) -> None:
        trade = self._by_client_id.get(client_id)
        if trade is None:
            raise VenueError(f"this connection knows no order {client_id}", remedy="Ask the venue for its orders")
        if not trade.isDone():
            self._ib.cancelOrder(trade.order)

    def sweep(self) -> None:
        """Forget what a request for completed orders or executions brought into the client."""
        if self._awaited:
            return  # commissions find their executions there: who waits for them sweeps
        for trade in [trade for trade in self._wrapper.trades.values() if trade.isDone()]:
            self._finish(trade)
        known = {trade.order.permId for trade in self._wrapper.trades.values()}
        wrapper = self._wrapper
        wrapper.permId2Trade = {perm: trade for perm, trade in wrapper.permId2Trade.items() if perm in known}
        wrapper.fills = {
            key: fill for key, fill in wrapper.fills.items() if fill.execution.permId in known or key in self.pending
        }

    def _know(self, trade: ib_async.Trade) -> None:
        client_id = trade.order.orderRef
        if client_id and self._by_client_id.setdefault(client_id, trade) is trade and trade.order not in self.finished:
            self._unfinished[client_id] = trade

    def _on_open_order(self, trade: ib_async.Trade) -> None:
        """Only who it is: its state comes as an order status, which the gateway sends along with it."""
        self._know(trade)
        if trade.isDone():  # a repeated word about an order that was forgotten already
            self._finish(trade)

    def _on_status(self, trade: ib_async.Trade) -> None:
        if trade.log and trade.log[-1].errorCode:
            return  # the client's own conclusion from an error: `_on_error` hears the error itself
        try:
            state = mapping.order_state(trade.orderStatus.status)
        except mapping.BadMessage as bad:
            self._listener.on_bad_message(bad.reason)
            return
        self._report(trade, state, reason="")

    def _on_error(self, req_id: int, code: int, message: str, _contract: object) -> None:
        trade = self._wrapper.trades.get((self._wrapper.clientId, req_id))
        if trade is None:
            return
        acknowledged = bool(trade.order.permId or trade.orderStatus.permId)
        state = mapping.state_after_error(code, acknowledged=acknowledged)
        if state is not None:
            self._report(trade, state, reason=f"{code}: {message}")
            return
        log.warning("order_remark", client_id=trade.order.orderRef, code=code, message=message)
        if trade.log and trade.log[-1].errorCode == code and trade.isDone():
            # The client takes any error for the order's end, also a refused cancel of one that is about to fill.
            trade.orderStatus.status = ib_async.OrderStatus.Submitted

    def _report(self, trade: ib_async.Trade, state: OrderState, *, reason: str) -> None:
        if trade.order.orderRef:
            try:
                filled = mapping.quantity(trade.orderStatus.filled)
                update = mapping.update_from(trade, state=state, filled=filled, at=self._clock.now(), reason=reason)
            except mapping.BadMessage as bad:
                self._listener.on_bad_message(bad.reason)
                return
            self._listener.on_order(update)
        if state in FINAL_ORDER_STATES:
            self._finish_when_settled(trade)

    def _on_execution(self, trade: ib_async.Trade, fill: ib_async.Fill) -> None:
        if not fill.execution.orderRef:
            fill.execution.orderRef = trade.order.orderRef
        if not fill.execution.orderRef:
            return  # placed by hand: none of ours
        if len(self.pending) >= self._settings.fills_pending_max:
            self._settle(next(iter(self.pending)))
        key = fill.execution.execId
        timer = asyncio.get_running_loop().call_later(self._settings.commission_wait_s, self._settle, key)
        self.pending[key] = _Pending(trade, fill, timer)

    def _on_commission(self, _trade: ib_async.Trade, fill: ib_async.Fill, _report: ib_async.CommissionReport) -> None:
        self._settle(fill.execution.execId)

    def _settle(self, key: str) -> None:
        """Report one execution, with its commission or, when that did not come in time, without."""
        pending = self.pending.pop(key, None)
        if pending is None:
            return
        pending.timer.cancel()
        try:
            fill = _fill_of(pending.trade, pending.fill, self.commission_of(pending.fill))
            self._listener.on_fill(fill)
        except mapping.BadMessage as bad:
            self._listener.on_bad_message(bad.reason)
        self._finish_when_settled(pending.trade)

    async def wait_for_commissions(self, fills: Sequence[ib_async.Fill]) -> None:
        """After an answer with executions their commissions follow; wait, within the limit, until all are there."""
        loop = asyncio.get_running_loop()
        deadline_s = loop.time() + self._settings.commission_wait_s
        self._awaited += 1
        try:
            # Polled for want of an event, see COMMISSION_POLL_S.
            while any(not self._report_of(fill).execId for fill in fills) and loop.time() < deadline_s:  # noqa: ASYNC110
                await asyncio.sleep(COMMISSION_POLL_S)
        finally:
            self._awaited -= 1

    def _report_of(self, fill: ib_async.Fill) -> ib_async.CommissionReport:
        """The client completes its own first copy of an execution, not the one in a later answer."""
        own = fill.commissionReport
        return own if own.execId else self._wrapper.fills.get(fill.execution.execId, fill).commissionReport

    def commission_of(self, fill: ib_async.Fill) -> Decimal:
        report = self._report_of(fill)
        if not report.execId:
            self._listener.on_bad_message("commission_missing")
            return Decimal(0)
        return mapping.price(report.commission)

    def _finish_when_settled(self, trade: ib_async.Trade) -> None:
        reported = sum(each.execution.shares for each in trade.fills if each.execution.execId not in self.pending)
        if trade.isDone() and reported >= trade.orderStatus.filled:
            self._finish(trade)

    def _finish(self, trade: ib_async.Trade) -> None:
        self.finished[trade.order] = trade
        if self._unfinished.get(trade.order.orderRef) is trade:
            del self._unfinished[trade.order.orderRef]
        while len(self.finished) > self._settings.orders_finished_max:
            self._purge(self.finished.pop(next(iter(self.finished))))

    def _purge(self, trade: ib_async.Trade) -> None:
        order, wrapper = trade.order, self._wrapper
        for key in (wrapper.orderKey(order.clientId, order.orderId, order.permId), order.permId):
            if wrapper.trades.get(key) is trade:
                del wrapper.trades[key]
        for perm_id in {order.permId, trade.orderStatus.permId}:
            if wrapper.permId2Trade.get(perm_id) is trade:
                del wrapper.permId2Trade[perm_id]
        for fill in trade.fills:
            wrapper.fills.pop(fill.execution.execId, None)
        if self._by_client_id.get(order.orderRef) is trade:
            del self._by_client_id[order.orderRef]


def _fill_of(trade: ib_async.Trade, execution: ib_async.Fill, commission: Decimal) -> Fill:
    """Well formed and unlike its order it is a lie of the wire: asked again, the venue tells the truth."""
    fill = mapping.fill_from(execution, commission)
    if fill.contract != mapping.option_from(trade.contract) or fill.side.value != trade.order.action:
        raise mapping.BadMessage("execution_unlike_its_order", fill)
    return fill
