"""The profile that a worker makes: every call, by its whole stack, and nothing of the profiler's own."""

from collections.abc import Callable

import pytest

from tidegauge.bench.inside import stacks
from tidegauge.bench.inside.stacks import DEPTH_MAX, Stacks


def outer(times: int) -> None:
    for _ in range(times):
        inner()


def inner() -> int:
    return len(sorted((3, 1, 2)))


def deep(levels: int) -> int:
    return deep(levels - 1) + 1 if levels else 0


def profiled(work: Callable[[], object]) -> list[tuple[str, int, int]]:
    profile = Stacks()
    profile.toggle()
    work()
    profile.toggle()
    return profile.rows()


def test_calls_are_counted_by_their_stack() -> None:
    """Python and C functions alike, with their time; the profiler itself is nowhere."""
    rows = profiled(lambda: outer(7))
    calls = {stack.replace(f"{__name__}.", ""): number for stack, number, _ in rows}
    root = "test_calls_are_counted_by_their_stack.<locals>.<lambda>"
    assert calls == {
        root: 1,
        f"{root};outer": 1,
        f"{root};outer;inner": 7,
        f"{root};outer;inner;sorted": 7,
        f"{root};outer;inner;len": 7,
    }
    assert all(spent_ns >= 0 for _, _, spent_ns in rows)
    assert sum(spent_ns for _, _, spent_ns in rows) > 0


def test_equal_work_gives_equal_rows() -> None:
    """The stacks and their calls are those of the code and of nothing else."""
    first, second = ([row[:2] for row in profiled(lambda: outer(3))] for _ in range(2))
    assert first == second


def test_a_recursion_is_bounded() -> None:
    """What is called beyond the depth that is kept counts as its caller's, and the way back is found."""
    rows = profiled(lambda: (deep(DEPTH_MAX * 3), inner()))
    assert max(stack.count(";") for stack, _, _ in rows) < DEPTH_MAX
    assert any(stack.endswith(".<lambda>;" + f"{__name__}.inner") for stack, _, _ in rows)


def test_an_exception_leaves_the_stack_in_order() -> None:
    """A function that raises has left all the same."""

    def fails() -> None:
        raise ValueError

    def work() -> None:
        try:
            fails()
        except ValueError:
            inner()

    stacks_seen = [stack.split(";") for stack, _, _ in profiled(work)]
    raising = [names for names in stacks_seen if names[-1].endswith(".fails")]
    after = [names for names in stacks_seen if names[-1] == f"{__name__}.inner"]
    assert len(raising) == len(after) == 1
    assert raising[0][:-1] == after[0][:-1]


def test_nodes_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the bound nothing new is kept, and what is known is still counted."""
    monkeypatch.setattr(stacks, "NODES_MAX", 2)
    rows = profiled(lambda: outer(5))
    assert [calls for _, calls, _ in rows] == [1, 1]
