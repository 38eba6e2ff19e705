"""Workflows at the gateway, in process: the CPU time of bot, client, wire and broker together."""

from __future__ import annotations

from cases import workflows
from cases.broker import GatewayBot
from cases.case import Work


def entries(size: int, seed: int) -> Work:
    return workflows.entries(GatewayBot(seed), size)


def exits(size: int, seed: int) -> Work:
    return workflows.exits(GatewayBot(seed), size)


def monitoring(size: int, seed: int) -> Work:
    return workflows.monitoring(GatewayBot(seed), size)


def quotes(size: int, seed: int) -> Work:
    return workflows.quotes(GatewayBot(seed), size)
