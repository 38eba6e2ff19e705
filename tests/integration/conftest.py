"""The house as a fixture: one bot and one gateway for a test that needs nothing special."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from support.house import House, open_house


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    with open_house(tmp_path, seed=7, monitoring_cycle_s="0.2") as opened:
        yield opened
