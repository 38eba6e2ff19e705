"""What looking up the target's name costs the questions that wait for it: a generator's own doing, not the target's.

A connection is made within a question, so its look-up is in the answer's time. `watch` puts `Names` before the hub's
resolver, where everything that gevent serves asks for an address; a look-up that fails, or takes longer than an arrival
may be late, is counted for `judging.honesty`. An address needs no looking up, and no thread that would do it.
"""

import _socket
import contextlib
import time
from typing import Any

import gevent

from tidegauge.load.arrivals.generator import current
from tidegauge.load.judging.session import LoadSession
from tidegauge.load.times.phases import WARM_UP


class Names:
    """A resolver of gevent that keeps books of another."""

    def __init__(self, resolver: Any, session: LoadSession, limit_s: float) -> None:
        self.resolver = resolver
        self._session = session
        self._limit_s = limit_s

    def __getattr__(self, name: str) -> Any:
        return getattr(self.resolver, name)

    def getaddrinfo(self, host: Any, port: Any, *how: int) -> Any:
        """As the resolver does it; `how` are family, type, protocol and flags, in the order of `socket`."""
        family, kind, protocol, flags = (*how, 0, 0, 0, 0)[:4]
        with contextlib.suppress(_socket.gaierror):
            return _socket.getaddrinfo(host, port, family, kind, protocol, flags | _socket.AI_NUMERICHOST)
        began_s = time.perf_counter()
        known = False
        try:
            found = self.resolver.getaddrinfo(host, port, family, kind, protocol, flags)
            known = True
        finally:
            if not known or time.perf_counter() - began_s > self._limit_s:
                self._slow()
        return found

    def _slow(self) -> None:
        """What only the warm-up waited for does not count."""
        session, arrival = self._session, current()
        if (arrival.phase if arrival else session.phase_at(session.elapsed_s)) != WARM_UP:
            session.count("names/slow")


def watch(session: LoadSession, limit_ms: float) -> None:
    """From now on, in this process; once more replaces it."""
    hub = gevent.get_hub()
    resolver = hub.resolver
    hub.resolver = Names(resolver.resolver if isinstance(resolver, Names) else resolver, session, limit_ms / 1e3)
