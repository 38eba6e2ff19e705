"""One seed, one event log."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest


def virtual_day(folder: Path, *, seed: int, hash_seed: int) -> bytes:
    """The event log of some virtual minutes, made by a process of its own."""
    folder.mkdir()
    log = folder / "events.jsonl"
    command = [sys.executable, "-m", "tradebot", "run", "--virtual", "--venue", "paper", "--hours", "0.15"]
    command += ["--start", "2026-11-20T15:00:00+00:00", "--enter-every", "60", "--seed", str(seed)]
    command += ["--data-dir", str(folder / "data"), "--event-log", str(log), "--log-level", "error"]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("TRADEBOT_")}
    environment["PYTHONHASHSEED"] = str(hash_seed)
    done = subprocess.run(command, env=environment, capture_output=True, timeout=50, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return log.read_bytes()


@pytest.mark.parametrize("seed", [11])
def test_one_seed_gives_one_event_log_whatever_the_hash_seed(tmp_path: Path, seed: int) -> None:
    """Two processes with different PYTHONHASHSEED write the same bytes; another seed writes others."""
    first = virtual_day(tmp_path / "first", seed=seed, hash_seed=1)
    second = virtual_day(tmp_path / "second", seed=seed, hash_seed=2)
    assert first == second
    for kind in (b'"type":"fill"', b'"type":"strategy"', b'"type":"workflow"', b'"type":"greeks"'):
        assert kind in first
    assert virtual_day(tmp_path / "other", seed=seed + 1, hash_seed=1) != first
