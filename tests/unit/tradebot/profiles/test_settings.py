"""Settings: four layers, the last one wins; a wrong one is one line that names it."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tradebot.domain.errors import SettingsError
from tradebot.profiles import options
from tradebot.profiles.settings import Settings, load_settings


def load(
    file: Path | None = None, environ: Mapping[str, str] | None = None, overrides: Mapping[str, Any] | None = None
) -> Settings:
    return load_settings(options.SETTINGS, file=file, environ=environ or {}, overrides=overrides or {})


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "settings.toml"
    path.write_text(text, encoding="utf-8")
    return path


def line_of(**layers: Any) -> str:
    with pytest.raises(SettingsError) as error:
        load(**layers)
    line = str(error.value)
    assert error.value.exit_code == 2
    assert "\n" not in line
    return line


def test_the_last_layer_wins(tmp_path: Path) -> None:
    """Room's default, profile, file, environment, command line: each is overruled by the next."""
    file = written(tmp_path, "seed = 1\nrate = 0.01\njobs_max = 10\n[iron_condor]\nshort_delta = 0.2\ndte_days = 30\n")
    environ = {"TRADEBOT_RATE": "0.02", "TRADEBOT_SEED": "2", "TRADEBOT_IRON_CONDOR_DTE_DAYS": "60", "HOME": "/"}
    settings = load(file, environ, {"seed": 3})
    assert (settings.seed, settings.rate, settings.jobs_max, settings.book_capacity) == (3, 0.02, 10, 10_000)
    condor = settings.iron_condor
    assert (condor.short_delta, condor.dte_days, condor.width_points) == (0.2, 60, Decimal(10))
    assert settings.vertical.short_delta == 0.30
    assert options.SETTINGS["iron_condor"] == {"dte_days": 45, "short_delta": 0.16, "width_points": "10"}


def test_the_environment_names_every_setting_and_has_three_short_ones() -> None:
    """Nested names are joined by an underscore; a list is separated by commas; numbers are written as text."""
    settings = load(
        environ={
            "TRADEBOT_TOKEN": "t",
            "TRADEBOT_PORT": "0",
            "TRADEBOT_HOST": "::1",
            "TRADEBOT_SYMBOLS": " SPY, QQQ ,",
            "TRADEBOT_LEGS_SLIPPAGE": "0.1",
            "TRADEBOT_TAKE_PROFIT_CLOSE_UPL_SHARE": "0.9",
            "TRADEBOT_LIMITS_EXPOSURE_CAP": "5000",
            "TRADEBOT_PAPER_PARTIAL_FILLS": "true",
        }
    )
    assert (settings.api.token, settings.api.port, settings.api.host) == ("t", 0, "::1")
    assert settings.symbols == ("SPY", "QQQ")
    assert settings.legs.slippage == 0.1
    assert settings.take_profit.close_upl_share == 0.9
    assert settings.limits.exposure_cap == Decimal(5000)
    assert settings.paper.partial_fills


SECTIONS = [field.name for field in msgspec.structs.fields(Settings) if isinstance(field.type, type(msgspec.Struct))]


@pytest.mark.parametrize("section", ["", *SECTIONS, "ibkr.reconnect"])
def test_an_unknown_name_in_the_file_is_refused_in_every_section(tmp_path: Path, section: str) -> None:
    """A setting that is misspelt must not be lost: the line names it and where it stands."""
    text = f"[{section}]\nslipage = 1\n" if section else "slipage = 1\n"
    line = line_of(file=written(tmp_path, text))
    assert "slipage" in line
    assert section in line


@pytest.mark.parametrize(
    "name", ["TRADEBOT_SLIPAGE", "TRADEBOT_LEGS_SLIPAGE", "TRADEBOT_LEGS", "TRADEBOT_", "TRADEBOT_LEGSSLIPPAGE"]
)
def test_an_unknown_name_in_the_environment_is_refused(name: str) -> None:
    """It is named as the user wrote it."""
    assert f"sets {name}, which is no setting" in line_of(environ={name: "1"})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("legs.fill_timeout_s", -1),
        ("legs.cancel_timeout_s", 0),
        ("legs.slippage", 1.0),
        ("legs.slippage", -0.1),
        ("legs.slippage", "much"),
        ("legs.slippage", "nan"),
        ("legs.fill_timeout_s", "nan"),
        ("legs.fill_timeout_s", "inf"),
        ("api.port", 70_000),
        ("api.port", -1),
        ("ibkr.port", 65_536),
        ("ibkr.reconnect.max_s", -5),
        ("entry.quote_timeout_s", 0),
        ("monitoring.cycle_s", 0),
        ("reconcile.interval_s", -300),
        ("autopilot.every_s", -1),
        ("autopilot.kind", "butterfly"),
        ("breaker.failures_max", 0),
        ("paper.market_lines_max", 0),
        ("iron_condor.width_points", "wide"),
        ("limits.vix_below", "calm"),
        ("jobs_max", 0),
        ("book_capacity", -1),
        ("venue", "nyse"),
        ("symbols", []),
    ],
)
def test_a_value_that_cannot_be_is_one_line_that_names_it(name: str, value: Any) -> None:
    """Wrong types and numbers out of range are found when settings are read, not when they hurt."""
    given: dict[str, Any] = {}
    *sections, last = name.split(".")
    inner = given
    for section in sections:
        inner = inner.setdefault(section, {})
    inner[last] = value
    assert line_of(overrides=given).startswith(f"setting {name}: ")


def test_the_file_must_be_readable_toml(tmp_path: Path) -> None:
    """No file, a folder, text that is no TOML and bytes that are no text: one line with the file's name."""
    missing = tmp_path / "missing.toml"
    assert f"{missing} cannot be read: No such file" in line_of(file=missing)
    assert f"{tmp_path} cannot be read: Is a directory" in line_of(file=tmp_path)
    assert "is not TOML" in line_of(file=written(tmp_path, "seed 1"))
    noise = tmp_path / "noise.toml"
    noise.write_bytes(b"\xff\xfe")
    assert "is not TOML" in line_of(file=noise)


def test_a_section_where_a_value_belongs_and_the_reverse_are_named(tmp_path: Path) -> None:
    """`legs = 1` and `[seed]` are mistakes of the same kind."""
    assert line_of(file=written(tmp_path, "legs = 1\n")).startswith("setting legs: ")
    assert line_of(file=written(tmp_path, "[seed]\nx = 1\n")).startswith("setting seed: ")
