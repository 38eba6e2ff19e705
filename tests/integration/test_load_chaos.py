"""Something breaks while the bot is under load: each phase is judged by itself, the way back is timed, nothing is lost.

The reference workloads over the real bot in open loop, the same rate all the time; in the phase `fault` its venue
resets the connection, stands still or is lost behind its gateway, or its disk stands still. What a busy machine delays
is not asserted: figures that it spoils are withdrawn, and only what must be true of every run is held against it.
"""

from __future__ import annotations

import contextlib
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from support import locusts
from support.house import ROOT, House, open_house
from tidegauge.load import lane
from tidegauge.load.judging import result
from tidegauge.verdicts import Verdict

pytestmark = [pytest.mark.load, pytest.mark.timeout(180)]
RATE, SECONDS = 4, 20.0
FAULT_AT_S, FAULT_S = SECONDS * 0.4, SECONDS * 0.2
# A workflow belongs to the phase in which it was due: what fails at once begins when those due before have ended.
LATE_S = 1.5
FREEZE_S = 1.5
DISK_BYTES = 96 << 20
SPAWNED = "All users spawned"
PROMISES = """
[load.slo]
"round_trip/p99_due_ms" = { max = 1500, unit = "ms", why = "a test on a busy machine" }
"recovery/after_fault_s" = { max = 6, unit = "s", why = "a bot is back before the market has moved" }
"""
# So that a lost answer costs no more than the phase has.
IMPATIENT = {
    "legs_fill_timeout_s": "2",
    "legs_cancel_timeout_s": "1",
    "entry_quote_timeout_s": "3",
    "ibkr_request_timeout_s": "3",
    "ibkr_connect_timeout_s": "3",
    "ibkr_heartbeat_s": "2",
    "monitoring_cycle_s": "0.2",
    "breaker_open_s": "1",
}
INVARIANTS = ("orders_at_venue", "orders_doubled", "positions", "limits", "queues", "tasks", "workflows")


def load(
    house: House, folder: Path, fault: contextlib.AbstractContextManager[object], *, late_s: float = 0.0
) -> locusts.Outcome:
    """The reference workloads, with the fault on inside its phase."""
    (folder / "tidegauge.toml").write_text(PROMISES)
    command = locusts.words(folder, "", house.target.url, profile="fault", rate=RATE, seconds=SECONDS)
    command[command.index("-f") + 1] = f"{lane.PLUGIN},{ROOT / 'load' / 'locustfile.py'}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRADEBOT_TOKEN", house.target.token)
        patch.setenv("TIDEGAUGE_PORT_CONTROL", str(house.target.ports["control"]))
        with locusts.locust(folder, [*command, "Lifecycle", "Dashboard"]) as process:
            read = locusts.read_until(process, SPAWNED)
            time.sleep(FAULT_AT_S + late_s)
            with fault:
                time.sleep(FAULT_S - late_s)
            output, _ = process.communicate(timeout=90)
    return locusts.Outcome(process.returncode, read + output, result.read(folder / "load.json"))


def errors(outcome: locusts.Outcome, phase: str) -> int:
    """Requests and workflows of a phase that failed."""
    counters: dict[str, int] = outcome.snapshot["counters"]
    return sum(count for name, count in counters.items() if name.startswith("errors/") and name.endswith(f"/{phase}"))


def assert_survived(outcome: locusts.Outcome) -> None:
    """Right before the fault, back in time after it, and nothing lost in it."""
    for phase in ("steady", "fault", "recovery"):
        assert outcome.finding(f"load/round_trip@{phase}/p99_due_ms").value
    recovery = outcome.finding("load/recovery/after_fault_s")
    if recovery.verdict is not Verdict.NOT_MEASURED:
        assert errors(outcome, "steady") == 0, outcome.output
        assert recovery.value is not None, outcome.output
    verdicts = {name: outcome.finding(f"load/invariants/{name}").verdict for name in INVARIANTS}
    assert verdicts == dict.fromkeys(INVARIANTS, Verdict.PASS), outcome.output


@contextlib.contextmanager
def broken_wire(house: House, name: str, **options: float) -> Iterator[None]:
    """A fault of the simulated gateway."""
    house.control.fault(name, on=True, **options)
    yield
    house.control.fault(name, on=False)


@pytest.mark.parametrize(
    ("fault", "options"),
    [("reset", {"after_messages": 40}), ("stall", {"stall_s": FAULT_S}), ("drop", {"share": 0.5}), ("outage", {})],
    ids=["reset", "stall", "drop", "outage"],
)
def test_a_venue_that_breaks_under_load(tmp_path: Path, fault: str, options: dict[str, float]) -> None:
    """A gateway that resets its connection, stands still, loses answers or has lost its venue is felt, and got over."""
    with open_house(tmp_path, seed=5, **IMPATIENT) as house:
        late_s = LATE_S if fault == "outage" else 0.0
        outcome = load(house, tmp_path, broken_wire(house, fault, **options), late_s=late_s)
        alerts = {alert["source"] for alert in house.get("/api/alerts")}
    # A connection that is back between two orders costs no client anything.
    assert errors(outcome, "fault") or "venue_disconnected" in alerts, outcome.output
    assert_survived(outcome)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own under the bot's folder, which can be made to stand still."""
    image, folder = tmp_path / "disk", tmp_path / "bot"
    folder.mkdir()
    with image.open("wb") as file:
        file.truncate(DISK_BYTES)
    try:
        for command in (["mkfs.ext4", "-q", str(image)], ["mount", "-o", "loop", str(image), str(folder)]):
            subprocess.run(command, check=True, capture_output=True, text=True)
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", "") or error
        pytest.fail(f"not measured: no disk of one's own here (Linux, root and a loop device have it): {said}")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=False)


@contextlib.contextmanager
def frozen(folder: Path) -> Iterator[None]:
    """Whoever writes waits. The thawing hangs on nobody: a test that dies must leave no process that cannot."""
    script = f"fsfreeze --freeze '{folder}'; sleep {FREEZE_S}; fsfreeze --unfreeze '{folder}'"
    with subprocess.Popen(["sh", "-c", script], start_new_session=True) as process:
        yield
        assert process.wait(20) == 0


def test_a_disk_that_stands_still_under_load(tmp_path: Path, disk: Path) -> None:
    """Nothing is accepted that is not durable: entries wait for the disk, from their due time, and none is lost."""
    with open_house(tmp_path, seed=6, **IMPATIENT) as house:
        outcome = load(house, tmp_path, frozen(disk))
    waited = outcome.finding("load/POST |api|workflows|entry@fault/p99_due_ms")
    assert (waited.evidence["max_ms"] or 0) > FREEZE_S * 1e3 / 2, outcome.output
    assert_survived(outcome)
