"""The suite of a repository, through asv, which promises no stable API: the one module that imports it.

    asv.conf.json ──read_config──▶ SuiteConfig, for `environment` to make a Python of each side
    both sides ──discover──▶ Suite: a `Benchmark` for each benchmark and each set of its parameters
    samples ──write_results──▶ asv's own result store, for `asv compare` and `asv publish`

asv is an extra of tidegauge and untyped, so its modules are imported by name where they are used; what
leaves this module is frozen structs. asv resolves paths and reads `pyproject.toml` in the folder of its
configuration and takes `uv` from the PATH: `inside` grants both for the length of a call.
"""

import contextlib
import datetime as dt
import importlib
import itertools
import os
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec

from tidegauge.bench.suites.model import Benchmark, Side, Suite, SuiteConfig
from tidegauge.errors import TidegaugeError
from tidegauge.process import Guarded

CONFIG_NAMES = ("asv.conf.json", "asv.conf.jsonc")
DISCOVERY_S_MAX = 600.0
BENCHMARKS_MAX = 100_000
GRACE_S = 1.0
POLL_S = 0.01
# asv's types of benchmarks under the names that their functions bear.
KINDS = {"peakmemory": "peakmem", "memory": "mem"}


class SuiteError(TidegaugeError):
    """The suite, or asv's configuration of it, cannot be used."""

    exit_code = 2


def read_config(start: Path, repository: Path) -> SuiteConfig:
    """The configuration in `start`, a file or a folder of `repository`."""
    names = [start] if start.is_file() else [start / name for name in CONFIG_NAMES if (start / name).is_file()]
    if len(names) != 1:
        raise SuiteError(f"{start} has {len(names)} files named asv.conf.json", "Name the one to use.")
    path = names[0].resolve()
    conf = load_conf(path)
    folder = path.parent
    try:
        benchmarks = (folder / conf.benchmark_dir).resolve().relative_to(repository)
    except ValueError as error:
        raise SuiteError(f"The benchmarks of {path} lie outside {repository}", "Keep them with the code.") from error
    return SuiteConfig(
        path=path,
        repository=repository,
        benchmarks=benchmarks,
        project=Path(conf.repo_subdir or "."),
        results=(folder / conf.results_dir).resolve(),
        environments=(folder / conf.env_dir).resolve(),
        environment_type=conf.environment_type or "",
        timeout_s=float(conf.default_benchmark_timeout),
    )


def discover(config: SuiteConfig, base: Side, head: Side, *, scratch: Path, select: Sequence[str] = ()) -> Suite:
    """What HEAD's suite holds, filtered by asv's rule: any of the expressions, parameters included.

    New is what the base's own suite lacks. Where that cannot be imported everything there is new: whether
    HEAD's suite runs on the base's code shows when it is run.
    """
    raw = _discovered(head, head.benchmark_dir, scratch)
    try:
        old = {found["name"] for found in _discovered(base, base.own_benchmark_dir, scratch)}
    except SuiteError:
        old = set()
    try:
        for expression in select:
            re.compile(expression)
    except re.error as error:
        raise SuiteError(f"{error.pattern!r} is not a regular expression: {error}", "Correct it.") from error
    chosen = asv_module("benchmarks").Benchmarks(load_conf(config.path), raw, list(select))
    # Without parameters asv selects nothing within a benchmark: None.
    indices = {name: chosen.benchmark_selection[name] or [None] for name in sorted(chosen)}
    benchmarks = (
        _benchmark(config, chosen[name], index, is_new=name not in old) for name in indices for index in indices[name]
    )
    return Suite(benchmarks=tuple(benchmarks), raw=tuple(raw))


def make_setup_cache(side: Side, benchmark: Benchmark, folder: Path) -> None:
    """Has `setup_cache` leave its pickle in `folder`, once a side: it is what the suite calls dear."""
    if (folder / "cache.pickle").exists():
        return
    folder.mkdir(parents=True, exist_ok=True)
    arguments = ["setup_cache", str(side.benchmark_dir), benchmark.id, "{}"]
    _run_asv_runner(side, arguments, folder, benchmark.setup_cache_timeout_s, "setup_cache")


def write_results(
    config: SuiteConfig, side: Side, suite: Suite, samples_s: Mapping[str, tuple[Sequence[float], int]]
) -> Path:
    """Adds a side's samples, by name of benchmark with the number of calls in each, to asv's store."""
    results_module, runner = asv_module("results"), asv_module("runner")
    with inside(config):
        conf = load_conf(config.path)
        machine = _machine(config.results)
        repo = asv_module("plugins.git").Git(str(config.repository), "")
        params = {**machine, "python": side.python_version, **side.requirements}
        results = results_module.Results(
            params, side.requirements, side.commit, repo.get_date(side.commit), side.python_version, side.env_name, {}
        )
        results.load_data(str(config.results))
        measured = [benchmark for benchmark in suite.benchmarks if benchmark.name in samples_s]
        for name, group in itertools.groupby(measured, key=lambda benchmark: benchmark.asv_name):
            by_index = {benchmark.param_index or 0: samples_s[benchmark.name] for benchmark in group}
            raw = next(found for found in suite.raw if found["name"] == name)
            places = range(len(list(itertools.product(*raw["params"]))))
            result = runner.BenchmarkResult(
                result=[0.0 if index in by_index else None for index in places],
                samples=[list(by_index[index][0]) if index in by_index else None for index in places],
                number=[by_index[index][1] if index in by_index else None for index in places],
                errcode=0,
                stderr="",
                profile=None,
            )
            now = dt.datetime.now(dt.UTC)
            results.add_result(raw, result, started_at=now, record_samples=True, selected_idx=set(by_index))
        results.save(str(config.results))
        conf.results_dir = str(config.results)
        asv_module("benchmarks").Benchmarks(conf, suite.raw).save()
        return config.results / str(results_module.get_filename(machine["machine"], side.commit, side.env_name))


def _benchmark(config: SuiteConfig, found: dict[str, Any], index: int | None, *, is_new: bool) -> Benchmark:
    axes = tuple(tuple(values) for values in found["params"])
    params = () if index is None else next(itertools.islice(itertools.product(*axes), index, None))
    timeout_s = found.get("timeout") or config.timeout_s
    return Benchmark(
        name=found["name"] if index is None else f"{found['name']}({', '.join(params)})",
        asv_name=found["name"],
        param_index=index,
        params=params,
        axes=axes,
        kind=KINDS.get(found["type"], found["type"]),
        unit=found["unit"],
        timeout_s=timeout_s,
        number=int(found.get("number") or 0),
        version=found["version"],
        setup_cache_key=found.get("setup_cache_key"),
        setup_cache_timeout_s=found.get("setup_cache_timeout") or timeout_s,
        is_new=is_new,
    )


def _discovered(side: Side, benchmark_dir: Path, scratch: Path) -> list[dict[str, Any]]:
    folder = scratch / f"discovery-{side.name}"
    folder.mkdir(parents=True, exist_ok=True)
    answer = folder / "found.json"
    answer.unlink(missing_ok=True)
    _run_asv_runner(side, ["discover", str(benchmark_dir), str(answer)], folder, DISCOVERY_S_MAX, "discovery")
    found: list[dict[str, Any]] = msgspec.json.decode(answer.read_bytes(), type=list[dict[str, Any]])
    if len(found) > BENCHMARKS_MAX:
        raise SuiteError(f"The suite has more than {BENCHMARKS_MAX} benchmarks", "Split it.")
    return found


def _run_asv_runner(side: Side, arguments: list[str], folder: Path, timeout_s: float, what: str) -> None:
    """asv's own script under the side's Python, which ends with us."""
    env = side.env | {"ASV_PYTHONPATH": side.env["PYTHONPATH"]} if "PYTHONPATH" in side.env else side.env
    argv = [side.python, asv_module("runner").BENCHMARK_RUN_SCRIPT, *arguments]
    log = folder / "asv_runner.log"
    program = Guarded(f"{what} on {side.name}", argv, env=env, cwd=folder, log=log, grace_s=GRACE_S)
    try:
        in_time = _wait(program, timeout_s)
    finally:
        program.stop()
    if not in_time:
        raise SuiteError(f"{what} on {side.name} took longer than {timeout_s:g} s", f"Read {log}.")
    if program.exit_status:
        said = program.tail[-1] if program.tail else f"exit status {program.exit_status}"
        raise SuiteError(f"{what} on {side.name} failed: {said}", f"Read {log}.")


def _wait(program: Guarded, timeout_s: float) -> bool:
    deadline_s = time.monotonic() + timeout_s
    while not program.drained():
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def asv_module(name: str) -> Any:
    """A module of asv, for `kept` and `steps` too, which read with it; its absence is an error with a remedy."""
    try:
        return importlib.import_module(f"asv.{name}")
    except ImportError as error:
        raise SuiteError("asv is not installed here", "pip install 'tidegauge[bench]'.") from error


def load_conf(path: Path) -> Any:
    """asv's own form of the file."""
    try:
        return asv_module("config").Config.load(str(path))
    except (asv_module("util").UserError, OSError, ValueError) as error:
        raise SuiteError(f"{path} cannot be read: {error}", "Correct it; `asv check` reads it too.") from error


def _machine(results: Path) -> dict[str, str]:
    """The machine that asv knows in its results, or this one under the name that asv would give it."""
    machine = asv_module("machine").Machine
    name = machine.get_unique_machine_name()
    facts: dict[str, str] = machine.get_defaults() | {"machine": name}
    if not (results / name / "machine.json").exists():
        this = machine()
        vars(this).update(facts)
        this.save(str(results))
    return facts


@contextlib.contextmanager
def inside(config: SuiteConfig) -> Iterator[None]:
    """In the configuration's folder, with the tools that came with us on the PATH, and asv's talk on stderr."""
    asv_module("plugin_manager")  # imports asv's own kinds of environment
    path = os.environ.get("PATH", "")
    # Last, so that a `python` of ours never stands in for one of the user's.
    os.environ["PATH"] = os.pathsep.join((path, str(Path(sys.executable).parent)))
    try:
        with contextlib.chdir(config.path.parent), contextlib.redirect_stdout(sys.stderr):
            yield
    finally:
        os.environ["PATH"] = path
