"""The kernels are ready before the first tick, and what is compiled later does not go unnoticed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from support import kernels
from tradebot.domain.errors import PricingError
from tradebot.pricing import cache, loader
from tradebot.pricing.warmup import BOOK, WarmUp, warm_up

ROOM = kernels.__name__
TRADE = """
import sys
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
import numpy as np
from tradebot.domain.instruments import OptionContract, Right
from tradebot.pricing import european, implied, warmup
from tradebot.pricing.book import Book
alerts = []
warm = warmup.warm_up(Path(sys.argv[1]), alerts.append)
at = datetime(2026, 1, 2, 15, tzinfo=UTC)
contract = OptionContract("X", (at + timedelta(days=30)).date(), Decimal(100), Right.CALL)
book = Book(1)
book.set_underlying("X", 100, 0, 0)
book.revalue(at)
book.set_sigma(contract, 0.2)
book.add("x", contract, 1)
book.on_tick("X", 101)
book.recompute()
european.price_and_greeks(100, 100, 1, 0.2, 0, 0, is_call=True)
many = np.linspace(5.0, 6.0, 300)
frozen = many.copy()
frozen.flags.writeable = False
for price in (5.0, [5.0, 6.0], many, frozen, many[::2], many.reshape(30, 10), np.broadcast_to(5.0, 200), np.int32(5)):
    for strike in (100, np.broadcast_to(100.0, np.shape(price))):
        found = implied.implied_volatility(price, 100.0, strike, 0.5, 0.0, 0.0, True, warm=0.2)
        assert not found.flag.any()
print(warm.compiled, warm.compiles_since_warmup(), bool(warm.problem), len(alerts), "numba" in sys.modules)
"""


def start(cache_dir: Path) -> list[str]:
    """A fresh process that warms up and trades, with whole numbers, lists, views and read-only arrays."""
    done = subprocess.run(
        [sys.executable, "-c", TRADE, str(cache_dir)], capture_output=True, text=True, timeout=110, check=True
    )
    return done.stdout.split()


@pytest.mark.timeout(240)
def test_the_second_start_compiles_nothing(tmp_path: Path) -> None:
    """The first start fills the cache, the second lives off it; neither ever has the compiler in its process, and no
    kind of input makes a kernel compile once more."""
    count = sum(len(loader.kernels_of(module)) for module in BOOK)
    assert start(tmp_path) == [str(count), "0", "False", "0", "False"]
    assert start(tmp_path) == ["0", "0", "False", "0", "False"]


@pytest.fixture
def _unloaded(monkeypatch: pytest.MonkeyPatch) -> None:
    for kernel in loader.kernels_of(ROOM):
        monkeypatch.setattr(kernel, "code", None)


def forget() -> None:
    for kernel in loader.kernels_of(ROOM):
        kernel.code = None


def warmed(cache_dir: Path) -> WarmUp:
    """As at a start: nothing is loaded yet."""
    forget()
    warm = warm_up(cache_dir, lambda _: None, modules=[ROOM])
    warm.close()
    assert kernels.scale(np.ones(1), 2.0, 8) == 8
    return warm


@pytest.mark.usefixtures("_unloaded")
def test_without_a_writable_folder_it_works_and_says_so(tmp_path: Path) -> None:
    """A file where the folder should be: the kernels are compiled, and the reason is there to be logged."""
    (tmp_path / "cache").write_text("in the way")
    warm = warmed(tmp_path / "cache")
    assert warm.compiled == len(loader.kernels_of(ROOM))
    assert "each start compiles them" in warm.problem


@pytest.mark.usefixtures("_unloaded")
def test_what_is_damaged_or_of_another_machine_is_compiled_again(tmp_path: Path) -> None:
    """A byte that is wrong, a file cut short, and one that was made for another key: none is ever loaded."""
    key = cache._key()
    assert warmed(tmp_path).compiled
    (file,) = tmp_path.rglob("*.o")
    whole = file.read_bytes()
    for bad in (
        whole[:200] + bytes([whole[200] ^ 1]) + whole[201:],
        whole[:-1],
        b"",
        cache._digest(b"another machine", whole[cache.DIGEST_BYTES :]) + whole[cache.DIGEST_BYTES :],
    ):
        file.write_bytes(bad)
        assert cache._read(file, key) is None
    assert warmed(tmp_path).compiled
    assert cache._read(file, key) is not None
    assert warmed(tmp_path).compiled == 0
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == [file]


def test_a_disk_that_is_full_leaves_no_half_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What cannot be moved into place is taken away again, and the error goes to whoever tells the reason."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        cache._write(tmp_path / "key" / "room.o", "key", b"code")
    assert [each for each in tmp_path.rglob("*") if each.is_file()] == []


def test_two_starts_at_once_are_harmless(tmp_path: Path) -> None:
    """Both compile, both keep what they made, both are right; the third finds it."""
    script = f"""
import sys
from pathlib import Path
import numpy as np
from support import kernels
from tradebot.pricing.warmup import warm_up
warm = warm_up(Path(sys.argv[1]), print, modules=[{ROOM!r}])
print(warm.compiled, warm.problem, kernels.scale(np.ones(1), 2.0, 8))
"""
    command = [sys.executable, "-c", script, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    both = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    count = len(loader.kernels_of(ROOM))
    for each in both:
        assert each.communicate(timeout=50)[0].split() in ([str(count), "8"], ["0", "8"])
    assert subprocess.check_output(command, env=environment, text=True, timeout=50).split() == ["0", "8"]


def test_another_version_has_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change in any module of the package, or in what the compiler is told, leaves the old cache aside."""
    (tmp_path / "cache.py").write_text("")
    (tmp_path / "math64.py").write_text("a = 1")
    monkeypatch.setattr(cache, "__file__", str(tmp_path / "cache.py"))
    keys = [cache._key(), cache._key()]
    (tmp_path / "math64.py").write_text("a = 2")
    keys.append(cache._key())
    monkeypatch.setenv("NUMBA_CPU_NAME", "generic")
    keys.append(cache._key())
    assert [keys.index(key) for key in keys] == [0, 0, 2, 3]


@pytest.mark.usefixtures("_unloaded")
def test_a_kernel_that_nobody_loaded_loads_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a warm-up it works too; the compile is counted, a load from the cache is not, and the count ends."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    told: list[str] = []
    warm = warm_up(tmp_path, told.append, modules=[])
    for _ in range(3):
        kernels.scale(np.ones(1), 2.0, 1)
    assert warm.compiles_since_warmup() == 1
    assert told == [f"{ROOM}.scale"]
    forget()
    kernels.scale.bind(np.ones(1))
    assert warm.compiles_since_warmup() == 1
    warm.close()
    warm.close()
    forget()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another"))
    kernels.scale(np.ones(1), 2.0, 1)
    assert len(told) == 1


@pytest.mark.usefixtures("_unloaded")
def test_a_compiler_that_fails_says_why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A typed error with the compiler's own last line, and what to do."""
    failing = tmp_path / "python"
    failing.write_text("#!/bin/sh\necho first >&2\necho No module named numba >&2\nexit 1\n")
    failing.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(failing))
    with pytest.raises(PricingError, match=r"could not be compiled: No module named numba\. Run"):
        warmed(tmp_path)
