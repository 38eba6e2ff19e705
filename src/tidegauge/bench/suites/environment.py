"""A Python for each side, by the tool that asv.conf.json names: virtualenv, uv, conda, rattler, or one that is here.

    SuiteConfig ──open_environment──▶ choose the first environment ─▶ make it ─▶ install the commit ─▶ Environment

Three things go wrong for three reasons. Nothing fits the file (a type that asv does not know, a tool that is not
installed): wrong use, with the way to get the tool. The environment cannot be made (a channel or an index that does
not answer, a requirement that nobody has): a need is missing, nothing is measured. The commit cannot be installed in
it: the code is to blame. asv's plugins raise whatever their tools raise, so that everything is caught here, once.
"""

import contextlib
import os
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tidegauge.bench.suites.model import SuiteConfig
from tidegauge.bench.suites.suite import SuiteError, asv_module, inside, load_conf

FACTS = "import sys; print(sys.executable); print(sys.implementation.name, '%d.%d' % sys.version_info[:2])"
SAID_LINES, SAID_CHARS_MAX = 3, 600
SAME = "or measure in this Python: --python same"
CONDA = f"Install conda (Miniforge brings it) and have it on the PATH, {SAME}."
REMEDIES = {
    "virtualenv": f"pip install virtualenv, have a Python of each version in pythons on the PATH, {SAME}.",
    "uv": f"pip install uv, {SAME}.",
    "conda": CONDA,
    "mamba": f"Newer asv has rattler in its place: pip install py-rattler and name it, {SAME}.",
    "rattler": f"pip install py-rattler, {SAME}.",
    "": f'Name one: "environment_type": "virtualenv", {SAME}.',
}
OTHERWISE = f"There are virtualenv, uv, conda, rattler and existing; correct environment_type and pythons, {SAME}."
CHANNELS = ("conda", "mamba", "rattler")
# Conda's Python looks into the user's folder before its own: what lies there would be measured in place of the commit,
# and pip would take it for installed.
ALONE = {"PYTHONNOUSERSITE": "1"}


class NoEnvironment(SuiteError):
    """A need of the environment is missing, whatever commit is measured."""

    exit_code = 4


class NotInstalled(SuiteError):
    """The commit itself cannot be installed."""

    exit_code = 1


class Environment(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that asv made, or one that was there before: then nothing is installed in it.

    `python_version` is what asv calls it, of one that was there its path; `release` is the same on every machine.
    `env` is what the file wants to be set, and what keeps the user's own packages out.
    """

    python: str
    name: str
    python_version: str
    release: str
    requirements: dict[str, str]
    env: dict[str, str]
    is_existing: bool


def open_environment(config: SuiteConfig, side: str, commit: str, python: str | None) -> Environment:
    """Makes the first environment that the file names, and installs `commit` there; `python` names an existing one.

    Each side has environments of its own, which asv reuses while the commit in them is the same.
    """
    what = f"{side} ({commit[:12]}) cannot be built"
    with inside(config):
        conf = load_conf(config.path)
        conf.env_dir = str(config.environments / "tidegauge" / side)
        conf.repo, conf.dvcs = str(config.repository), "git"
        env = _chosen(conf, config, what, python)
        alone = ALONE if env.tool_name in CHANNELS else {}
        with _set(alone):
            with _told(NoEnvironment, f"{what}: its environment cannot be made", _remedy_of_making(config)):
                env.create()
            with _told(NotInstalled, what, "Try `asv run` on that commit."):
                env.install_project(conf, asv_module("repo").get_repo(conf), commit)
                executable, release = env.run(["-c", FACTS]).strip().splitlines()
        return Environment(
            python=executable,
            name=env.name,
            python_version=env.python,
            release=release,
            requirements=dict(env.requirements),
            env=dict(env.env_vars) | alone,
            is_existing=isinstance(env, asv_module("environment").ExistingEnvironment),
        )


def _chosen(conf: Any, config: SuiteConfig, what: str, python: str | None) -> Any:
    """The first of asv's environments; what asv warns of meanwhile goes to stderr."""
    if python:  # then the tool that the file names need not be here
        conf.environment_type = f"existing:{python}"
    kind = conf.environment_type or ""
    remedy = REMEDIES.get(kind, OTHERWISE)
    problem = f"{what}: {config.path} names no environment_type"
    if python:
        problem, remedy = f"{what}: {python} is no Python that can be run", "Name one that can: --python same."
    elif kind:
        problem = f"{what}: asv can make no environment of the type {kind!r} here"
        if conf.pythons:
            problem = f"{problem}, with Python {', '.join(map(str, conf.pythons))}"
    if not kind:
        raise SuiteError(problem, remedy)
    with _told(SuiteError, problem, remedy):
        for plugin in conf.plugins:  # the file may bring its own kind of environment
            asv_module("plugin_manager").plugin_manager.import_plugin(plugin)
        found = list(asv_module("environment").get_environments(conf, []))
    if not found:
        raise SuiteError(problem, remedy)
    if kind == "conda":
        with _told(SuiteError, problem, remedy):
            asv_module("plugins.conda")._find_conda()  # noqa: SLF001 - asv itself looks for it only when it makes one
    return found[0]


def _remedy_of_making(config: SuiteConfig) -> str:
    sources = "conda_channels" if config.environment_type in CHANNELS else "package indexes"
    return f"Are its {sources} within reach, and do they have what the matrix asks for? Or use --python same."


@contextlib.contextmanager
def _set(variables: Mapping[str, str]) -> Iterator[None]:
    """What is started within has these in its environment."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextlib.contextmanager
def _told(kind: type[SuiteError], problem: str, remedy: str) -> Iterator[None]:
    """What asv and its tools raise, as an error of ours."""
    try:
        yield
    except (Exception, asv_module("environment").EnvironmentUnavailable) as error:
        said = getattr(error, "stderr", "") or getattr(error, "stdout", "") or str(error)
        raise kind(f"{problem}: {_last_lines(str(said)) or type(error).__name__}", remedy) from error


def _last_lines(text: str) -> str:
    return " ".join(text.strip().splitlines()[-SAID_LINES:])[-SAID_CHARS_MAX:].rstrip(".")
