"""What is compared, as it goes from room to room: a suite's configuration, two built sides, the benchmarks found."""

import hashlib
from pathlib import Path
from typing import Any

import msgspec

SUBJECT_MAX = 160


class SuiteConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What asv.conf.json says, with paths made absolute; `benchmarks` and `project` are relative to the repository."""

    path: Path
    repository: Path
    benchmarks: Path
    project: Path
    results: Path
    environments: Path
    environment_type: str
    timeout_s: float


class Side(msgspec.Struct, frozen=True, kw_only=True):
    """One commit, built: a Python that imports its code, and the suite that runs on it."""

    name: str
    commit: str
    python: str
    benchmark_dir: Path
    own_benchmark_dir: Path
    env: dict[str, str]
    env_name: str
    python_version: str
    release: str
    requirements: dict[str, str]


class Benchmark(msgspec.Struct, frozen=True, kw_only=True):
    """One benchmark with one set of parameters; `axes` are all the values of each parameter."""

    name: str
    asv_name: str
    param_index: int | None
    params: tuple[str, ...]
    axes: tuple[tuple[str, ...], ...]
    kind: str
    unit: str
    timeout_s: float
    number: int
    version: str
    setup_cache_key: str | None
    setup_cache_timeout_s: float
    is_new: bool

    @property
    def id(self) -> str:
        """What asv_runner calls it."""
        return self.asv_name if self.param_index is None else f"{self.asv_name}-{self.param_index}"


class Suite(msgspec.Struct, frozen=True, kw_only=True):
    """The benchmarks that were asked for; `raw` is all that asv found, as it found it."""

    benchmarks: tuple[Benchmark, ...]
    raw: tuple[dict[str, Any], ...]


def subject_of(name: str) -> str:
    """A benchmark's name as the middle of a finding's: printable, bounded, without what separates the parts."""
    plain = "".join(each if each.isprintable() and each != "/" else "|" for each in name).strip()
    if len(plain) <= SUBJECT_MAX:
        return plain
    return f"{plain[: SUBJECT_MAX - 9]}~{hashlib.sha256(name.encode()).hexdigest()[:8]}"
