"""Workflows at a gateway that is a process of its own: the CPU time is that of the bot's side alone."""

from __future__ import annotations

from cases import workflows
from cases.broker import LoopbackBot
from cases.case import Work


def entries(size: int, seed: int) -> Work:
    return workflows.entries(LoopbackBot(seed), size)


def exits(size: int, seed: int) -> Work:
    return workflows.exits(LoopbackBot(seed), size)


def monitoring(size: int, seed: int) -> Work:
    return workflows.monitoring(LoopbackBot(seed), size)


def quotes(size: int, seed: int) -> Work:
    return workflows.quotes(LoopbackBot(seed), size)
