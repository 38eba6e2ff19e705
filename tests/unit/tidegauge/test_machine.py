"""Facts of the machine: there, plausible, and safe to ask for."""

import os
import stat
from pathlib import Path

import msgspec
import pytest

from tidegauge import machine
from tidegauge.machine import find_tools, read_machine


def test_the_facts_are_plausible() -> None:
    """What stands in every run is filled in."""
    facts = read_machine()
    assert 1 <= facts.cores <= facts.cores_online
    assert facts.memory_bytes > 2**27
    assert 0 < facts.clock_resolution_ns < 1_000_000
    assert facts.cpu
    assert facts.python.split()[1].startswith("3.")
    assert msgspec.json.decode(msgspec.json.encode(facts), type=machine.Machine) == facts


def test_cores_are_those_we_may_use() -> None:
    """Under an affinity mask only the permitted cores count."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(before)})
    try:
        assert read_machine().cores == 1
    finally:
        os.sched_setaffinity(0, before)


def test_a_kernel_without_pressure_is_no_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The fact is then None: unknown, not zero."""
    monkeypatch.setattr(machine, "PRESSURE", tmp_path / "none")
    assert read_machine().cpu_pressure_10s_percent is None
    (tmp_path / "none").write_text("some avg10=12.50 avg60=0.17 avg300=0.22 total=2589791\n")
    assert read_machine().cpu_pressure_10s_percent == 12.5


@pytest.mark.parametrize(
    ("script", "present", "version"),
    [
        ("echo valgrind-9.9", True, "valgrind-9.9"),
        ("exit 0", True, "unknown version"),
        ("echo broken; exit 1", False, ""),
        ("sleep 60", False, ""),
    ],
)
def test_a_tool_is_asked_for_its_version(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, script: str, present: bool, version: str
) -> None:
    """A tool that answers is present; one that fails or hangs is not, and has a remedy."""
    monkeypatch.setattr(machine, "PROBE_TIMEOUT_S", 0.3 if "sleep" in script else 30)
    tool = tmp_path / "valgrind"
    tool.write_text(f"#!/bin/sh\nPATH=/bin:/usr/bin\n{script.replace('sleep', 'exec sleep')}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = find_tools()[0]
    assert (found.name, found.present, found.version) == ("valgrind", present, version)
    assert bool(found.remedy) is not present


def test_an_installed_wheel_is_found_without_importing_it() -> None:
    """A version is read from the installation's own metadata."""
    assert machine._version_of_distribution("msgspec") == msgspec.__version__
    assert machine._version_of_distribution("no-such-wheel") == ""
