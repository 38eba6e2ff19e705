"""The API: each hot route in process, and the WebSocket's fan-out."""

from __future__ import annotations

from cases import CASES
from suite import Suite


class Health(Suite):
    case = CASES["api.health"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Metrics(Suite):
    case = CASES["api.metrics"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Positions(Suite):
    case = CASES["api.positions"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Greeks(Suite):
    case = CASES["api.greeks"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Orders(Suite):
    case = CASES["api.orders"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Strategies(Suite):
    case = CASES["api.strategies"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Workflows(Suite):
    case = CASES["api.workflows"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class DryRun(Suite):
    case = CASES["api.dry_run"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class FanOut(Suite):
    case = CASES["api.fan_out"]
    params, param_names = (case.sizes,), ("sockets",)

    def time_tell(self, sockets: int) -> None:
        del sockets
        self.work.run()
