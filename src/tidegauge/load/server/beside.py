"""The sampler beside a Locust: a process of its own, because a look at the target would hold up the arrivals.

    Beside(url) ─▶ python -m tidegauge.load.server ─▶ .jsonl ─▶ rows() ─▶ the session, once a second

It ends with whoever started it: its standard input is our end of a pipe.
"""

import contextlib
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

import msgspec

from tidegauge.load.server.rows import ServerRow

STOP_S_MAX: Final = 5.0


class Beside:
    """One target under observation; `rows` gives what came since it was asked last."""

    def __init__(self, url: str, *, pid: int = 0, metrics: str = "", path: Path | None = None) -> None:
        self.url = url
        self._folder = None if path else Path(tempfile.mkdtemp(prefix="tidegauge-server-"))
        self._path = path or Path(self._folder or "") / "server.jsonl"
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._read_bytes = self._path.stat().st_size if self._path.exists() else 0
        self._decode = msgspec.json.Decoder(ServerRow).decode
        command = [sys.executable, "-m", "tidegauge.load.server", str(self._path), url, f"--pid={pid}"]
        self._process = subprocess.Popen(  # noqa: S603 - our own module
            [*command, f"--metrics={metrics}", f"--client-pid={os.getpid()}"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for Locust, which has rows to take before it ends
        )

    def rows(self) -> list[ServerRow]:
        """Whole lines alone: the last one may still be on its way."""
        with contextlib.suppress(FileNotFoundError), self._path.open("rb") as file:
            file.seek(self._read_bytes)
            content = file.read()
            end = content.rfind(b"\n") + 1
            self._read_bytes += end
            return [self._decode(line) for line in content[:end].splitlines()]
        return []

    def close(self) -> None:
        """The process is gone when this returns."""
        if self._process.stdin:
            self._process.stdin.close()
        try:
            self._process.wait(STOP_S_MAX)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._folder:
            shutil.rmtree(self._folder, ignore_errors=True)
