"""What every workflow works with: one of each, put together by a profile."""

from __future__ import annotations

from dataclasses import dataclass

from tradebot.execution.inbox import Inbox
from tradebot.execution.legs import LegRunner
from tradebot.execution.planner import Planner
from tradebot.execution.strategies import Strategies
from tradebot.execution.valuation import Valuation
from tradebot.execution.workflows import Workflows
from tradebot.gates.breaker import Breaker
from tradebot.gates.portfolio import Gates
from tradebot.kernel.alerts import Alerts
from tradebot.kernel.clock import Clock
from tradebot.kernel.supervisor import Supervisor
from tradebot.market.board import QuoteBoard
from tradebot.market.lines import MarketLines
from tradebot.pricing.book import Book
from tradebot.venues.port import Venue


@dataclass(frozen=True)
class Context:
    clock: Clock
    venue: Venue
    board: QuoteBoard
    lines: MarketLines
    book: Book
    valuation: Valuation
    planner: Planner
    gates: Gates
    breaker: Breaker
    inbox: Inbox
    legs: LegRunner
    strategies: Strategies
    workflows: Workflows
    alerts: Alerts
    supervisor: Supervisor
