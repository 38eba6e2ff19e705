"""Every shared case does what it says, equally for equal seeds, and some benchmark times it."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from cases import CASES, SEED, Case, Line, Work
from suite import Suite

FOLDER = Path(__file__).parents[3] / "benchmarks"
MODULES = sorted(path.stem for path in FOLDER.glob("bench_*.py"))
FIXED = "pricing.european"


def digests(work: Work, runs: int) -> list[str]:
    try:
        return [work() for _ in range(runs)]
    finally:
        if work.close is not None:
            work.close()


def suites() -> Iterator[type[Suite]]:
    for name in MODULES:
        for _, made in inspect.getmembers(import_module(name), inspect.isclass):
            if issubclass(made, Suite) and made is not Suite:
                yield made


@pytest.mark.parametrize("case", CASES.values(), ids=list(CASES))
def test_case(case: Case) -> None:
    """A case gives the digest that is recorded, run after run, and so does another one made from the same seed."""
    first = digests(case.make(case.smoke, SEED), 2)
    again = digests(case.make(case.smoke, SEED), 1)
    assert set(first + again) == {case.recorded or first[0]}


def test_seed_matters() -> None:
    """Another seed is other work: a case whose digest saw nothing would agree with any."""
    case = CASES[FIXED]
    assert digests(case.make(case.smoke, SEED + 1), 1) != [case.recorded]


def test_every_case_is_timed() -> None:
    """Each case is some benchmark's, swept over its own sizes with a name for them."""
    timed = {made.case.name for made in suites()}
    assert timed == set(CASES)
    for made in suites():
        params: Any = vars(made)["params"]
        assert set(params[0]) <= set(made.case.sizes)
        assert vars(made)["param_names"] == (made.case.unit,)


def test_benchmarks_are_what_asv_looks_for() -> None:
    """Each class of a suite has a method by one of asv's names, and takes its one parameter."""
    for made in suites():
        found = [name for name in vars(made) if name.startswith(("time_", "track_", "peakmem_"))]
        assert found, made
        for name in found:
            assert list(inspect.signature(getattr(made, name)).parameters) == ["self", made.case.unit]


def test_kept_work_is_kept_and_held_work_is_closed() -> None:
    """Memory alone is prepared once for all timed calls; a folder is gone when a benchmark is torn down."""

    class Memory(Suite):
        case = CASES["codecs.frames"]

    class Folder(Suite):
        case = CASES["store.append"]

    memory, folder = Memory(), Folder()
    memory.setup(memory.case.smoke)
    kept = memory.work
    memory.teardown(memory.case.smoke)
    memory.setup(memory.case.smoke)
    assert memory.work is kept

    folder.setup(folder.case.smoke)
    held = folder.work
    folder.teardown(folder.case.smoke)
    folder.teardown(folder.case.smoke)
    with pytest.raises(Exception, match=r"lake|No such file|not found"):
        held.run()


def test_a_missing_room_skips() -> None:
    """On a commit without a case's room, asv is told to skip it, and why."""

    class Missing(Suite):
        case = Case("attic.ghosts", "ghosts", (1,), Line(1, (1, 2, 3, 4)))

    with pytest.raises(NotImplementedError, match=r"attic\.ghosts: No module named 'cases\.attic'"):
        Missing().setup(1)


def test_asv_discovers_them_as_a_package() -> None:
    """Imported the way asv does it, from the folder above and in a fresh process, every module loads."""
    code = f"import benchmarks, importlib\nfor name in {MODULES!r}: importlib.import_module('benchmarks.' + name)"
    subprocess.run([sys.executable, "-c", code], cwd=FOLDER.parent, check=True, timeout=50)
