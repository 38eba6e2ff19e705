"""A conda channel in a folder, and a folder of wheels: all that asv asks for, where no network is.

    Channel.add ──an archive each──▶ folder/linux-64, folder/noarch ──Channel.close──▶ their repodata.json
    write_wheel ─────────────────▶ a folder for PIP_FIND_LINKS

The Python in a channel is the one that runs the tests, made as a virtual environment makes one: a link to the
interpreter and a `pyvenv.cfg`, so that no standard library is copied. The user's own packages are within its reach, as
they are within conda's.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import io
import json
import sys
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from support.suites import VERSION

RELEASE = ".".join(map(str, sys.version_info[:3]))
PLATFORM, NOARCH = "linux-64", "noarch"
SITE = "site-packages"


class Channel:
    """A folder that `conda_channels` may name; `close` makes it whole."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._records: dict[str, dict[str, Any]] = {PLATFORM: {}, NOARCH: {}}
        for subdir in self._records:
            (folder / subdir).mkdir(parents=True)

    def add(self, name: str, version: str, files: Mapping[str, bytes], links: Mapping[str, str] | None = None) -> None:
        """A package of `files` and symbolic `links`: for any platform and Python if they lie in site-packages."""
        is_python = any(path.startswith(SITE) for path in files)
        subdir = NOARCH if is_python else PLATFORM
        index: dict[str, Any] = {"name": name, "version": version, "build": "0", "build_number": 0, "subdir": subdir}
        index |= {"noarch": "python", "depends": ["python"]} if is_python else {"depends": []}
        sizes = {path: {"sha256": _sha256(content), "size_in_bytes": len(content)} for path, content in files.items()}
        paths = [{"_path": path, "path_type": "hardlink", **size} for path, size in sizes.items()]
        paths += [{"_path": path, "path_type": "softlink"} for path in links or {}]
        info = {"index": index, "paths": {"paths": paths, "paths_version": 1}}
        if is_python:
            info["link"] = {"noarch": {"type": "python"}, "package_metadata_version": 1}
        content = _archive(
            {f"info/{part}.json": json.dumps(told).encode() for part, told in info.items()}
            | {"info/files": "\n".join([*files, *(links or {})]).encode()}
            | dict(files),
            links or {},
        )
        archive = self._folder / subdir / f"{name}-{version}-0.tar.bz2"
        archive.write_bytes(content)
        sums = {"md5": hashlib.md5(content, usedforsecurity=False).hexdigest(), "sha256": _sha256(content)}
        self._records[subdir][archive.name] = index | sums | {"size": len(content)}

    def add_python(self) -> None:
        """The Python that runs this, its `pip`, and a `wheel` that nobody uses."""
        interpreter = Path(sys.executable).resolve()
        settings = f"home = {interpreter.parent}\ninclude-system-site-packages = true\nversion = {RELEASE}\n"
        names = ("python", "python3", f"python{VERSION}")
        self.add(
            "python", RELEASE, {"pyvenv.cfg": settings.encode()}, {f"bin/{name}": str(interpreter) for name in names}
        )
        pip = {f"{SITE}/{path}": content for path, content in installed("pip").items()}
        self.add("pip", importlib.metadata.version("pip"), pip)
        self.add("wheel", "9.0", {f"{SITE}/wheel/__init__.py": b""})

    def close(self) -> None:
        for subdir, records in self._records.items():
            whole = {"info": {"subdir": subdir}, "packages": records, "packages.conda": {}, "repodata_version": 1}
            (self._folder / subdir / "repodata.json").write_text(json.dumps(whole))


def installed(name: str) -> dict[str, bytes]:
    """The files of a distribution that is installed here, by their paths below site-packages."""
    found = importlib.metadata.distribution(name).files or []
    kept = [path for path in found if ".." not in path.parts and path.suffix != ".pyc"]
    return {str(path): Path(str(path.locate())).read_bytes() for path in kept}


def write_wheel(folder: Path, name: str, files: Mapping[str, bytes] | None = None) -> None:
    """An empty one will do for most of what asv installs."""
    folder.mkdir(exist_ok=True)
    info = f"{name}-9.0.dist-info"
    own = {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 9.0\n".encode(),
        f"{info}/WHEEL": b"Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/RECORD": b"",
    }
    with zipfile.ZipFile(folder / f"{name}-9.0-py3-none-any.whl", "w") as wheel:
        for path, content in {**own, **(files or {})}.items():
            wheel.writestr(path, content)


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _archive(files: Mapping[str, bytes], links: Mapping[str, str]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:bz2", compresslevel=1) as tar:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
        for path, target in links.items():
            member = tarfile.TarInfo(path)
            member.type, member.linkname = tarfile.SYMTYPE, target
            tar.addfile(member)
    return packed.getvalue()
