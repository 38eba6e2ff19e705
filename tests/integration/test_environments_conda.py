"""The environments that come from a conda channel, made by their real tools from a channel that lies in a folder."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from support.channels import SITE, Channel, installed, write_wheel
from support.suites import COPIED, TOY, VERSION, git
from tidegauge.records import find_run, read_run
from tidegauge.verdicts import Verdict

ROOT = Path(__file__).parents[2]
# Says where it and what it needs were imported from; TOY_LOG is of the matrix, and so is `tide`.
CODE = """
import os, sys, tide
with open(os.environ["TOY_LOG"], "a") as log:
    print(sys.prefix, __file__, tide.__file__, file=log)
def work(): return sum(i * i for i in range({n} * tide.LEVEL))
"""
# What the user has installed for himself ends a Python that asv made, where asv or we run it.
OF_THE_USER = "import os, sys\nif {!r} in sys.prefix and 'ASV' in os.environ: os._exit(13)\n"


def rattler(channel: Path) -> tuple[str, str, dict[str, str]]:
    """A Python that has tidegauge and the tool, what asv.conf.json calls the channel, and what the tool is told."""
    client = ROOT / ".venv-rattler"
    if not (client / ".ready").exists():
        pytest.fail("not measured: no py-rattler in .venv-rattler (make environments)")
    return str(client / "bin" / "python"), channel.as_uri(), {"RATTLER_CACHE_DIR": str(channel.parent / "cache")}


def conda(channel: Path) -> tuple[str, str, dict[str, str]]:
    """Likewise; asv asks conda for conda-forge whatever the file names, so that is what the channel is called."""
    tool = os.environ.get("CONDA_EXE") or shutil.which("conda")
    if tool is None:
        pytest.fail("not measured: no conda (Miniforge brings it; have it on the PATH, or name it in CONDA_EXE)")
    told = {"CHANNEL_ALIAS": channel.parent.as_uri(), "CHANNELS": channel.name, "OFFLINE": "true"}
    told |= {"PKGS_DIRS": str(channel.parent / "cache"), "NUMBER_CHANNEL_NOTICES": "0"}
    return sys.executable, channel.name, {f"CONDA_{name}": value for name, value in told.items()} | {"CONDA_EXE": tool}


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("tool", [rattler, conda])
def test_each_side_is_measured_in_an_environment_of_the_channel(
    tmp_path: Path, tool: Callable[[Path], tuple[str, str, dict[str, str]]]
) -> None:
    """Half as much work again is found between two environments that hold what the matrix asks for, and only that."""
    folder, channel = tmp_path / "repository", tmp_path / "conda-forge"
    python, name, told = tool(channel)
    matrix = {"req": {"tide": ["1.0"], "libtide": ["1.0"]}, "env": {"TOY_LOG": [str(tmp_path / "log")]}}
    write_repository(folder, {"environment_type": tool.__name__, "conda_channels": [name], "matrix": matrix})
    write_channel(channel)
    wheels = tmp_path / "wheels"
    write_wheel(wheels, "build")
    write_wheel(wheels, "pympler")
    write_wheel(wheels, "asv_runner", {path: of for path, of in installed("asv_runner").items() if "-info" not in path})
    users = tmp_path / "user" / "lib" / f"python{VERSION}" / SITE
    users.mkdir(parents=True)
    (users / "usercustomize.py").write_text(OF_THE_USER.format(str(folder)))
    told |= {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PYTHONUSERBASE": str(tmp_path / "user")}

    command = [python, "-m", "tidegauge", "bench", "HEAD~1", "HEAD", "--tier", "cpu", "--delta", "0.1"]
    command += ["--max-seconds", "40"]  # on a busy machine too
    done = subprocess.run(command, cwd=folder, env=os.environ | told, capture_output=True, text=True, check=False)

    assert done.returncode == 1, done.stderr
    found = {each.name: each for each in read_run(find_run(folder / "results" / "runs")).findings}
    slower = found["bench/bench_toy.time_work/cpu_ratio"]
    assert slower.verdict is Verdict.FAIL
    assert slower.evidence["environment"].endswith(f"{VERSION} tide 1.0 libtide 1.0")
    environments = [path.parent for path in sorted((folder / ".asv" / "tidegauge").glob("*/*/pyvenv.cfg"))]
    assert [path.parent.name for path in environments] == ["base", "head"]
    places = {tuple(line.split()) for line in (tmp_path / "log").read_text().splitlines()}
    sites = [path / "lib" / f"python{VERSION}" / SITE for path in environments]
    assert places == {
        (str(path), str(site / "toy.py"), str(site / "tide.py")) for path, site in zip(environments, sites, strict=True)
    }
    base, head = (path / "lib" / "libtide.so" for path in environments)
    assert base.samefile(head), "two copies of a library make identical code slower"


def write_channel(folder: Path) -> None:
    """Python, and what the matrix asks for: a module and a library."""
    channel = Channel(folder)
    channel.add_python()
    channel.add("tide", "1.0", {f"{SITE}/tide.py": b"LEVEL = 1\n"})
    channel.add("tide", "2.0", {f"{SITE}/tide.py": b"LEVEL = 2\n"})
    channel.add("libtide", "1.0", {"lib/libtide.so": b"nothing"})
    channel.close()


def write_repository(folder: Path, keys: dict[str, object]) -> None:
    """Two commits, the second with half as much work again."""
    (folder / "benchmarks").mkdir(parents=True)
    (folder / ".gitignore").write_text("results\n.asv\n")
    (folder / "asv.conf.json").write_text(json.dumps(TOY | COPIED | keys))
    (folder / "benchmarks" / "__init__.py").touch()
    (folder / "benchmarks" / "bench_toy.py").write_text("import toy\ndef time_work(): toy.work()\n")
    git(folder, "init", "-q", "-b", "main")
    for n in (3000, 4500):
        (folder / "toy.py").write_text(CODE.format(n=n))
        git(folder, "add", "-A")
        git(folder, "commit", "-q", "-m", str(n))
