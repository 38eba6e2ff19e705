"""What a client asks, read field by field from the wire into frozen structs.

The wire has no names: a field means what its place says, and some fields are there only when an earlier one is set.
`Fields` walks them in order and refuses what is missing or of the wrong kind, so no handler ever sees half a request.
"""

from __future__ import annotations

import math
from decimal import Decimal, InvalidOperation

import msgspec

# The client's "no value" for numbers that it does not leave empty.
_UNSET_DOUBLE = Decimal("1.7976931348623157e308")
_UNSET_INTEGER = _INTEGER_MAX = 2**31 - 1
# Far above every price and quantity, and small enough that arithmetic with it costs nothing.
_DECIMAL_MAX = Decimal(10) ** 15


class BadRequestError(Exception):
    """A field is missing or of the wrong kind; `request_id` tells the client which request, when it is known."""

    def __init__(self, reason: str, request_id: int = -1) -> None:
        super().__init__(reason)
        self.request_id = request_id


class Fields:
    """A cursor over one request's fields, the leading request code apart."""

    def __init__(self, fields: list[str]) -> None:
        self._fields = fields
        self._at = 1

    def text(self) -> str:
        try:
            value = self._fields[self._at]
        except IndexError:
            raise BadRequestError(f"The request ends after {len(self._fields)} fields.") from None
        self._at += 1
        return value

    def skip(self, count: int) -> None:
        if not 0 <= count <= len(self._fields) - self._at:
            raise BadRequestError(f"The request ends after {len(self._fields)} fields.")
        self._at += count

    def integer(self) -> int:
        text = self.text()
        try:
            value = int(text or 0)
        except ValueError:
            raise BadRequestError(f"{text[:40]!r} is not an integer.") from None
        if abs(value) > _INTEGER_MAX:
            raise BadRequestError(f"{text[:40]!r} is too large an integer.")
        return value

    def number(self) -> float:
        text = self.text()
        try:
            value = float(text or 0)
        except ValueError:
            raise BadRequestError(f"{text[:40]!r} is not a number.") from None
        if not math.isfinite(value):
            raise BadRequestError(f"{text[:40]!r} is not a finite number.")
        return value

    def decimal(self) -> Decimal | None:
        """A number that may be absent."""
        text = self.text()
        if not text:
            return None
        try:
            value = Decimal(text)
        except InvalidOperation:
            raise BadRequestError(f"{text[:40]!r} is not a number.") from None
        if not value.is_finite():
            raise BadRequestError(f"{text[:40]!r} is not a finite number.")
        if value == _UNSET_DOUBLE:
            return None
        if abs(value) > _DECIMAL_MAX:
            raise BadRequestError(f"{text[:40]!r} is too large a number.")
        return value

    def flag(self) -> bool:
        return self.text() in {"1", "True", "true"}


class ContractQuery(msgspec.Struct, frozen=True):
    """A contract as a client names it: by id, or by as much as it knows."""

    con_id: int
    symbol: str
    kind: str
    expiry: str
    strike: float
    right: str
    currency: str


class PlaceOrder(msgspec.Struct, frozen=True):
    order_id: int
    contract: ContractQuery
    side: str
    quantity: Decimal | None
    kind: str
    limit_price: Decimal | None
    tif: str
    oca_group: str
    account: str
    order_ref: str
    what_if: bool


class MarketData(msgspec.Struct, frozen=True):
    request_id: int
    contract: ContractQuery
    snapshot: bool


class ExecutionFilter(msgspec.Struct, frozen=True):
    request_id: int
    client_id: int
    account: str
    since: str
    symbol: str
    kind: str
    side: str


def contract_query(fields: Fields) -> ContractQuery:
    """The twelve fields of a contract, as every request writes them."""
    con_id, symbol, kind, expiry = fields.integer(), fields.text(), fields.text(), fields.text()
    strike, right = fields.number(), fields.text()
    fields.skip(3)  # multiplier, exchange, primary exchange: everything trades on one exchange
    currency = fields.text()
    fields.skip(2)  # local symbol, trading class
    return ContractQuery(con_id, symbol, kind, expiry, strike, right, currency)


def _leg(fields: Fields) -> ContractQuery:
    contract = contract_query(fields)
    if contract.kind == "BAG":
        raise BadRequestError("Combination orders are not simulated: send one order a leg.")
    return contract


def _stands_alone(fields: Fields) -> None:
    # Taking one for a plain order would let a child fill before its parent, or fill what was only being drafted.
    transmit, parent = fields.flag(), fields.integer()
    if parent or not transmit:
        raise BadRequestError("Attached and untransmitted orders are not simulated: send each when it may fill.")


def place_order(fields: Fields) -> PlaceOrder:
    order_id = fields.integer()
    try:
        contract = _leg(fields)
        fields.skip(2)  # security id
        side, quantity, kind = fields.text(), fields.decimal(), fields.text()
        limit_price = fields.decimal()
        fields.skip(1)  # auxiliary price
        tif, oca_group, account = fields.text(), fields.text(), fields.text()
        fields.skip(2)  # open/close, origin
        order_ref = fields.text()
        _stands_alone(fields)
        fields.skip(6)  # block order … hidden
        what_if = _what_if(fields)
    except BadRequestError as error:
        raise BadRequestError(str(error), order_id) from None
    return PlaceOrder(
        order_id, contract, side, quantity, kind, limit_price, tif or "DAY", oca_group, account, order_ref, what_if
    )


def _what_if(fields: Fields) -> bool:
    """Walk the rarely used middle of an order to its what-if flag, which must never be taken for a real order."""
    fields.skip(8)  # deprecated shares allocation … financial adviser profile
    fields.skip(22)  # model code … volatility type
    if fields.text():  # delta-neutral order type
        fields.skip(8)
    fields.skip(1)  # delta-neutral auxiliary price
    fields.skip(6)  # continuous update … subsequent level size
    increment = fields.decimal()
    if increment is not None and increment > 0:
        fields.skip(7)
    fields.skip(3)  # scale table, active start and stop
    if fields.text():  # hedge type
        fields.skip(1)
    fields.skip(4)  # opt out, clearing account and intent, not held
    if fields.flag():  # delta-neutral contract
        fields.skip(3)
    if fields.text():  # algorithm
        fields.skip(2 * fields.integer())
    fields.skip(1)  # algorithm id
    return fields.flag()


def market_data(fields: Fields) -> MarketData:
    fields.skip(1)  # version
    request_id = fields.integer()
    try:
        contract = contract_query(fields)
        if contract.kind == "BAG":
            fields.skip(4 * fields.integer())
        if fields.flag():  # delta-neutral contract
            fields.skip(3)
        fields.skip(1)  # generic ticks
        snapshot, regulatory = fields.flag(), fields.flag()
    except BadRequestError as error:
        raise BadRequestError(str(error), request_id) from None
    return MarketData(request_id, contract, snapshot or regulatory)


def execution_filter(fields: Fields) -> ExecutionFilter:
    fields.skip(1)  # version
    request_id, client_id = fields.integer(), fields.integer()
    account, since, symbol, kind = fields.text(), fields.text(), fields.text(), fields.text()
    fields.skip(1)  # exchange
    # The client's default for "any client" is its unset integer in some versions and 0 in others.
    client_id = 0 if client_id == _UNSET_INTEGER else client_id
    return ExecutionFilter(request_id, client_id, account, since, symbol, kind, fields.text())
