"""Working days by the court calendar: public holidays and make-up days, not just weekends.

The package `chinesecalendar` knows the years the State Council has announced; the court adds years or corrections in
`calendar.csv` of its data folder (`2027-01-01,holiday` or `2027-02-07,workday`). For a year without data nothing is
guessed: the date is None and people read "7 个工作日内".
"""

import csv
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path

from knowledge.errors import Unreadable
from knowledge.files import read_text


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

    def after(self, day: date, working_days: int) -> date | None:
        """The day `working_days` working days after `day` (which itself does not count); None without data."""
        while working_days > 0:
            day += timedelta(days=1)
            works = self.is_working_day(day)
            if works is None:
                return None
            working_days -= works
        return day
