"""Whoever is on call: sees the active alerts, acknowledges each, and finds it acknowledged.

Several of them may acknowledge the same alert; the bot answers all of them alike. Where nothing is wrong there is no
alert, and the first look is all there is to do.
"""

from __future__ import annotations

from locust import constant, task

from users import meaning
from users.answers import LIST_MAX, Alert, Wrong
from users.bot import BotUser

AT_ONCE = 10
ALERTS, ACKNOWLEDGE = "/api/alerts", "/api/alerts/{alert_id}/acknowledge"


class Acknowledger(BotUser):
    weight = 1
    wait_time = constant(1)  # s, where users run closed

    @task
    def acknowledge_alerts(self) -> None:
        """Every alert of one look at them."""
        active = self.ask(
            "GET",
            ALERTS,
            list[Alert],
            lambda found: meaning.alerts(found, "active"),
            params={"state": "active", "limit": str(AT_ONCE)},
        )
        for alert in active:
            self._acknowledge(alert)

    def _acknowledge(self, alert: Alert) -> None:
        self.ask("POST", ACKNOWLEDGE, Alert, lambda answer: meaning.acknowledged(alert, answer), alert_id=alert.id)

        def judge(found: list[Alert]) -> None:
            meaning.alerts(found, "acknowledged")
            # A full list may have pushed it out; nobody moves it on but a person.
            if len(found) < LIST_MAX and all(each.id != alert.id for each in found):
                raise Wrong("an acknowledged alert is not among the acknowledged ones")

        self.ask("GET", ALERTS, list[Alert], judge, params={"state": "acknowledged", "limit": str(LIST_MAX)})
