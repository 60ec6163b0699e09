"""The statistics page: what came in, what became of it and how fast, in tables and charts; and the same as CSV.

Every number opens the list of exactly the needs it counts (`/console/needs?count=…`), and every name of a line narrows the
page to that line. 对外口径 is the page for people outside the court: restricted needs are left out, small lines are merged,
small numbers are not told, and nothing opens.
"""

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import NamedTuple
from urllib.parse import urlencode

from aiohttp import web
from markupsafe import Markup

from bot.audit import note_audit
from bot.charts import Series, bars, columns
from bot.console.serving import ROOT, SIGNED_IN, Console, Route, Visit
from bot.sheets.cells import guard
from knowledge.court import Court, Topic
from knowledge.database import Db, rows
from knowledge.errors import BadInput, NotAllowed
from knowledge.ledger.record import OTHER_CATEGORIES
from knowledge.ledger.sensitive import WATCHERS
from knowledge.ledger.statistics import (
    ASKED_NUMBERS,
    DIMENSIONS,
    HIDDEN,
    LEAST,
    NONE,
    NUMBERS,
    OTHERS,
    OUTCOME_NUMBERS,
    RATES,
    Counts,
    Filters,
    Line,
    Statistics,
    read_statistics,
)

HANDLER_READERS = frozenset({"supervisor", "admin", "auditor"})
"""Who may see numbers of single people."""
PERIODS = {"month": "本月", "last_month": "上月", "quarter": "本季度", "year": "本年"}
TITLES = {
    "topic": "按需求类别",
    "street": "按街道/园区",
    "industry": "按行业",
    "division": "按承办部门",
    "handler": "按承办人",
    "source": "按来源渠道",
    "urgency": "按紧急程度",
}
COLUMNS = ("registered", "open", "overdue", "replied", "%on_time", "closed", "solved", "%content", "withdrawn")
"""The columns of tables by street and so on; with % they are rates."""
SPAN_COLUMNS = ("received", *COLUMNS[:6], "closed_in", *COLUMNS[6:])
TILES = {
    "受理": ("received", "registered", "waiting", "rejected", "withdrawn_early"),
    "办理": ("open", "overdue", "awaiting", "closed", "withdrawn", "closed_in", "%closed"),
    "答复": ("replied", "on_time", "late", "untimed", "%on_time"),
    "解决与满意": (
        "solved", "unsolved", "%solved", "satisfied_very", "satisfied", "satisfied_fairly", "dissatisfied", "unrated", "%content",
    ),
    "走访与重复": ("visited", "visited_closed", "visited_solved", "grouped", "%grouped"),
}  # fmt: skip
MOST_BARS = 15
TOO_FEW = f"不足{LEAST}"
NOTHING = "—"


@dataclass(frozen=True)
class Wanted:
    """What somebody asked to see."""

    first: date
    last: date
    filters: Filters
    outside: bool
    period: str = ""

    @classmethod
    def read(cls, query: Mapping[str, str], today: date) -> "Wanted":
        """From the address; without a period it is this year. Raises BadInput for a date that is none or stands alone."""
        days = [query.get(name, "").strip() for name in ("from", "to")]
        period = query.get("period", "") if query.get("period") in PERIODS else "" if any(days) else "year"
        first, last = _period(period, today) if period else (_day(days[0], "开始日期"), _day(days[1], "结束日期"))
        return cls(first, last, Filters.read(query), query.get("outside") == "1", period)

    def link(self, page: str = "/statistics", **changes: str | None) -> str:
        """The address of this page with something changed; None leaves it out."""
        days = {"period": self.period} if self.period else {"from": str(self.first), "to": str(self.last)}
        query: dict[str, str | None] = {**days, **self.filters.values, "outside": "1" if self.outside else None, **changes}
        if "period" in changes:
            query |= {"from": None, "to": None}
        return f"{ROOT}{page}?{urlencode({name: value for name, value in query.items() if value})}"

    def narrowed(self, **values: str) -> "Wanted":
        """The same with one filter more."""
        return replace(self, filters=Filters({**self.filters.values, **values}))

    def without(self, name: str) -> "Wanted":
        """The same with one filter less."""
        return replace(self, filters=Filters({key: value for key, value in self.filters.values.items() if key != name}))

    def needs_link(self, number: str) -> str | None:
        """The address of the needs behind a number; None where none may be opened."""
        return f"{ROOT}/needs?tab=all&count={number}&by={NUMBERS[number].by}&{self._where}" if self._opens else None

    @cached_property
    def _where(self) -> str:
        return urlencode({"from": str(self.first), "to": str(self.last), **self.filters.values})

    @cached_property
    def _opens(self) -> bool:
        return not self.outside and not {OTHERS, HIDDEN} & set(self.filters.values.values())


class Cell(NamedTuple):
    """What stands in a table, and what it opens."""

    text: str
    link: str | None = None


@dataclass(frozen=True)
class Tile:
    """A single number with its name; `means` is the anchor of its meaning."""

    label: str
    cell: Cell
    means: str


@dataclass(frozen=True)
class Table:
    """A table and its chart. `heads` are the names of the columns and the anchors of their meanings; `wide`: the chart needs the width."""

    title: str
    first_head: str
    heads: Sequence[tuple[str, str]]
    lines: Sequence[tuple[Cell, Sequence[Cell]]]
    chart: Markup
    wide: bool = False


@dataclass(frozen=True)
class Shown:
    """Everything on the page."""

    wanted: Wanted
    found: Statistics
    tiles: Mapping[str, Sequence[Tile]]
    tables: Sequence[Table]
    chosen: Sequence[tuple[str, str]]
    """What is filtered by: in words, and the address without it."""


async def show_statistics(console: Console, visit: Visit) -> web.StreamResponse:
    """The page."""
    shown = await _read(console, visit)
    return console.pages.show(
        "statistics",
        visit.session,
        shown=shown,
        wanted=shown.wanted,
        found=shown.found,
        periods=PERIODS,
        divisions=console.opened.court.divisions,
        sees_all=visit.me.may(WATCHERS),
        meanings=_meanings(),
        least=LEAST,
        here="statistics",
    )


async def download(console: Console, visit: Visit) -> web.StreamResponse:
    """All tables of the page as one CSV file that Excel and WPS open; who took it is written down."""
    shown = await _read(console, visit)
    wanted, court = shown.wanted, console.opened.court
    note = f"{wanted.first} 至 {wanted.last}{'，对外口径' if wanted.outside else ''}"
    await console.write(lambda db: note_audit(db, visit.at, visit.me.actor, "export_statistics", "statistics", note))
    name = f"statistics-{wanted.first}-{wanted.last}{'-outside' if wanted.outside else ''}.csv"
    return web.Response(
        body=_csv(shown, court).encode("utf-8-sig"),
        content_type="text/csv",
        charset="utf-8",
        headers={"Content-Disposition": f'attachment; filename="{name}"'},
    )


async def _read(console: Console, visit: Visit) -> Shown:
    wanted, court, me = Wanted.read(visit.request.query, visit.today), console.opened.court, visit.me
    sees_people = me.may(HANDLER_READERS) and not wanted.outside
    if "handler" in wanted.filters.values and not sees_people:
        raise NotAllowed("按承办人的统计只有督办、管理员和审计能看，并且不对外。请去掉这个筛选再查。")
    dimensions = [name for name in DIMENSIONS if name != "handler" or sees_people]

    def read(db: Db) -> tuple[Statistics, dict[str, str]]:
        found = read_statistics(
            db, wanted.first, wanted.last, visit.today, wanted.filters, console.desk.visible(me), wanted.outside, dimensions
        )
        return found, {str(item["id"]): item["name"] for item in rows(db, "SELECT id, name FROM staff")} if sees_people else {}

    found, people = await console.read(read)
    return shown_of(wanted, found, lambda name, value: label_of(name, value, court, console.opened.topics, people))


def shown_of(wanted: Wanted, found: Statistics, label: Callable[[str, str], str]) -> Shown:
    """The page for these statistics; `label` names a value of a dimension."""
    tiles = {
        title: [Tile(_name(number), _cell(wanted, found.totals, number), _anchor(number)) for number in numbers]
        for title, numbers in TILES.items()
    }
    asked = [Tile(name, Cell(_told(getattr(found.asked, key), wanted)), f"asked-{key}") for key, (name, _) in ASKED_NUMBERS.items()]
    came = [Tile(name, Cell(_told(getattr(found, key), wanted)), f"came-{key}") for key, (name, _) in OUTCOME_NUMBERS.items()]
    tables = [_spans(wanted, found), *(_table(wanted, found, name, lines, label) for name, lines in found.tables.items())]
    chosen = [
        (f"{TITLES[name].removeprefix('按')}：{label(name, value)}", wanted.without(name).link())
        for name, value in wanted.filters.values.items()
    ]
    return Shown(wanted, found, tiles | {"提问（全院，不受筛选影响）": asked, "企业与条目": came}, tables, chosen)


def label_of(name: str, value: str, court: Court, topics: Mapping[str, Topic], people: Mapping[str, str]) -> str:
    """What a value of a dimension is called on screen; one that is no longer configured stands as it is."""
    if value in (OTHERS, HIDDEN):
        return {OTHERS: f"其他（不足 {LEAST} 件合并）", HIDDEN: "专班办理（不分项）"}[value]
    if value == NONE:
        return {"topic": "未分类", "division": "未分派部门", "handler": "未分派承办人"}.get(name, "没有登记")
    if name == "topic":
        groups = {topic.group: topic.group_name for topic in topics.values()}
        known = OTHER_CATEGORIES | groups | {code: topic.name for code, topic in topics.items()}
        return f"{value} {known[value]}" if value in known else value[:30]
    known = {"division": court.divisions, "handler": dict(people)}.get(name, {})
    return known.get(value, value[:30])


def _spans(wanted: Wanted, found: Statistics) -> Table:
    """By month, or by year in a long period."""
    lines = []
    for span in found.spans:
        within = replace(wanted, first=span.first, last=span.last)
        lines.append((Cell(span.name), [_cell(within, span.counts, number) for number in SPAN_COLUMNS]))
    head = "年" if any(span.yearly for span in found.spans) else "月"
    chart = columns(
        f"各{head}登记和办结的需求",
        [span.name for span in found.spans],
        [Series(NUMBERS[name].label, [_drawn(span.counts[name], wanted) for span in found.spans]) for name in ("registered", "closed_in")],
    )
    return Table(f"按{head}", head, [(_name(number), _anchor(number)) for number in SPAN_COLUMNS], lines, chart, wide=True)


def _table(wanted: Wanted, found: Statistics, name: str, lines: Sequence[Line], label: Callable[[str, str], str]) -> Table:
    """By one dimension; a line's name narrows the page to it."""
    shown = []
    for line in lines:
        narrowed = wanted.narrowed(**{name: line.key})
        link = None if line.key in (OTHERS, HIDDEN) else narrowed.link()
        shown.append((Cell(label(name, line.key), link), [_cell(narrowed, line.counts, number) for number in COLUMNS]))
    told = f"{TITLES[name]}登记的需求" + (f"（前 {MOST_BARS} 项）" if len(lines) > MOST_BARS else "")
    chart = bars(told, [(label(name, line.key), _drawn(line.counts["registered"], wanted)) for line in lines[:MOST_BARS]])
    return Table(TITLES[name], TITLES[name].removeprefix("按"), [(_name(n), _anchor(n)) for n in COLUMNS], shown, chart)


def _cell(wanted: Wanted, counts: Counts, number: str) -> Cell:
    """A number or, with %, a rate, and the list behind it (behind a rate: behind its part)."""
    if not number.startswith("%"):
        return Cell(_told(counts[number], wanted), wanted.needs_link(number) if counts[number] else None)
    rate, share = RATES[number[1:]], counts.rate(number[1:])
    part, whole = counts[rate.part], counts[rate.whole]
    # A share of a number that is told would tell a part or a remainder that is not.
    if share is None or (wanted.outside and (whole < LEAST or 0 < part < LEAST or 0 < whole - part < LEAST)):
        return Cell(NOTHING)
    return Cell(f"{share:.1%}", wanted.needs_link(rate.part) if part else None)


def _told(n: int, wanted: Wanted) -> str:
    """A number as it may be told."""
    return TOO_FEW if wanted.outside and 0 < n < LEAST else f"{n:,}"


def _drawn(n: int, wanted: Wanted) -> int:
    """A number as it may be drawn: what is too small to be told has no length either."""
    return 0 if wanted.outside and n < LEAST else n


def _name(number: str) -> str:
    return RATES[number[1:]].label if number.startswith("%") else NUMBERS[number].label


def _anchor(number: str) -> str:
    return f"rate-{number[1:]}" if number.startswith("%") else number


def _meanings() -> list[tuple[str, str, str]]:
    """Anchor, name and meaning of every number on the page."""
    return [
        *((key, number.label, number.meaning) for key, number in NUMBERS.items()),
        *((f"rate-{key}", rate.label, rate.meaning) for key, rate in RATES.items()),
        *((f"asked-{key}", label, meaning) for key, (label, meaning) in ASKED_NUMBERS.items()),
        *((f"came-{key}", label, meaning) for key, (label, meaning) in OUTCOME_NUMBERS.items()),
    ]


def _period(name: str, today: date) -> tuple[date, date]:
    """The first and last day of a period by its short name; what is still running ends today."""
    month = today.replace(day=1)
    if name == "last_month":
        before = month - timedelta(days=1)
        return before.replace(day=1), before
    first = {"month": month, "quarter": month.replace(month=(today.month - 1) // 3 * 3 + 1), "year": date(today.year, 1, 1)}
    return first[name], today


def _day(text: str, label: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{label}请写成 2026-11-18 这样的日期，开始和结束都要填；您填的是“{text[:30]}”。") from error


def _csv(shown: Shown, court: Court) -> str:
    wanted, written = shown.wanted, io.StringIO()
    lines = csv.writer(written, lineterminator="\r\n")

    def write(*cells: object) -> None:
        lines.writerow([guard(str(cell)) for cell in cells])

    if court.is_demo:
        write(court.watermark)
    write("统计时段", wanted.first, wanted.last)
    write("截至", shown.found.today)
    write("口径", f"对外：不含专班，不足 {LEAST} 件的合并或不列" if wanted.outside else "院内")
    for text, _ in shown.chosen:
        write("筛选", text)
    if shown.found.hidden:
        write("说明", f"总数含专班办理的 {shown.found.hidden} 件，不分项")
    for title, tiles in shown.tiles.items():
        write()
        write(title)
        for tile in tiles:
            write(tile.label, _plain(tile.cell.text))
    for table in shown.tables:
        write()
        write(table.title)
        write(table.first_head, *(label for label, _ in table.heads))
        for name, cells in table.lines:
            write(name.text, *(_plain(cell.text) for cell in cells))
    write()
    write("各数的含义")
    for _, label, meaning in _meanings():
        write(label, meaning)
    return written.getvalue()


def _plain(text: str) -> str:
    """A number without the commas between thousands, so that a spreadsheet can add it up."""
    return text.replace(",", "")


ROUTES = (
    Route("GET", "/statistics", SIGNED_IN, show_statistics),
    Route("GET", "/statistics.csv", SIGNED_IN, download),
)
