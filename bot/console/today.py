"""The first page of the day: what came in, what is due, what waits for me, what went wrong with delivery."""

from dataclasses import dataclass
from datetime import date
from typing import Any

from aiohttp import web

from bot.access import Staff
from bot.console import board, drafts
from bot.console.board import Line, Wanted
from bot.console.serving import SIGNED_IN, Console, Route, Visit
from bot.desk import Desk
from knowledge.database import Db, row
from knowledge.ledger.workflow import INTAKE_ROLES, MOVES, OPEN

SHOWN = 10


@dataclass(frozen=True)
class Section:
    """A list of needs that wait for something, and where all of them stand."""

    title: str
    lines: list[Line]
    total: int
    link: str


@dataclass(frozen=True)
class Today:
    """The numbers on top and the lists below; `calendar_until` is the first year without calendar data."""

    numbers: list[tuple[str, int, str]]
    sections: list[Section]
    calendar_missing: int | None


async def show_today(console: Console, visit: Visit) -> web.StreamResponse:
    """Today, for this person."""
    found = await console.read(lambda db: read_today(db, console.desk, visit.me, visit.today))
    return console.pages.show(
        "today", visit.session, today=found, date=visit.today, weekday="一二三四五六日"[visit.today.weekday()], here="today"
    )


def read_today(db: Db, desk: Desk, me: Staff, today: date) -> Today:
    """What this person's day looks like."""
    visible = desk.visible(me)

    def section(title: str, wanted: Wanted, due_by: str = "") -> Section:
        found = [need for need in board.find_needs(db, wanted, today, visible) if not due_by or need["duty_on"] <= due_by]
        lines = board.read_lines(db, [need["no"] for need in found[:SHOWN]], today, desk.court)
        return Section(title, lines, len(found), wanted.link())

    mine = {"handler": str(me.id)}
    sections = [section("已超期", Wanted(due="late")), section("今天到期", Wanted(due="today"))]
    if me.may(frozenset({"supervisor"})):
        sections.insert(
            0, section(f"升级督办：超期 {desk.court.escalate_days} 个工作日以上", Wanted(due="late"), _escalated_before(desk, today))
        )
    if me.may(INTAKE_ROLES):
        sections.append(section("新收到，待登记", Wanted("intake")))
    if me.may(MOVES["assign"].roles):
        sections.append(section("待分派", Wanted("assigning")))
    if me.may(MOVES["approve"].roles):
        sections.append(section("等您审核的答复", Wanted("review")))
    if me.may(frozenset({"handler"})):
        sections.append(section("您承办的", Wanted(filters=mine)))
    return Today(_numbers(db, me, today, visible), [item for item in sections if item.lines], _calendar_missing(desk, today))


def _numbers(db: Db, me: Staff, today: date, visible: tuple[str, list[Any]]) -> list[tuple[str, int, str]]:
    condition, args = visible
    states = sorted(OPEN)
    day = today.isoformat()
    found = (
        row(
            db,
            "SELECT total(n.state = 'submitted') AS new, total(n.duty_on = ?) AS due, total(n.duty_on < ?) AS late, count(*) AS open"
            f" FROM needs n WHERE n.state IN ({','.join('?' * len(states))}) AND {condition}",
            day,
            day,
            *states,
            *args,
        )
        or {}
    )
    failed = row(
        db,
        "SELECT count(DISTINCT o.need_no) AS n FROM outbox o JOIN needs n ON n.no = o.need_no"
        f" WHERE o.state = 'failed' AND o.edits IS NULL AND {board.TO_ASKER} AND {condition}",
        *args,
    )
    # What was handed in here, and what came with a document; the shipped entries nobody has signed for can wait.
    waiting = row(
        db,
        f"SELECT (SELECT count(*) FROM entries WHERE {drafts.WAITING} AND state <> 'published')"
        " + (SELECT count(*) FROM entry_events v WHERE v.action = 'submitted'"
        "    AND v.id = (SELECT max(id) FROM entry_events WHERE entry_id = v.entry_id)) AS n",
    )
    numbers = [
        ("新收到", int(found["new"]), Wanted("intake").link()),
        ("今天到期", int(found["due"]), Wanted(due="today").link()),
        ("已超期", int(found["late"]), Wanted(due="late").link()),
        ("在办", int(found["open"]), Wanted().link()),
        ("没送到", int((failed or {"n": 0})["n"]), "/console/undelivered"),
    ]
    return [*numbers, ("待审条目", int((waiting or {"n": 0})["n"]), "/console/entries")] if me.may(drafts.READERS) else numbers


def _escalated_before(desk: Desk, today: date) -> str:
    """The day by which a duty that is still open is overdue for too long."""
    day = desk.rules.calendar.before(today, desk.court.escalate_days)
    return day.isoformat() if day else date.min.isoformat()


def _calendar_missing(desk: Desk, today: date) -> int | None:
    """The year for which the court has no calendar, if deadlines may fall into it soon."""
    ahead = desk.rules.calendar.after(today, max(desk.rules.answer.values()) + 20)
    if ahead is not None:
        return None
    return today.year + 1 if desk.rules.calendar.is_working_day(today) is not None else today.year


ROUTES = (
    Route("GET", "", SIGNED_IN, show_today),
    Route("GET", "/", SIGNED_IN, show_today),
)
