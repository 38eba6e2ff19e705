"""Who listens: dashboards, one that cannot keep up, and those that all leave and come back at the same moment.

Each hears the bot's stream and is a cohort of its own, so that what one suffers is not laid to another. A slow client
must lose its own oldest messages and be told so, or hear late; the others must not notice. A storm is a moment that
every client of its cohort reads from the clock: they need no word from one another, in however many processes they run.
"""

from __future__ import annotations

import random
import time
from collections.abc import Mapping
from typing import Any, Final

import gevent
from locust import task
from locust.exception import RescheduleTask, StopTest

from tidegauge.load.sockets.delivery import AGAIN, SLOW, STORM
from tidegauge.load.sockets.dialing import Refused
from tidegauge.load.sockets.heard import Tally
from tidegauge.load.sockets.streams import Stream
from tidegauge.load.sockets.users import SocketUser
from users import access
from users.stream import BOT

AGAIN_WITHIN_S: Final = 10.0
TRY_AGAIN_S: Final = (0.05, 0.5)


class BotListener(SocketUser):
    """Abstract: a client with the bot's token."""

    abstract = True
    dialect = BOT

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        if not access.token():
            raise StopTest(access.MISSING)

    def headers(self) -> Mapping[str, str]:
        return access.headers()


class Watcher(BotListener):
    """A dashboard: hears everything, as fast as it comes."""

    weight = 5
    standing = 5
    watch_s = 30.0

    @task
    def watch(self) -> None:
        with self.listening(self.tally()) as stream:
            stream.wait(self.watch_s)


class SlowWatcher(BotListener):
    """Reads a second of every six, through a window so small that the server feels it."""

    weight = 1
    cohort = SLOW
    receive_buffer_bytes = 4_096
    stamped = False  # late is when it reads: that is what its owner sees
    rounds = 5
    deaf_s = 5.0
    read_s = 1.0

    @task
    def watch_now_and_then(self) -> None:
        with self.listening(self.tally()) as stream:
            for _ in range(self.rounds):
                stream.stop_reading()
                gevent.sleep(self.deaf_s)
                stream.read_on()
                if stream.wait(self.read_s) is not None:
                    return


class Reconnector(BotListener):
    """Leaves without a word, together with all of its kind, and is back as soon as it can."""

    weight = 1
    cohort = STORM
    storms = 3
    every_s = 10.0

    @task
    def weather_storms(self) -> None:
        tally = self.tally()
        stream = self.enter(tally)
        try:
            for _ in range(self.storms):
                now_s = time.time()
                if stream.wait(self.every_s - now_s % self.every_s) is not None:
                    break
                stream.abort()
                stream = self._come_back(tally, time.time_ns() // 1_000)
            else:
                stream.close()
        finally:
            stream.abort()
        self.tell_end(stream)

    def _come_back(self, tally: Tally, left_us: int) -> Stream:
        """From leaving to the first message, whatever was refused on the way."""
        deadline_s = time.monotonic() + AGAIN_WITHIN_S
        while True:
            try:
                stream = self.connect(tally)
                break
            except Refused as refused:
                if time.monotonic() > deadline_s:
                    tally.count("silent")
                    raise RescheduleTask from refused
                gevent.sleep(random.uniform(*TRY_AGAIN_S))
        if stream.wait_for_first(max(0.0, deadline_s - time.monotonic())):
            self.session.record(f"{self.cohort} {AGAIN}", "service", max(0, stream.first_us - left_us))
        else:
            tally.count("silent")
        return stream
