"""What asv.conf.json says, read through asv, without building anything."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from tidegauge.bench.suites.build import find_repository
from tidegauge.bench.suites.model import SuiteConfig
from tidegauge.bench.suites.suite import SuiteError, read_config


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def read(folder: Path, **keys: Any) -> SuiteConfig:
    folder.mkdir(exist_ok=True)
    (folder / "asv.conf.json").write_text(json.dumps({"version": 1, "project": "p", "repo": ".", **keys}))
    return read_config(folder, find_repository(folder))


def test_paths_are_those_of_the_file_s_folder(repository: Path) -> None:
    """Folders are relative to asv.conf.json, wherever in the repository it lies and wherever we are."""
    config = read(repository / "ci", benchmark_dir="../bench", results_dir="out", repo_subdir="lib")
    assert config.repository == repository
    assert (config.benchmarks, config.project) == (Path("bench"), Path("lib"))
    assert (config.results, config.environments) == (repository / "ci/out", repository / "ci/env")


def test_asv_s_defaults_are_asv_s(repository: Path) -> None:
    """What the file leaves out has asv's own default."""
    config = read(repository)
    assert (config.benchmarks, config.timeout_s, config.environment_type) == (Path("benchmarks"), 60.0, "")


def test_comments_are_read_as_asv_reads_them(repository: Path) -> None:
    """asv.conf.json is JSON with comments."""
    (repository / "asv.conf.json").write_text('{// the suite\n"version": 1, "project": "p", "repo": "."}')
    assert read_config(repository, repository).benchmarks == Path("benchmarks")


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "cannot be read"),
        ('{"version": 1, "project": "p"}', "No repo specified"),
        ('{"version": 1, "project": "p", "repo": ".", "benchmark_dir": "/elsewhere"}', "lie outside"),
    ],
)
def test_a_file_that_makes_no_sense_is_one_sentence(repository: Path, text: str, error: str) -> None:
    """Whatever is wrong with the file, the error names it."""
    (repository / "asv.conf.json").write_text(text)
    with pytest.raises(SuiteError, match=error) as raised:
        read_config(repository, repository)
    assert "asv.conf.json" in str(raised.value)
