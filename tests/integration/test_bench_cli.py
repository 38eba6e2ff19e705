"""`tidegauge bench` on a repository of its own: what was planted is what it says, and how it exits."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

CONFIG = {
    "version": 1,
    "project": "toy",
    "repo": ".",
    "branches": ["main"],
    "environment_type": "existing",
    "pythons": ["same"],
    "benchmark_dir": "benchmarks",
    "results_dir": "results/asv",
    "env_dir": ".asv",
}
SUITE = """
from toy import fine, work
def time_work(): work()
def time_fine(): fine()
"""
CODE = "def work(): return sum(i * i for i in range({n}))\ndef fine(): {fine}\n"


def repository(folder: Path) -> Path:
    """One commit on main, whose working tree a test then changes."""
    (folder / "benchmarks").mkdir(parents=True)
    (folder / "src").mkdir()
    (folder / "asv.conf.json").write_text(json.dumps(CONFIG))
    (folder / "benchmarks" / "__init__.py").touch()
    (folder / "benchmarks" / "bench_toy.py").write_text(SUITE)
    (folder / "src" / "toy.py").write_text(CODE.format(n=3000, fine="return sorted(map(str, range(900)))"))
    for command in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@t.invalid", *command], cwd=folder, check=True)
    return folder


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "tidegauge", "bench", "main", "--python", "same", "--json", *arguments]


def counts(folder: Path) -> list[dict[str, Any]]:
    """The whole lines of the counts that a run has left so far."""
    texts = [path.read_text() for path in folder.glob("results/asv/pairs/*.instructions.jsonl")]
    return [json.loads(line) for text in texts for line in text.splitlines(keepends=True) if line.endswith("\n")]


def bench(folder: Path, *arguments: str, env: dict[str, str] | None = None) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        command(*arguments),
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
        env={**os.environ, **(env or {})},
    )
    findings = {each["name"]: each for each in json.loads(done.stdout)["findings"]} if done.stdout else {}
    return done.returncode, findings


def test_a_slowdown_fails_and_what_did_not_change_passes(tmp_path: Path) -> None:
    """Half as much work again is a fail by name, with size and picture; the untouched one beside it is not slower."""
    folder = repository(tmp_path)
    (folder / "src" / "toy.py").write_text(CODE.format(n=4500, fine="return sorted(map(str, range(900)))"))
    status, findings = bench(folder, "--delta", "0.1", "--max-seconds", "40")
    assert status == 1
    slower = findings["bench/bench_toy.time_work/cpu_ratio"]
    assert (slower["verdict"], slower["evidence"]["outcome"]) == ("fail", "slower")
    assert 1.2 < slower["value"] < 1.8
    flame = Path(folder, slower["evidence"]["why"]["flame"])
    assert "toy.work.&lt;locals&gt;.&lt;genexpr&gt;" in flame.read_text(encoding="utf-8")
    assert findings["bench/bench_toy.time_fine/cpu_ratio"]["evidence"]["outcome"] != "slower"


def test_a_benchmark_that_breaks_is_a_fail_with_its_error_and_never_faster(tmp_path: Path) -> None:
    """What raises on head has no time; the finding says on which side and why."""
    folder = repository(tmp_path)
    (folder / "src" / "toy.py").write_text(CODE.format(n=3000, fine="raise ValueError('boom')"))
    status, findings = bench(folder, "-b", "time_fine", "--delta", "0.1")
    assert status == 1
    broken = findings["bench/bench_toy.time_fine/cpu_ratio"]
    assert (broken["verdict"], broken["reason"]) == ("fail", "it failed on head: ValueError: boom")


PLANTED = [(3000, 0.0, "pass"), (3009, 0.003, "pass"), (3015, 0.005, "fail"), (3030, 0.01, "fail")]


@pytest.mark.parametrize(("n", "change", "verdict"), PLANTED)
def test_planted_instructions_are_read_back(tmp_path: Path, n: int, change: float, verdict: str) -> None:
    """By instructions alone a rise of 0.5 % is a fail and 0.3 % is none, and either is read to 0.05 %."""
    folder = repository(tmp_path)
    (folder / "src" / "toy.py").write_text(CODE.format(n=n, fine="return 1"))
    status, findings = bench(folder, "-b", "time_work", "--tier", "instructions", "--max-seconds", "30")
    (finding,) = findings.values()
    assert finding["name"] == "bench/bench_toy.time_work/instructions_ratio"
    assert finding["value"] == pytest.approx(1 + change, abs=0.0005), finding
    assert (status, finding["verdict"]) == (int(verdict == "fail"), verdict)
    if verdict == "fail":
        why = finding["evidence"]["why"]
        assert "toy.work.<locals>.<genexpr>" in Path(folder, why["folded"]).read_text()
        assert why["instructions"][0]["share"] > 0.001


def test_counts_of_a_killed_run_are_not_counted_again(tmp_path: Path) -> None:
    """With --resume a run goes on after the layout that was the last to be whole, and judges what it then has."""
    folder = repository(tmp_path)
    arguments = ("HEAD", "-b", "time_work", "-b", "time_fine", "--tier", "instructions", "--max-seconds", "30")
    with subprocess.Popen(command(*arguments), cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        deadline_s = time.monotonic() + 120
        while not (before := counts(folder)) or not before[-1].get("base"):
            assert time.monotonic() < deadline_s
            time.sleep(0.05)
        run.kill()
    before = counts(folder)
    status, findings = bench(folder, *arguments, "--resume")
    assert (status, len(findings)) == (0, 2)
    after = counts(folder)[len(before) :]
    (first,) = (each for each in before if each.get("base"))
    again = [each for each in after if each["benchmark"] == first["benchmark"]]
    # The first line is that of a run without callgrind, which learns once more what is imported.
    assert [len(each["base"]) for each in again][:2] == [1, 2]
    assert [each["base"][0] for each in again][:2] == first["base"] * 2


def test_what_valgrind_cannot_run_is_not_measured_and_named(tmp_path: Path) -> None:
    """An illegal instruction below valgrind is no fail of the code; without valgrind the tier says so once."""
    folder = repository(tmp_path)
    dies = "import os; 'callgrind' in open('/proc/self/maps').read() and os.kill(os.getpid(), 4)"
    (folder / "src" / "toy.py").write_text(CODE.format(n=3000, fine=dies))
    arguments = ("-b", "time_fine", "--tier", "instructions", "--max-seconds", "30")
    status, findings = bench(folder, *arguments)
    assert status == 4
    (finding,) = findings.values()
    assert finding["reason"] == "on head it died of an illegal instruction, below valgrind only"
    tools = tmp_path.with_name("tools")
    tools.mkdir()
    (tools / "git").symlink_to(shutil.which("git") or "")
    status, findings = bench(folder, *arguments, env={"PATH": str(tools)})
    assert status == 4
    (finding,) = findings.values()
    assert finding["name"] == "bench/instructions/valgrind"
    assert finding["reason"].startswith("valgrind is not here")
    assert finding["reason"].endswith("Or leave them out: --tier cpu,wall,values.")


def test_a_budget_of_its_own_lets_a_benchmark_be_slower(tmp_path: Path) -> None:
    """One per cent more instructions pass where two are granted, by the command line or by the file."""
    folder = repository(tmp_path)
    (folder / "src" / "toy.py").write_text(CODE.format(n=3030, fine="return 1"))
    name = "bench/bench_toy.time_work/instructions_ratio"
    arguments = ("-b", "time_work", "--tier", "instructions", "--max-seconds", "30")
    status, findings = bench(folder, *arguments, "--budget", f"{name}=1.02")
    assert (status, findings[name]["budget"]["max"]) == (0, 1.02)
    (folder / "tidegauge.toml").write_text(f'[budgets]\n"{name}" = {{ max = 1.05, unit = "x", why = "agreed" }}\n')
    status, findings = bench(folder, *arguments)
    assert (status, findings[name]["budget"]["why"]) == (0, "agreed")


def test_a_budget_of_no_figure_is_exit_2(tmp_path: Path) -> None:
    """A misspelt name is wrong use: nothing is measured."""
    status, findings = bench(repository(tmp_path), "--budget", "bench/bench_toy.time_wrok/cpu_ratio=1.1")
    assert (status, list(findings)) == (2, [])


def test_a_tier_that_does_not_exist_is_exit_2(tmp_path: Path) -> None:
    """A misspelt tier is wrong use, not a run without it."""
    assert bench(repository(tmp_path), "--tier", "cpu,instruction") == (2, {})


def test_a_commit_that_does_not_exist_is_one_line_and_exit_2(tmp_path: Path) -> None:
    """A user's mistake is no traceback."""
    folder = repository(tmp_path)
    done = subprocess.run(
        [sys.executable, "-m", "tidegauge", "bench", "nowhere", "--python", "same"],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "nowhere" in done.stderr
