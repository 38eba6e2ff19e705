"""A load without a target, with a session of looks: what Locust needs to show its web UI as extended."""

from typing import Any

from locust import User, constant, events, task

from support.looks import Looks
from tidegauge.load import ui

# The first run has a past to draw; each that follows begins anew, in less time than the first one had.
PAST_S = 90


class Toy(User):
    wait_time = constant(0.2)

    @task
    def ask(self) -> None:
        self.environment.events.request.fire(
            request_type="GET", name="toy", response_time=3.0, response_length=1, exception=None, context={}
        )


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator]
def add_options(parser: Any, **_: Any) -> None:
    ui.prefer_loopback(parser)
    parser.add_argument("--arrivals-per-s", type=float, default=12.5, help="what a person may change")


@events.init.add_listener  # type: ignore[untyped-decorator]
def begin(environment: Any, **_: Any) -> None:
    environment.tidegauge = Looks(head_start_s=PAST_S)
    ui.install(environment)


@events.test_stop.add_listener  # type: ignore[untyped-decorator]
def begin_again(environment: Any, **_: Any) -> None:
    environment.tidegauge = Looks()
