"""A dashboard that polls: everything that one screen shows, read at once, as often as its page is refreshed."""

from __future__ import annotations

from locust import constant, task

from users import meaning
from users.answers import Alert, Health, Order, PortfolioGreeks, Position, Strategy
from users.bot import BotUser


class Dashboard(BotUser):
    weight = 2
    wait_time = constant(1)  # s, where users run closed

    @task
    def refresh(self) -> None:
        """One screen."""
        self.ask("GET", "/health", Health, meaning.health)
        self.ask("GET", "/api/positions", list[Position], meaning.positions)
        self.ask("GET", "/api/portfolio/greeks", PortfolioGreeks, meaning.greeks)
        self.ask(
            "GET",
            "/api/strategies",
            list[Strategy],
            lambda found: meaning.strategies(found, "open"),
            params={"state": "open"},
        )
        self.ask(
            "GET",
            "/api/orders",
            list[Order],
            lambda found: meaning.orders(found, only_open=True),
            params={"open": "true"},
        )
        self.ask(
            "GET", "/api/alerts", list[Alert], lambda found: meaning.alerts(found, "active"), params={"state": "active"}
        )
