"""State machines as tables: a move is in the table or it is an error that names both states."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from typing import Generic, TypeVar

from tradebot.domain.errors import IllegalTransition

S = TypeVar("S", bound=enum.Enum)


class Table(Generic[S]):
    """The legal moves of one kind of machine. Stateless: who owns a state asks before it changes it."""

    def __init__(self, name: str, moves: Mapping[S, Iterable[S]]) -> None:
        self.name = name
        self._moves = {state: frozenset(targets) for state, targets in moves.items()}
        unknown = {target for targets in self._moves.values() for target in targets} - self._moves.keys()
        if unknown:
            names = ", ".join(sorted(str(state.value) for state in unknown))
            raise ValueError(f"{name}: states without a row in the table: {names}")

    def allows(self, state: S, target: S) -> bool:
        return target in self._moves[state]

    def final(self, state: S) -> bool:
        return not self._moves[state]

    def move(self, state: S, target: S) -> S:
        if target not in self._moves[state]:
            raise IllegalTransition(self.name, str(state.value), str(target.value))
        return target
