"""The campaign keeps whole rounds, resumes where it was, and its repository holds the truth that it says."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from campaign import __main__ as campaign
from campaign.again import judged_again
from campaign.beside import busy
from campaign.repository import BASE, SLOWDOWNS, STEPS, branch_of, make_repository


def row(index: int, outcome: str = "not slower") -> dict[str, object]:
    return {
        "contender": "tidegauge",
        "slowdown": 0.0,
        "round": index,
        "kernel": "chase",
        "outcome": outcome,
        "load": 1.0,
        "round_seconds": 4.0,
    }


def test_a_block_that_a_kill_cut_short_is_left_out(tmp_path: Path) -> None:
    """What was appended whole is read, a torn end is not, and never an error."""
    path = tmp_path / "rows.jsonl.gz"
    assert campaign.read_rows(path) == []
    campaign.append(path, [row(0), row(1)])
    campaign.append(path, [row(2)])
    assert [each["round"] for each in campaign.read_rows(path)] == [0, 1, 2]
    path.write_bytes(path.read_bytes()[:-5])
    assert [each["round"] for each in campaign.read_rows(path)] == [0, 1]


def test_a_round_is_measured_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A campaign that goes on takes the rounds that are left, of the contender that was asked for."""
    asked: list[tuple[float, int]] = []

    def contender(_: Path, slowdown: float, index: int) -> list[dict[str, object]]:
        asked.append((slowdown, index))
        return [{"kernel": "chase", "outcome": "slower"}]

    monkeypatch.setattr(campaign, "CONTENDERS", {"tidegauge": contender})
    monkeypatch.setattr(campaign, "ROUNDS", dict.fromkeys(SLOWDOWNS, 2))
    path = tmp_path / "rows.jsonl.gz"
    campaign.append(path, [row(0)])
    campaign.measure(path, tmp_path, 60.0, "tidegauge")
    campaign.measure(path, tmp_path, 60.0, "")
    assert len(asked) == len(set(asked)) == 2 * len(SLOWDOWNS) - 1
    assert (0.0, 0) not in asked


def of_pairs(index: int, ratios: list[float], outcome: str = "undecided") -> list[dict[str, object]]:
    """A round of one kernel, with its pairs."""
    kept = [
        row(index) | {"pair": {"benchmark": "kernels_suite.Chase.time_chase", "index": at, "log_ratio": ratio}}
        for at, ratio in enumerate(ratios)
    ]
    for each in kept:
        del each["outcome"]
    return [row(index, outcome) | {"pairs": len(ratios), "seconds": 10.0}, *kept]


def test_the_pairs_of_a_campaign_are_judged_again() -> None:
    """By today's rule, in their own order, in the time that they took; a round with the pairs of two is left out."""
    clear, flat = [0.03 + 0.001 * (at % 3) for at in range(20)], [0.001 * (at % 3 - 1) for at in range(20)]
    torn = of_pairs(2, clear)
    rows = [*of_pairs(0, clear), *of_pairs(1, flat), *torn, *torn[1:4], row(3) | {"contender": "asv continuous"}]
    said = {each["round"]: (each["outcome"], each["pairs"], each["seconds"]) for each in judged_again(rows)}
    assert said == {0: ("slower", 10, 5.0), 1: ("not slower", 8, 4.0)}


def test_the_table_counts_what_was_said(capsys: pytest.CaptureFixture[str]) -> None:
    """Shares with their interval, a line for all kernels and one for each."""
    campaign.show([row(index, "slower" if index == 0 else "undecided") for index in range(10)])
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    of_all = lines[1].split()
    assert of_all[2:7] == ["all", "10", "1", "0", "9"]
    assert of_all[-3:] == ["0.3%", "to", "44.5%"]


def test_a_branch_is_as_much_slower_as_its_name_says(tmp_path: Path) -> None:
    """The work is counted in steps; a branch adds its share of them, and one adds none."""
    repository = make_repository(tmp_path / "kernels")

    def steps(branch: str) -> int:
        shown = subprocess.run(
            ["git", "show", f"{branch}:src/kernels.py"], cwd=repository, capture_output=True, text=True, check=True
        )
        (line,) = (line for line in shown.stdout.splitlines() if line.startswith("STEPS"))
        return int(line.split("=")[1])

    assert steps(BASE) == STEPS
    assert {each: steps(branch_of(each)) / STEPS - 1 for each in SLOWDOWNS} == pytest.approx(
        {each: each for each in SLOWDOWNS}
    )


def test_the_work_beside_ends_with_its_round() -> None:
    """As many processes as asked for run within, each in a session of its own, and none is left after."""
    with busy(2):
        beside = psutil.Process().children()
        assert len(beside) == 2
        assert len({os.getsid(each.pid) for each in beside} - {os.getsid(0)}) == 2
    assert not any(each.is_running() for each in beside)
