"""The exchange's state as plain JSON: what a test compares a bot's books against after a crash.

Read-only and complete: orders (refused ones apart), executions, positions and cash, with money as strings so that
nothing is rounded on the way.
"""

from __future__ import annotations

from typing import Any

from simvenues.exchange import Exchange
from simvenues.instruments import Instrument
from simvenues.orders import Execution, Order


def truth(exchange: Exchange) -> dict[str, Any]:
    return {
        "step": exchange.market.step,
        "now": exchange.market.now.isoformat(),
        "orders": [
            _order(order) for source in (exchange.records.finished(), exchange.records.working()) for order in source
        ],
        "executions": [_execution(execution) for execution in exchange.records.executions()],
        "refused": list(exchange.records.refusals()),
        "accounts": {name: _account(exchange, name) for name in exchange.ledgers},
        "dropped": {"orders": exchange.records.dropped_orders, "executions": exchange.records.dropped_executions},
    }


def _contract(instrument: Instrument) -> dict[str, Any]:
    return {
        "con_id": instrument.con_id,
        "symbol": instrument.symbol,
        "kind": instrument.kind,
        "expiry": instrument.expiry.isoformat() if instrument.expiry else None,
        "strike": instrument.strike,
        "right": instrument.right,
        "local_symbol": instrument.local_symbol,
    }


def _order(order: Order) -> dict[str, Any]:
    request = order.request
    return {
        "order_ref": request.order_ref,
        "venue_order_id": order.venue_order_id,
        "perm_id": order.perm_id,
        "account": request.account,
        "client_id": request.client_id,
        "client_order_id": request.client_order_id,
        "contract": _contract(order.instrument),
        "side": request.side,
        "kind": request.kind,
        "limit_price": None if request.limit_price is None else str(request.limit_price),
        "quantity": str(request.quantity),
        "filled": str(order.filled),
        "average_price": str(order.average_price),
        "status": order.status.value,
        "reason": order.reason,
    }


def _execution(execution: Execution) -> dict[str, Any]:
    return {
        "exec_id": execution.exec_id,
        "order_ref": execution.order_ref,
        "perm_id": execution.perm_id,
        "account": execution.account,
        "contract": _contract(execution.instrument),
        "side": execution.side,
        "quantity": str(execution.quantity),
        "price": str(execution.price),
        "commission": str(execution.commission),
        "at": execution.at.isoformat(),
    }


def _account(exchange: Exchange, name: str) -> dict[str, Any]:
    ledger = exchange.ledgers[name]
    return {
        "cash": str(ledger.cash),
        "realized_pnl": str(ledger.realized_pnl),
        "positions": [
            {
                "contract": _contract(position.instrument),
                "quantity": str(position.quantity),
                "average_price": str(position.average_price),
            }
            for position in ledger.positions.values()
        ],
    }
