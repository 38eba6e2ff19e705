"""When did it become slower? Change points over the times that asv's store has kept, commit after commit.

    asv's store ──read_kept──▶ times ──────────┐
    kept runs ──read_ratios──▶ ratios to a pin ┴─in git's order─▶ `Series` ──find_steps──▶ `Change`s ─▶ findings

The commits stand in the order of HEAD's first parents; a result of any other commit (another branch, a working tree)
is left out and counted. A series is one benchmark with one set of parameters, in one environment, on one machine with
one CPU, by one clock: what differs in any of these is never compared. Only ratios to one base, each measured in one
run, are compared across machines; where no machine measured before and after a change, the machine may be what changed.
Of a benchmark that was changed itself only the results of its newest version count, as under asv.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import msgspec

from tidegauge.bench.changes.ratios import read_ratios
from tidegauge.bench.changes.steps import CONFIDENCE, RESULTS_MAX, RESULTS_MIN, find_steps
from tidegauge.bench.suites.build import find_repository, git, resolve
from tidegauge.bench.suites.kept import AS_ASV_TIMED, CPU, RATIO, Kept, choose_machine, read_kept
from tidegauge.bench.suites.model import subject_of
from tidegauge.bench.suites.suite import read_config
from tidegauge.errors import TidegaugeError
from tidegauge.records import RUNS, Budget, Finding
from tidegauge.verdicts import Verdict

COMMITS_MAX = 200_000
SUSPECTS_MAX = 20
CLOCKS = {CPU: "CPU time", AS_ASV_TIMED: "time as asv took it", RATIO: "CPU time"}
OTHER_MACHINES = (
    "no machine measured both before and after, so that the machine may be what changed: measure an older commit there"
)


class HistorySettings(msgspec.Struct, frozen=True, kw_only=True):
    """`last`: how many of the newest results a slowdown may lie back to fail. `base`: read ratios to this commit."""

    select: tuple[str, ...] = ()
    machine: str | None = None
    base: str | None = None
    delta: float = 0.03
    last: int = 10
    seed: int = 1


class Series(msgspec.Struct, frozen=True, kw_only=True):
    """Times in seconds, or ratios, at places in the order of the commits, and the machines that measured each.

    `label` tells it from others of its benchmark.
    """

    benchmark: str
    label: str
    environment: str
    cpu: str
    clock: str
    version: str
    places: tuple[int, ...]
    values: tuple[float, ...]
    machines: tuple[frozenset[str], ...]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """A level that begins with `commit`, unless with one of `suspects`, which have no result.

    `suspects` are the newest SUSPECTS_MAX of `suspect_count` commits after `since`, the last of the level before.
    `results_before` and `results_after` lie on the two levels; `results_since` are all that followed. `other_machines`:
    no machine measured on both.
    """

    commit: str
    since: str
    suspects: tuple[str, ...]
    suspect_count: int
    ratio: float
    low: float
    high: float
    p: float
    results_before: int
    results_after: int
    results_since: int
    other_machines: bool


class History(msgspec.Struct, frozen=True, kw_only=True):
    """What was found, of how many results, and what was left out: a sentence for each reason."""

    machine: str
    findings: tuple[Finding, ...]
    results: int
    unknown: int
    left_out: tuple[str, ...]


def read_history(start: Path, settings: HistorySettings) -> History:
    """Reads, orders and judges; measures nothing."""
    repository = find_repository(start)
    if settings.base:
        base = resolve(repository, settings.base)
        ratios = read_ratios(start / RUNS, base, settings.select)
        if not ratios.kept:
            left_out = f", but {ratios.left_out}" if ratios.left_out else ""
            raise TidegaugeError(
                f"{start / 'results' / 'runs'} holds no ratio to {base[:12]} that was asked for{left_out}",
                f"Measure it with `tidegauge bench {settings.base}`, or correct --bench.",
            )
        machine = ", ".join(sorted({each.machine for each in ratios.kept}))
        settings = msgspec.structs.replace(settings, base=base)
        return _judged(ratios.kept, repository, machine, settings, tuple(filter(None, [ratios.left_out])))
    config = read_config(start, repository)
    machine = choose_machine(config.results, settings.machine)
    kept = read_kept(config, machine, settings.select)
    if not kept:
        raise TidegaugeError(f"{config.results} holds no time of {machine} that was asked for", "Correct --bench.")
    return _judged(kept, repository, machine, settings)


def _judged(
    kept: Sequence[Kept], repository: Path, machine: str, settings: HistorySettings, left_out: tuple[str, ...] = ()
) -> History:
    commits = first_parents(repository)
    places = {commit: place for place, commit in enumerate(commits)}
    known = [each for each in kept if each.commit in places]
    unknown = len(kept) - len(known)
    if unknown:
        left_out = (*left_out, f"{unknown} results of commits that are not among HEAD's first parents")
    findings = tuple(judge(each, commits, machine, settings) for each in series_of(known, places))
    return History(machine=machine, findings=findings, results=len(known), unknown=unknown, left_out=left_out)


def first_parents(repository: Path) -> list[str]:
    """The newest COMMITS_MAX commits of HEAD's first parents, oldest first."""
    return git(repository, "rev-list", "--first-parent", f"--max-count={COMMITS_MAX}", "--reverse", "HEAD").split()


def series_of(kept: Sequence[Kept], places: Mapping[str, int]) -> list[Series]:
    """Results that can be compared, together and in order; of a commit measured several times the median."""
    newest: dict[str, tuple[int, str]] = {}
    for each in kept:
        newest[each.benchmark] = max(newest.get(each.benchmark, (-1, "")), (places[each.commit], each.version))
    groups: dict[tuple[str, str, str, str], dict[int, list[Kept]]] = defaultdict(lambda: defaultdict(list))
    for each in kept:
        if each.version == newest[each.benchmark][1]:
            key = (each.benchmark, each.environment, each.cpu, each.clock)
            groups[key][places[each.commit]].append(each)
    several = {name: [key for key in groups if key[0] == name] for name in newest}
    series = []
    for key in sorted(groups):
        at = sorted(groups[key])[-RESULTS_MAX:]
        series.append(
            Series(
                benchmark=key[0],
                label=_label(key, several[key[0]]),
                environment=key[1],
                cpu=key[2],
                clock=key[3],
                version=newest[key[0]][1],
                places=tuple(at),
                values=tuple(median(each.value for each in groups[key][place]) for place in at),
                machines=tuple(frozenset(each.machine for each in groups[key][place]) for place in at),
            )
        )
    return series


def _label(key: tuple[str, ...], siblings: Sequence[tuple[str, ...]]) -> str:
    """The benchmark's name, and what its series differ in where it has several."""
    parts = [part for number, part in enumerate(key) if number and len({other[number] for other in siblings}) > 1]
    return f"{key[0]} [{', '.join(parts)}]" if parts else key[0]


def changes_of(series: Series, commits: Sequence[str], seed: int) -> list[Change]:
    """The steps of a series in the words of git, oldest first."""
    changes = []
    for step in find_steps(series.values, seed=seed):
        last_before, first_after = series.places[step.at - 1], series.places[step.at]
        before = frozenset().union(*series.machines[step.start : step.at])
        after = frozenset().union(*series.machines[step.at : step.end])
        changes.append(
            Change(
                commit=commits[first_after],
                since=commits[last_before],
                suspects=tuple(commits[max(last_before + 1, first_after - SUSPECTS_MAX) : first_after]),
                suspect_count=first_after - last_before - 1,
                ratio=step.ratio,
                low=step.low,
                high=step.high,
                p=step.p,
                results_before=step.at - step.start,
                results_after=step.end - step.at,
                results_since=len(series.values) - step.at,
                other_machines=not before & after,
            )
        )
    return changes


def judge(series: Series, commits: Sequence[str], machine: str, settings: HistorySettings) -> Finding:
    """Fails where the newest level is slower by more than delta than one that held among the last results."""
    name = f"bench/{subject_of(series.label)}/history"
    facts = {"machine": machine, "environment": series.environment, "cpu": series.cpu, "clock": series.clock}
    evidence = {"results": len(series.values), **facts, "base": settings.base, "newest": commits[series.places[-1]]}
    if len(series.values) < RESULTS_MIN:
        reason = f"{len(series.values)} results are too few: three on a new level stand out among {RESULTS_MIN}"
        return Finding(name=name, verdict=Verdict.NOT_MEASURED, reason=reason, evidence=evidence)
    changes = changes_of(series, commits, settings.seed)
    guilty, level = _guilty(changes, settings)
    telling = guilty or (changes[-1] if changes else None)
    clock = CLOCKS[series.clock]
    if settings.base:
        clock = f"{clock} beside {settings.base[:12]}"
    reason = _told(telling, clock) if telling else f"one level of {clock} in {len(series.values)} results"
    is_newest = telling is not None and telling is changes[-1]
    if not is_newest and telling:
        reason = f"{reason}; with what followed {level - 1:+.1%} in all"
    verdict = Verdict.FAIL if guilty else Verdict.PASS
    if telling and telling.other_machines:
        verdict = Verdict.UNDECIDED if guilty else verdict
        reason = f"{reason}; {OTHER_MACHINES}"
    return Finding(
        name=name,
        verdict=verdict,
        value=None if telling is None else telling.ratio if is_newest else level,
        unit="x" if telling else "",
        low=telling.low if telling and is_newest else None,
        high=telling.high if telling and is_newest else None,
        budget=Budget(max=1 + settings.delta, unit="x", why=f"no lasting slowdown in the last {settings.last} results"),
        reason=reason,
        evidence=evidence | {"confidence": CONFIDENCE, "changes": [msgspec.to_builtins(each) for each in changes]},
    )


def _guilty(changes: Sequence[Change], settings: HistorySettings) -> tuple[Change | None, float]:
    """The newest slowdown that, with what followed it, is more than delta; and the newest level, before it being 1."""
    level = 1.0
    for change in reversed(changes):
        level *= change.ratio
        if change.results_since > settings.last:
            break
        if change.ratio > 1 and level > 1 + settings.delta:
            return change, level
    return None, 1.0


def _told(change: Change, clock: str) -> str:
    others = f" or one of {change.suspect_count} before it that have no result" if change.suspect_count else ""
    return (
        f"{change.ratio - 1:+.1%} {clock} from {change.commit[:12]}{others} on, "
        f"where {change.since[:12]} was the last before; {change.results_since} results since"
    )
