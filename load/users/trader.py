"""A trader before the trade: what would an entry do, what do the limits leave, what was done so far.

Reads and dry runs alone: nothing of this user's may ever be written or sent.
"""

from __future__ import annotations

from typing import Literal

from locust import constant, task

from users import meaning
from users.answers import DryRun, EntryAsked, Limits, Order, Strategy, Workflow
from users.bot import SYMBOLS, BotUser

KINDS: tuple[Literal["iron_condor", "vertical"], ...] = ("iron_condor", "vertical")
NEWEST = {"limit": "20"}


class Trader(BotUser):
    weight = 2
    wait_time = constant(0.2)  # s, where users run closed

    @task(2)
    def weigh_an_entry(self) -> None:
        """What the limits leave for a symbol, then a dry run of an entry in it."""
        asked = EntryAsked(symbol=self.random.choice(SYMBOLS), kind=self.random.choice(KINDS), quantity=1)
        self.ask(
            "GET",
            "/api/limits",
            Limits,
            lambda answer: meaning.limits(answer, asked.symbol),
            params={"symbol": asked.symbol},
        )
        self.ask(
            "POST",
            "/api/workflows/entry/dry-run",
            DryRun,
            lambda answer: meaning.dry_run(answer, asked),
            body={"symbol": asked.symbol, "kind": asked.kind, "quantity": asked.quantity},
        )

    @task(1)
    def look_back(self) -> None:
        """The newest workflows, orders and strategies."""
        self.ask("GET", "/api/workflows", list[Workflow], params=NEWEST)
        self.ask("GET", "/api/orders", list[Order], meaning.orders, params=NEWEST)
        self.ask("GET", "/api/strategies", list[Strategy], meaning.strategies, params=NEWEST)
