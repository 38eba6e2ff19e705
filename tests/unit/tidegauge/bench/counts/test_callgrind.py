"""callgrind's own format, and what is said where it cannot be used."""

import platform
import sys
from pathlib import Path

import pytest

from tidegauge.bench.counts import callgrind
from tidegauge.bench.counts.callgrind import (
    Cost,
    Valgrind,
    environment,
    find_valgrind,
    parse_dump,
    read_dump,
    remove_dumps,
)
from tidegauge.machine import Tool

# As callgrind 3.19 writes it: each name once, costs after their function, the line after `calls` inclusive.
DUMP = """# callgrind format
version: 1
cmd:  python worker.py
positions: line
events: Ir
summary: 0

ob=(6) /usr/lib/libffi.so.8
fl=(2) ???
fn=(16) ffi_call
0 29
cob=(3) /usr/lib/libpython3.11.so.1.0
cfi=(14) /build/ceval.c
cfn=(24) eval
calls=3 0
0 97
0 11

ob=(3)
fl=(14)
fn=(24)
1598 10
+4 5
cfn=(26) eval'2
calls=1 0
* 72
fi=(15) /build/object.h
-1 10

fn=(26)
0 40
cfn=(26)
calls=1 0
0 20
cfn=(28) alloc
calls=2 0
0 32

fn=(28)
0 32

totals: 137
"""


def test_costs_are_told_apart_from_what_calls_cost() -> None:
    """A function's own instructions sum up to the whole; its inclusive ones hold those of whom it called."""
    dump = parse_dump(DUMP)
    assert dump.instructions == sum(cost.own for cost in dump.functions.values()) == 137
    assert dump.functions["libffi.so.8:ffi_call"] == Cost(own=40, inclusive=137)
    assert dump.functions["libpython3.11.so.1.0:alloc"] == Cost(own=32, inclusive=32)


def test_the_levels_of_a_recursion_are_one_function() -> None:
    """`eval'2` is `eval`: its own cost is added, and what the outermost one includes is not counted twice."""
    assert parse_dump(DUMP).functions["libpython3.11.so.1.0:eval"] == Cost(own=65, inclusive=97)


def test_a_dump_is_found_where_valgrind_was_told_to_write(tmp_path: Path) -> None:
    """The folder is given to valgrind in its own quoting; dumps are numbered by process, and go with it."""
    folder = tmp_path / "100%"
    folder.mkdir()
    for name in ("callgrind.71.2", "callgrind.71", "callgrind.7.2"):
        (folder / name).write_text(DUMP)
    assert read_dump(folder, 71, 2).instructions == 137
    remove_dumps(folder, 7)
    assert {path.name for path in folder.iterdir()} == {"callgrind.71.2", "callgrind.71"}
    command = Valgrind("/bin/valgrind", ("setarch", "-R")).below(folder)
    assert command[:3] == ("setarch", "-R", "/bin/valgrind")
    assert f"--callgrind-out-file={tmp_path}/100%%/callgrind.%p" in command


def test_without_valgrind_there_is_a_sentence_with_its_remedy(monkeypatch: pytest.MonkeyPatch) -> None:
    """What `doctor` advises is what the lane says."""
    lacking = Tool(name="valgrind", present=False, version="", enables="counts", remedy="Install it.")
    monkeypatch.setattr(callgrind, "find_tools", lambda: (lacking,))
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    monkeypatch.setattr(sys, "platform", "linux")
    without = "Or leave them out: --tier cpu,wall,values."
    assert find_valgrind() == f"valgrind is not here, so no instructions are counted. Install it. {without}"


def test_another_architecture_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """The requests to callgrind are code of one architecture: elsewhere nothing is tried."""
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert "this is aarch64" in str(find_valgrind())


@pytest.mark.parametrize(("flags", "name"), [("sse avx avx2 avx512f", "haswell"), ("sse avx", None)])
def test_numba_is_told_what_valgrind_pretends_to_be(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flags: str, name: str | None
) -> None:
    """Code for AVX2 is asked for where the real CPU has it: it also runs without valgrind."""
    monkeypatch.setattr(callgrind, "CPUINFO", tmp_path / "cpuinfo")
    assert environment() == {}
    (tmp_path / "cpuinfo").write_text(f"model name : a fast one\nflags\t\t: {flags}\n")
    assert environment().get("NUMBA_CPU_NAME") == name
    assert not any("avx512" in value for value in environment().values())
    assert "+fma" not in environment().get("NUMBA_CPU_FEATURES", ""), "valgrind computes each of them by a call"
