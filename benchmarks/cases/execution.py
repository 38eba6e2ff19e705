"""Execution: the order tracker alone, and whole workflows of the bot on its paper venue in virtual time."""

from __future__ import annotations

from cases import workflows
from cases.case import Work
from cases.facts import fill, intent, update
from cases.profile import PaperBot
from tradebot.domain.orders import OrderState
from tradebot.domain.strategies import Strategy, StrategyState
from tradebot.execution.orders import OrderTracker
from tradebot.kernel.bounds import Bounds


def orders(size: int, seed: int) -> Work:
    """Each order's whole life: meant, acknowledged, filled, and told twice."""
    words = [
        (
            intent(number, seed),
            update(number, OrderState.WORKING),
            fill(number, seed),
            update(number, OrderState.FILLED, filled=1),
        )
        for number in range(size)
    ]

    def run() -> OrderTracker:
        tracker = OrderTracker(Bounds())
        for meant, acknowledged, filled, done in words:
            tracker.register(meant)
            tracker.on_update(acknowledged)
            tracker.on_fill(filled)
            tracker.on_update(done)
            tracker.on_fill(filled)
        return tracker

    return Work(run, lambda tracker: (len(tracker.all()), len(tracker.open_orders()), tracker.stale_updates))


def condor(size: int, seed: int) -> Work:
    """So many condors at once, in and out again: gates, journal, four fills each way."""
    paper = PaperBot(seed)

    async def there_and_back() -> list[Strategy]:
        return await paper.leave(await paper.enter(size))

    def facts(done: list[Strategy]) -> object:
        flat = not paper.bot.strategies.held()
        return [(each.plan.symbol, each.state is StrategyState.CLOSED, len(each.legs)) for each in done], flat

    return Work(lambda: paper.run(there_and_back()), facts, close=paper.close)


def entries(size: int, seed: int) -> Work:
    return workflows.entries(PaperBot(seed), size)


def exits(size: int, seed: int) -> Work:
    return workflows.exits(PaperBot(seed), size)


def monitoring(size: int, seed: int) -> Work:
    """Cycles over so many open condors, the market standing still: revalue, see, decide, publish."""
    paper = PaperBot(seed)
    paper.run(paper.fill_up(size))
    calls = max(1, 100 // size)
    bot = paper.bot

    async def cycles() -> None:
        for _ in range(calls):
            await bot.monitoring.cycle()

    def facts(_: None) -> object:
        whole = bot.book.portfolio()
        return len(bot.strategies.held()), whole.value, whole.gamma, whole.vega

    return Work(lambda: paper.run(cycles()), facts, calls, paper.close)
