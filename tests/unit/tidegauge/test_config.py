"""tidegauge.toml: found from below, read whole, and every mistake answered with its line."""

import textwrap
from pathlib import Path

import pytest

from tidegauge import config
from tidegauge.config import BenchFile, Need, TargetConfig, Values, load, load_bench, port_names
from tidegauge.errors import TidegaugeError
from tidegauge.load.capacity import under_knee

GOOD = """\
[target]
command = "{python} -m bot --port {port:bot}"
url = "http://127.0.0.1:{port:bot}"
ready = "http://127.0.0.1:{port:bot}/health"

[target.env]
BOT_TOKEN = "{token}"

[[target.needs]]
name = "exchange"
command = "exchange {port:exchange} {seed} {dir}"
ready = "tcp://127.0.0.1:{port:exchange}"

[check]
workload = "{python} work.py {port:work}"
"""


def write(folder: Path, text: str) -> Path:
    """Puts a tidegauge.toml into the folder."""
    path = folder / "tidegauge.toml"
    path.write_text(text)
    return path


def test_the_file_is_found_from_a_folder_below(tmp_path: Path) -> None:
    """Wherever in the repository the command is called, it is the same file, and runs are kept beside it."""
    write(tmp_path, GOOD)
    below = tmp_path / "src" / "bot"
    below.mkdir(parents=True)
    found = load(below)
    assert (found.root, found.runs) == (tmp_path, tmp_path / "results" / "runs")


def test_every_setting_arrives(tmp_path: Path) -> None:
    """What is written is what is used; what is left out has its default."""
    write(tmp_path, GOOD)
    found = load(tmp_path)
    need = Need(
        name="exchange", command="exchange {port:exchange} {seed} {dir}", ready="tcp://127.0.0.1:{port:exchange}"
    )
    assert found.target == TargetConfig(
        command="{python} -m bot --port {port:bot}",
        url="http://127.0.0.1:{port:bot}",
        ready="http://127.0.0.1:{port:bot}/health",
        env={"BOT_TOKEN": "{token}"},
        needs=(need,),
    )
    assert found.check
    assert (found.check.timeout_s, found.target.ready_timeout_s, found.target.stop_grace_s) == (120, 30, 5)
    assert port_names(found.target, found.check) == ["bot", "exchange", "work"]


def test_what_stands_on_top_of_the_target_under_the_knee_is_checked_too(tmp_path: Path) -> None:
    """The environment of the knee's target knows the same placeholders, and a wrong one is named."""
    write(tmp_path, GOOD + '[load]\nknee_env = { BOT_ROOM = "{port:room}" }\nknee_words = { exchange = "--cash 9" }\n')
    read = under_knee(load(tmp_path)).target
    assert read.env == {"BOT_TOKEN": "{token}", "BOT_ROOM": "{port:room}"}
    assert port_names(read) == ["bot", "room", "exchange"]
    assert Values(seed=1, dir=tmp_path, token="t", python="p", ports={"exchange": 5}).argv(read.needs[0].command) == [
        *("exchange", "5", "1", str(tmp_path), "--cash", "9")
    ]
    assert load(tmp_path).target.needs[0].command == "exchange {port:exchange} {seed} {dir}"
    for wrong in ('knee_env = { BOT_ROOM = "{door:room}" }', 'knee_words = { exchanges = "--cash 9" }'):
        write(tmp_path, f"{GOOD}[load]\n{wrong}\n")
        with pytest.raises(TidegaugeError, match=r"door:room|exchanges"):
            load(tmp_path)


def test_no_file_says_what_to_write(tmp_path: Path) -> None:
    """A first-time user learns the name of the file."""
    with pytest.raises(TidegaugeError, match=r"There is no tidegauge.toml in .* Write one with a \[target\]"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("[target]", "[target", "is not TOML: Expected ']' at the end of a table declaration (at line 1, column 8)"),
        ("[check]", "[chekc]", "14: chekc: is no table of this file"),
        ("[target", "[goal", "1: goal: is no table"),
        ('command = "{python} -m bot --port {port:bot}"\n', "", "1: target.command: Object missing required field"),
        ("url =", "urll =", "3: target.urll: Object contains unknown field `urll`"),
        ('name = "exchange"', 'name = "Exchange 1"', "10: target.needs[0].name: Expected `str` matching regex"),
        ('name = "exchange"', 'name = "target"', "10: target.needs[0].name: 'target' is taken"),
        ('name = "exchange"', 'name = "exchange"\nport = 1', "11: target.needs[0].port: Object contains unknown field"),
        ('"{token}"', "7", "6: target.env: Expected `str`, got `int`"),
        ("{token}", "{tokn}", "7: target.env.BOT_TOKEN: {tokn} is no placeholder"),
        ("{port:exchange} {seed}", "{port} {seed}", "11: target.needs[0].command: {port} is no placeholder"),
        ("{port:work}", "{port:Work}", "15: check.workload: {port:Work} is no placeholder"),
        ("{python} work.py", "{python} 'work.py", "15: check.workload: cannot be split into words: No closing"),
        ('"tcp://127.0.0.1:{port:exchange}"', '"tcp://here"', "12: target.needs[0].ready: 'tcp://here' is no sign"),
        ('"tcp://127.0.0.1:{port:exchange}"', '"stdout:("', "12: target.needs[0].ready: is no regular expression"),
        (
            "[check]",
            '[target.needs.env]\nA = "1"\n[[target.needs]]\nname = "b"\nready = "stdout:."\ncommand = "{x}"\n[check]',
            "19: target.needs[1].command: {x} is no placeholder",
        ),
        (
            "[check]",
            '[[target.needs]]\nname = "b"\ncommand = "b"\nready = "stdout:."\n[target.needs.env]\nA = "{x}"\n[check]',
            "19: target.needs[1].env.A: {x} is no placeholder",
        ),
        ("[check]", "[check]\ntimeout_s = 0", "15: check.timeout_s: Expected `float` > 0"),
        ("[check]", "[budgets]\na = 1\n[check]", "15: budgets.a: is not lane/subject/measure"),
    ],
)
def test_a_mistake_names_its_line(tmp_path: Path, old: str, new: str, complaint: str) -> None:
    """Every kind of mistake leads to its place and is one line."""
    assert old in GOOD
    path = write(tmp_path, GOOD.replace(old, new))
    with pytest.raises(TidegaugeError) as caught:
        load(tmp_path)
    assert str(caught.value).startswith(str(path))
    assert complaint in str(caught.value)


def test_inline_tables_have_lines_too(tmp_path: Path) -> None:
    """A key of a table within a line is found at that line."""
    write(tmp_path, '[target]\ncommand = "a"\nready = "stdout:."\nenv = { A = "{x}" }\n')
    with pytest.raises(TidegaugeError, match=r"toml:4: target.env.A: \{x\} is no placeholder"):
        load(tmp_path)
    write(tmp_path, '[target]\ncommand = "a"\nready = "stdout:."\nneeds = [{ name = "b", ready = "c" }]\n')
    with pytest.raises(TidegaugeError, match=r"toml:4: target.needs\[0\].command: Object missing"):
        load(tmp_path)


def test_a_file_that_cannot_be_read_is_one_line(tmp_path: Path) -> None:
    """Bytes that are no text are named as such."""
    (tmp_path / "tidegauge.toml").write_bytes(b"[target]\ncommand = '\xff'")
    with pytest.raises(TidegaugeError, match=r"is not TOML: .*can't decode byte 0xff"):
        load(tmp_path)


def test_braces_that_are_no_placeholder_stay(tmp_path: Path) -> None:
    """JSON and regular expressions keep their braces."""
    values = Values(python="py", seed=3, dir=tmp_path, token="t", ports={"bot": 5})
    assert values.fill('{"a": {port:bot}} [0-9]{2} {seed}{token}') == '{"a": 5} [0-9]{2} 3t'


def test_the_example_in_the_manual_is_valid(tmp_path: Path) -> None:
    """Whoever copies the file from the module's documentation has one that works."""
    assert config.__doc__
    example = textwrap.dedent(config.__doc__.split("\n\n")[1])
    write(tmp_path, example)
    assert load(tmp_path).target.needs[0].name == "exchange"


def test_the_repositorys_own_file_is_valid() -> None:
    """The file at the root starts the reference bot with its exchange, and each budget says why."""
    found = load(Path(__file__).parent)
    assert found.check
    assert set(found.budgets.by_name) >= {"check/entry/p50_ms", "check/target/ready_s"}
    assert port_names(found.target, found.check) == ["bot", "gateway", "control"]


def test_whoever_only_compares_commits_needs_no_target(tmp_path: Path) -> None:
    """[bench] and [budgets] are read without a [target], and a repository without the file has promised nothing."""
    assert load_bench(tmp_path) == BenchFile()
    budget = '"bench/b.time_it/cpu_ratio" = { max = 1.1, unit = "x", why = "agreed" }'
    write(tmp_path, f'[bench]\npinned = "v1"\n[budgets]\n{budget}\n')
    found = load_bench(tmp_path)
    assert (found.bench.pinned, found.bench.select, list(found.budgets.by_name)) == (
        "v1",
        (),
        ["bench/b.time_it/cpu_ratio"],
    )
    write(tmp_path, "[bnch]\n")
    with pytest.raises(TidegaugeError, match=r"tidegauge.toml:1: bnch: is no table"):
        load_bench(tmp_path)
