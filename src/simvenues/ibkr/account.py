"""One client's view of money and positions: answers at once, then updates while it subscribes.

Positions are pushed with each execution, as the real gateway does; account values, which cost a valuation of
everything held, at most once a market step: after trades, and now and then without.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from simvenues.ibkr import messages, reference
from simvenues.ibkr.frames import encode
from simvenues.ibkr.requests import Fields
from simvenues.instruments import Instrument
from simvenues.ledger import Position
from simvenues.orders import ZERO, Execution

if TYPE_CHECKING:
    from simvenues.exchange import Exchange
    from simvenues.ibkr.session import Session

# The real gateway refreshes account values at least this often.
PUSH_S = 180.0
SUMMARIES_MAX = 2


class AccountFeed:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._exchange: Exchange = session.gateway.exchange
        self._wants_positions = False
        # The account whose window is open; empty when none is.
        self._window = ""
        self._summaries: dict[int, frozenset[str]] = {}
        self._pushed_s = 0.0
        # Contracts traded since account values were last pushed.
        self._touched: dict[int, Instrument] = {}

    def send_positions(self, fields: Fields) -> None:
        del fields
        self._wants_positions = True
        for account in self._exchange.ledgers:
            for held in self._exchange.positions(account):
                self._session.send(reference.position(account, held))
        self._session.send(messages.end(62))

    def cancel_positions(self, fields: Fields) -> None:
        del fields
        self._wants_positions = False

    def summary(self, fields: Fields) -> None:
        fields.skip(1)
        request_id = fields.integer()
        fields.skip(1)  # group
        if len(self._summaries) >= SUMMARIES_MAX and request_id not in self._summaries:
            self._session.error(
                request_id, 322, "Error processing request: Maximum number of account summary requests exceeded"
            )
            return
        self._summaries[request_id] = frozenset(fields.text().split(","))
        self._send_summary(request_id)

    def cancel_summary(self, fields: Fields) -> None:
        fields.skip(1)
        self._summaries.pop(fields.integer(), None)

    def _send_summary(self, request_id: int) -> None:
        tags = self._summaries[request_id]
        for account in self._exchange.ledgers:
            for tag, value, currency in reference.account_values(self._exchange, account):
                if tag in tags:
                    self._session.send(encode(63, 1, request_id, account, tag, value, currency))
        self._session.send(messages.end(64, request_id))

    def updates(self, fields: Fields) -> None:
        fields.skip(1)
        wanted, account = fields.flag(), fields.text()
        account = account or next(iter(self._exchange.ledgers))
        if account not in self._exchange.ledgers:
            self._session.error(-1, 321, f"Error validating request: invalid account code '{account[:40]}'.")
            return
        self._window = account if wanted else ""
        if wanted:
            self._send_account()

    def updates_multi(self, fields: Fields) -> None:
        fields.skip(1)
        request_id, account, model = fields.integer(), fields.text(), fields.text()
        if account not in self._exchange.ledgers:
            self._session.error(request_id, 321, f"Error validating request: invalid account code '{account[:40]}'.")
            return
        for tag, value, currency in reference.account_values(self._exchange, account):
            self._session.send(encode(73, 1, request_id, account, model, tag, value, currency))
        self._session.send(messages.end(74, request_id))

    def _send_account(self) -> None:
        account, exchange = self._window, self._exchange
        for tag, value, currency in reference.account_values(exchange, account):
            self._session.send(encode(6, 2, tag, value, currency, account))
        held = {position.instrument.con_id: position for position in exchange.positions(account)}
        flat = {con_id: Position(traded, ZERO, ZERO) for con_id, traded in self._touched.items() if con_id not in held}
        for position in (*held.values(), *flat.values()):
            self._session.send(reference.portfolio(account, position, self._session.gateway.market))
        self._session.send(messages.end(8, f"{self._session.gateway.market.now:%H:%M}"))
        self._session.send(messages.end(54, account))

    def on_execution(self, execution: Execution) -> None:
        con_id = execution.instrument.con_id
        self._touched[con_id] = execution.instrument
        if self._wants_positions:
            held = self._exchange.ledgers[execution.account].positions.get(con_id)
            held = held or Position(execution.instrument, ZERO, ZERO)
            self._session.send(reference.position(execution.account, held))

    def on_step(self, now_s: float) -> None:
        if not self._touched and now_s - self._pushed_s < PUSH_S:
            return
        self._pushed_s = now_s
        if self._window:
            self._send_account()
        for request_id in self._summaries:
            self._send_summary(request_id)
        self._touched.clear()
