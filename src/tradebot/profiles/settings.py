"""Settings: a profile's numbers, then a TOML file, then the environment; the last one wins.

Each room owns a frozen struct of its settings; this module only nests them, so a setting has one name everywhere:
`legs.slippage` in the file is `TRADEBOT_LEGS_SLIPPAGE` in the environment. A wrong one is one line that names it.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec

from tradebot.decisions.rules import StopLoss, TakeProfit, TimeExit
from tradebot.domain.errors import SettingsError
from tradebot.domain.ranges import Count, Port, Seconds
from tradebot.execution.autopilot import AutopilotSettings
from tradebot.execution.entry import EntrySettings
from tradebot.execution.legs import LegSettings
from tradebot.execution.monitoring import MonitoringSettings
from tradebot.gates.breaker import BreakerSettings
from tradebot.gates.portfolio import GateSettings
from tradebot.recovery.reconcile import ReconcileSettings
from tradebot.strategies import iron_condor, vertical
from tradebot.strategies.view import SpreadSettings
from tradebot.venues.ibkr.settings import IbkrSettings
from tradebot.venues.paper.exchange import PaperSettings

PREFIX = "TRADEBOT_"
SEE_SETTINGS = "`tradebot settings` shows every name and value"


class ApiSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    host: str = "127.0.0.1"
    port: Port = 8080
    token: str = ""  # required to serve: an API that trades has no default password
    sockets_max: Count = 1_000
    heartbeat_s: Seconds = 5.0


class Settings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    profile: str = "options"
    venue: Literal["ibkr", "paper"] = "paper"
    data_dir: str = "var/tradebot"
    cache_dir: str = "~/.cache/tradebot"  # of compiled kernels: what is in it can be made again
    seed: int = 0
    symbols: Annotated[tuple[str, ...], msgspec.Meta(min_length=1)] = ("SPY", "QQQ", "IWM", "AAPL", "MSFT")
    rate: float = 0.04
    jobs_max: Count = 256
    book_capacity: Count = 10_000
    api: ApiSettings = ApiSettings()
    ibkr: IbkrSettings = IbkrSettings()
    paper: PaperSettings = PaperSettings()
    iron_condor: SpreadSettings = iron_condor.SETTINGS
    vertical: SpreadSettings = vertical.SETTINGS
    take_profit: TakeProfit = TakeProfit()
    stop_loss: StopLoss = StopLoss()
    time_exit: TimeExit = TimeExit()
    limits: GateSettings = GateSettings()
    breaker: BreakerSettings = BreakerSettings()
    autopilot: AutopilotSettings = AutopilotSettings()
    legs: LegSettings = LegSettings()
    entry: EntrySettings = EntrySettings()
    monitoring: MonitoringSettings = MonitoringSettings()
    reconcile: ReconcileSettings = ReconcileSettings()


SHORT_NAMES = {"TOKEN": ("api", "token"), "HOST": ("api", "host"), "PORT": ("api", "port")}


def load_settings(
    profile: Mapping[str, Any], *, file: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any]
) -> Settings:
    layers = [_cache_of(environ), profile, _from_file(file), _from_environ(environ), overrides]
    merged: dict[str, Any] = {}
    for layer in layers:
        _merge(merged, layer)
    try:
        # Not strict: the environment brings strings, and "50" is a fine fifty.
        return msgspec.convert(merged, Settings, strict=False)
    except msgspec.ValidationError as error:
        raise SettingsError(
            f"setting {_where(error)}", remedy="See `tradebot settings` for every name and value"
        ) from None


def _cache_of(environ: Mapping[str, str]) -> dict[str, Any]:
    home = environ.get("XDG_CACHE_HOME")
    return {"cache_dir": f"{home}/tradebot"} if home else {}


def _from_file(file: Path | None) -> dict[str, Any]:
    if file is None:
        return {}
    try:
        return tomllib.loads(file.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"the settings file {file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"the settings file {file} is not TOML: {error}") from None


def _from_environ(environ: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in sorted(environ):
        if name.startswith(PREFIX):
            section, field = _locate(name)
            target = found.setdefault(section, {}) if section else found
            target[field] = _listed(environ[name]) if field == "symbols" else environ[name]
    return found


def _locate(name: str) -> tuple[str, str]:
    """`TRADEBOT_LEGS_SLIPPAGE` -> ("legs", "slippage"); an unknown name is an error, not a setting that is lost."""
    short = name.removeprefix(PREFIX)
    if short in SHORT_NAMES:
        return SHORT_NAMES[short]
    wanted = short.lower()
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            inner = wanted.removeprefix(f"{field.name}_")
            if inner != wanted and any(each.name == inner for each in msgspec.structs.fields(field.type)):
                return field.name, inner
        elif field.name == wanted:
            return "", field.name
    raise SettingsError(
        f"the environment sets {name}, which is no setting", remedy="See `tradebot settings` for every name"
    )


def _listed(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _merge(into: dict[str, Any], layer: Mapping[str, Any]) -> None:
    for key, value in layer.items():
        if isinstance(value, Mapping):
            inner = into.setdefault(key, {})
            if isinstance(inner, dict):
                _merge(inner, value)
                continue
        into[key] = value


def _where(error: msgspec.ValidationError) -> str:
    """msgspec says `Expected X - at `$.legs.slippage``; a person wants the name first."""
    message, _, path = str(error).partition(" - at ")
    name = path.strip("`").removeprefix("$.")
    return f"{name}: {message}" if name else message
