"""Working days by the court calendar (public holidays and make-up days, not just weekends), and what is due when.

Nothing here is stored as a fact: `timing` reads a need's history and the rules of today, so that an edited calendar or
rule moves every deadline of the past as well.

The package `chinesecalendar` knows the years the State Council has announced; the court adds years or corrections in
`calendar.csv` of its data folder (`2027-01-01,holiday` or `2027-02-07,workday`). For a year without data nothing is
guessed: the date is None and people read "7 个工作日内".
"""

import csv
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any

from knowledge.court import Court
from knowledge.errors import Unreadable
from knowledge.files import read_text
from knowledge.ledger.workflow import ENDED, PAUSED

COUNTING = 2
"""Goes up whenever `timing` counts otherwise than before, so that every deadline is worked out anew."""


@dataclass(frozen=True)
class Calendar:
    """Which days are working days; `own` wins over the package, and a year it mentions counts as known."""

    own: dict[date, bool] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> "Calendar":
        """Read the court's own `calendar.csv`; no file means none. Raises Unreadable naming the line."""
        if not path.exists():
            return cls()
        own: dict[date, bool] = {}
        for number, line in enumerate(csv.reader(read_text(path).splitlines()), 1):
            try:
                day, kind = line
                own[date.fromisoformat(day.strip())] = {"workday": True, "holiday": False}[kind.strip()]
            except (ValueError, KeyError) as error:
                raise Unreadable(f"{path} 第 {number} 行看不懂，请写成“2027-01-01,holiday”或“2027-02-07,workday”。") from error
        return cls(own)

    def is_working_day(self, day: date) -> bool | None:
        """Whether the court works on `day`; None when the year has no data."""
        import chinese_calendar

        if day in self.own:
            return self.own[day]
        try:
            return bool(chinese_calendar.is_workday(day))
        except NotImplementedError:
            return day.weekday() < 5 if any(known.year == day.year for known in self.own) else None

    def before(self, day: date, working_days: int) -> date | None:
        """The day `working_days` working days before `day`; None without data."""
        while working_days > 0:
            day -= timedelta(days=1)
            works = self.is_working_day(day)
            if works is None:
                return None
            working_days -= works
        return day

    def between(self, first: date, last: date) -> int | None:
        """How many working days come after `first` up to and including `last`; None without data."""
        days = [self.is_working_day(first + timedelta(days=n)) for n in range(1, (last - first).days + 1)]
        return None if None in days else sum(map(bool, days))

    def after(self, day: date, working_days: int) -> date | None:
        """The day `working_days` working days after `day` (which itself does not count); None without data."""
        while working_days > 0:
            day += timedelta(days=1)
            works = self.is_working_day(day)
            if works is None:
                return None
            working_days -= works
        return day


@dataclass(frozen=True)
class Rules:
    """How long what may take, in working days, and the calendar they are counted by (DOMAIN section 3.4; all configuration).

    `answer` is by urgency; `by_source` lets a kind of need (a letter, a petition) have its own number.
    """

    calendar: Calendar
    acknowledge: int
    sign: int
    answer: Mapping[str, int]
    by_source: Mapping[str, int]
    call_hours: int

    @classmethod
    def of(cls, court: Court, calendar: Calendar) -> "Rules":
        """The rules of this court."""
        return cls(
            calendar,
            court.acknowledge_days,
            court.sign_days,
            court.answer_days_by_urgency,
            court.answer_days_by_source,
            court.call_hours,
        )

    def answer_days(self, urgency: str, source: str) -> int:
        """Working days for the answer: the source's own number if it has one, and never more than a raised urgency gives."""
        days = self.answer.get(urgency, self.answer["一般"])
        if source not in self.by_source:
            return days
        return self.by_source[source] if urgency == "一般" else min(days, self.by_source[source])

    @cached_property
    def fingerprint(self) -> str:
        """Changes whenever a deadline could: a cache made under another fingerprint is made again."""
        own, answer, by_source = (sorted(found.items()) for found in (self.calendar.own, self.answer, self.by_source))
        parts = (COUNTING, own, self.acknowledge, self.sign, answer, by_source)
        return hashlib.sha256(f"{parts} {_calendar_version()}".encode()).hexdigest()


@dataclass(frozen=True)
class Timing:
    """What is due. `due_on` is the day for the answer, `duty` the next thing somebody owes and `duty_on` its day.

    `paused_since` is set while the clock stands still (then nothing is due). A day is None when the calendar lacks a year.
    """

    due_on: date | None = None
    duty: str | None = None
    duty_on: date | None = None
    paused_since: date | None = None
    replied_on: date | None = None


CALL = "电话联系"


def timing(steps: Iterable[Mapping[str, Any]], rules: Rules) -> Timing:
    """What is due after these steps of one need, in order: each has `day`, `from_state`, `to_state`, `action`, `details`.

    A pause lengthens the time by the working days it covers; an approved extension replaces the day; reopening starts anew.
    """
    clock = _Clock(rules)
    for step in steps:
        clock.take(step)
    return clock.timing()


class _Clock:
    """Follows one need through its steps."""

    def __init__(self, rules: Rules) -> None:
        self._rules = rules
        self._urgency, self._source = "一般", ""
        self._start: date | None = None
        self._paused_days: int | None = 0
        self._paused_since: date | None = None
        self._extended: date | None = None
        self._paused_before: int | None = 0
        self._reopened = False
        self._state, self._since = "", date.min
        self._replied: date | None = None
        self._until: date | None = None
        self._called = False
        self._urgent_since: date | None = None

    def take(self, step: Mapping[str, Any]) -> None:
        day, details, state = step["day"], step["details"], step["to_state"]
        if details.get("urgency") == "特急" != self._urgency and self._start:
            # Raised later: nobody could call before that day.
            self._urgent_since = day
        self._urgency = details.get("urgency", self._urgency)
        self._source = details.get("source", self._source)
        self._called = self._called or step["action"] == "call"
        if "received_at" in details and not self._reopened:
            self._start = date.fromisoformat(details["received_at"][:10])
        self._start = self._start or day
        if step["action"] == "extend" and "due_on" in details:
            self._extended, self._paused_before = date.fromisoformat(details["due_on"]), self._paused_days
        if state == self._state:
            return
        # A day set for one waiting (a suspension, a receipt) is over with it.
        self._until = date.fromisoformat(details["until"]) if "until" in details else None
        if self._paused_since and state not in PAUSED:
            self._end_pause(day)
        if state in PAUSED and not self._paused_since:
            self._paused_since = day
        if step["action"] == "reopen":
            self._start, self._paused_days, self._extended, self._replied, self._reopened = day, 0, None, None, True
        if state == "replied":
            # An answer taken over from an old ledger was given on its own day.
            self._replied = self._replied or (date.fromisoformat(details["replied_on"]) if "replied_on" in details else day)
        self._state, self._since = state, day

    def _end_pause(self, day: date) -> None:
        assert self._paused_since
        paused = self._rules.calendar.between(self._paused_since, day)
        self._paused_days = None if paused is None or self._paused_days is None else self._paused_days + paused
        self._paused_since = None

    def timing(self) -> Timing:
        due = self._due()
        if self._state in PAUSED:
            until = self._until if self._state == "suspended" else None
            return Timing(due, "恢复办理" if until else None, until, self._paused_since, self._replied)
        if self._state == "replied" or self._state in ENDED:
            return Timing(due, replied_on=self._replied)
        return Timing(due, *self._duty(due), None, self._replied)

    def _due(self) -> date | None:
        if self._start is None or self._paused_days is None:
            return None
        if self._extended:
            # The pauses before it were known when it was approved; a later one lengthens it as any other term.
            return self._rules.calendar.after(self._extended, self._paused_days - (self._paused_before or 0))
        return self._rules.calendar.after(self._start, self._rules.answer_days(self._urgency, self._source) + self._paused_days)

    def _first_due(self, days: int) -> date | None:
        """The day by which a need must be taken in (pauses lengthen that too) or, once assigned, signed for."""
        if self._state == "assigned":
            return self._rules.calendar.after(self._since, days)
        return None if self._paused_days is None else self._rules.calendar.after(self._start or self._since, days + self._paused_days)

    def _duty(self, due: date | None) -> tuple[str, date | None]:
        """The nearest thing owed: a call, taking in, signing for, a receipt from outside, or the answer itself."""
        if self._urgency == "特急" and not self._called and not self._reopened:
            # Within hours (`call_hours`); days are what is counted here.
            return CALL, self._urgent_since or self._start
        owed = {"submitted": ("受理", self._rules.acknowledge), "assigned": ("签收", self._rules.sign)}.get(self._state)
        first = owed and self._first_due(owed[1])
        if owed and (due is None or (first and first <= due)):
            return owed[0], first
        if self._state == "transferred" and self._until and (due is None or self._until <= due):
            return "转办回执", self._until
        return "答复", due


def _calendar_version() -> str:
    from importlib.metadata import version

    return version("chinesecalendar")
