"""What asv's own store holds of one machine: each kept time with its commit, read and never written here.

    results/asv/<machine>/*.json ──asv.results──▶ a `Kept` for each benchmark, set of parameters, commit, environment

Times of two machines have nothing in common but a name: a store of several is read for one of them, and the caller must
say which, or read `ratios`, which can be compared. `tidegauge bench` and `asv run` write into the same files. What the
former keeps is CPU time; the latter keeps wall time by default, and how long it took, by which the two are told apart.
"""

import contextlib
import itertools
import math
import re
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tidegauge.bench.suites.model import SuiteConfig
from tidegauge.bench.suites.suite import SuiteError, asv_module

KEPT_MAX = 1_000_000
CPU, AS_ASV_TIMED, RATIO = "cpu", "asv", "ratio"


class Kept(msgspec.Struct, frozen=True, kw_only=True):
    """One time, in seconds a call, or one ratio to a base.

    Everything but `machine`, `commit` and `value` must be equal for two to be compared; of times `machine` too.
    """

    benchmark: str
    version: str
    environment: str
    cpu: str
    clock: str
    machine: str
    commit: str
    value: float


def machines(results: Path) -> list[str]:
    """The machines that the store knows."""
    return sorted(path.parent.name for path in results.glob("*/machine.json"))


def choose_machine(results: Path, name: str | None) -> str:
    """The machine that was asked for, or the only one there is."""
    known = machines(results)
    if not known:
        raise SuiteError(f"{results} holds no results", "`tidegauge bench` and `asv run` keep theirs there.")
    if name is None and len(known) > 1:
        raise SuiteError(
            f"{results} holds times of {len(known)} machines ({', '.join(known)}), which cannot be compared: "
            "across machines only ratios to one base, measured in the same run, can",
            f"Name one: --machine {known[0]}; or a base that all of them measured: --base COMMIT.",
        )
    if name is not None and name not in known:
        raise SuiteError(f"{results} knows no machine {name!r}", f"It knows {', '.join(known)}.")
    return name or known[0]


def read_kept(config: SuiteConfig, machine: str, select: Sequence[str] = ()) -> list[Kept]:
    """Every time of the benchmarks that match any of the expressions, parameters included."""
    patterns = compiled(select)
    kept: list[Kept] = []
    with contextlib.redirect_stdout(sys.stderr):
        timed = _timed(config)
        for results in asv_module("results").iter_results_for_machine(str(config.results), machine):
            for each in _of_commit(results, timed):
                if patterns and not any(pattern.search(each.benchmark) for pattern in patterns):
                    continue
                if len(kept) >= KEPT_MAX:
                    raise SuiteError(f"There are more than {KEPT_MAX} results", "Choose benchmarks with --bench.")
                kept.append(each)
    return kept


def compiled(select: Sequence[str]) -> list[re.Pattern[str]]:
    """What --bench asks for, as asv reads it."""
    try:
        return [re.compile(expression) for expression in select]
    except re.error as error:
        raise SuiteError(f"{error.pattern!r} is not a regular expression: {error}", "Correct it.") from error


def _timed(config: SuiteConfig) -> frozenset[str]:
    """The benchmarks that time, by asv's own list of them."""
    conf = asv_module("config").Config.load(str(config.path))
    conf.results_dir = str(config.results)
    try:
        found = asv_module("benchmarks").Benchmarks.load(conf)
    except asv_module("util").UserError as error:
        raise SuiteError(f"{config.results} has no list of benchmarks: {error}", "`asv run` writes it.") from error
    return frozenset(name for name, benchmark in found.items() if benchmark["type"] == "time")


def _of_commit(results: Any, timed: frozenset[str]) -> Iterator[Kept]:
    for name in sorted(timed.intersection(results.get_all_result_keys())):
        axes = results.get_result_params(name) or []
        values = results.get_result_value(name, axes)
        for params, seconds in zip(itertools.product(*axes), values, strict=True):
            if seconds is None or not 0 < seconds < math.inf:  # it failed, or was skipped
                continue
            yield Kept(
                benchmark=f"{name}({', '.join(params)})" if axes else name,
                version=str(results.benchmark_version.get(name)),
                environment=results.env_name,
                cpu=str(results.params.get("cpu", "")),
                clock=CPU if results.duration.get(name) is None else AS_ASV_TIMED,
                machine=str(results.params.get("machine", "")),
                commit=results.commit_hash,
                value=float(seconds),
            )
