"""What the compiler refuses, and what it makes for a machine that is not this one."""

from __future__ import annotations

import re
import shutil
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numba.core.errors import TypingError

from tradebot.pricing import european, slices
from tradebot.pricing.compiler import Target, assembly, compiled
from tradebot.pricing.formula import FIGURES, LN_STRIKE, SHARES, STRIKE
from tradebot.pricing.jit import Kernel
from tradebot.pricing.lanes import padding, table

AARCH64 = Target("aarch64-unknown-linux-gnu", "generic", "", python=False)
TOOLS = ("qemu-aarch64", "aarch64-linux-gnu-gcc")
HARNESS = Path(__file__).with_name("harness.c")


def test_a_kernel_that_may_raise_is_refused() -> None:
    """Nobody could tell the caller: only what is proved never to raise is compiled."""
    with pytest.raises(SystemExit, match=r"support\.raising cannot do without a_kernel_may_raise"):
        compiled(["support.raising"])


def test_a_kernel_that_allocates_is_refused() -> None:
    """Memory would come from numba's runtime, which a process that trades does not have."""
    with pytest.raises(TypingError, match="Only accept returning of array passed into the function"):
        compiled(["support.allocating"])


@pytest.mark.timeout(120)
@pytest.mark.parametrize(
    ("room", "functions"), [(slices.__name__, ("reprice", "recomputed")), (european.__name__, ("price_each",))]
)
def test_aarch64_gets_vectors_of_two(room: str, functions: tuple[str, ...]) -> None:
    """The hot loops of a book are vector code on the least CPU of that architecture too, with fused multiply-adds."""
    for source in assembly(room, functions, AARCH64).values():
        assert len(re.findall(r"\bfml[as]\tv\d+\.2d", source)) >= 40


class Emulated:
    """One kernel of an AArch64 object file, run by qemu: the arrays go in and come back as bytes."""

    def __init__(self, folder: Path, kernel: Kernel[..., Any]) -> None:
        self._kernel, self._program = kernel, folder / kernel.name
        object_file = folder / f"{kernel.name}.o"
        object_file.write_bytes(compiled([kernel.module], AARCH64)[kernel.module])
        entry = f'-DENTRY="entry.{kernel!r}"'
        command = [TOOLS[1], "-static", "-O1", entry, str(HARNESS), str(object_file), "-lm", "-o", str(self._program)]
        subprocess.run(command, check=True, timeout=60)

    def __call__(self, *arguments: Any) -> int:
        """Changes the arrays in place, as the kernel itself does."""
        words = [struct.pack("=qq", 0, len(self._kernel.signature.numbers))]
        for argument in arguments:
            if isinstance(argument, np.ndarray):
                words.append(struct.pack("=qq", 1, argument.nbytes) + argument.tobytes())
                words += [struct.pack("=qq", 0, length) for length in argument.shape]
            else:
                words.append(struct.pack("=qd" if isinstance(argument, float) else "=qq", 0, argument))
        given = struct.pack("=q", len(words)) + b"".join(words)
        done = subprocess.run([TOOLS[0], self._program], input=given, capture_output=True, check=True, timeout=60)
        result, at = struct.unpack_from("=q", done.stdout)[0], 8
        for array in (each for each in arguments if isinstance(each, np.ndarray)):
            array[:] = np.frombuffer(done.stdout, array.dtype, array.size, at).reshape(array.shape)
            at += array.nbytes
        return int(result)


@pytest.fixture
def _tools() -> None:
    if missing := [tool for tool in TOOLS if shutil.which(tool) is None]:
        pytest.fail(f"not measured: no {', '.join(missing)} (Debian: apt-get install qemu-user gcc-aarch64-linux-gnu)")


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("_tools")
def test_aarch64_prices_any_options_to_the_same_bit(tmp_path: Path) -> None:
    """Every price and Greek of options that share nothing, out to 6 deviations, ends of the ranges included."""
    rng, n = np.random.default_rng(3), 4003
    inputs = np.empty((6, n))
    inputs[0] = 100.0 * np.exp(rng.normal(0.0, 1.0, n))
    inputs[2], inputs[3] = rng.uniform(1 / 365, 3.0, n), rng.uniform(0.02, 3.0, n)
    away = rng.uniform(-6.0, 6.0, n) * inputs[3] * np.sqrt(inputs[2])
    inputs[1] = inputs[0] * np.exp(away) * np.where(rng.random(n) < 0.5, 1.0, -1.0)
    inputs[4], inputs[5] = rng.uniform(-0.05, 0.2, n), rng.uniform(-0.05, 0.2, n)
    inputs[:, 0] = 1e-90, 1e90, 1e-6, 1e-3, 0.0, 0.0
    here, there = np.empty((FIGURES, n)), np.empty((FIGURES, n))
    european.price_each(inputs, here)
    Emulated(tmp_path, european.price_each)(inputs, there)
    assert np.isfinite(here).all()
    assert here.tobytes() == there.tobytes()


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.usefixtures("_tools")
def test_aarch64_prices_a_slice_to_the_same_bit(tmp_path: Path) -> None:
    """A tick of a book: the same figures of every option; totals are summed by lanes, of which there are fewer."""
    rng, n = np.random.default_rng(4), 496
    inputs, outputs = table(slices.INPUTS, n), table(FIGURES, n)
    inputs[:] = padding(inputs.shape[1])
    inputs[LN_STRIKE, :n] = rng.normal(0.0, 0.3, n)
    inputs[STRIKE, :n] = 100.0 * np.exp(inputs[LN_STRIKE, :n]) * np.where(rng.random(n) < 0.5, 1.0, -1.0)
    inputs[slices.SIGMA, :n], inputs[SHARES, :n] = rng.uniform(0.05, 0.9, n), rng.integers(-9, 9, n) * 100.0
    rows, underlyings = table(8, slices.SLICE_COLUMNS), table(8, slices.UNDERLYING_COLUMNS)
    underlyings[1, :5] = 100.0, 0.04, 0.012, 100.0, 0.0
    rows[0, [slices.EXPIRES_S, slices.START, slices.STOP, slices.NEXT]] = 0.4 * slices.SECONDS_PER_YEAR, 0, n, -1
    slices.revalue(inputs, outputs, rows, underlyings, 1, 2, 0.0)
    mine, its = ([each.copy() for each in (inputs, outputs, rows, underlyings)] for _ in range(2))
    assert slices.tick(mine[0], mine[1], mine[2], mine[3], 1, 107.0) is True
    assert Emulated(tmp_path, slices.tick)(*its, 1, 107.0) == 1
    assert mine[1].tobytes() == its[1].tobytes()
    np.testing.assert_allclose(mine[3], its[3], rtol=1e-13, atol=1e-12 * np.abs(mine[3]).max())
