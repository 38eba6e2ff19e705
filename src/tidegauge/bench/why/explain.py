"""Why a benchmark is slower: which functions gained instructions, and which Python functions gained CPU time.

    Count ──instruction_gains──▶ functions in C, by callgrind's own cost of each        ┐
    both sides ──profile──▶ stacks of the same calls ──cpu_gains──▶ Python functions    ├──▶ Why, in the finding
                                ├──write_folded──▶ a file for the tools of others     │
                                └──write_flame───▶ a flame graph of our own           ┘

callgrind knows C functions only: that an interpreter loop gained instructions says little, that a sort or an
allocation did says much. The profile knows Python functions, and counts each call of them; it is made of both builds
in turn, several times, and the least of each stack's times is taken.

A folded file has a line a stack, `outer;inner BASE_NS HEAD_NS`: the form of difffolded.pl, which `flamegraph.pl` draws
in red and blue. Its name does not end in .json, which asv would take for results of its own.
"""

import contextlib
import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import msgspec

from tidegauge.bench.counts.callgrind import Cost
from tidegauge.bench.inside.timed import STACKS_NAME
from tidegauge.bench.processes.conversation import WorkerError
from tidegauge.bench.processes.layout import Layout
from tidegauge.bench.processes.sides import SIDES, folder_of, of_both, worker_of
from tidegauge.bench.suites.model import Benchmark, Side
from tidegauge.bench.why.flame import write_flame

GAINS_MAX = 5
PROFILES = 5
PROFILE_MS = 5.0
STACKS_BYTES_MAX = 64 * 1024 * 1024
HASH_SEED = 0
FILE_STEM_MAX = 80
# A function that gained less than this share of the base's total explains nothing.
SHARE_MIN = 0.0005


class Gain(msgspec.Struct, frozen=True, kw_only=True):
    """What one function costs a call of the benchmark on each side; `share` is its gain in the base's total."""

    function: str
    base: float
    head: float
    share: float
    base_calls: float | None = None
    head_calls: float | None = None


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """`profiled` is head to base of all CPU time in the profile; `unexplained` says why there is none."""

    instructions: tuple[Gain, ...] = ()
    cpu_ns: tuple[Gain, ...] = ()
    profiled: float | None = None
    folded: str = ""
    flame: str = ""
    unexplained: str = ""

    @property
    def clause(self) -> str:
        """The greatest gain as the end of a sentence: in Python, unless the profile says nothing of the kind."""
        tables, doubt = [(self.cpu_ns, "CPU time"), (self.instructions, "instructions")], ""
        if self.profiled is not None and self.profiled <= 1:
            del tables[0]
            doubt = (
                f"; its profile does not show it ({self.profiled - 1:+.1%} in all): "
                "while it is taken, each call of a function takes longer"
            )
        for gains, unit in tables:
            if gains:
                return f"; the greatest gain of {unit} is in {gains[0].function} ({gains[0].share:+.1%}){doubt}"
        return doubt


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One stack of one side's profile."""

    stack: str
    calls: int
    self_ns: int


def explain(
    benchmark: Benchmark,
    base: Side,
    head: Side,
    *,
    functions: tuple[Mapping[str, Cost], Mapping[str, Cost]],
    counted_calls: int,
    scratch: Path,
    folder: Path,
) -> Why:
    """Compares the functions that were counted, and profiles both sides; never raises for what a suite does."""
    why = Why(instructions=instruction_gains(*functions, calls=counted_calls))
    try:
        rows, calls = profile(benchmark, {"base": base, "head": head}, scratch)
    except WorkerError as error:
        return msgspec.structs.replace(why, unexplained=f"no profile of {error.side}: {error.sentence}")
    path = folder / f"{file_stem(benchmark.name)}.folded"
    write_folded(rows["base"], rows["head"], path)
    flame = path.with_suffix(".svg")
    is_drawn = write_flame(benchmark.name, _by_stack(rows["base"]), _by_stack(rows["head"]), calls=calls, path=flame)
    return msgspec.structs.replace(
        why,
        cpu_ns=cpu_gains(rows["base"], rows["head"], calls=calls),
        profiled=profiled(rows["base"], rows["head"]),
        folded=str(path),
        flame=str(flame) if is_drawn else "",
    )


def instruction_gains(base: Mapping[str, Cost], head: Mapping[str, Cost], *, calls: int) -> tuple[Gain, ...]:
    """The functions that gained most by their own instructions."""
    return _greatest(
        {name: cost.own for name, cost in base.items()}, {name: cost.own for name, cost in head.items()}, calls=calls
    )


def cpu_gains(base: list[Row], head: list[Row], *, calls: int) -> tuple[Gain, ...]:
    """The Python functions that gained most by the time in themselves, whoever called them."""
    found = _greatest(_by_function(base, "self_ns"), _by_function(head, "self_ns"), calls=calls)
    base_calls, head_calls = _by_function(base, "calls"), _by_function(head, "calls")
    return tuple(
        msgspec.structs.replace(
            gain,
            base_calls=base_calls.get(gain.function, 0) / calls,
            head_calls=head_calls.get(gain.function, 0) / calls,
        )
        for gain in found
    )


def profiled(base: list[Row], head: list[Row]) -> float | None:
    """Head to base of all the time in two profiles."""
    base_ns, head_ns = (sum(row.self_ns for row in rows) for rows in (base, head))
    return head_ns / base_ns if base_ns else None


def profile(benchmark: Benchmark, sides: Mapping[str, Side], scratch: Path) -> tuple[dict[str, list[Row]], int]:
    """The stacks of as many calls on each side, and how many calls that are."""
    with contextlib.ExitStack() as stack:
        folders = of_both(lambda name: stack.enter_context(folder_of(benchmark, sides[name], name, scratch)))
        workers = {
            name: stack.enter_context(worker_of(benchmark, sides[name], name, folders[name], Layout(HASH_SEED, 0, 0)))
            for name in SIDES
        }
        for name, ready in of_both(lambda name: workers[name].wait_until_ready()).items():
            if ready["skipped"]:
                raise WorkerError(name, "it is skipped")
        plans = of_both(lambda name: workers[name].ask("calibrate", round(PROFILE_MS * 1e6)))
        number, batches = (min(int(plan[key]) for plan in plans.values()) for key in ("number", "batches"))
        taken: dict[str, list[list[Row]]] = {name: [] for name in SIDES}
        for _ in range(PROFILES):
            for name in SIDES:
                workers[name].ask("profile", number, batches)
                taken[name].append(read_rows(folders[name] / STACKS_NAME))
        of_both(lambda name: workers[name].ask("stop"))
    return {name: _least(profiles) for name, profiles in taken.items()}, number * batches


def read_rows(path: Path) -> list[Row]:
    """What a worker's profile left behind."""
    with path.open("rb") as file:
        lines = file.read(STACKS_BYTES_MAX).splitlines()
    decoder = msgspec.json.Decoder(Row)
    return [decoder.decode(line) for line in lines]


def write_folded(base: list[Row], head: list[Row], path: Path) -> None:
    """Both sides in one file, a line a stack, in nanoseconds."""
    base_ns, head_ns = _by_stack(base), _by_stack(head)
    lines = (
        f"{stack} {base_ns.get(stack, 0)} {head_ns.get(stack, 0)}\n"
        for stack in sorted(base_ns.keys() | head_ns.keys())
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines))


def file_stem(name: str) -> str:
    """A benchmark's name as that of a file; a digest keeps two of them apart."""
    plain = re.sub(r"[^\w.-]+", "_", name)[:FILE_STEM_MAX].strip("_.")
    return f"{plain}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _least(profiles: list[list[Row]]) -> list[Row]:
    """Each stack's least time: what disturbed one profile did not disturb all of them there."""
    least: dict[str, Row] = {}
    for row in (row for rows in profiles for row in rows):
        before = least.get(row.stack)
        if before is None or row.self_ns < before.self_ns:
            least[row.stack] = row
    return list(least.values())


def _by_stack(rows: list[Row]) -> dict[str, int]:
    return {row.stack: row.self_ns for row in rows}


def _by_function(rows: list[Row], figure: str) -> dict[str, int]:
    found: dict[str, int] = {}
    for row in rows:
        function = row.stack.rpartition(";")[2]
        found[function] = found.get(function, 0) + int(getattr(row, figure))
    return found


def _greatest(base: Mapping[str, int], head: Mapping[str, int], *, calls: int) -> tuple[Gain, ...]:
    total = sum(base.values())
    if not total or not calls:
        return ()
    gains = [(head.get(name, 0) - base.get(name, 0), name) for name in base.keys() | head.keys()]
    return tuple(
        Gain(function=name, base=base.get(name, 0) / calls, head=head.get(name, 0) / calls, share=gained / total)
        for gained, name in sorted(gains, key=lambda each: (-each[0], each[1]))[:GAINS_MAX]
        if gained / total > SHARE_MIN
    )
