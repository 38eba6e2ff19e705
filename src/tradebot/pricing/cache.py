"""Where compiled kernels are kept, and who compiles those that are missing.

module -> its object file in a folder named after all that decides what is in it (`_key`) -> checked -> loaded; or else
compiled by `compiler`, in a process of its own that hands the object code over by a pipe, and kept for the next start.
A file is written beside its place and then moved there: who reads meanwhile sees the old one or the new one, and two
starts at once merely do the work twice. What is damaged, or was made for another machine, counts as missing.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import llvmlite
import llvmlite.binding as llvm
import msgspec

from tradebot.domain.errors import PricingError

COMPILE_S_MAX: Final = 600.0
VERSIONS_KEPT: Final = 8  # of the folder: older ones are of sources, or of a machine, that are gone
DIGEST_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Found:
    objects: dict[str, bytes]  # by module
    compiled: tuple[str, ...]  # those that were not there
    problem: str = ""  # why they could not be kept


def default_dir() -> Path:
    """Where `profiles.settings` puts it too, for whoever calls a kernel without a bot around it."""
    return Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser() / "tradebot"


def objects(modules: Iterable[str], cache_dir: Path) -> Found:
    """Object code of each module."""
    key = _key()
    paths = {module: cache_dir / f"{key}" / f"{module}.{_digest(_source(module))[:8].hex()}.o" for module in modules}
    found: dict[str, bytes] = {}
    for module, path in paths.items():
        if (code := _read(path, key)) is not None:
            found[module] = code
    missing = tuple(module for module in paths if module not in found)
    if not missing:
        return Found(found, ())
    made = _compiled(missing)
    problem = ""
    try:
        for module in missing:
            _write(paths[module], key, made[module])
    except OSError as refused:
        problem = f"kernels cannot be kept in {cache_dir}, each start compiles them: {refused}"
    return Found(found | made, missing, problem)


def _compiled(modules: tuple[str, ...]) -> dict[str, bytes]:
    done = subprocess.run(  # noqa: S603 - this interpreter, on modules that it has imported
        [sys.executable, "-m", "tradebot.pricing.compiler", *modules],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMPILE_S_MAX,
        check=False,
    )
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise PricingError(
            f"the kernels of {', '.join(modules)} could not be compiled: {said or f'status {done.returncode}'}",
            remedy="Run `python -m tradebot.pricing.compiler` with their names to see all of it",
        )
    return msgspec.msgpack.decode(done.stdout, type=dict[str, bytes])


def _read(path: Path, key: str) -> bytes | None:
    """The file's object code, if there is one that is whole and made for here."""
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, code = content[:DIGEST_BYTES], content[DIGEST_BYTES:]
    return code if digest == _digest(key.encode(), code) else None


def _write(path: Path, key: str, code: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=path.name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(_digest(key.encode(), code) + code)
        Path(name).replace(path)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise


def _key() -> str:
    """The sources of this package, the CPU, the compiler and what it was told, in 16 hexadecimal digits."""
    package = Path(__file__).parent
    parts = [source.read_bytes() for source in sorted(package.glob("*.py"))]
    parts += [llvm.get_process_triple().encode(), llvm.get_host_cpu_name().encode()]
    parts += [llvm.get_host_cpu_features().flatten().encode(), llvmlite.__version__.encode(), _numba_version()]
    parts += [sys.implementation.cache_tag.encode()]
    parts += [f"{name}={value}".encode() for name, value in sorted(os.environ.items()) if name.startswith("NUMBA_")]
    return _digest(*parts)[:8].hex()


def _numba_version() -> bytes:
    """Read and not imported: that would be most of a start's cost."""
    spec = importlib.util.find_spec("numba")
    if spec is None or spec.origin is None:
        return b""
    return Path(spec.origin).with_name("_version.py").read_bytes()


def _source(module: str) -> bytes:
    """Of a module that may lie outside this package."""
    file = sys.modules[module].__file__
    return Path(file).read_bytes() if file else b""


def _digest(*parts: bytes) -> bytes:
    digest = hashlib.sha256()
    for part in parts:
        digest.update(len(part).to_bytes(8, "little") + part)
    return digest.digest()
