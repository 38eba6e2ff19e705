"""The file that tells tidegauge what to start: `tidegauge.toml`, found from the current directory upwards.

    [target]
    command = "{python} -m mybot --port {port:bot}"      # run without a shell, in the folder of the file
    url     = "http://127.0.0.1:{port:bot}"
    ready   = "http://127.0.0.1:{port:bot}/health"       # or tcp://host:port, or stdout:REGEX
    env     = { MYBOT_TOKEN = "{token}" }
    [[target.needs]]                                     # started first, in this order, and stopped last
    name    = "exchange"
    command = "{python} -m myexchange --port {port:exchange} --seed {seed}"
    ready   = "tcp://127.0.0.1:{port:exchange}"
    [check]
    workload = "{python} load/mywork.py"
    [load]                                               # what `tidegauge load` does unless it is told otherwise
    locustfile = "load/locustfile.py"
    rate    = 50                                         # arrivals a second, or the profile's peak
    seconds = 20

`load` reads and checks it once; `Values.fill` puts in what only a start knows. One placeholder means one
thing everywhere in one start: {python} this interpreter, {port:NAME} a free port, {seed} the run's seed,
{dir} a fresh temporary folder, {token} the API's token (random unless `token` is set).
"""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from msgspec import Meta

from tidegauge.budgets import Budgets
from tidegauge.errors import TidegaugeError
from tidegauge.records import RUNS
from tidegauge.tomlfile import TomlFile

FILE_NAME = "tidegauge.toml"
PLACEHOLDER = re.compile(r"\{([A-Za-z_]+)(?::([^{}]*))?\}")
PORT_NAME = re.compile(r"[a-z][a-z0-9_]{0,31}")
PLAIN = ("python", "seed", "dir", "token")
NEEDS_MAX = 32
Table = TypeVar("Table")

Seconds = Annotated[float, Meta(gt=0, le=86_400)]
Text = Annotated[str, Meta(min_length=1, max_length=10_000)]


class Command(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program to start, with the sign that it is ready."""

    command: Text
    ready: Text
    env: dict[str, str] = msgspec.field(default_factory=dict)
    ready_timeout_s: Seconds = 30.0
    stop_grace_s: Seconds = 5.0


class Need(Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that the target cannot work without."""

    name: Annotated[str, Meta(pattern="^[a-z][a-z0-9_-]{0,31}$")]


class TargetConfig(Command, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The program under test."""

    url: str = ""
    token: str = ""
    needs: Annotated[tuple[Need, ...], Meta(max_length=NEEDS_MAX)] = ()


class CheckConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The work that `tidegauge check` has done on the target; see `tidegauge.check`."""

    workload: Text
    timeout_s: Seconds = 120.0


class BenchConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The handful of benchmarks that `tidegauge check` compares; see `tidegauge.bench.short`.

    Without a `base` it is HEAD where the working tree differs from it, else the commit before. `pinned` is the commit
    to which `tidegauge history` reads ratios, whatever machine they were measured on.
    """

    select: Annotated[tuple[Text, ...], Meta(max_length=100)] = ()
    base: str = ""
    pinned: str = ""
    max_seconds: Seconds = 6.0
    python: Literal["same", ""] = "same"


class LoadConfig(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `tidegauge load` does unless it is told otherwise; `slo` holds promises: `tidegauge.load.judging.slo`.

    `metrics` is the path below the target's URL at which it tells how it is, in the words of Prometheus. While the knee
    is searched for, `slo_ms` is how late a workflow without a promised p99 may be, `knee_env` stands on top of the
    target's environment, and `knee_words`, by name, behind the command of a need: what is forbidden, or used up, is not
    what the target cannot do.
    """

    locustfile: str = ""
    profile: Text = "constant"
    rate: Annotated[float, Meta(gt=0, le=1_000_000)] = 10.0
    seconds: Seconds = 20.0
    spacing: Literal["constant", "poisson"] = "constant"
    in_flight: Annotated[int, Meta(ge=1, le=1_000_000)] = 2_000
    warm_up_s: Annotated[float, Meta(ge=-1, le=86_400)] = -1.0
    drain_s: Seconds = 10.0
    processes: Annotated[int, Meta(ge=1, le=256)] = 1
    metrics: str = ""
    slo_ms: Annotated[float, Meta(gt=0, le=1_000_000)] = 100.0
    knee_env: dict[str, str] = {}
    knee_words: dict[str, str] = {}
    slo: dict[str, Any] = {}


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """The whole file, checked."""

    root: Path
    target: TargetConfig
    check: CheckConfig | None
    bench: BenchConfig | None
    load: LoadConfig
    budgets: Budgets

    @property
    def runs(self) -> Path:
        """Where runs are kept."""
        return self.root / RUNS


class Values(msgspec.Struct, frozen=True, kw_only=True):
    """What the placeholders stand for in one start."""

    python: str
    seed: int
    dir: Path
    token: str
    ports: dict[str, int]

    def fill(self, text: str) -> str:
        """`text` with every placeholder replaced."""
        return PLACEHOLDER.sub(self._value, text)

    def argv(self, command: str) -> list[str]:
        """The words of a command; split first, so that a space in a path splits nothing."""
        return [self.fill(word) for word in shlex.split(command)]

    def _value(self, match: re.Match[str]) -> str:
        if match[1] == "port":
            return str(self.ports[match[2]])
        return str(getattr(self, match[1]))


def find_root(start: Path) -> Path | None:
    """The nearest folder from `start` upwards that holds the file."""
    return next((folder for folder in (start, *start.parents) if (folder / FILE_NAME).is_file()), None)


def load(start: Path) -> Config:
    """The configuration that holds in `start`."""
    root = find_root(start.resolve())
    if root is None:
        raise TidegaugeError(
            f"There is no {FILE_NAME} in {start} or above it",
            "Write one with a [target] that has a command and a sign that it is ready.",
        )
    file = _read(root)
    if "target" not in file.data:
        raise file.error("", "target", "is missing", "Write a [target] with command and ready.")
    target = _convert(file, "target", TargetConfig)
    check = _convert(file, "check", CheckConfig) if "check" in file.data else None
    bench = _convert(file, "bench", BenchConfig) if "bench" in file.data else None
    load = _convert(file, "load", LoadConfig) if "load" in file.data else LoadConfig()
    for table, key, text in _texts(target, check, load):
        _check_text(file, table, key, text)
    taken = {"target", "workload"}  # each name is also that of a log
    for index, need in enumerate(target.needs):
        if need.name in taken:
            where = f"target.needs[{index}]"
            raise file.error(where, "name", f"{need.name!r} is taken", "Give each need a name of its own.")
        taken.add(need.name)
    for name in load.knee_words.keys() - taken:
        raise file.error("load.knee_words", name, "is the name of no need", "Give it one of [[target.needs]].")
    return Config(root=root, target=target, check=check, bench=bench, load=load, budgets=Budgets.read(file))


class BenchFile(msgspec.Struct, frozen=True, kw_only=True):
    """What the verbs read that start no target: a repository without the file has promised nothing."""

    bench: BenchConfig = BenchConfig()
    budgets: Budgets = Budgets({})


def load_bench(start: Path) -> BenchFile:
    """[bench] and [budgets] as they hold in `start`; a file of these two alone is enough."""
    root = find_root(start.resolve())
    if root is None:
        return BenchFile()
    file = _read(root)
    bench = _convert(file, "bench", BenchConfig) if "bench" in file.data else BenchConfig()
    return BenchFile(bench=bench, budgets=Budgets.read(file))


class LoadFile(msgspec.Struct, frozen=True, kw_only=True):
    """What a load of somebody else's URL reads: there is no target to start."""

    load: LoadConfig = LoadConfig()
    budgets: Budgets = Budgets({})


def load_load(start: Path) -> LoadFile:
    """[load] and the promises as they hold in `start`."""
    root = find_root(start.resolve())
    if root is None:
        return LoadFile()
    file = _read(root)
    load = _convert(file, "load", LoadConfig) if "load" in file.data else LoadConfig()
    return LoadFile(load=load, budgets=Budgets.read(file))


def port_names(target: TargetConfig, check: CheckConfig | None = None) -> list[str]:
    """Every NAME of a {port:NAME}, in the order of the file."""
    found = (match for _, _, text in _texts(target, check) for match in PLACEHOLDER.finditer(text))
    return list(dict.fromkeys(match[2] for match in found if match[1] == "port"))


def _read(root: Path) -> TomlFile:
    file = TomlFile.read(root / FILE_NAME)
    for table in file.data.keys() - {"target", "check", "bench", "load", "budgets"}:
        remedy = "There are [target], [check], [bench], [load] and [budgets]."
        raise file.error("", table, "is no table of this file", remedy)
    return file


def _convert(file: TomlFile, table: str, kind: type[Table]) -> Table:
    """msgspec says the problem and its path; the file says the line."""
    try:
        return msgspec.convert(file.data[table], kind)
    except msgspec.ValidationError as error:
        problem, _, path = str(error).partition(" - at ")
        where = table + path.strip("`").removeprefix("$").removesuffix("[...]")
        field = re.search(r"field `(\w+)`", problem)
        if field:
            key = field[1]
        else:
            where, _, key = where.rpartition(".")
        raise file.error(where, key, problem, f"See the example in `python -m pydoc {__name__}`.") from error


def _texts(
    target: TargetConfig, check: CheckConfig | None, load: LoadConfig | None = None
) -> Iterator[tuple[str, str, str]]:
    """Each text that may hold placeholders, with its table and key."""
    programs: list[tuple[str, Command]] = [("target", target)]
    programs += [(f"target.needs[{index}]", need) for index, need in enumerate(target.needs)]
    for table, program in programs:
        yield table, "command", program.command
        yield table, "ready", program.ready
        for name, value in program.env.items():
            yield f"{table}.env", name, value
    yield "target", "url", target.url
    if check:
        yield "check", "workload", check.workload
    if load:
        for table, texts in (("knee_env", load.knee_env), ("knee_words", load.knee_words)):
            for name, text in texts.items():
                yield f"load.{table}", name, text


def _check_text(file: TomlFile, table: str, key: str, text: str) -> None:
    remedy = "There are {python}, {port:NAME}, {seed}, {dir} and {token}; a NAME is of a-z, 0-9 and _."
    for match in PLACEHOLDER.finditer(text):
        name, argument = match[1], match[2]
        if not (name == "port" and PORT_NAME.fullmatch(argument or "")) and not (name in PLAIN and argument is None):
            raise file.error(table, key, f"{match[0]} is no placeholder", remedy)
    if key in {"command", "workload"}:
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise file.error(table, key, f"cannot be split into words: {error}", "Close the quote.") from error
        if not words:
            raise file.error(table, key, "is empty", "Name a program.")
    if key == "ready":
        _check_ready(file, table, text)


def _check_ready(file: TomlFile, table: str, text: str) -> None:
    if text.startswith("stdout:"):
        try:
            re.compile(text.removeprefix("stdout:"))
        except re.error as error:
            raise file.error(table, "ready", f"is no regular expression: {error}", "Correct it.") from error
    elif not re.match(r"https?://.|tcp://[^/]+:[^/:]+$", text):
        problem = f"{text!r} is no sign of readiness"
        raise file.error(table, "ready", problem, "Use http(s)://..., tcp://HOST:PORT or stdout:REGEX.")
