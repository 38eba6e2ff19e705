"""`python -m tradebot`, as a process: what it prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

from tradebot.profiles.settings import Settings

TIMEOUT_S = 120.0  # a bound, not an expectation: pytest's own time-out is shorter


def environment(**given: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith("TRADEBOT_")}
    return own | given


def tradebot(*arguments: str, **given: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "tradebot", *arguments],
        env=environment(**given),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def error_lines(stderr: str) -> list[str]:
    """What is said to the user; the log's lines are JSON objects."""
    return [line for line in stderr.splitlines() if not line.startswith("{")]


@contextmanager
def alive(*arguments: str, **given: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        [sys.executable, "-m", "tradebot", *arguments],
        env=environment(**given),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate(timeout=TIMEOUT_S)


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def wait_for_line(process: subprocess.Popen[str], word: str) -> None:
    """The log's line with this word; the process's end, should it come first, ends the wait."""
    assert process.stderr is not None
    seen = []
    for line in process.stderr:
        seen.append(line)
        if word in line:
            return
    pytest.fail(f"the process ended without {word!r}: {''.join(seen)}")


def wait_for_ready(port: int) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/health/ready", timeout=5.0) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError):
            pass
        time.sleep(0.02)
    pytest.fail("the service never became ready")


def test_settings_prints_every_name_and_hides_the_token() -> None:
    """All settings of all rooms, as JSON; the token is only said to be set."""
    done = tradebot("settings", "--seed", "5", TRADEBOT_TOKEN="very-secret", TRADEBOT_LEGS_SLIPPAGE="0.25")
    assert (done.returncode, error_lines(done.stderr)) == (0, [])
    assert "very-secret" not in done.stdout + done.stderr
    shown = json.loads(done.stdout)
    assert (shown["api"]["token"], shown["legs"]["slippage"], shown["seed"]) == ("(set)", 0.25, 5)
    assert shown.keys() == {field.name for field in msgspec.structs.fields(Settings)}
    for field in msgspec.structs.fields(Settings):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            assert shown[field.name].keys() == {each.name for each in msgspec.structs.fields(field.type)}


@pytest.mark.parametrize(
    ("arguments", "given", "words"),
    [
        (("serve",), {}, "setting api.token"),
        (("run", "--virtual", "--venue", "ibkr", "--hours", "1"), {}, "--virtual needs"),
        (("run", "--virtual"), {}, "--virtual needs"),
        (("settings",), {"TRADEBOT_NONSENSE": "1"}, "TRADEBOT_NONSENSE"),
        (("run", "--hours", "0", "--event-log", "nowhere/at/all.jsonl"), {}, "nowhere/at/all.jsonl"),
    ],
    ids=["no_token", "virtual_ibkr", "virtual_for_ever", "no_setting", "no_event_log"],
)
def test_a_users_mistake_is_one_line_and_status_2(
    tmp_path: Path, arguments: tuple[str, ...], given: dict[str, str], words: str
) -> None:
    """No traceback, no start, and the line names what to change."""
    done = tradebot(*arguments, **given, TRADEBOT_DATA_DIR=str(tmp_path / "bot"))
    assert done.returncode == 2, done.stderr
    (line,) = error_lines(done.stderr)
    assert line.startswith("tradebot: error: ")
    assert words in line


def test_a_taken_port_is_one_line_and_status_2(tmp_path: Path) -> None:
    """The bot that had started already is stopped again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = tradebot("serve", "--port", port, TRADEBOT_TOKEN="t", TRADEBOT_DATA_DIR=str(tmp_path / "bot"))
    assert done.returncode == 2, done.stderr
    mistakes = [line for line in error_lines(done.stderr) if line.startswith("tradebot: error: ")]
    assert mistakes == [f"tradebot: error: setting api.port: cannot listen on 127.0.0.1:{port}. Choose a free port"]
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_service_well(tmp_path: Path, number: signal.Signals) -> None:
    """Status 0, and nothing that looks like a crash."""
    port = free_port()
    given = {"TRADEBOT_TOKEN": "t", "TRADEBOT_DATA_DIR": str(tmp_path / "bot")}
    with alive("serve", "--port", str(port), **given) as process:
        wait_for_ready(port)
        process.send_signal(number)
        _, stderr = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, stderr
        assert "Traceback" not in stderr
        assert error_lines(stderr) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_a_run_well(tmp_path: Path, number: signal.Signals) -> None:
    """Status 0, also without an API."""
    with alive("run", TRADEBOT_DATA_DIR=str(tmp_path / "bot")) as process:
        wait_for_line(process, '"ready"')
        process.send_signal(number)
        _, stderr = process.communicate(timeout=TIMEOUT_S)
        assert process.returncode == 0, stderr
        assert error_lines(stderr) == []


def test_a_folder_that_cannot_be_used_is_one_line(tmp_path: Path) -> None:
    """Without a journal nothing may trade: the store says why, and nothing is left running."""
    (tmp_path / "bot").write_text("a file where a folder should be", encoding="utf-8")
    done = tradebot("run", "--hours", "0.001", TRADEBOT_DATA_DIR=str(tmp_path / "bot"))
    assert done.returncode == 2
    (line,) = error_lines(done.stderr)
    assert line.startswith("tradebot: error: ")


@pytest.mark.timeout(150)  # where nobody compiled them yet
def test_kernels_are_compiled_once_and_then_loaded() -> None:
    """Whoever sets a machine up can compile ahead, American kernels too; the second time nothing is left to do."""
    first = tradebot("kernels")
    assert (first.returncode, error_lines(first.stderr)) == (0, [])
    assert tradebot("kernels").stdout.startswith("0 kernels compiled")


def test_a_bot_that_trades_has_no_compiler_in_its_process(tmp_path: Path) -> None:
    """Half an hour on paper, entries included, from a warm cache: numba, its seconds and its memory, stay out."""
    tradebot("kernels")
    command = ["run", "--virtual", "--hours", "0.5", "--venue", "paper", "--start", "2026-01-05T15:00:00"]
    trade = f"main({[*command, '--enter-every', '600', '--data-dir', str(tmp_path / 'bot')]})"
    script = f"import sys; from tradebot.__main__ import main; print({trade}, 'numba' in sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=True,
    )
    assert done.stdout.split()[-2:] == ["0", "False"]
    assert '"compiled_while_trading"' not in done.stderr
