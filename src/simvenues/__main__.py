"""`python -m simvenues ibkr`: a simulated broker as a process of its own.

Arguments in, one JSON line on stdout once it listens (ports and seed), logs on stderr, until SIGTERM or SIGINT ends it
with status 0. It listens on loopback only: a simulator that believes every client has no business on a network.
"""

from __future__ import annotations

import argparse
import asyncio
import ipaddress
import logging
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from simvenues.control import ControlServer
from simvenues.exchange import Exchange
from simvenues.faults import Faults
from simvenues.ibkr import IbkrGateway
from simvenues.ibkr.server import LINES_MAX
from simvenues.market import Market

ACCOUNT = "DU1000001"
_USAGE_STATUS = 2

_log = logging.getLogger("simvenues")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m simvenues", description="Simulated brokers on loopback.")
    venues = parser.add_subparsers(dest="venue", required=True)
    ibkr = venues.add_parser("ibkr", help="an Interactive Brokers gateway (TWS wire protocol)")
    ibkr.add_argument("--host", default="127.0.0.1", help="loopback address to listen on")
    ibkr.add_argument("--port", type=_port, default=0, help="0 takes a free one")
    ibkr.add_argument("--control-port", type=_port, default=0, help="0 takes a free one")
    ibkr.add_argument("--seed", type=_natural, default=0)
    ibkr.add_argument("--sessions", choices=("always", "regular"), default="always")
    ibkr.add_argument("--step-ms", type=_step_ms, default=1000.0, help="time between market steps")
    ibkr.add_argument("--start", type=_moment, help="ISO date or time of the first step; now by default")
    ibkr.add_argument("--lines", type=_natural, default=LINES_MAX, help="market data lines for all clients together")
    ibkr.add_argument("--cash", type=_cash, default=Decimal(1_000_000), help="opening balance of the account")
    ibkr.add_argument("--partial-fills", action="store_true", help="fill orders in pieces")
    return parser


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError("must be at least 0")
    return value


def _port(text: str) -> int:
    value = int(text)
    if not 0 <= value <= 65_535:
        raise argparse.ArgumentTypeError("must be from 0 to 65535")
    return value


def _step_ms(text: str) -> float:
    value = float(text)
    if not 1.0 <= value <= 3_600_000.0:
        raise argparse.ArgumentTypeError("must be from 1 to 3600000")
    return value


def _cash(text: str) -> Decimal:
    # By way of an integer: whole dollars need no rounding rule.
    return Decimal(_natural(text))


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _run(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    start = options.start or datetime.now(tz=UTC)
    market = Market(options.seed, start, options.step_ms / 1000.0, sessions=options.sessions)
    exchange = Exchange(market, {ACCOUNT: options.cash}, seed=options.seed, partial_fills=options.partial_fills)
    gateway = IbkrGateway(
        market, exchange, Faults(options.seed), host=options.host, port=options.port, lines_max=options.lines
    )
    async with gateway, ControlServer(gateway, host=options.host, port=options.control_port) as control:
        ready = {"ready": True, "port": gateway.port, "control_port": control.port, "seed": options.seed}
        sys.stdout.write(msgspec.json.encode(ready).decode() + "\n")
        sys.stdout.flush()
        _log.info("listening on %s:%d, control on %d", options.host, gateway.port, control.port)
        stopped = loop.create_task(stop.wait())
        moving = loop.create_task(gateway.run())
        await asyncio.wait({stopped, moving}, return_when=asyncio.FIRST_COMPLETED)
        if moving.done():
            moving.result()
        moving.cancel()
        stopped.cancel()
    _log.info("stopped")


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parser().parse_args(arguments)
    if not _is_loopback(options.host):
        sys.stderr.write(f"{options.host!r} is no loopback address: use --host 127.0.0.1.\n")
        return _USAGE_STATUS
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(asctime)s %(name)s %(message)s")
    try:
        asyncio.run(_run(options))
    except OSError as error:
        sys.stderr.write(f"Cannot listen: {error.strerror}. Choose another --port, or 0 for a free one.\n")
        return _USAGE_STATUS
    return 0


if __name__ == "__main__":
    sys.exit(main())
