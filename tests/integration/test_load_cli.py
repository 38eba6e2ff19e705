"""`tidegauge load` as its users meet it: real Locust, its exit status, and the run that it leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from support import locusts, stalling
from tidegauge.records import find_run, read_run
from tidegauge.verdicts import Verdict

TARGET = """
[target]
command = "{{python}} {server} {{port:bot}} 1000 0 {log}"
url = "http://127.0.0.1:{{port:bot}}"
ready = "tcp://127.0.0.1:{{port:bot}}"

[load]
locustfile = "theirs.py"
rate = 40
seconds = 1.5

[load.slo]
"look/p50_due_ms" = {{ max = 5000, unit = "ms", why = "a test asks for no more" }}
"look/p99_due_ms" = {{ max = 5000, unit = "ms", why = "a test asks for no more" }}
"""


def tidegauge(folder: Path, *arguments: str, verb: str = "load") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tidegauge", verb, *arguments]
    environment = os.environ | {"COLUMNS": "200"}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=55, check=False)


def test_a_foreign_locustfile_is_loaded_and_its_run_kept(tmp_path: Path) -> None:
    """Any URL under any locustfile becomes a run of the lane, whose verdict is the exit status."""
    (tmp_path / "theirs.py").write_text(locusts.FOREIGN)
    with locusts.serving(tmp_path) as server:
        done = tidegauge(
            tmp_path, "--host", server.url, "-f", "theirs.py", "--rate", "40", "--seconds", "1.5", "--json"
        )
    run = read_run(find_run(tmp_path / "results" / "runs"))
    assert (run.lane, run.seed) == ("load", 1)
    assert run.id == json.loads(done.stdout)["id"]
    assert done.returncode == run.verdict.exit_status in {0, 4}
    (log,) = (tmp_path / "results" / "runs").glob("*.logs/load.hlog")
    assert "workflow:steady:look" in log.read_text()
    names = {finding.name for finding in run.findings}
    assert {"load/generator/lag_p99_ms", "load/look/p99_due_ms", "load/GET |look/p99_service_ms"} <= names


def test_the_target_is_started_and_its_promises_judged(tmp_path: Path) -> None:
    """Without a URL the target is started; a promise decides, and a p99 of 60 samples is no measurement."""
    (tmp_path / "theirs.py").write_text(locusts.FOREIGN)
    server = Path(stalling.__file__)
    (tmp_path / "tidegauge.toml").write_text(TARGET.format(server=server, log=tmp_path / "sent.json"))
    done = tidegauge(tmp_path, "--budget", "load/look/p50_due_ms=0.001")
    found = {finding.name: finding for finding in read_run(find_run(tmp_path / "results" / "runs")).findings}
    assert found["load/look/p99_due_ms"].verdict is Verdict.NOT_MEASURED
    assert found["load/look/p50_due_ms"].verdict in {Verdict.FAIL, Verdict.NOT_MEASURED}
    assert found["load/look/p50_due_ms"].budget
    assert found["load/look/p50_due_ms"].budget.max == 0.001
    assert done.returncode in {1, 4}
    assert json.loads((tmp_path / "sent.json").read_text())  # it was stopped as it wants to be


def test_a_locust_that_comes_to_nothing_is_not_measured(tmp_path: Path) -> None:
    """A locustfile that breaks leaves one finding that says with what words."""
    (tmp_path / "theirs.py").write_text("raise RuntimeError('no such broker')")
    done = tidegauge(tmp_path, "--host", "http://127.0.0.1:9", "-f", "theirs.py", "--seconds", "1")
    (finding,) = read_run(find_run(tmp_path / "results" / "runs")).findings
    assert (finding.name, finding.verdict) == ("load/generator/finished", Verdict.NOT_MEASURED)
    assert "no such broker" in finding.reason
    assert done.returncode == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--host", "http://127.0.0.1:9"], "No locustfile is named"),
        (["--host", "http://127.0.0.1:9", "-f", "none.py"], "There is no locustfile"),
        (["--host", "http://127.0.0.1:9", "--profile", "wave"], "'wave' is no load profile"),
        (["--budget", "load/look/p50_due_ms=1"], "There is no tidegauge.toml"),
    ],
)
def test_wrong_use_is_one_line(tmp_path: Path, arguments: list[str], said: str) -> None:
    """What cannot be run is said in one line before anything starts, with exit status 2."""
    done = tidegauge(tmp_path, *arguments)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "results").exists()


def test_an_api_is_loaded_from_its_document(tmp_path: Path) -> None:
    """--openapi finds the API where its document says, asks what only reads, and the repository's promises of another
    workload are nobody's business.
    """
    with locusts.serving(tmp_path) as server:
        (tmp_path / "tidegauge.toml").write_text(TARGET.format(server="none.py", log=tmp_path / "sent.json"))
        answers = {"200": {"description": "a look"}}
        paths = {"/look": {"get": {"responses": answers}}, "/buy": {"post": {"responses": answers}}}
        document = {"openapi": "3.0.0", "servers": [{"url": server.url}], "paths": paths}
        (tmp_path / "api.json").write_text(json.dumps(document))
        done = tidegauge(tmp_path, "--openapi", "api.json", "--rate", "40", "--seconds", "1.5")
    found = {finding.name: finding for finding in read_run(find_run(tmp_path / "results" / "runs")).findings}
    assert found["load/GET |look/throughput_per_s"].value == pytest.approx(40, rel=0.3), done.stderr
    assert not [name for name in found if "buy" in name]
    assert not [name for name in found if name.startswith("load/look/")]
    assert done.returncode in {0, 4}


def test_a_document_without_an_address_wants_one(tmp_path: Path) -> None:
    """A file that names no server is wrong use without --host."""
    (tmp_path / "api.json").write_text('{"openapi": "3.0.0", "paths": {}}')
    done = tidegauge(tmp_path, "--openapi", "api.json")
    assert done.returncode == 2
    assert "does not say where its API is" in done.stderr
    assert not (tmp_path / "results").exists()


def test_the_knee_is_searched_with_a_locust_a_step(tmp_path: Path) -> None:
    """Each step is a load of its own, and a search without the time for an answer says what it could prove."""
    (tmp_path / "theirs.py").write_text(locusts.FOREIGN)
    with locusts.serving(tmp_path) as server:
        words = ("--profile", "knee", "--rate", "40", "--seconds", "12", "--slo-ms", "5000")
        done = tidegauge(tmp_path, "--host", server.url, "-f", "theirs.py", *words)
    (knee,) = read_run(find_run(tmp_path / "results" / "runs")).findings
    assert knee.name == "load/knee/rate_per_s"
    assert knee.verdict in {Verdict.UNDECIDED, Verdict.NOT_MEASURED}, done.stderr  # 4: the machine was too busy
    assert "12 s were not enough" in knee.reason
    (first, *_) = knee.evidence["steps"]
    assert first["rate_per_s"] == 40
    assert first["offered"] == pytest.approx(120, abs=45)
    assert list((tmp_path / "results" / "runs").glob("*.logs/step-01/load.json"))


@pytest.mark.parametrize(("profile", "room"), [("knee", "wide 47"), ("constant", "narrow 47")])
def test_under_the_knee_the_target_has_its_own_environment(tmp_path: Path, profile: str, room: str) -> None:
    """What a target is forbidden to do can be lifted while its knee is searched for, and for nothing else."""
    (tmp_path / "theirs.py").write_text(locusts.FOREIGN)
    (tmp_path / "bot.py").write_text("import os; print(os.environ['ROOM'], os.environ['SEED']); raise SystemExit(3)")
    written = TARGET.format(server="bot.py", log="log")
    written += '\n[load.knee_env]\nROOM = "wide"\n\n[target.env]\nROOM = "narrow"\nSEED = "{seed}"\n'
    (tmp_path / "tidegauge.toml").write_text(written)
    done = tidegauge(tmp_path, "--profile", profile, "--seed", "47")
    (finding, *_) = read_run(find_run(tmp_path / "results" / "runs")).findings
    assert finding.name == "load/target/alive", done.stderr
    assert f"saying: {room}" in finding.reason


def test_the_load_is_a_part_of_the_check(tmp_path: Path) -> None:
    """`check` puts the load of [load] on the target that it has running, and judges it by the same promises."""
    (tmp_path / "theirs.py").write_text(locusts.FOREIGN)
    (tmp_path / "work.py").write_text("""print('{"name": "check/work/done", "verdict": "pass", "reason": "it is"}')""")
    written = TARGET.format(server=Path(stalling.__file__), log=tmp_path / "sent.json")
    (tmp_path / "tidegauge.toml").write_text(written + '\n[check]\nworkload = "{python} work.py"\n')
    done = tidegauge(tmp_path, verb="check")
    found = {finding.name: finding for finding in read_run(find_run(tmp_path / "results" / "runs")).findings}
    assert found["check/work/done"].verdict is Verdict.PASS
    assert found["load/look/p50_due_ms"].budget, done.stderr
    assert found["load/look/p50_due_ms"].verdict in {Verdict.PASS, Verdict.NOT_MEASURED}
    assert len(json.loads((tmp_path / "sent.json").read_text())) == 60
    assert "load/lane/verdict" not in found
