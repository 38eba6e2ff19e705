"""The whole house for a test: the simulated gateway and the served bot as processes of their own, on free ports.

Started by the instrument itself from the repository's own `tidegauge.toml`, so that what a user starts is what is
tested. The bot's folder lies in the test's, so that its journal and lake can be read afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from simvenues.control import ControlClient
from tidegauge.config import load
from tidegauge.target import Target
from tradebot.domain.instruments import OptionContract, Right

ROOT = Path(__file__).parents[2]
FINAL = frozenset({"done", "refused", "failed"})


@dataclass
class House:
    """A running bot, the venue it trades at, and the ways to ask both."""

    target: Target
    api: httpx.Client
    control: ControlClient
    bot_dir: Path

    def get(self, path: str) -> Any:
        return self.api.get(path).raise_for_status().json()

    def ask_for(self, verb: str, body: dict[str, Any], *, key: str | None = None) -> dict[str, Any]:
        """The accepted workflow: an answer of 202."""
        headers = {} if key is None else {"Idempotency-Key": key}
        answer = self.api.post(f"/api/workflows/{verb}", json=body, headers=headers)
        assert answer.status_code == 202, answer.text
        accepted: dict[str, Any] = answer.json()
        return accepted

    def enter(self, symbol: str = "SPY", *, kind: str = "iron_condor", quantity: int = 1) -> dict[str, Any]:
        """An entry that went through, as it ended."""
        accepted = self.ask_for("entry", {"symbol": symbol, "kind": kind, "quantity": quantity})
        workflow = self.finished(accepted["id"])
        assert workflow["state"] == "done", workflow
        return workflow

    def orders(self) -> dict[str, dict[str, Any]]:
        """The bot's orders by their client id."""
        return {order["intent"]["client_id"]: order for order in self.get("/api/orders?limit=1000")}

    def positions(self) -> dict[str, int]:
        """The bot's positions by contract."""
        held = self.get("/api/positions")
        return {msgspec.convert(each["contract"], OptionContract).key: each["quantity"] for each in held}

    def finished(self, workflow_id: str) -> dict[str, Any]:
        workflow: dict[str, Any] = wait_for(
            lambda: found if (found := self.get(f"/api/workflows/{workflow_id}"))["state"] in FINAL else None,
            f"workflow {workflow_id} to end",
        )
        return workflow


def wait_for(probe: Callable[[], Any], what: str, *, timeout_s: float = 30.0) -> Any:
    """The first truthy answer of `probe`; fails with what was waited for."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if found := probe():
            return found
        time.sleep(0.02)
    pytest.fail(f"waited {timeout_s:g} s in vain for {what}")


def venue_positions(truth: dict[str, Any]) -> dict[str, int]:
    """The venue's options by our name for them; flat ones left out."""
    found: dict[str, int] = {}
    for account in truth["accounts"].values():
        for position in account["positions"]:
            contract, quantity = position["contract"], int(Decimal(position["quantity"]))
            option = OptionContract(
                symbol=contract["symbol"],
                expiry=date.fromisoformat(contract["expiry"]),
                strike=Decimal(str(contract["strike"])),
                right=Right(contract["right"]),
            )
            if quantity:
                found[option.key] = quantity
    return found


@contextmanager
def open_house(folder: Path, *, seed: int, gateway: str = "", **settings: str) -> Iterator[House]:
    """`settings` are the bot's, by their environment names without the prefix; `gateway` are more arguments."""
    config = load(ROOT).target
    bot_dir = folder / "bot"
    own = {f"TRADEBOT_{name.upper()}": value for name, value in settings.items()}
    needs = tuple(msgspec.structs.replace(need, command=f"{need.command} {gateway}") for need in config.needs)
    config = msgspec.structs.replace(config, needs=needs, env=config.env | {"TRADEBOT_DATA_DIR": str(bot_dir)} | own)
    with (
        Target.start(config, seed=seed, log_dir=folder / "logs", cwd=ROOT) as target,
        httpx.Client(
            base_url=target.url,
            headers={"Authorization": f"Bearer {target.token}"},
            timeout=20.0,
            trust_env=False,
        ) as api,
        ControlClient("127.0.0.1", target.ports["control"]) as control,
    ):
        yield House(target, api, control, bot_dir)
