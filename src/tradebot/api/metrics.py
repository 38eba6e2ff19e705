"""Metrics in Prometheus' text format, read from the bot when somebody asks: nothing is counted on the hot path twice.

The registry belongs to the app, so two bots in one process do not meet.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from tradebot.api.port import BotView
from tradebot.api.socket import Sockets

STATM = Path("/proc/self/statm")


def registry_of(bot: BotView, sockets: Sockets) -> CollectorRegistry:
    registry = CollectorRegistry()
    registry.register(BotCollector(bot, sockets))
    return registry


class BotCollector(Collector):
    def __init__(self, bot: BotView, sockets: Sockets) -> None:
        self._bot = bot
        self._sockets = sockets

    def describe(self) -> Iterator[Metric]:
        """Nothing to say before the first scrape, and registering must not ask the bot."""
        return iter(())

    def collect(self) -> Iterator[Metric]:
        yield from self._process()
        yield from self._work()
        yield from self._queues()

    def _process(self) -> Iterator[Metric]:
        bot = self._bot
        uptime_s = (bot.clock.now() - bot.started_at).total_seconds()
        yield GaugeMetricFamily("bot_uptime_seconds", "Time since the bot started.", value=uptime_s)
        yield GaugeMetricFamily("bot_ready", "1 once recovery has ended.", value=bot.ready)
        if STATM.exists():
            resident_pages = int(STATM.read_text(encoding="ascii").split()[1])
            used_bytes = resident_pages * os.sysconf("SC_PAGE_SIZE")
            yield GaugeMetricFamily("bot_memory_used_bytes", "Resident memory.", value=used_bytes)
        lag_s = bot.pauses.loop_lag_s
        yield GaugeMetricFamily("bot_loop_lag_seconds", "The latest that a timer came in the last second.", value=lag_s)
        collecting_s = bot.pauses.collecting_s
        yield CounterMetricFamily("bot_gc_pause_seconds", "Time that collecting garbage took.", value=collecting_s)
        tasks = len(bot.supervisor.alive())
        yield GaugeMetricFamily("bot_background_tasks", "Services and jobs that are alive.", value=tasks)
        restarts = bot.supervisor.restarts
        yield _counter("bot_service_restarts", "Services that died and were started again.", "service", restarts)

    def _work(self) -> Iterator[Metric]:
        bot, inbox = self._bot, self._bot.inbox
        cycle_s = bot.monitoring.last_cycle_ms / 1e3
        yield GaugeMetricFamily("bot_cycle_duration_seconds", "Length of the last monitoring cycle.", value=cycle_s)
        yield CounterMetricFamily("bot_cycles", "Monitoring cycles.", value=bot.monitoring.cycles)
        yield CounterMetricFamily("bot_order_attempts", "Orders handed to the venue.", value=bot.order_attempts)
        errors = {
            "bad_message": sum(inbox.bad_messages.values()),
            "stale_update": inbox.orders.stale_updates,
            "encoding": self._sockets.encoding_errors,
        }
        yield _counter("bot_errors", "What went wrong and was survived, by its source.", "source", errors)
        trips = {**bot.gates.refusals, "breaker": bot.breaker.refusals}
        yield _counter("bot_guard_trips", "Refusals of each limit.", "limit", trips)
        active = {"breaker": bot.breaker.state != "closed"}
        yield _gauge("bot_guard_active", "1 while a guard refuses or probes.", "guard", active)
        yield _gauge("bot_workflows", "Remembered workflows in each state.", "state", bot.workflows.counts())
        held = len(bot.strategies.held())
        yield GaugeMetricFamily("bot_strategies_held", "Strategies that are not closed.", value=held)
        yield CounterMetricFamily("bot_kernel_compiles", "Compiles while trading.", value=bot.kernel_compiles)
        yield GaugeMetricFamily("bot_book_drift", "Running totals against a fresh sum.", value=bot.book_drift)
        connected = bot.venue.connected
        yield GaugeMetricFamily("bot_streaming_connection_state", "1 while the venue is connected.", value=connected)
        yield CounterMetricFamily("bot_streaming_reconnect", "Connections to the venue.", value=inbox.reconnects)

    def _queues(self) -> Iterator[Metric]:
        bounds = self._bot.bounds.snapshot()
        lengths = {bound.name: bound.length for bound in bounds}
        yield _gauge("bot_bound_length", "Items in a bounded thing.", "name", lengths)
        capacities = {bound.name: bound.capacity for bound in bounds}
        yield _gauge("bot_bound_capacity", "Its bound.", "name", capacities)
        dropped = self._bot.bus.dropped()
        yield _counter("bot_bus_dropped", "Events that a full subscription lost.", "subscription", dropped)
        yield GaugeMetricFamily("bot_sockets", "WebSocket clients.", value=len(self._sockets))


def _counter(name: str, text: str, label: str, values: Mapping[str, float]) -> CounterMetricFamily:
    family = CounterMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family


def _gauge(name: str, text: str, label: str, values: Mapping[str, float]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=[label])
    for key, value in values.items():
        family.add_metric([key], value)
    return family
