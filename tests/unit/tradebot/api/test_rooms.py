"""What the bot holds, as the service shows it: health, strategies, portfolio, alerts, reconciliation, operations."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from tradebot.domain.alerts import Severity
from tradebot.domain.errors import VenueTimeout
from tradebot.domain.orders import OrderState, OrderUpdate
from tradebot.recovery.reconcile import Difference

Run = Any


def test_the_probes_tell_life_from_readiness(run: Run) -> None:
    """Live answers always; ready answers 503 until recovery has ended."""

    async def scenario(world: Any) -> None:
        assert (await world.http.get("/health/live")).json() == {"live": True}
        assert (await world.http.get("/health/ready")).json() == {"ready": True}
        world.bot.ready = False
        assert (await world.http.get("/health/live")).status_code == 200
        waiting = await world.http.get("/health/ready")
        assert (waiting.status_code, waiting.json()["error"]["code"]) == (503, "not_ready")
        assert waiting.headers["Retry-After"] == "1"

    run(scenario)


def test_health_tells_facts(run: Run) -> None:
    """The venue, its connection, the uptime and what only the rooms know."""

    async def scenario(world: Any) -> None:
        facts = (await world.http.get("/health")).json()
        assert (facts["venue"], facts["connected"], facts["profile"]) == ("paper", True, "options")
        assert facts["uptime_s"] >= 30
        assert facts["facts"] == {"journal": {"queued": 0, "commits": 3}}

    run(scenario)


def test_strategies_are_shown_with_their_legs(run: Run, things: Any) -> None:
    """One by its id, all newest first or by state, and 404 for a stranger."""

    async def scenario(world: Any) -> None:
        for name in ("s-1", "s-2"):
            world.bot.strategies.create(name, things.plan(), 2)
        world.bot.strategies.entered(
            "s-1", [(0, things.fill())], workflow_id="w-1", at=datetime(2026, 12, 1, tzinfo=UTC)
        )
        one = (await world.http.get("/api/strategies/s-1")).json()
        assert (one["state"], one["remaining"], one["entry_cash"]) == ("open", 2, "618.70")
        assert one["legs"][0]["leg"]["contract"]["strike"] == "600"
        assert [each["id"] for each in (await world.http.get("/api/strategies")).json()] == ["s-2", "s-1"]
        assert [each["id"] for each in (await world.http.get("/api/strategies?state=open")).json()] == ["s-1"]
        assert (await world.http.get("/api/strategies/s-3")).status_code == 404

    run(scenario)


def test_positions_and_orders_are_ours(run: Run, things: Any) -> None:
    """Quantity and average price of each contract; orders open or all, newest first."""

    async def scenario(world: Any) -> None:
        inbox = world.bot.inbox
        for name in ("o-1", "o-2"):
            inbox.orders.register(things.intent(name))
        inbox.positions.on_fill(things.fill())
        inbox.orders.on_fill(things.fill())
        (position,) = (await world.http.get("/api/positions")).json()
        assert (position["quantity"], position["average_price"]) == (-2, "3.10")
        assert (position["contract"]["strike"], position["contract"]["right"]) == ("600", "C")
        orders = (await world.http.get("/api/orders")).json()
        assert [each["intent"]["client_id"] for each in orders] == ["o-2", "o-1"]
        assert (orders[1]["filled"], orders[1]["intent"]["limit"]) == (2, "3.10")
        done = OrderUpdate(
            client_id="o-2", venue_order_id="7", state=OrderState.REJECTED, filled=0, remaining=2, at=things.fill().at
        )
        inbox.orders.on_update(done)
        still_open = (await world.http.get("/api/orders?open=true")).json()
        assert [each["intent"]["client_id"] for each in still_open] == ["o-1"]

    run(scenario)


def test_greeks_say_their_units_and_admit_what_they_do_not_know(run: Run) -> None:
    """Each field names its unit; a Greek that is not a number is null."""

    async def scenario(world: Any) -> None:
        greeks = (await world.http.get("/api/portfolio/greeks")).json()
        assert greeks["portfolio"] == {
            "value_money": -120.5,
            "delta_shares": 3.5,
            "gamma_shares_per_point": None,
            "theta_money_per_day": 8.0,
            "vega_money_per_unit_volatility": -310.0,
            "rho_money_per_unit_rate": 1.0,
        }
        assert greeks["by_symbol"]["SPY"] == greeks["portfolio"]

    run(scenario)


def test_alerts_are_answered_by_legal_moves_only(run: Run) -> None:
    """Acknowledge, resolve and dismiss move an alert; an illegal move is 409 and names both states."""

    async def scenario(world: Any) -> None:
        first = world.bot.alerts.raise_(Severity.WARNING, "test", "first").id
        second = world.bot.alerts.raise_(Severity.CRITICAL, "test", "second", symbol="SPY").id
        assert [each["id"] for each in (await world.http.get("/api/alerts")).json()] == [second, first]
        assert len((await world.http.get("/api/alerts?limit=1")).json()) == 1
        assert (await world.http.post(f"/api/alerts/{first}/acknowledge")).json()["state"] == "acknowledged"
        assert (await world.http.post(f"/api/alerts/{first}/resolve")).json()["state"] == "resolved"
        assert (await world.http.post(f"/api/alerts/{second}/dismiss")).json()["state"] == "dismissed"
        illegal = await world.http.post(f"/api/alerts/{second}/acknowledge")
        assert (illegal.status_code, illegal.json()["error"]["code"]) == (409, "illegal_transition")
        assert "dismissed" in illegal.json()["error"]["message"]
        assert "acknowledged" in illegal.json()["error"]["message"]
        assert (await world.http.post("/api/alerts/a-none/resolve")).status_code == 404
        assert [each["id"] for each in (await world.http.get("/api/alerts?state=resolved")).json()] == [first]

    run(scenario)


def test_reconciliation_shows_differences_and_takes_a_push(run: Run) -> None:
    """The last run's differences; a POST asks for another run and returns at once."""

    async def scenario(world: Any) -> None:
        difference: dict[str, Any] = {
            "kind": "naked_position",
            "contract": "SPY-20261218-C-600",
            "ours": 0,
            "venues": -1,
        }
        world.bot.reconciler.differences = (Difference(**difference),)
        world.bot.reconciler.runs = 3
        assert (await world.http.get("/api/reconcile")).json() == {"runs": 3, "differences": [difference]}
        asked = await world.http.post("/api/reconcile")
        assert (asked.status_code, asked.json()) == (202, {"runs": 3})
        assert world.bot.reconciler.asked == 1

    run(scenario)


def test_levers_and_gauges(run: Run) -> None:
    """The breaker closes by hand; limits say what they leave for each symbol; every bound says how full it is."""

    async def scenario(world: Any) -> None:
        assert (await world.http.post("/api/breaker/reset")).json() == {"state": "closed"}
        left = {"portfolio_delta": 46.5, "exposure_cap": None}
        assert (await world.http.get("/api/limits")).json() == {"remaining": {"SPY": left, "QQQ": left}}
        assert (await world.http.get("/api/limits?symbol=IWM")).json() == {"remaining": {"IWM": left}}
        bounds = {each["name"]: each for each in (await world.http.get("/api/bounds")).json()}
        assert bounds["bus.api"] == {"name": "bus.api", "length": 0, "capacity": 10_000}
        assert bounds["api.sockets"]["capacity"] == 3

    run(scenario)


def test_a_limit_that_asks_the_venue_may_time_out(run: Run) -> None:
    """A venue that does not answer is 504, here as everywhere."""

    async def scenario(world: Any) -> None:
        async def silent(symbol: str) -> Decimal:
            raise VenueTimeout(f"account for {symbol}", timeout_s=1.0)

        world.bot.capacity = silent
        assert (await world.http.get("/api/limits")).status_code == 504

    run(scenario)
