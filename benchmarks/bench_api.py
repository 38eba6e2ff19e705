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


class Ready(Suite):
    case = CASES["api.ready"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Workflow(Suite):
    case = CASES["api.workflow"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Strategy(Suite):
    case = CASES["api.strategy"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Alerts(Suite):
    case = CASES["api.alerts"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Limits(Suite):
    case = CASES["api.limits"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Bounds(Suite):
    case = CASES["api.bounds"]
    params, param_names = (case.sizes,), ("requests",)

    def time_ask(self, requests: int) -> None:
        del requests
        self.work.run()


class Entry(Suite):
    case = CASES["api.entry"]
    params, param_names = (case.sizes,), ("requests",)

    def time_enter(self, requests: int) -> None:
        del requests
        self.work.run()


class Held(Suite):
    case = CASES["api.held"]
    params, param_names = (case.sizes,), ("held",)

    def time_ask(self, held: int) -> None:
        del held
        self.work.run()
