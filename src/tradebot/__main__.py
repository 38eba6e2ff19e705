"""`python -m tradebot`: serve (with the API), run (without), settings (every name with its value), kernels (compile).

This is the process's edge: the only place that reads the wall clock, the environment and signals. A user's mistake
is one line on stderr and exit status 2.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import structlog

from tradebot.domain.errors import SettingsError, TradebotError
from tradebot.profiles import options
from tradebot.profiles.settings import Settings, load_settings

PROFILES = {options.NAME: options.SETTINGS}


def main(argv: Sequence[str] | None = None) -> int:
    arguments = _parser().parse_args(argv)
    _log_to_stderr(arguments.log_level)
    try:
        settings = load_settings(
            PROFILES[arguments.profile],
            file=arguments.config,
            environ=os.environ,
            overrides=_overrides(arguments),
        )
        return int(arguments.verb(settings, arguments))
    except TradebotError as error:
        print(f"tradebot: error: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _serve(settings: Settings, arguments: argparse.Namespace) -> int:
    if not settings.api.token:
        raise SettingsError("setting api.token: it is empty", remedy="Set TRADEBOT_TOKEN: an API that trades needs one")
    from tradebot.profiles.serve import serve  # noqa: PLC0415 - `settings` and `run` need no web framework

    epoch = datetime.now(UTC)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(serve(settings, epoch=epoch, event_log=arguments.event_log))


def _run(settings: Settings, arguments: argparse.Namespace) -> int:
    from tradebot.kernel.virtual import run_virtual  # noqa: PLC0415
    from tradebot.profiles.run import run  # noqa: PLC0415

    epoch = arguments.start or datetime.now(UTC)
    work = run(settings, epoch=epoch, hours=arguments.hours, virtual=arguments.virtual, event_log=arguments.event_log)
    if arguments.virtual:
        if settings.venue != "paper" or arguments.hours is None:
            work.close()
            raise SettingsError("--virtual needs --hours and the paper venue: a socket has no virtual time")
        return run_virtual(work)
    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        return runner.run(work)


def _settings(settings: Settings, _arguments: argparse.Namespace) -> int:
    shown = msgspec.to_builtins(settings)
    shown["api"]["token"] = "(set)" if settings.api.token else "(not set)"
    print(msgspec.json.format(msgspec.json.encode(shown), indent=2).decode())
    return 0


def _kernels(settings: Settings, _arguments: argparse.Namespace) -> int:
    from tradebot.pricing import warmup  # noqa: PLC0415

    cache_dir = Path(settings.cache_dir).expanduser()
    book = warmup.warm_up(cache_dir, lambda _: None)
    american = warmup.warm_up_american(cache_dir, lambda _: None)
    compiled, seconds = book.compiled + american.compiled, book.seconds + american.seconds
    print(f"{compiled} kernels compiled, the rest loaded, in {seconds:.1f} s; kept in {cache_dir}")
    if problem := book.problem or american.problem:
        print(f"tradebot: warning: {problem}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="tradebot", description="The reference trading bot.")
    verbs = parser.add_subparsers(required=True, metavar="VERB")
    for name, verb, text in (
        ("serve", _serve, "trade, and serve the API"),
        ("run", _run, "trade without an API; with --virtual a day passes in seconds"),
        ("settings", _settings, "print every setting with its value"),
        ("kernels", _kernels, "compile the pricing kernels, so that no start has to"),
    ):
        one = verbs.add_parser(name, help=text, description=text)
        one.set_defaults(verb=verb)
        one.add_argument("--profile", choices=sorted(PROFILES), default=options.NAME)
        one.add_argument("--config", type=Path, metavar="FILE", help="a TOML file of settings")
        one.add_argument("--venue", choices=("ibkr", "paper"))
        one.add_argument("--port", type=int, help="where the API listens")
        one.add_argument("--data-dir", metavar="DIR")
        one.add_argument("--seed", type=int)
        one.add_argument("--event-log", type=Path, metavar="FILE", help="write every event as a JSON line")
        one.add_argument("--log-level", default="info", choices=("debug", "info", "warning", "error"))
        if verb is _run:
            one.add_argument("--hours", type=float, help="stop after this long; without it, at a signal")
            one.add_argument("--virtual", action="store_true", help="virtual time, paper venue, deterministic")
            one.add_argument("--start", type=_instant, metavar="ISO", help="the clock's first instant")
            one.add_argument("--enter-every", type=float, metavar="SECONDS", help="enter a strategy this often")
    return parser


def _overrides(arguments: argparse.Namespace) -> dict[str, Any]:
    given: dict[str, Any] = {
        name: getattr(arguments, name) for name in ("venue", "data_dir", "seed") if getattr(arguments, name) is not None
    }
    if arguments.port is not None:
        given["api"] = {"port": arguments.port}
    if getattr(arguments, "enter_every", None) is not None:
        given["autopilot"] = {"every_s": arguments.enter_every}
    return given


def _instant(text: str) -> datetime:
    instant = datetime.fromisoformat(text)
    return instant if instant.tzinfo else instant.replace(tzinfo=UTC)


def _loop_factory() -> Any:
    """uvloop where there is one: it halves the cost of a socket."""
    try:
        import uvloop  # noqa: PLC0415
    except ImportError:
        return asyncio.new_event_loop
    return uvloop.new_event_loop


class _JsonLines(logging.Formatter):
    """What libraries log, in the form of our own lines."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"event": record.getMessage(), "logger": record.name, "level": record.levelname.lower()}
        return msgspec.json.encode(line).decode()


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.WARNING, handlers=[handler])
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.dict_tracebacks,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )


if __name__ == "__main__":
    sys.exit(main())
