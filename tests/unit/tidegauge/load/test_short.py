"""The lane as a part of `check`: what keeps it from measuring is said, and is never a pass."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from tidegauge.budgets import Budgets
from tidegauge.config import Config, LoadConfig, TargetConfig
from tidegauge.load import short
from tidegauge.load.lane import LoadJob
from tidegauge.records import Finding, RunWriter
from tidegauge.target import Target
from tidegauge.verdicts import Verdict

NewWriter = Callable[..., RunWriter]


class Up:
    """A target as far as a job asks."""

    url = "http://127.0.0.1:9"
    pid = 42
    facts = {"TIDEGAUGE_URL": url, "TIDEGAUGE_TOKEN": "T"}  # noqa: RUF012 - nobody changes it


def run(folder: Path, writer: RunWriter, load: LoadConfig) -> None:
    target = TargetConfig(command="bot", ready="tcp://127.0.0.1:9")
    config = Config(root=folder, target=target, check=None, bench=None, load=load, budgets=Budgets({}))
    up: Target = Up()  # type: ignore[assignment]
    short.run_short(config, up, Budgets({}), writer, seed=1, overrides=(), log_dir=folder, show=lambda _said: None)


def found(writer: RunWriter) -> Finding:
    (finding,) = writer.finish().findings
    return finding


@pytest.mark.parametrize(("named", "said"), [("", "names no workload"), ("none.py", "there is no locustfile")])
def test_a_load_that_is_not_there_is_not_measured(tmp_path: Path, new_writer: NewWriter, named: str, said: str) -> None:
    """Without a workload the check goes on, and the lane says what it lacks."""
    writer = new_writer()
    run(tmp_path, writer, LoadConfig(locustfile=named))
    finding = found(writer)
    assert (finding.name, finding.verdict) == (short.NAME, Verdict.NOT_MEASURED)
    assert said in finding.reason


def test_the_load_of_the_check_is_short_and_on_its_target(
    tmp_path: Path, new_writer: NewWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However long [load] is, the check takes twenty seconds of it, on the process and with the token of its target."""
    jobs: list[LoadJob] = []
    monkeypatch.setattr(short, "run_load", lambda job, **_: jobs.append(job))
    (tmp_path / "ours.py").touch()
    run(tmp_path, new_writer(), LoadConfig(locustfile="ours.py", seconds=3_600))
    (job,) = jobs
    assert job.config.seconds == short.SECONDS_MAX
    assert (job.host, job.pid, job.env["TIDEGAUGE_TOKEN"]) == (Up.url, 42, "T")
    assert msgspec.structs.replace(job.config, seconds=3_600) == LoadConfig(locustfile="ours.py", seconds=3_600)
