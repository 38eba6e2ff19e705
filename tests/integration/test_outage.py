"""The bot while the venue behind its gateway is out of reach: it watches what it holds, and trades again afterwards."""

from __future__ import annotations

from pathlib import Path

from support.house import House, open_house, venue_positions, wait_for

ENTRY = {"symbol": "SPY", "kind": "iron_condor", "quantity": 1}


def assert_refused(house: House, verb: str, body: dict[str, object]) -> None:
    answer = house.api.post(f"/api/workflows/{verb}", json=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], answer.headers["Retry-After"]) == (503, "not_ready", "1")
    assert "its venue cannot be reached" in error["message"]


def test_a_bot_without_its_venue_only_watches(tmp_path: Path) -> None:
    """In an outage nothing is opened or closed, and a refusal says why; what is held stays known, and cycles go on.

    Afterwards the bot reconciles, agrees with its venue, and trades as before.
    """
    with open_house(tmp_path, seed=8, monitoring_cycle_s="0.1", ibkr_heartbeat_s="0.3") as house:
        entered = house.enter()
        held, orders = house.positions(), house.control.truth()["orders"]
        assert len(held) == 4
        before = house.get("/health")["facts"]
        house.control.fault("outage")
        wait_for(lambda: not house.get("/health")["connected"], "the bot to hear of it")
        assert_refused(house, "entry", ENTRY)
        assert_refused(house, "entry/dry-run", ENTRY)
        assert_refused(house, "exit", {"strategy_id": entered["strategy_id"]})
        wait_for(lambda: house.get("/health")["facts"]["cycles"] > before["cycles"] + 10, "ten cycles")
        assert house.positions() == held
        assert not house.get("/health")["ready"]
        assert house.control.truth()["orders"] == orders
        assert len(house.control.status()["clients"]) == 1  # its session with the gateway stayed
        house.control.fault("outage", on=False)
        wait_for(lambda: house.get("/health")["ready"], "the way back")
        wait_for(lambda: house.get("/health")["facts"]["reconciled"] > before["reconciled"], "a reconciliation")
        assert house.get("/health")["facts"]["differences"] == 0
        left = house.finished(house.ask_for("exit", {"strategy_id": entered["strategy_id"]})["id"])
        assert left["state"] == "done", left
        house.enter("QQQ")
        assert house.positions() == venue_positions(house.control.truth())
        alerts = [alert["source"] for alert in house.get("/api/alerts")]
        assert alerts.count("venue_disconnected") == 1
