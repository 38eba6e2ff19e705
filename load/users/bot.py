"""What all users of the bot's API share: the token, a request whose answer is judged, a workflow followed to its end.

`ask` sends one request, named by its route's template, reads the answer through `answers.read` and hands it to a rule
of `meaning.py`. What is wrong is that request's failure, named by what was wrong, and ends the task: a workflow that
went on from a wrong answer would only count the same mistake again.
"""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Callable
from typing import Any, TypeVar
from uuid import uuid4

import gevent
from locust import FastHttpUser
from locust.exception import RescheduleTask

from users import access, meaning
from users.answers import FINAL, Accepted, EntryAsked, ExitAsked, Refusal, Workflow, Wrong, read

T = TypeVar("T")

SYMBOLS = ("SPY", "QQQ", "IWM", "AAPL", "MSFT")
ENTRY, EXIT, WORKFLOW = "/api/workflows/entry", "/api/workflows/exit", "/api/workflows/{workflow_id}"
WORKFLOW_TIMEOUT_S = 15.0
# A client that follows a workflow asks often at first and then less: at 100 entries a second each poll counts.
POLL_FIRST_S, POLL_FACTOR, POLL_LAST_S = 0.01, 1.5, 0.2
OK, ACCEPTED = 200, 202

_numbers = itertools.count()


class Broken(RescheduleTask):
    """The task ends here, because an answer was wrong; the request that brought it has been counted as failed."""


class BotUser(FastHttpUser):
    """Abstract; the tasks of its subclasses are whole workflows without a wait between them."""

    abstract = True
    connection_timeout = 10.0
    network_timeout = 20.0

    def __init__(self, environment: Any) -> None:
        self.default_headers = access.headers()
        super().__init__(environment)
        worker = getattr(environment.runner, "worker_index", 0)
        self.random = random.Random(f"{os.environ.get('TIDEGAUGE_SEED', '0')}/{worker}/{next(_numbers)}")

    def count(self, name: str) -> None:
        """For whoever keeps this run's counters; stock Locust has none."""
        if (session := getattr(self.environment, "tidegauge", None)) is not None:
            session.count(name)

    def ask(
        self,
        method: str,
        template: str,
        kind: type[T],
        judge: Callable[[T], None] = lambda _answer: None,
        *,
        status: int = OK,
        headers_seen: dict[str, str] | None = None,
        headers: dict[str, str] | None = None,
        params: dict[str, str] | None = None,
        body: dict[str, Any] | None = None,
        **names: str,
    ) -> T:
        """One request and its answer, judged; `names` fill the template, `headers_seen` receives the answer's."""
        with self.client.request(
            method,
            template.format(**names),
            name=template,
            catch_response=True,
            json=body,
            headers=headers,
            params=params,
        ) as response:
            try:
                meaning.need(response.status_code == status, _refused(response))
                answer = read(kind, response.content)
                if headers_seen is not None and response.headers is not None:
                    headers_seen.update({name.lower(): value for name, value in response.headers.items()})
                judge(answer)
            except Wrong as wrong:
                response.failure(str(wrong))
                raise Broken from wrong
            return answer

    def submit(self, asked: EntryAsked | ExitAsked, key: str) -> Accepted:
        """An entry or an exit that was accepted."""
        seen: dict[str, str] = {}
        return self.ask(
            "POST",
            ENTRY if isinstance(asked, EntryAsked) else EXIT,
            Accepted,
            lambda answer: meaning.accepted(answer, seen.get("location", "")),
            status=ACCEPTED,
            headers_seen=seen,
            headers={"Idempotency-Key": key},
            body=_body(asked),
        )

    def submit_again(self, asked: EntryAsked, key: str, first: Accepted) -> None:
        """The same request with the same key, as a client sends it whose first answer was lost."""
        seen: dict[str, str] = {}
        self.ask(
            "POST",
            ENTRY,
            Accepted,
            lambda answer: meaning.replayed(first, answer, seen.get("idempotency-replayed", "")),
            status=ACCEPTED,
            headers_seen=seen,
            headers={"Idempotency-Key": key},
            body=_body(asked),
        )

    def follow(self, accepted: Accepted, asked: EntryAsked | ExitAsked) -> Workflow:
        """The workflow at its end: it appears, stays what it is, and ends in time."""
        deadline_s = time.monotonic() + WORKFLOW_TIMEOUT_S
        wait_s = POLL_FIRST_S

        def judge(found: Workflow) -> None:
            meaning.followed(found, accepted.id, asked)
            if found.state in FINAL:
                meaning.ended(found)
            elif time.monotonic() > deadline_s:
                raise Wrong(f"a workflow has not ended after {WORKFLOW_TIMEOUT_S:g} s")

        while True:
            gevent.sleep(wait_s)
            found = self.ask("GET", WORKFLOW, Workflow, judge, workflow_id=accepted.id)
            if found.state in FINAL:
                return found
            wait_s = min(wait_s * POLL_FACTOR, POLL_LAST_S)


def new_key() -> str:
    """Unlike the rest of the workload it is not seeded: two runs against one bot must not share a key."""
    return uuid4().hex


def _body(asked: EntryAsked | ExitAsked) -> dict[str, Any]:
    if isinstance(asked, EntryAsked):
        return {"symbol": asked.symbol, "kind": asked.kind, "quantity": asked.quantity}
    return {"strategy_id": asked.strategy_id, "quantity": asked.quantity, "reason": asked.reason}


def _refused(response: Any) -> str:
    """The status, with the bot's own word for what is no success, or what became of the connection."""
    if response.status_code in {OK, ACCEPTED}:
        return f"status {response.status_code}"
    if not response.status_code:
        return f"no answer: {type(getattr(response, 'error', None)).__name__}"
    try:
        refusal = read(Refusal, response.content).error
    except Wrong:
        return f"status {response.status_code}, without a reason from the bot"
    return f"status {response.status_code}: {refusal.code} {refusal.limit}".rstrip()
