"""The bot as a whole: coming up, staying up, and what it says of itself."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from support import kernels
from support.paper_bot import CONDOR, WatchedVenue, ended, entered, make_bot, make_clock, running
from tradebot.domain.alerts import Severity
from tradebot.domain.errors import SettingsError, VenueDisconnected
from tradebot.domain.instruments import Stock
from tradebot.domain.orders import OrderState, Purpose
from tradebot.domain.strategies import StrategyState
from tradebot.domain.workflows import EntryRequest, WorkflowState
from tradebot.kernel.virtual import run_virtual
from tradebot.pricing import slices


def test_a_venue_that_is_not_there_is_tried_until_it_is(tmp_path: Path) -> None:
    """The bot is up and not ready meanwhile, and takes up its work when the venue comes."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        connect, attempts = venue.connect, iter(range(5))

        async def late(listener: Any) -> None:
            if next(attempts, None) is not None:
                raise VenueDisconnected("not yet")
            await connect(listener)

        venue.connect = late  # type: ignore[method-assign]
        bot = make_bot(tmp_path, venue._clock, venue)
        await bot.start()
        await asyncio.sleep(1.0)
        assert bot.health()["ready"] is False
        await bot.wait_ready()
        assert bot.ready
        assert bot.health()["restarts"]["coming_up"] == 0
        assert (await entered(bot)).state is WorkflowState.DONE
        await bot.stop()
        assert bot.health()["ready"] is False

    run_virtual(main())


def test_more_legs_than_market_lines_do_not_keep_the_bot_from_coming_up(tmp_path: Path) -> None:
    """After a restart with fewer lines the underlyings stream, and a critical alert names what does not."""

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            await entered(bot)
        fewer = WatchedVenue(venue._clock, market_lines_max=8)
        fewer._exchange = venue._exchange
        async with running(make_bot(tmp_path, venue._clock, fewer)) as again:
            await again.board.wait_for([Stock(symbol="SPY")], timeout_s=10.0)
            critical = [each.source for each in again.alerts.list() if each.severity is Severity.CRITICAL]
            assert critical == ["market_lines"]
            assert again.supervisor.restarts["coming_up"] == 0

    run_virtual(main())


def test_an_interrupted_unwinding_is_taken_up_where_it_was(tmp_path: Path) -> None:
    """A stop between refusal and unwinding: the next start gives back what was held, once."""

    async def main() -> None:
        venue = WatchedVenue(make_clock(), refused=frozenset({(1, Purpose.OPEN)}), latency_min_s=1.0, latency_max_s=1.0)
        bot = make_bot(tmp_path, venue._clock, venue)
        await bot.start()
        await bot.wait_ready()
        workflow, _ = await bot.desk.enter(EntryRequest(symbol="SPY", kind=CONDOR.kind, quantity=2))
        async with asyncio.timeout(60.0):
            while not any(name.endswith("u") for name in venue.sent):  # noqa: ASYNC110 - virtual time costs nothing
                await asyncio.sleep(0.1)
        await bot.stop()  # the unwinding orders were on the wire, and are lost with it
        async with running(make_bot(tmp_path, venue._clock, venue)) as again:
            await ended(again, workflow)
            assert again.strategies.get(f"s-{workflow.id}").state is StrategyState.FAILED
            assert venue.positions_now() == {}
            unwound = [each for name, each in venue.orders_now().items() if name.endswith("u")]
            assert [(each.state, each.filled) for each in unwound] == [(OrderState.FILLED, 2)] * len(unwound)
            assert not venue.doubled

    run_virtual(main())


def test_a_folder_that_cannot_be_used_is_named(tmp_path: Path) -> None:
    """Without a journal nothing may trade, and the setting's name says what to change."""

    async def main() -> None:
        (tmp_path / "bot").write_text("in the way", encoding="utf-8")
        venue = WatchedVenue(make_clock())
        bot = make_bot(tmp_path, venue._clock, venue)
        with pytest.raises(SettingsError, match=r"setting data_dir: .* cannot be used"):
            await bot.start()
        await bot.stop()

    run_virtual(main())


def test_a_compile_while_trading_is_counted_and_a_person_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All kernels are compiled at start, so one that compiles later stops trading and is a defect."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    monkeypatch.setattr(kernels.scale, "code", None)

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue)) as bot:
            await entered(bot)
            assert bot.kernel_compiles == 0
            kernels.scale(np.ones(1), 2.0, 1)
            assert bot.kernel_compiles == 1
            assert [each.source for each in bot.alerts.list() if each.severity is Severity.CRITICAL] == [
                "compiled_while_trading"
            ]

    run_virtual(main())


def test_a_cache_that_cannot_be_written_costs_time_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The bot comes up and trades without its kernels on disk, and its facts say why they are not there."""
    (tmp_path / "file").touch()
    monkeypatch.setattr(slices.place, "code", None)  # as in a new process, for one module

    async def main() -> None:
        venue = WatchedVenue(make_clock())
        async with running(make_bot(tmp_path, venue._clock, venue, cache_dir=str(tmp_path / "file"))) as bot:
            assert "kernels cannot be kept" in bot.health()["kernel_cache"]
            assert (await entered(bot)).state is WorkflowState.DONE

    run_virtual(main())
