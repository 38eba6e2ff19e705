"""A Chromium and a Locust with its web UI for each test; both end with it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.chromium import Page, open_chromium
from support.web import TESTS, Locust, web


@pytest.fixture
def page(tmp_path: Path) -> Iterator[Page]:
    folder = tmp_path / "chromium"
    folder.mkdir()
    with open_chromium(folder) as opened:
        opened.size(1280, 900)
        yield opened


@pytest.fixture
def locust_ui(tmp_path: Path) -> Iterator[Locust]:
    """Over a session of looks: what is drawn is known."""
    with web(tmp_path, "-f", str(TESTS / "browser" / "toy_locustfile.py"), "-u", "2", "-r", "2") as process:
        yield process
