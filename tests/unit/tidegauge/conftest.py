"""A run writer whose clock stands still, and a tidegauge.toml in a folder of its own."""

import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tidegauge.machine import Machine
from tidegauge.records import RunWriter
from tidegauge.subject import Subject
from tidegauge.tomlfile import TomlFile

MACHINE = Machine(
    cpu="a fast one",
    cores=2,
    cores_online=4,
    load_1m=0.5,
    cpu_pressure_10s_percent=None,
    memory_bytes=2**34,
    python="CPython 3.11.0",
    platform="Linux",
    clock_resolution_ns=40,
)


@pytest.fixture
def new_writer(tmp_path: Path) -> Callable[..., RunWriter]:
    """Makes a writer in `tmp_path`; arguments replace its own."""

    def make(**changes: Any) -> RunWriter:
        arguments: dict[str, Any] = {
            "subject": Subject(commit="0123456789abcdef", dirty=True),
            "machine": MACHINE,
            "seed": 7,
            "config": {"target": "bot"},
            "clock": lambda: 0.0,
        }
        return RunWriter(tmp_path, "check", **(arguments | changes))

    return make


@pytest.fixture
def toml(tmp_path: Path) -> Callable[[str], TomlFile]:
    """Writes a tidegauge.toml and reads it."""

    def make(text: str) -> TomlFile:
        path = tmp_path / "tidegauge.toml"
        path.write_text(textwrap.dedent(text))
        return TomlFile.read(path)

    return make
