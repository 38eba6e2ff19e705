"""Orders over the wire: a request becomes one call of the exchange, a refusal becomes the error code IB uses for it.

Nothing is decided here: acknowledgement and fills reach the client as the exchange's events, in the same write as the
answer to its request.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING

from simvenues.ibkr import messages, requests
from simvenues.ibkr.frames import encode
from simvenues.ibkr.requests import Fields, PlaceOrder
from simvenues.instruments import Instrument
from simvenues.orders import ZERO, Order, OrderRequest, Refusal, RefusedError, Status

if TYPE_CHECKING:
    from simvenues.ibkr.session import Session

_CODES = {
    Refusal.UNKNOWN_ACCOUNT: 321,
    Refusal.UNKNOWN_CONTRACT: 200,
    Refusal.EXPIRED_CONTRACT: 201,
    Refusal.BAD_QUANTITY: 201,
    Refusal.BAD_PRICE: 110,
    Refusal.UNKNOWN_ORDER_TYPE: 387,
    Refusal.INSUFFICIENT_FUNDS: 201,
    Refusal.MARKET_CLOSED: 201,
    Refusal.TOO_MANY_ORDERS: 201,
    Refusal.UNKNOWN_ORDER: 135,
    Refusal.NOT_WORKING: 161,
}
_TEXTS = {
    110: "The price does not conform to the minimum price variation for this contract.",
    135: "Can't find order with id.",
    161: "Cancel attempted when order is not in a cancellable state.",
    200: "No security definition has been found for the request.",
    201: "Order rejected - reason:",
    321: "Error validating request:",
    387: "Unsupported order type for this exchange and security type.",
}


def place_order(session: Session, fields: Fields) -> None:
    request = requests.place_order(fields)
    order_id, client_id = request.order_id, session.client_id
    if client_id is None or order_id <= 0:
        session.error(order_id, 321, "Error validating request: an order id is a positive number.")
        return
    if request.side not in {"BUY", "SELL"}:
        session.error(order_id, 321, f"Error validating request: invalid side '{request.side[:40]}'.")
        return
    instrument = session.find(order_id, request.contract)
    if instrument is None:
        return
    session.gateway.note_order_id(client_id, order_id)
    known = session.gateway.exchange.records.by_client(client_id, order_id)
    try:
        if request.what_if:
            _what_if(session, _order_request(session, client_id, request, instrument))
        elif known is None:
            session.gateway.exchange.place(_order_request(session, client_id, request, instrument))
        else:
            _modify(session, known, request, instrument)
    except RefusedError as error:
        _refuse(session, order_id, error)


def _order_request(session: Session, client_id: int, request: PlaceOrder, instrument: Instrument) -> OrderRequest:
    return OrderRequest(
        account=request.account or next(iter(session.gateway.exchange.ledgers)),
        client_id=client_id,
        client_order_id=request.order_id,
        con_id=instrument.con_id,
        side="BUY" if request.side == "BUY" else "SELL",
        quantity=_quantity(request),
        kind=request.kind,
        limit_price=_limit_price(request),
        order_ref=request.order_ref,
        tif=request.tif,
        oca_group=request.oca_group,
    )


def _quantity(request: PlaceOrder) -> Decimal:
    quantity = ZERO if request.quantity is None else request.quantity
    # "1.0" on the wire is one contract: without its fraction it stays "1" in every answer.
    return Decimal(int(quantity)) if quantity == int(quantity) else quantity


def _limit_price(request: PlaceOrder) -> Decimal | None:
    # A market order's price field holds 0 or whatever the client left there.
    return request.limit_price if request.kind == "LMT" else None


def _modify(session: Session, known: Order, request: PlaceOrder, instrument: Instrument) -> None:
    """The same id once more: a change of a working order, else a duplicate."""
    old = known.request
    if known.status is not Status.WORKING:
        session.error(request.order_id, 103, "Duplicate order id")
    elif (old.con_id, old.side, old.kind) != (instrument.con_id, request.side, request.kind):
        session.error(request.order_id, 105, "Order being modified does not match the original order.")
    else:
        session.gateway.exchange.modify(known.perm_id, quantity=_quantity(request), limit_price=_limit_price(request))


def _what_if(session: Session, request: OrderRequest) -> None:
    margin = session.gateway.exchange.margin_change(request)
    instrument = session.gateway.market.listed(request.con_id)
    if instrument is not None:
        order = Order("", 0, request, instrument, Status.WORKING, session.gateway.market.now)
        session.send(messages.open_order(order, what_if_margin=margin))


def cancel_order(session: Session, fields: Fields) -> None:
    fields.skip(1)
    order_id = fields.integer()
    exchange = session.gateway.exchange
    known = None if session.client_id is None else exchange.records.by_client(session.client_id, order_id)
    if known is None:
        session.error(order_id, 135, f"Can't find order with id ={order_id}")
        return
    try:
        exchange.cancel(known.perm_id)
    except RefusedError as error:
        _refuse(session, order_id, error)


def global_cancel(session: Session, fields: Fields) -> None:
    del fields
    session.gateway.exchange.cancel_all()


def _refuse(session: Session, order_id: int, error: RefusedError) -> None:
    code = _CODES[error.refusal]
    session.error(order_id, code, f"{_TEXTS[code]} {error}")


def open_orders(session: Session, fields: Fields) -> None:
    _open_orders(session, fields, every_client=False)


def all_open_orders(session: Session, fields: Fields) -> None:
    _open_orders(session, fields, every_client=True)


def _open_orders(session: Session, fields: Fields, *, every_client: bool) -> None:
    del fields
    for order in session.gateway.exchange.records.working():
        if every_client or order.request.client_id == session.client_id:
            session.send(messages.open_order(order))
            session.send(messages.order_status(order))
    session.send(messages.end(53))


def completed_orders(session: Session, fields: Fields) -> None:
    del fields
    for order in session.gateway.exchange.records.finished():
        session.send(messages.completed_order(order))
    session.send(encode(102))


def executions(session: Session, fields: Fields) -> None:
    """The client's own fills that pass its filter; the master client's request sees everybody's."""
    wanted = requests.execution_filter(fields)
    # Clients write a blank or a hyphen between day and time, with or without a zone: UTC is what is sent here.
    since = wanted.since.replace("-", " ")[:17]
    for execution in session.gateway.exchange.records.executions():
        if (
            (session.is_master or execution.client_id == session.client_id)
            and wanted.client_id in {0, execution.client_id}
            and wanted.account in {"", execution.account}
            and wanted.symbol in {"", execution.instrument.symbol}
            and wanted.kind in {"", execution.instrument.kind}
            and wanted.side in {"", execution.side}
            and messages.wire_time(execution.at)[: len(since)] >= since
        ):
            session.send(messages.exec_details(wanted.request_id, execution))
            session.send(messages.commission_report(execution))
    session.send(messages.end(55, wanted.request_id))
