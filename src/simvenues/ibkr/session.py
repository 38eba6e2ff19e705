"""One client of the gateway: requests come in as messages, answers and events go out through its connection.

`HANDLERS` maps the wire's request codes to methods. A session keeps only what dies with it (subscriptions); orders,
executions and positions live in the exchange, so a client that comes back finds them. Orders are handled in
`trading`, money and positions in `account`; what needs a venue that is out of reach is refused in `outage`.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from simvenues.ibkr import messages, outage, reference, requests, trading
from simvenues.ibkr.account import AccountFeed
from simvenues.ibkr.frames import FrameError, decode, encode
from simvenues.ibkr.requests import BadRequestError, ContractQuery, Fields
from simvenues.ibkr.ticks import Line
from simvenues.instruments import Instrument
from simvenues.orders import Executed, OrderChanged, Status

if TYPE_CHECKING:
    from simvenues.ibkr.connection import Connection
    from simvenues.ibkr.server import IbkrGateway

CLIENT_ID_MAX = 9_999
# This client's request for executions is answered with everybody's.
MASTER_CLIENT_ID = 0

_VERSIONS = re.compile(r"v(\d{1,5})\.\.(\d{1,5})( .*)?")


class Session:
    def __init__(self, gateway: IbkrGateway, connection: Connection) -> None:
        self.gateway = gateway
        self.connection = connection
        self.client_id: int | None = None
        self.lines: dict[int, Line] = {}
        self.account = AccountFeed(self)
        self._greeted = False

    @property
    def is_master(self) -> bool:
        return self.client_id == MASTER_CLIENT_ID

    def send(self, message: bytes) -> None:
        self.connection.send(message)

    def error(self, request_id: int, code: int, text: str) -> None:
        self.send(messages.error(request_id, code, text))

    # --- from the client

    def handle(self, message: bytes) -> None:
        """One message; a broken one is answered, one that cannot be read at all ends the connection."""
        try:
            if not self._greeted:
                self._greet(message)
                return
            fields = decode(message)
            self._dispatch(fields)
        except BadRequestError as error:
            self.error(error.request_id, 320, f"Error reading request: {error}")
        except FrameError as error:
            self.error(-1, 320, f"Error reading request: {error}")
            self.connection.close()

    def _greet(self, message: bytes) -> None:
        match = _VERSIONS.fullmatch(message.decode(errors="replace"))
        if match is None or not int(match[1]) <= messages.SERVER_VERSION <= int(match[2]):
            raise FrameError(f"This gateway speaks version {messages.SERVER_VERSION} only.")
        self._greeted = True
        self.send(messages.hello(self.gateway.market.now))

    def _dispatch(self, fields: list[str]) -> None:
        code = Fields(["", *fields[:1]]).integer()
        handler = HANDLERS.get(code)
        if code != START_API and self.client_id is None:
            raise FrameError("The first request of a client starts the API.")
        if self.gateway.cut_off and outage.refused(self, code, fields):
            return
        if handler is not None:
            handler(self, Fields(fields))
            return
        # Requests from 78 on, and two early ones, carry no version before their id.
        at = 1 if code >= 78 or code in {20, 22} else 2
        text = fields[at] if len(fields) > at else ""
        request_id = int(text) if text.isdecimal() and len(text) < 10 else -1
        self.error(request_id, 505, f"Fatal Error: Unknown message id. Request {code} is not simulated.")

    def start_api(self, fields: Fields) -> None:
        fields.skip(1)
        client_id = fields.integer()
        if self.client_id is not None or not 0 <= client_id <= CLIENT_ID_MAX:
            raise FrameError(f"A client starts once, with an id from 0 to {CLIENT_ID_MAX}.")
        if not self.gateway.claim(client_id, self):
            text = "Unable to connect as the client id is already in use. Retry with a unique client id."
            self.error(-1, 326, text)
            self.connection.close()
            return
        self.client_id = client_id
        self.managed_accounts(fields)
        self.send(messages.next_valid_id(self.gateway.next_order_id(client_id)))
        if self.gateway.cut_off:
            outage.announce(self, lost=True)
        else:
            self.error(-1, 2104, "Market data farm connection is OK:simulated")

    def managed_accounts(self, fields: Fields) -> None:
        del fields
        self.send(messages.managed_accounts(self.gateway.exchange.ledgers))

    def request_ids(self, fields: Fields) -> None:
        del fields
        if self.client_id is not None:
            self.send(messages.next_valid_id(self.gateway.next_order_id(self.client_id)))

    def current_time(self, fields: Fields) -> None:
        del fields
        self.send(messages.current_time(self.gateway.market.now))

    def ignore(self, fields: Fields) -> None:
        """A setting without effect here, or the end of a subscription that is answered once."""

    # --- contracts

    def find(self, request_id: int, query: ContractQuery) -> Instrument | None:
        """The one contract that a query describes; otherwise the error goes to the client."""
        found = reference.matches(self.gateway.market, query)
        first, second = next(found, None), next(found, None)
        if first is None:
            self.error(request_id, 200, "No security definition has been found for the request")
        elif second is not None:
            text = "The contract description specified is ambiguous: name expiry, strike and right."
            self.error(request_id, 200, text)
            return None
        return first

    def contract_details(self, fields: Fields) -> None:
        fields.skip(1)
        request_id = fields.integer()
        query = requests.contract_query(fields)
        found = False
        for instrument in reference.matches(self.gateway.market, query):
            found = True
            self.send(reference.contract_details(request_id, instrument))
        if found:
            self.send(messages.end(52, request_id))
        else:
            self.error(request_id, 200, "No security definition has been found for the request")

    def chain_parameters(self, fields: Fields) -> None:
        request_id, symbol = fields.integer(), fields.text()
        for message in reference.chain_parameters(request_id, self.gateway.market, symbol):
            self.send(message)
        self.send(encode(76, request_id))

    def market_rule(self, fields: Fields) -> None:
        self.send(reference.market_rule(fields.integer()))

    # --- market data

    def market_data(self, fields: Fields) -> None:
        request = requests.market_data(fields)
        instrument = self.find(request.request_id, request.contract)
        if instrument is None:
            return
        if not instrument.underlying.data:
            self.error(request.request_id, 354, "Requested market data is not subscribed.")
        elif request.request_id in self.lines:
            self.error(request.request_id, 322, "Error processing request: Duplicate ticker id")
        elif not request.snapshot and self.gateway.lines_used() >= self.gateway.lines_max:
            self.error(request.request_id, 101, "Max number of tickers has been reached")
        else:
            line = Line(request.request_id, instrument)
            self.send(messages.end(58, request.request_id, 1))
            self.push_line(line)
            if request.snapshot:
                self.send(messages.end(57, request.request_id))
            else:
                self.lines[request.request_id] = line

    def cancel_market_data(self, fields: Fields) -> None:
        fields.skip(1)
        request_id = fields.integer()
        if self.lines.pop(request_id, None) is None:
            self.error(request_id, 300, f"Can't find EId with tickerId:{request_id}")

    def push_line(self, line: Line) -> None:
        for message in line.news(self.gateway.views.of(line.instrument)):
            self.send(message)

    # --- from the exchange and the market

    def on_event(self, event: OrderChanged | Executed) -> None:
        """Positions are the account's, so everybody hears of a fill; orders are heard of by their own client."""
        order = event.order
        if isinstance(event, Executed):
            self.account.on_execution(event.execution)
        if order.request.client_id != self.client_id:
            return
        if isinstance(event, Executed):
            self.send(messages.exec_details(-1, event.execution))
        if order.status is not Status.CANCELLED:
            self.send(messages.open_order(order))
        self.send(messages.order_status(order))
        if isinstance(event, Executed):
            self.send(messages.commission_report(event.execution))
        elif order.status is Status.CANCELLED:
            self.error(order.request.client_order_id, 202, f"Order Canceled - reason: {order.reason}")

    def on_step(self, now_s: float) -> None:
        """After a market step: what changed since the client last saw it."""
        for line in self.lines.values():
            self.push_line(line)
        self.account.on_step(now_s)


START_API = 71

HANDLERS: dict[int, Callable[[Session, Fields], None]] = {
    1: Session.market_data,
    2: Session.cancel_market_data,
    3: trading.place_order,
    4: trading.cancel_order,
    5: trading.open_orders,
    6: lambda session, fields: session.account.updates(fields),
    7: trading.executions,
    8: Session.request_ids,
    9: Session.contract_details,
    14: Session.ignore,  # log level
    15: Session.ignore,  # bind manual orders: there are none
    16: trading.all_open_orders,
    17: Session.managed_accounts,
    49: Session.current_time,
    58: trading.global_cancel,
    59: Session.ignore,  # market data type: everything is live
    61: lambda session, fields: session.account.send_positions(fields),
    62: lambda session, fields: session.account.summary(fields),
    63: lambda session, fields: session.account.cancel_summary(fields),
    64: lambda session, fields: session.account.cancel_positions(fields),
    START_API: Session.start_api,
    76: lambda session, fields: session.account.updates_multi(fields),
    77: Session.ignore,
    78: Session.chain_parameters,
    91: Session.market_rule,
    99: trading.completed_orders,
}
