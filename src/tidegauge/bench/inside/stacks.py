"""Which Python functions the CPU time of a benchmark goes to: every call counted, by its whole stack.

    worker.py ──toggle, calls, toggle──▶ Stacks ──rows──▶ a file ──▶ `tidegauge.bench.why.explain`, one row a stack

A profile of this kind is deterministic: two builds that make the same calls give the same rows, so that their
difference names what changed. What the profiler itself does is charged to nobody: the clock is read when an event
comes in and again when it has been dealt with. What Python needs to call us, some hundred nanoseconds, stays with the
caller, on both sides alike.

It is loaded by path, by the Python of the side that is measured: the standard library and nothing else. It sees the
thread that runs the benchmark and no other.
"""

import sys
import time

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType
    from typing import Any

DEPTH_MAX = 64  # what is called deeper counts as its caller's
NODES_MAX = 20_000


class Node:
    """One function as called through one stack."""

    __slots__ = ("calls", "children", "self_ns")

    def __init__(self) -> None:
        self.calls = 0
        self.self_ns = 0
        self.children: dict[str, Node] = {}


class Stacks:
    """Switched on by the first `toggle`, off by the second, on by the third."""

    def __init__(self) -> None:
        self._root = Node()
        self._path = [self._root]
        self._beyond = 0  # how many calls deep we are where no node is kept
        self._nodes = 0
        self._since_ns = 0
        self._is_on = False

    def toggle(self) -> int:
        """Stands where a clock stands, and so returns a time: none."""
        self._is_on = not self._is_on
        if not self._is_on:
            sys.setprofile(None)
            return 0
        self._path, self._beyond = [self._root], 0
        self._since_ns = time.thread_time_ns()
        sys.setprofile(self._on_event)
        return 0

    def rows(self) -> "list[tuple[str, int, int]]":
        """Stack as `outer;inner`, calls, nanoseconds in it and in nothing that it called."""
        found: list[tuple[str, int, int]] = []
        todo = [("", self._root)]
        while todo:
            name, node = todo.pop()
            if node.calls:
                found.append((name, node.calls, node.self_ns))
            todo += [(f"{name};{inner}" if name else inner, child) for inner, child in node.children.items()]
        return sorted(found)

    def _on_event(self, frame: "FrameType", event: str, argument: "Any") -> None:
        self._path[-1].self_ns += time.thread_time_ns() - self._since_ns
        if event in {"call", "c_call"}:
            if frame.f_code is not TOGGLE:
                self._enter(name_of_frame(frame) if event == "call" else name_of_builtin(argument))
        elif frame.f_code is not TOGGLE:
            self._leave()
        self._since_ns = time.thread_time_ns()

    def _enter(self, name: str) -> None:
        inside = self._path[-1]
        if self._beyond or len(self._path) > DEPTH_MAX or (self._nodes >= NODES_MAX and name not in inside.children):
            self._beyond += 1
            return
        node = inside.children.get(name)
        if node is None:
            node = inside.children[name] = Node()
            self._nodes += 1
        node.calls += 1
        self._path.append(node)

    def _leave(self) -> None:
        if self._beyond:
            self._beyond -= 1
        elif len(self._path) > 1:  # else it was entered before we were switched on
            self._path.pop()


TOGGLE = Stacks.toggle.__code__


def name_of_frame(frame: "FrameType") -> str:
    """Module and function: without its line, which moves from commit to commit."""
    code = frame.f_code
    module = frame.f_globals.get("__name__", "?")
    return f"{module}.{getattr(code, 'co_qualname', code.co_name)}".replace(";", ":")


def name_of_builtin(function: "Any") -> str:
    """A function in C by its own name, a method with its type."""
    name = getattr(function, "__qualname__", None) or repr(type(function))
    module = getattr(function, "__module__", None)
    return (f"{module}.{name}" if module and module != "builtins" else name).replace(";", ":")
