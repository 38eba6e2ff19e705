"""`tidegauge bench --bisect` on a repository of its own: it names the commit that was planted."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.suites import TOY, git

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]

SUITE = "from toy import work\ndef time_work(): work()\n"
CODE = "def work(): return sum(i * i for i in range({n}))\n# {comment}\n"
COMMITS = 7
CULPRIT = COMMITS - 2  # three commits back, head among them
BROKEN = 3


@pytest.fixture
def repository(tmp_path: Path) -> tuple[Path, list[str]]:
    """Seven commits after the base: in the third the benchmark fails, from the fifth on the work is 20 % more."""
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "asv.conf.json").write_text(json.dumps(TOY))
    (tmp_path / ".gitignore").write_text("results\n.asv\n")
    (tmp_path / "benchmarks" / "__init__.py").touch()
    (tmp_path / "benchmarks" / "bench_toy.py").write_text(SUITE)
    git(tmp_path, "init", "-q", "-b", "main")
    commits = []
    for place in range(COMMITS + 1):
        size = "0 / 0" if place == BROKEN else 3600 if place >= CULPRIT else 3000
        (tmp_path / "toy.py").write_text(CODE.format(n=size, comment=place))
        git(tmp_path, "add", "-A")
        git(tmp_path, "commit", "-q", "-m", f"step {place}")
        commits.append(git(tmp_path, "rev-parse", "HEAD"))
    return tmp_path, commits


def bench(folder: Path, *arguments: str) -> tuple[int, dict[str, Any], str]:
    done = subprocess.run(
        [sys.executable, "-m", "tidegauge", "bench", *arguments, "--python", "same", "--json"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=580,
        check=False,
    )
    findings = {each["name"]: each for each in json.loads(done.stdout)["findings"]} if done.stdout else {}
    return done.returncode, findings, done.stderr


def test_the_planted_commit_is_the_culprit(repository: tuple[Path, list[str]]) -> None:
    """With its subject line and the ratios on both sides, around a commit that fails; none is built twice."""
    folder, commits = repository
    options = ("--bisect", "--delta", "0.1", "--max-seconds", "40")
    status, findings, said = bench(folder, commits[0], commits[-1], *options)
    assert status == 1, said
    finding = findings["bench/bench_toy.time_work/culprit"]
    assert finding["verdict"] == "fail", finding
    culprit = finding["evidence"]["culprit"]
    assert (culprit["commit"], culprit["subject"]) == (commits[CULPRIT], f"step {CULPRIT}")
    assert finding["evidence"]["ratio_before"] < 1.1 < finding["evidence"]["ratio_after"]
    skipped = [probe for probe in finding["evidence"]["probes"] if probe["state"] == "skipped"]
    assert [probe["commit"] for probe in skipped] == [commits[BROKEN]]
    assert "ZeroDivisionError" in skipped[0]["reason"]
    built = [line for line in said.splitlines() if "| building " in line]
    assert len(built) == len(set(built)) <= 2 + COMMITS.bit_length()


def test_without_time_the_range_is_told(repository: tuple[Path, list[str]]) -> None:
    """A second is too short for a probe: the slowdown stands, and its culprit is one of the commits between."""
    folder, commits = repository
    options = ("--bisect", "--bisect-seconds", "1", "--delta", "0.1", "--max-seconds", "40")
    status, findings, said = bench(folder, commits[0], commits[-1], *options)
    assert status == 1, said
    finding = findings["bench/bench_toy.time_work/culprit"]
    assert (finding["verdict"], finding["evidence"]["why"]) == ("undecided", "time was up")
    assert [each["commit"] for each in finding["evidence"]["range"]] == commits[1:]
