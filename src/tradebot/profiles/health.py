"""The bot's facts for people and probes; nothing here is computed for the occasion."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tradebot.profiles.bot import Bot


def health_of(bot: Bot) -> dict[str, Any]:
    return {
        "ready": bot.ready,
        "profile": bot.settings.profile,
        "venue": bot.venue.capabilities.name,
        "venue_connected": bot.venue.connected,
        "started_at": bot.started_at.isoformat(),
        "cycles": bot.monitoring.cycles,
        "cycle_ms": round(bot.monitoring.last_cycle_ms, 3),
        "breaker": bot.breaker.state.value,
        "reconciled": bot.reconciler.runs,
        "differences": len(bot.reconciler.differences),
        "restarts": dict(bot.supervisor.restarts),
        "bad_messages": dict(bot.inbox.bad_messages),
        "refused_quotes": dict(bot.board.refused),
        "kernel_compiles": bot.kernel_compiles,
        "kernel_cache": (bot.kernels.problem if bot.kernels is not None else "") or "in use",
        "book_drift": bot.book.drift,
        "store": bot.store.facts(),
    }
