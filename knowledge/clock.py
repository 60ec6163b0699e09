"""One clock for the court: Beijing time, written so that text order is time order."""

from datetime import datetime, timedelta, timezone

BEIJING = timezone(timedelta(hours=8))


def now() -> datetime:
    """This moment in Beijing time, to the second."""
    return datetime.now(BEIJING).replace(microsecond=0)


def stamp(moment: datetime) -> str:
    """`moment` as stored everywhere: `2026-11-22T09:30:00+08:00`."""
    return moment.astimezone(BEIJING).isoformat(timespec="seconds")
