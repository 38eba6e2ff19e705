"""A run for a person at a terminal: the verdict first, then every finding, the worst first.

`Report` goes to any rich console. From WIDE columns on it is a table; below, each finding takes a few lines,
so that nothing is cut off in a narrow window or a log. Colour repeats what a word says, never more.
"""

import collections
from collections.abc import Iterable, Iterator

from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from tidegauge.records import Finding, Run
from tidegauge.verdicts import SEVERITY, Verdict

WIDE = 110
INDENT = 14
STYLE = {
    Verdict.FAIL: "bold red",
    Verdict.UNDECIDED: "bold yellow",
    Verdict.NOT_MEASURED: "bold magenta",
    Verdict.PASS: "green",
}


class Report:
    """The renderable form of one run."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """Called by rich, which knows the width."""
        width = options.max_width
        for head in self._head():
            yield from folded(head, console, width)
        findings = sorted(self.run.findings, key=lambda finding: SEVERITY.index(finding.verdict))
        yield Text()
        if width >= WIDE:
            yield _table(findings)
        else:
            yield from _stack(findings, console, width)

    def _head(self) -> Iterator[Text]:
        run, subject = self.run, self.run.subject
        counts = collections.Counter(finding.verdict for finding in run.findings)
        tally = ", ".join(f"{counts[verdict]} {words(verdict)}" for verdict in SEVERITY if counts[verdict])
        commit = subject.commit[:12] if subject.commit else "no commit"
        yield Text.assemble((words(run.verdict).upper(), STYLE[run.verdict]), f"  {run.lane}: {tally or 'no findings'}")
        yield Text(f"run {run.id}, {run.duration_s:.1f} s, seed {run.seed}")
        yield Text(
            f"{commit}{', with changes' if subject.dirty else ''}, on {run.machine.cores} cores of {run.machine.cpu}"
        )


def words(verdict: Verdict) -> str:
    """The verdict as it is said: `not measured`."""
    return verdict.replace("_", " ")


def figure(finding: Finding) -> str:
    """The value with its unit, and the interval where there is one; empty for an invariant."""
    if finding.value is None:
        return ""
    text = f"{number(finding.value)} {finding.unit}".rstrip()
    if finding.low is None or finding.high is None:
        return text
    return f"{text} ({number(finding.low)} to {number(finding.high)})"


def number(value: float) -> str:
    """Four digits that matter, and never an exponent where a person would write none."""
    return f"{value:,.0f}" if abs(value) >= 1_000 else f"{value:.4g}"


def line(finding: Finding) -> Text:
    """One finding in one line, for progress."""
    rest = (figure(finding), f"[{finding.budget}]" if finding.budget else "")
    text = Text.assemble(_verdict(finding.verdict, width=INDENT), finding.name, *(f"  {part}" for part in rest if part))
    return text if finding.verdict is Verdict.PASS else text.append(f"  {finding.reason}")


def _verdict(verdict: Verdict, *, width: int = 0) -> tuple[str, str]:
    return words(verdict).ljust(width), STYLE[verdict]


def _table(findings: list[Finding]) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for title, wraps in (("verdict", False), ("finding", True), ("measured", True), ("budget", True), ("reason", True)):
        table.add_column(title, no_wrap=not wraps, overflow="fold")
    for finding in findings:
        table.add_row(
            Text(*_verdict(finding.verdict)),
            Text(finding.name),
            Text(figure(finding)),
            Text(str(finding.budget or "")),
            Text(finding.reason),
        )
    return table


def _stack(findings: list[Finding], console: Console, width: int) -> Iterator[Text]:
    blank = Text(" " * INDENT)
    for finding in findings:
        verdict = Text(*_verdict(finding.verdict, width=INDENT))
        yield from folded(Text(finding.name), console, width, verdict)
        budget = f"budget {finding.budget}" if finding.budget else ""
        yield from folded(Text(", ".join(filter(None, (figure(finding), budget)))), console, width, blank)
        if not (budget and finding.verdict is Verdict.PASS):  # the line above has just said it
            yield from folded(Text(finding.reason), console, width, blank)


def folded(text: Text, console: Console, width: int, head: Text | None = None) -> Iterator[Text]:
    """Lines that fit, indented by what stands before the first; none for no text, and no space at an end."""
    head = head or Text()
    parts: Iterable[Text] = text.wrap(console, max(width - len(head), 20), overflow="fold") if text else ()
    for number, part in enumerate(parts):
        part.rstrip()
        yield (Text(" " * len(head)) if number else head) + part
