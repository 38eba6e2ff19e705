"""Users of Locust that listen: a stream each, told to Locust's table and to our clocks.

    task -> SocketUser.listening -> streams.listen -> Stream -> Tally -> environment.tidegauge
                 └── events.request: `WS <cohort> connect`, and `WS <cohort> stream` for one that ended against our will

Messages are no requests: Locust would spend more on one than it costs to hear it. Without our plugin the users run all
the same; Locust shows their connections, and nobody counts what they hear.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final

import gevent
from locust import User
from locust.exception import RescheduleTask

from tidegauge.load.sockets.delivery import HEALTHY
from tidegauge.load.sockets.dialing import Refused
from tidegauge.load.sockets.heard import Dialect, Nobody, Session, Tally
from tidegauge.load.sockets.streams import Stream, listen

PAUSE_S: Final = 1.0  # after a refusal or an end: a closed user would come again at once, and for ever


class StreamEnded(Exception):
    """The server, or the way to it, ended what a user listened to."""


class SocketUser(User):
    """A user that listens. A subclass gives the dialect of its server, its headers, and tasks made of `listening`."""

    abstract = True
    cohort = HEALTHY
    standing = 1  # so many of them listen beside the arrivals of an open loop; weights are for a closed one
    dialect: Dialect
    receive_buffer_bytes: int | None = None
    stamped = True  # false where what counts is when the client reads, not when its machine receives

    def __init__(self, environment: Any) -> None:
        super().__init__(environment)
        self.session: Session = getattr(environment, "tidegauge", None) or Nobody()

    def headers(self) -> Mapping[str, str]:
        """What the server wants to see before it lets anybody in."""
        return {}

    def tally(self) -> Tally:
        """A stream's account: keep it over the connections that go on with one another."""
        return Tally(self.session, self.cohort, self.dialect)

    @contextlib.contextmanager
    def listening(self, tally: Tally) -> Iterator[Stream]:
        """An open stream, closed in order when the block ends, and cut when the user is killed in it."""
        stream = self.enter(tally)
        try:
            yield stream
            stream.close()
        finally:
            stream.abort()
        self.tell_end(stream)

    def connect(self, tally: Tally) -> Stream:
        """One more connection of the tally, a request in Locust's table; raises `Refused`."""
        began_s = time.perf_counter()
        try:
            stream = listen(
                self.host or "",
                tally,
                headers=self.headers(),
                receive_buffer_bytes=self.receive_buffer_bytes,
                stamped=self.stamped,
            )
        except Refused as refused:
            self.tell("connect", time.perf_counter() - began_s, refused)
            raise
        self.tell("connect", time.perf_counter() - began_s, None)
        return stream

    def enter(self, tally: Tally) -> Stream:
        """The same for a task that is over when it is refused."""
        try:
            return self.connect(tally)
        except Refused as refused:
            gevent.sleep(PAUSE_S)
            raise RescheduleTask from refused

    def tell_end(self, stream: Stream) -> None:
        """A stream that ended against our will is a failure in Locust's table, and nobody hurries back."""
        if stream.end is not None and stream.end.how != "left":
            how, code, why = stream.end
            self.tell("stream", 0.0, StreamEnded(f"{how} {code or ''}: {why or 'without a reason'}"))
            gevent.sleep(PAUSE_S)

    def tell(self, name: str, took_s: float, failure: Exception | None) -> None:
        """To Locust, which counts and shows it."""
        self.environment.events.request.fire(
            request_type="WS",
            name=f"{self.cohort} {name}",
            response_time=took_s * 1e3,
            response_length=0,
            exception=failure,
            context={},
        )
