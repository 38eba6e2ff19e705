"""What we tell: facts to the journal, soon durable, and to the bus, at once.

Neither waits, because both are told from synchronous callbacks; a queue that is full says so in the log and in its
own count. What the journal misses that way the venue still knows, and reconciliation asks it.
"""

from __future__ import annotations

import structlog

from tradebot.domain.errors import QueueFull, StoreError
from tradebot.domain.events import Event
from tradebot.kernel.bus import Bus
from tradebot.store.journal import Journal
from tradebot.store.records import Record

log = structlog.get_logger(__name__)


class Outbox:
    def __init__(self, journal: Journal, bus: Bus[Event]) -> None:
        self._journal = journal
        self._bus = bus

    def note(self, record: Record) -> None:
        try:
            self._journal.note(record)
        except (QueueFull, StoreError) as error:
            log.error("journal_note_lost", error=str(error))

    def publish(self, event: Event) -> None:
        try:
            self._bus.publish(event)
        except QueueFull as error:
            log.error("bus_full", error=str(error))
