"""What a load run can be told: on Locust's command line, in its web form, and by the lane, in the same words.

`add_arguments` puts the options into Locust's parser; `Settings.of` reads them back on the process that generates,
where a worker has received its master's. Every default has the type of its option: the web form keeps that type.
"""

from pathlib import Path
from typing import Any, Final, Self

import msgspec

from tidegauge.config import load_load
from tidegauge.errors import TidegaugeError
from tidegauge.load.judging.session import ALL, MEASURED, Plan
from tidegauge.load.times.schedule import FixedSchedule, LiveSchedule, Profile, Schedule, Spacing
from tidegauge.load.times.shapes import KINDS

PREFIX: Final = "tidegauge_"
OPEN: Final = "open"
SPACINGS: Final = ("constant", "poisson")
USERS: Final = "users"


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """The options of one run."""

    mode: str = OPEN
    profile: str = USERS
    rate: float = 10.0
    seconds: float = 20.0
    spacing: Spacing = "constant"
    seed: int = 1
    replay: str = ""
    in_flight: int = 2_000
    warm_up: float = -1.0
    drain: float = 10.0
    result: str = ""
    log: str = ""
    pid: int = 0
    metrics: str = ""
    promises: str = ALL
    budget: tuple[str, ...] = ()
    start_at: float = 0.0
    joined: float = 0.0
    workers: tuple[str, ...] = ()
    classes: tuple[str, ...] = ()
    shaped: Profile | None = None

    @classmethod
    def of(cls, parsed: Any) -> Self:
        """From what Locust parsed; the names are those of the fields with a prefix."""
        given = {name.removeprefix(PREFIX): value for name, value in vars(parsed).items() if name.startswith(PREFIX)}
        try:
            return msgspec.convert(given, cls)
        except msgspec.ValidationError as error:
            raise TidegaugeError(f"A load option is wrong: {error}", "See locust --help, group tidegauge.") from error

    @property
    def open_loop(self) -> bool:
        """Whether arrivals have due times; else Locust's users run as they are."""
        return self.mode == OPEN

    def schedule(self) -> Schedule | None:
        """What is due when; None where the number of users is the rate. The profile of a shape goes before ours."""
        if self.replay:
            return Schedule.replay(read_times(Path(self.replay)))
        profile = self.shaped
        if profile is None and self.profile != USERS:
            profile = Profile.named(self.profile, self.rate, self.seconds)
        return None if profile is None else Schedule(profile=profile, spacing=self.spacing, seed=self.seed)

    def plan(self, schedule: Schedule | None) -> Plan:
        """How to read the samples: by the promises of the folder in which Locust was started."""
        file = load_load(Path.cwd())
        return Plan(
            budgets=file.budgets.override(self.budget),
            profile=schedule.profile if schedule and self.open_loop else None,
            warm_up_s=self.warm_up if self.warm_up >= 0 else file.load.warm_up_s,
            open_loop=self.open_loop,
            promises=self.promises,
        )

    @property
    def metrics_path(self) -> str:
        """Below the host; empty where nobody said that this target has any: a stranger's server is asked nothing more
        than what the load asks.
        """
        return self.metrics or load_load(Path.cwd()).load.metrics

    def ticking(self, schedule: Schedule | None, index: int, of: int) -> FixedSchedule | LiveSchedule:
        """This worker's part of it."""
        if schedule is None:
            return LiveSchedule(spacing=self.spacing, seed=self.seed, index=index, of=of)
        return FixedSchedule(schedule.share(index, of))


def read_times(path: Path) -> tuple[float, ...]:
    """Recorded arrivals: a time in seconds a line."""
    try:
        return tuple(float(line) for line in path.read_text(encoding="utf-8").split())
    except OSError as error:
        raise TidegaugeError(f"Cannot read {path}: {error.strerror}", "Name a file of arrivals.") from error
    except ValueError as error:
        raise TidegaugeError(f"{path} is no list of times: {error}", "Write one time in seconds a line.") from error


def add_arguments(parser: Any) -> None:
    """Into Locust's parser; the web form shows what may change from one run to the next."""
    default = Settings()
    group = parser.add_argument_group("tidegauge", "Open loop: arrivals are due at absolute times, answered or not.")

    def add(name: str, text: str, *, form: bool = True, **more: Any) -> None:
        value = more.pop("default", getattr(default, name))
        action = group.add_argument(
            f"--tidegauge-{name.replace('_', '-')}", default=value, dest=PREFIX + name, help=text, **more
        )
        action.include_in_web_ui = form
        action.is_secret = action.is_required = action.is_multiple = False

    add("mode", "open: arrivals; closed: Locust's users as they are", form=False, choices=(OPEN, "closed"))
    add("profile", f"the rate over time; {USERS}: as many a second as users", choices=(USERS, *KINDS))
    add("rate", "arrivals a second of the profile, or its peak", type=float)
    add("seconds", "how long the profile is", type=float)
    add("spacing", "between arrivals", choices=SPACINGS)
    add("seed", "of everything random", type=int)
    add("replay", "a file of recorded arrivals, a time in seconds a line", form=False)
    add("in_flight", "workflows at once in one process; what comes on top is dropped and counted", type=int)
    add("warm_up", "seconds that do not count; below 0 a tenth of the run, at most 5", type=float)
    add("drain", "seconds to wait at the end for what is in flight", type=float)
    add("result", "where to write the result as JSON", form=False)
    add("log", "where to write each second's histograms, a line of JSON each", form=False)
    add("pid", "the target's process, where it is not the one that listens at the host", form=False, type=int)
    add("metrics", "where the target tells its metrics, such as /metrics; empty: as [load] says", form=False)
    add("promises", "which of [load.slo] must be measured", form=False, choices=(ALL, MEASURED))
    add("budget", "NAME=LIMIT instead of a promise's own; repeatable", form=False, action="append", default=[])
