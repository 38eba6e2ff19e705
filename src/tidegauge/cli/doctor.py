"""The verb `doctor`: what this machine can measure, and how to get what is missing."""

import platform
import sys
import tempfile
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from tidegauge.cli.options import AsJson, Stdout, write_json
from tidegauge.config import FILE_NAME, find_root
from tidegauge.guard import LINUX
from tidegauge.machine import Machine, find_tools, read_machine
from tidegauge.records import RUNS
from tidegauge.report.terminal import folded

PYTHON_MIN = (3, 11)
PRESSURE_PERCENT_MAX = 10.0


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """One thing that was looked at. A required one that is not ok makes `doctor` fail."""

    name: str
    ok: bool
    required: bool = False
    found: str
    remedy: str = ""


def doctor(*, json: AsJson = False) -> int:
    """Say what this machine can measure, and what to do.

    Exit status 0 unless something required is broken: Python, or the folder of the results.

    Example: tidegauge doctor
    """
    machine, tools = read_machine(), find_tools()
    items = [*_required(), _quiet(machine.cpu_pressure_10s_percent), _containment()]
    items += [
        Item(
            name=tool.name, ok=tool.present, found=tool.version or f"not found; for {tool.enables}", remedy=tool.remedy
        )
        for tool in tools
    ]
    broken = [item.name for item in items if item.required and not item.ok]
    if json:
        write_json(msgspec.json.format(msgspec.json.encode({"machine": machine, "items": items, "broken": broken})))
        return bool(broken)
    _print(Stdout(), machine, items, broken)
    return bool(broken)


def _print(console: Console, machine: Machine, items: list[Item], broken: list[str]) -> None:
    """Lines rather than a table: they fold in a narrow window, and a remedy can be copied whole."""
    cores = f"{machine.cores} of {machine.cores_online} cores, load {machine.load_1m:g}"
    memory = f"{machine.memory_bytes / 2**30:.1f} GiB"
    lines = [
        *folded(Text(f"{machine.cpu}, {cores}, {memory}, {machine.python}"), console, console.width),
        *folded(Text(f"{machine.platform}, clock steps of {machine.clock_resolution_ns} ns"), console, console.width),
        Text(),
    ]
    for item in items:
        state, style = (
            ("ok", "green") if item.ok else ("BROKEN", "bold red") if item.required else ("lacking", "yellow")
        )
        head = Text.assemble((f"{state:<9}", style), f"{item.name:<16}")
        lines += folded(Text(item.found), console, console.width, head)
        lines += folded(Text(item.remedy), console, console.width, Text(" " * len(head)))
    console.print(*lines, sep="\n")
    verdict = f"Broken: {', '.join(broken)}. Nothing can be measured here." if broken else "This machine can measure."
    console.print("", verdict, sep="\n", markup=False)


def _required() -> list[Item]:
    root = find_root(Path.cwd())
    runs = (root or Path.cwd()) / RUNS
    try:
        runs.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=runs) as file:
            file.write(b"x" * 4096)
            file.flush()
        problem = ""
    except OSError as error:
        problem = error.strerror or str(error)
    return [
        Item(
            name="Python",
            ok=sys.version_info >= PYTHON_MIN,
            required=True,
            found=platform.python_version(),
            remedy="" if sys.version_info >= PYTHON_MIN else "Install Python 3.11 or newer.",
        ),
        Item(
            name="results",
            ok=not problem,
            required=True,
            found=f"{runs}: {problem or 'writable'}",
            remedy="Make it writable, or free some space." if problem else "",
        ),
        Item(
            name=FILE_NAME,
            ok=root is not None,
            found=str(root / FILE_NAME) if root else "not here or above",
            remedy="" if root else "Write one; `python -m pydoc tidegauge.config` shows how.",
        ),
    ]


def _quiet(pressure_percent: float | None) -> Item:
    ok = pressure_percent is None or pressure_percent <= PRESSURE_PERCENT_MAX
    found = (
        "not told by this platform" if pressure_percent is None else f"{pressure_percent:g} % of the last 10 s waited"
    )
    return Item(
        name="quiet cores", ok=ok, found=found, remedy="" if ok else "Stop what else runs, or expect undecided."
    )


def _containment() -> Item:
    return Item(
        name="containment",
        ok=LINUX,
        found="everything a target starts is stopped" if LINUX else "a target's process group is stopped",
        remedy="" if LINUX else "A daemon in a session of its own escapes: stop it yourself, or use Linux.",
    )
