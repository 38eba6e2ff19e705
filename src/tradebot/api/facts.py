"""What is shown otherwise than the domain holds it: Greeks with their units, orders without their book-keeping.

Everything else leaves as the domain struct that it is: msgspec encodes a list of them in microseconds, where a
pydantic model of each would stop the loop for milliseconds. `models.py` describes these shapes for OpenAPI.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from starlette.responses import Response

from tradebot.api.port import OrderView
from tradebot.domain.greeks import PositionGreeks


def json_response(facts: object) -> Response:
    """Decimals become strings, a float that is no number becomes null."""
    return Response(msgspec.json.encode(facts), media_type="application/json")


def greeks_facts(greeks: PositionGreeks) -> dict[str, float]:
    return {
        "value_money": greeks.value,
        "delta_shares": greeks.delta,
        "gamma_shares_per_point": greeks.gamma,
        "theta_money_per_day": greeks.theta,
        "vega_money_per_unit_volatility": greeks.vega,
        "rho_money_per_unit_rate": greeks.rho,
    }


def portfolio_facts(portfolio: PositionGreeks, by_symbol: Mapping[str, PositionGreeks]) -> dict[str, object]:
    return {
        "portfolio": greeks_facts(portfolio),
        "by_symbol": {symbol: greeks_facts(greeks) for symbol, greeks in by_symbol.items()},
    }


def order_facts(order: OrderView) -> dict[str, object]:
    return {
        "intent": order.intent,
        "state": order.state,
        "venue_order_id": order.venue_order_id,
        "filled": order.filled,
        "reason": order.reason,
    }
