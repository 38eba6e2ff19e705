"""Contracts, chains and accounts as the gateway describes them: the messages that are looked up, not traded.

A client names a contract by id or by part of a description; `matches` gives every contract that fits, so that a
description without strike and right is a chain.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from simvenues import instruments, surface
from simvenues.exchange import Exchange
from simvenues.ibkr import messages
from simvenues.ibkr.frames import encode
from simvenues.ibkr.requests import ContractQuery
from simvenues.instruments import Instrument, Right
from simvenues.ledger import Position
from simvenues.market import Market
from simvenues.sessions import closing_time

OPTION_EXCHANGES = ("SMART", "CBOE")
MARKET_RULE = 26
_RIGHTS: dict[str, tuple[Right, ...]] = {"C": ("C",), "CALL": ("C",), "P": ("P",), "PUT": ("P",)}
_BOTH: tuple[Right, ...] = ("C", "P")


def matches(market: Market, query: ContractQuery) -> Iterator[Instrument]:
    """Every listed contract that the query describes."""
    if query.con_id:
        found = market.listed(query.con_id)
        if found is not None:
            yield found
        return
    if query.symbol not in instruments.BY_SYMBOL or query.currency not in {"", "USD"}:
        return
    name = instruments.underlying(query.symbol)
    if query.kind != "OPT":
        if name is not None and query.kind in {"", name.kind}:
            yield name
        return
    rights = _RIGHTS.get(query.right, _BOTH)
    strikes = (query.strike,) if query.strike else instruments.strikes(query.symbol)
    for expiry in _expiries(market, query.expiry):
        for strike in strikes:
            for right in rights:
                listed = instruments.option(query.symbol, expiry, strike, right)
                if listed is not None:
                    yield listed


def _expiries(market: Market, wanted: str) -> Iterator[date]:
    listed = instruments.expiries(market.today)
    yield from (expiry for expiry in listed if f"{expiry:%Y%m%d}".startswith(wanted))
    # A day in the past that was listed once: known, and refused when somebody trades it.
    if len(wanted) == 8 and wanted.isdecimal() and wanted < f"{market.today:%Y%m%d}":
        try:
            yield date(int(wanted[:4]), int(wanted[4:6]), int(wanted[6:]))
        except ValueError:
            return


def contract_details(request_id: int, instrument: Instrument) -> bytes:
    name = instrument.underlying
    expiry = instrument.expiry
    day = f"{expiry:%Y%m%d}" if expiry else ""
    under = instruments.underlying(instrument.symbol)
    return encode(
        10,
        request_id,
        instrument.symbol,
        instrument.kind,
        day,
        instrument.strike if expiry else 0,
        instrument.right or "",
        "SMART",
        "USD",
        instrument.local_symbol,
        instrument.symbol,  # market name
        instrument.symbol,  # trading class
        instrument.con_id,
        surface.TICK,
        instrument.multiplier if expiry else "",
        "LMT,MKT,DAY,GTC,IOC,WHATIF",
        ",".join(OPTION_EXCHANGES) if expiry else "SMART",
        1,  # price magnifier
        under.con_id if expiry and under else 0,
        name.long_name,
        "" if expiry else "ARCA",
        f"{expiry:%Y%m}" if expiry else "",
        *("", "", ""),  # industry, category, subcategory
        "US/Eastern",
        *("", ""),  # trading hours, liquid hours
        *("", ""),  # economic value
        0,  # security ids
        1,  # aggregation group
        instrument.symbol if expiry else "",
        name.kind if expiry else "",
        MARKET_RULE,
        day,
        "" if expiry else "ETF",
        *(1, 1, 1),  # sizes: smallest, step, suggested step
    )


def chain_parameters(request_id: int, market: Market, symbol: str) -> Iterator[bytes]:
    under = instruments.underlying(symbol)
    strikes = instruments.strikes(symbol)
    if under is None or not strikes:
        return
    days = [f"{day:%Y%m%d}" for day in instruments.expiries(market.today) if closing_time(day) > market.now]
    for exchange in OPTION_EXCHANGES:
        head = (request_id, exchange, under.con_id, symbol, instruments.OPTION_MULTIPLIER)
        yield encode(75, *head, len(days), *days, len(strikes), *strikes)


def market_rule(rule: int) -> bytes:
    """Prices from 0 on move in one tick."""
    return encode(93, rule, 1, 0, surface.TICK)


def account_values(exchange: Exchange, account: str) -> Iterator[tuple[str, str, str]]:
    """Tag, value and currency of everything an account reports."""
    summary = exchange.summary(account)
    funds = summary.cash - summary.requirement
    yield "AccountType", "INDIVIDUAL", ""
    for tag, value in (
        ("NetLiquidation", summary.liquidation_value),
        ("TotalCashValue", summary.cash),
        ("SettledCash", summary.cash),
        ("CashBalance", summary.cash),
        ("AvailableFunds", funds),
        ("ExcessLiquidity", funds),
        ("BuyingPower", funds),
        ("EquityWithLoanValue", summary.liquidation_value),
        ("InitMarginReq", summary.requirement),
        ("MaintMarginReq", summary.requirement),
        ("GrossPositionValue", summary.gross_value),
        ("RealizedPnL", summary.realized_pnl),
        ("UnrealizedPnL", summary.unrealized_pnl),
    ):
        yield tag, f"{value:.2f}", "USD"


def position(account: str, held: Position) -> bytes:
    fields = messages.contract_fields(held.instrument, "")
    return encode(61, 3, account, *fields, held.quantity, _cost(held))


def portfolio(account: str, held: Position, market: Market) -> bytes:
    """The account window's line: as a position, with its value at the current mark."""
    mark = market.mid(held.instrument)
    value = float(held.quantity) * mark * held.instrument.multiplier
    cost = float(held.quantity) * float(_cost(held))
    fields = messages.contract_fields(held.instrument, "")
    return encode(
        7, 8, *fields, held.quantity, f"{mark:.8f}", f"{value:.2f}", _cost(held), f"{value - cost:.2f}", "0.0", account
    )


def _cost(held: Position) -> str:
    # The gateway counts the multiplier into the average cost.
    return f"{held.average_price * held.instrument.multiplier:.8f}"
