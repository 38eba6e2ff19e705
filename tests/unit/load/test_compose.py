"""`load/compose.yaml` without docker: it is read as the specification says, and its commands are those of a load."""

from __future__ import annotations

import importlib
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
# Of the Compose specification: what the file uses of it, with the types that are allowed there.
TOP = {"name": str, "services": dict, "volumes": dict}
SERVICE = {
    "image": str,
    "build": dict,
    "command": list,
    "environment": dict,
    "ports": list,
    "volumes": list,
    "depends_on": list,
    "deploy": dict,
    "cpus": float,
}
VARIABLE = re.compile(r"\$\{([A-Z_]+)(?::([-?])([^}]*))?\}")


@pytest.fixture
def compose() -> Any:
    yaml: Any = importlib.import_module("yaml")
    return yaml.safe_load((ROOT / "load" / "compose.yaml").read_text(encoding="utf-8"))


def test_the_file_is_what_the_specification_allows(compose: dict[str, Any]) -> None:
    """Each key is one of the specification's and has its type; what a service names is there."""
    for key, value in compose.items():
        assert key.startswith("x-") or isinstance(value, TOP[key]), key
    for name, service in compose["services"].items():
        for key, value in service.items():
            assert isinstance(value, SERVICE[key]), (name, key)
        assert set(service.get("depends_on", ())) <= compose["services"].keys()
        for volume in service.get("volumes", ()):
            source, _, target = volume.partition(":")
            assert source in compose["volumes"] or source.startswith(".")
            assert target.startswith("/")
    assert (ROOT / "load" / compose["services"]["master"]["build"]["context"]).resolve() == ROOT


def test_every_variable_has_a_value_or_says_that_it_needs_one(compose: dict[str, Any]) -> None:
    """Nothing is silently empty: a variable has a default or a sentence, and no other dollar is left."""
    text = str(compose)
    for name, kind, rest in VARIABLE.findall(text):
        assert kind, name
        assert rest, name
    assert "$" not in VARIABLE.sub("", text)


def test_only_this_host_reaches_the_master_unless_it_is_told_otherwise(compose: dict[str, Any]) -> None:
    """Whoever reaches Locust's port takes part in the load."""
    (port,) = compose["services"]["master"]["ports"]
    assert filled(port) == "127.0.0.1:5557:5557"


def test_master_and_workers_run_the_same_files(compose: dict[str, Any]) -> None:
    """The commands name files of the repository, the same on both sides, and as many workers as there are."""
    master, worker = (compose["services"][name] for name in ("master", "worker"))
    files = [word for word in master["command"] if word.startswith("--locustfile=")]
    assert files == [word for word in worker["command"] if word.startswith("--locustfile=")]
    for path in files[0].partition("=")[2].split(","):
        assert (ROOT / path).is_file(), path
    expected = next(word for word in master["command"] if word.startswith("--expect-workers="))
    assert expected.endswith(f"={worker['deploy']['replicas']}")
    assert worker["command"][-1] == "--master-host=master"


def filled(text: str) -> str:
    """With every variable's default."""
    return VARIABLE.sub(lambda match: match[3] if match[2] == "-" else match[1].lower(), text)
