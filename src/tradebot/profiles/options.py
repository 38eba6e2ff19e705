"""The options desk: condors and verticals on liquid underlyings, watched by the decision engine.

Numbers only. Everything not named here keeps the default of the room that owns it.
"""

from __future__ import annotations

from typing import Any

NAME = "options"

SETTINGS: dict[str, Any] = {
    "profile": NAME,
    "symbols": ["SPY", "QQQ", "IWM", "AAPL", "MSFT"],
    "iron_condor": {"dte_days": 45, "short_delta": 0.16, "width_points": "10"},
    "vertical": {"dte_days": 45, "short_delta": 0.30, "width_points": "10"},
}
