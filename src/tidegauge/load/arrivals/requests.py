"""Every request of every user goes into the clocks: how long it took, and how long from when its arrival was due."""

from typing import Any, Final

from tidegauge.load.arrivals import generator
from tidegauge.load.judging.session import LoadSession
from tidegauge.load.times.clocks import subject_of

NAMES_MAX: Final = 10_000


class Requests:
    """`record` listens to Locust's event of a request."""

    def __init__(self, session: LoadSession) -> None:
        self._session = session
        self._names: dict[tuple[str, str], str] = {}

    def record(
        self,
        request_type: str,
        name: str,
        response_time: float | None,
        exception: BaseException | None = None,
        **_: Any,
    ) -> None:
        """What belongs to an arrival is also timed from its due time."""
        subject = self._names.get((request_type, name)) or self._named(request_type, name)
        session, arrival = self._session, generator.current()
        recent, phase = session.recent, arrival.phase if arrival else session.phase_at(session.elapsed_s)
        if response_time is not None:
            us = int(response_time * 1e3)
            us = arrival.answered(us) if arrival else us
            recent.record(subject, "service", phase, us)
            if arrival:
                recent.record(subject, "due", phase, us + int((arrival.began_s - arrival.due_s) * 1e6))
        if exception:
            if arrival:
                arrival.failed = True
            recent.add("requests/failed")
            session.failed(subject, phase)

    def _named(self, request_type: str, name: str) -> str:
        if len(self._names) >= NAMES_MAX:
            self._names.clear()
        return self._names.setdefault((request_type, name), subject_of(f"{request_type} {name}"))
