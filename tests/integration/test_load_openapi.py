"""Locust itself, headless, over an API that it knows only by its document: right answers pass, wrong ones fail."""

import http.server
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tidegauge.load.openapi.document import DOCUMENT, TOKEN, locustfile

FLAT = {"200": {"content": {"application/json": {"schema": {"type": "object", "required": ["ok"]}}}}}
API = {"openapi": "3.0.0", "paths": {"/right": {"get": {"responses": FLAT}}, "/wrong": {"get": {"responses": FLAT}}}}


class Api(http.server.BaseHTTPRequestHandler):
    """Its document, a right answer and a fast wrong one; `wrote` holds whatever was asked but GET."""

    protocol_version = "HTTP/1.1"
    wrote: tuple[str, ...] = ()

    def do_GET(self) -> None:
        """One answer."""
        known = self.headers["Authorization"] == "Bearer T"
        answers = {"/openapi.json": API, "/right": {"ok": 1}, "/wrong": {"no": 1}}
        body = json.dumps(answers[self.path] if known else {}).encode()
        self.send_response(200 if known else 401)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        """Nobody may come here."""
        type(self).wrote += (self.path,)
        self.send_error(405)

    do_PUT = do_DELETE = do_PATCH = do_POST  # noqa: N815 - the names that http.server calls

    def log_message(self, *_: object) -> None:
        """Says nothing."""


@pytest.fixture
def url() -> Iterator[str]:
    """The API in this process."""
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Api)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/openapi.json"
    server.shutdown()
    thread.join()
    server.server_close()


def locust(document: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    """A short run; its statistics lie in load_stats.csv."""
    options = ["--headless", "-u", "2", "-r", "2", "-t", "2s", "--stop-timeout", "2", "--csv", str(tmp_path / "load")]
    return subprocess.run(
        [sys.executable, "-m", "locust", "-f", str(locustfile()), *options],
        env=os.environ | {DOCUMENT: document, TOKEN: "T"},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )


def test_locust_loads_an_api_from_its_document(url: str, tmp_path: Path) -> None:
    """Both routes are asked with the token, the wrong answer is a failure that is named, and nothing is written."""
    done = locust(url, tmp_path)
    rows = {line.split(",")[1]: line.split(",") for line in (tmp_path / "load_stats.csv").read_text().splitlines()}
    right, wrong = rows["GET /right"], rows["GET /wrong"]
    assert int(right[2]) > 0, done.stderr
    assert int(right[3]) == 0
    assert int(wrong[2]) == int(wrong[3]) > 0
    assert "$ lacks 'ok'" in (tmp_path / "load_failures.csv").read_text()
    assert Api.wrote == ()


def test_a_document_that_is_not_there_is_one_line(tmp_path: Path) -> None:
    """Locust ends with our sentence, not with a traceback."""
    done = locust(str(tmp_path / "none.json"), tmp_path)
    assert done.returncode != 0
    assert "Cannot read" in done.stderr
    assert "Traceback" not in done.stderr
