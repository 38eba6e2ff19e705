"""Workflows of any `CaseBot`: entries, exits and cycles, so many at once, the same wherever the bot trades.

Entries are undone by exits and exits by entries, untimed. Ten at once is an entry of size 10.
"""

from __future__ import annotations

from collections.abc import Coroutine
from typing import TYPE_CHECKING, Any

from cases.case import Work
from cases.profile import CaseBot
from tradebot.domain.instruments import Instrument, OptionContract, Right
from tradebot.domain.strategies import Strategy

if TYPE_CHECKING:
    # Cases on paper are made on commits, too, that have no gateway to trade at.
    from cases.broker import BrokerBot

CYCLES = 10
MOVES = 20
STRIKES = 50  # of an expiry


def entries(bot: CaseBot, size: int) -> Work:
    """From the accepted request to the open strategy."""
    return Work(
        lambda: bot.run(bot.enter(size)),
        lambda done: _seen(bot, done),
        close=bot.close,
        undo=lambda: bot.run(_leave_all(bot)),
    )


def exits(bot: CaseBot, size: int) -> Work:
    """From the accepted request to the closed strategy."""
    _prepare(bot, bot.fill_up(size))
    return Work(
        lambda: bot.run(_leave_all(bot)),
        lambda done: _seen(bot, done),
        close=bot.close,
        undo=lambda: bot.run(bot.fill_up(size)),
    )


def monitoring(bot: BrokerBot, size: int) -> Work:
    """A price moves, so many condors are valued anew and decided on; again and again."""
    _prepare(bot, bot.fill_up(size))

    async def cycles() -> int:
        before = bot.bot.monitoring.cycles
        for number in range(CYCLES):
            await bot.move("SPY", up=number % 2 == 0)
            await bot.bot.monitoring.cycle()
        return bot.bot.monitoring.cycles - before

    return Work(
        lambda: bot.run(cycles()), lambda count: (count, len(bot.bot.strategies.held())), CYCLES, close=bot.close
    )


def quotes(bot: BrokerBot, size: int) -> Work:
    """So many lines on one underlying, all told of each of its moves: wire, client, adapter, board, book."""
    heard = 0

    def hear(_quote: object) -> None:
        nonlocal heard
        heard += 1

    async def listen() -> None:
        lines = await _options(bot, size)
        await bot.bot.lines.ensure(lines)
        bot.bot.lines.pin(lines)
        await bot.bot.venue.account()
        bot.bot.board.listen(hear)

    async def moves() -> int:
        before = heard
        for number in range(MOVES):
            await bot.move("SPY", up=number % 2 == 0)
        return heard - before

    _prepare(bot, listen())
    # A line far from the money may not move by a cent, and the underlying's own line does.
    return Work(lambda: bot.run(moves()), lambda count: count >= MOVES, MOVES, close=bot.close)


async def _leave_all(bot: CaseBot) -> list[Strategy]:
    return await bot.leave(list(bot.bot.strategies.held()))


def _prepare(bot: CaseBot, work: Coroutine[Any, Any, object]) -> None:
    """A case that cannot be made leaves no bot behind."""
    try:
        bot.run(work)
    except BaseException:
        bot.close()
        raise


async def _options(bot: CaseBot, count: int) -> list[Instrument]:
    """The nearest to the money, expiry after expiry, from the one in the middle."""
    chain = await bot.bot.venue.chain("SPY")
    strikes = sorted(chain.strikes, key=lambda strike: abs(strike - 600))[:STRIKES]
    expiries = chain.expiries[len(chain.expiries) // 2 :]
    found = [
        OptionContract("SPY", expiry, strike, right) for expiry in expiries for strike in strikes for right in Right
    ]
    if len(found) < count:
        raise RuntimeError(f"the chain has {len(found)} options, {count} are wanted")
    return list(found[:count])


def _seen(bot: CaseBot, done: list[Strategy]) -> object:
    return [(each.plan.symbol, each.state.value, len(each.legs)) for each in done], len(bot.bot.strategies.held())
