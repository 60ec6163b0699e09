"""Statistics: every number of a small ledger worked out by hand, the needs behind it, and what people outside may not learn."""

import csv
import html
import io
import re
import sqlite3
import time
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from bot import access
from bot.access import Staff
from bot.console import statistics
from bot.desk import Desk
from bot.outbox import Mail
from knowledge.clock import BEIJING
from knowledge.court import load_court, load_topics
from knowledge.database import Database, Db, row, rows
from knowledge.enterprise import asker_in
from knowledge.errors import BadInput
from knowledge.ledger.deadlines import Calendar, Rules
from knowledge.ledger.needs import Asking, move, open_need, record_asking, set_feedback
from knowledge.ledger.statistics import (
    DIMENSIONS,
    HIDDEN,
    IN_TABLES,
    NONE,
    NUMBERS,
    OTHERS,
    Counts,
    Filters,
    Line,
    Statistics,
    listed,
    merge_small,
    read_statistics,
)
from knowledge.ledger.workflow import ASKER
from tests.office import Office, Opening

NOVEMBER = (date(2026, 11, 1), date(2026, 11, 30))
TODAY = date(2026, 11, 20)
EVERY_ROLE = frozenset({"registrar", "assigner", "handler", "reviewer", "supervisor", "admin"})


def on(day: int, hour: int = 9) -> datetime:
    """A moment of November 2026; the second is a Monday, and the sixth, a Friday, is a holiday of this court."""
    return datetime(2026, 11, day, hour, tzinfo=BEIJING)


class Ledger:
    """A real ledger and somebody who may do everything in it, under a calendar that does not change."""

    def __init__(self, folder: Path) -> None:
        court = load_court(folder)
        days = [date(2026, 10, 1) + timedelta(days=n) for n in range(120)]
        calendar = Calendar({day: day.weekday() < 5 and day != date(2026, 11, 6) for day in days})
        self.rules = Rules.of(court, calendar)
        self.desk = Desk(court, self.rules, load_topics())
        self.database = Database(folder / "ledger.db")
        self.chats = 0
        number = self.does(lambda db: access.add_staff(db, "张三", sorted(EVERY_ROLE), on(1)))
        self.me = Staff(number, "张三", EVERY_ROLE)

    def does(self, operation: Callable[[Db], Any]) -> Any:
        """One transaction."""
        return self.database.write(operation).result()

    def asks(self, day: int, source: str = "机器人", topic: str | None = None, chat: int = 0, **details: Any) -> str:
        """A need comes in, from somebody new unless a chat is named."""
        self.chats += 1

        def ask(db: Db) -> str:
            asker = asker_in(db, "web", chat or 1000 + self.chats, on(day))
            asking = record_asking(db, Asking("客户欠款怎么办", "need"), on(day), None, asker.id, asker.person_id)
            return open_need(db, asking, source, on(day), self.rules, topic, details=details)

        return str(self.does(ask))

    def registered(self, day: int, on_day: int = 0, source: str = "机器人", topic: str | None = None, **details: Any) -> str:
        """A need comes in and is taken into the ledger, the same day unless said otherwise."""
        no = self.asks(day, source, topic)
        self.does(lambda db: self.desk.register(db, no, self.me, on(on_day or day), details))
        return no

    def step(self, no: str, action: str, day: int, text: str = "写明理由", **details: Any) -> None:
        """Staff do something."""
        self.does(lambda db: self.desk.step(db, Mail(db, on(day)), no, action, self.me, on(day), text, details))

    def replies(self, no: str, day: int) -> None:
        """Staff answer."""
        self.does(lambda db: self.desk.reply(db, Mail(db, on(day)), no, self.me, "请先对账。", on(day)))

    def asker(self, no: str, action: str, day: int, **details: Any) -> None:
        """Whoever asked does something."""
        self.does(lambda db: move(db, no, action, "asker", ASKER, on(day), self.rules, "说明", details))

    def read(self, filters: dict[str, str] | None = None, first: date = NOVEMBER[0], last: date = NOVEMBER[1], **more: Any) -> Statistics:
        """The statistics of November as of the twentieth."""
        return self.database.read(lambda db: read_statistics(db, first, last, TODAY, Filters(filters or {}), **more)).result()


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    """An empty ledger."""
    made = Ledger(tmp_path)
    yield made
    made.database.close()


@pytest.fixture
def small(ledger: Ledger) -> Ledger:
    """Twelve needs of the second of November, each with another fate. What is ordinary is due on the twelfth."""
    civil: dict[str, Any] = {"division": "civil", "street": "中韩街道", "industry": "制造业"}
    on_the_day = ledger.registered(2, topic="B01", **civil)
    ledger.replies(on_the_day, 12)
    late = ledger.registered(2, topic="B02", **civil)
    ledger.replies(late, 13)
    reopened = ledger.registered(2, topic="A01", source="走访", visited_on="2026-11-03")
    ledger.replies(reopened, 5)
    ledger.asker(reopened, "reopen", 9)
    ledger.replies(reopened, 10)
    ledger.asker(reopened, "confirm", 11)
    ledger.asker(ledger.registered(2, topic="P1"), "withdraw", 4)
    rejected = ledger.asks(2)
    ledger.step(rejected, "reject", 3)
    ledger.registered(2)
    paused = ledger.registered(2)
    ledger.step(paused, "assign", 2, division="labour", handler=ledger.me.id)
    ledger.step(paused, "accept", 3)
    ledger.step(paused, "ask_enterprise", 3)
    ledger.asks(2)
    dissatisfied = ledger.registered(2, urgency="较急")
    ledger.replies(dissatisfied, 4)
    ledger.step(dissatisfied, "close", 5)
    ledger.asker(dissatisfied, "rate", 5, satisfaction="不满意")
    ledger.step(ledger.registered(2), "void", 3)
    ledger.step(ledger.registered(2, street="中韩街道"), "restrict", 3, visibility="专班")
    ledger.asker(ledger.asks(2), "withdraw", 3)
    return ledger


EXPECTED = {
    "received": 11, "taken_in": 8, "waiting": 1, "rejected": 1, "withdrawn_early": 1,
    "registered": 8, "open": 3, "overdue": 2, "awaiting": 2, "closed": 2, "withdrawn": 1, "closed_in": 2,
    "replied": 4, "timed": 4, "on_time": 3, "late": 1, "untimed": 0,
    "solved": 1, "unsolved": 0, "dissatisfied": 1, "rated": 1, "content": 0, "unrated": 3,
    "satisfied_very": 0, "satisfied": 0, "satisfied_fairly": 0,
    "visited": 1, "visited_closed": 1, "visited_solved": 1, "grouped": 0,
}  # fmt: skip


def test_every_number_of_a_small_ledger(small: Ledger) -> None:
    totals = small.read().totals
    assert {name: totals[name] for name in NUMBERS} == EXPECTED
    assert totals.rate("on_time") == 3 / 4
    assert totals.rate("closed") == 2 / 8
    assert totals.rate("solved") == 1 / 8
    assert totals.rate("content") == 0


def test_the_equations_on_the_page_hold(small: Ledger) -> None:
    n = small.read().totals
    assert n["received"] == n["taken_in"] + n["waiting"] + n["rejected"] + n["withdrawn_early"]
    assert n["registered"] == n["open"] + n["awaiting"] + n["closed"] + n["withdrawn"]
    assert n["replied"] == n["on_time"] + n["late"] + n["untimed"]


def test_tables_add_up_to_the_totals(small: Ledger) -> None:
    found = small.read()
    for name in DIMENSIONS:
        for number in IN_TABLES:
            assert sum(line.counts[number] for line in found.tables[name]) == found.totals[number], (name, number)
    by = {name: {line.key: line.counts["registered"] for line in lines} for name, lines in found.tables.items()}
    assert by["topic"] == {"B": 2, "A": 1, "P1": 1, NONE: 4}
    assert by["street"] == {"中韩街道": 3, NONE: 5}
    assert by["source"] == {"机器人": 7, "走访": 1}
    assert by["division"] == {"civil": 2, "labour": 1, NONE: 5}
    assert by["urgency"] == {"一般": 7, "较急": 1}


def _counted(db: Db, number: str, filters: Filters) -> int:
    """How many needs stand in the list behind a number."""
    condition, args = listed(number, *NOVEMBER, TODAY)
    narrowed, values = filters.condition()
    return len(rows(db, f"SELECT no FROM needs n WHERE {condition} AND {narrowed}", *args, *values))


def test_behind_every_number_stand_exactly_its_needs(small: Ledger) -> None:
    found = small.read()

    def check(db: Db) -> int:
        for number in NUMBERS:
            assert _counted(db, number, Filters()) == found.totals[number], number
        checked = 0
        for name, lines in found.tables.items():
            for line in lines:
                for number in IN_TABLES:
                    assert _counted(db, number, Filters({name: line.key})) == line.counts[number], (name, line.key, number)
                    checked += 1
        return checked

    assert small.database.read(check).result() > 100


def test_unknown_number_is_refused() -> None:
    with pytest.raises(BadInput, match="统计里没有这个数"):
        listed("1=1 --", *NOVEMBER, TODAY)


def test_a_group_of_topics_opens_into_its_leaves(small: Ledger) -> None:
    found = small.read({"topic": "B"})
    assert [(line.key, line.counts["registered"]) for line in found.tables["topic"]] == [("B01", 1), ("B02", 1)]
    assert found.totals["registered"] == 2
    assert small.read({"topic": "B02"}).totals["late"] == 1
    assert small.read({"topic": NONE, "urgency": "较急"}).totals["dissatisfied"] == 1


def test_reopened_is_neither_answered_nor_solved_until_it_is_again(ledger: Ledger) -> None:
    no = ledger.registered(2)
    ledger.replies(no, 3)
    ledger.asker(no, "confirm", 4)
    assert ledger.read().totals["solved"] == 1
    ledger.asker(no, "reopen", 5)
    totals = ledger.read().totals
    assert [totals[name] for name in ("open", "replied", "closed", "closed_in", "solved", "unsolved")] == [1, 0, 0, 0, 0, 1]
    # The clock starts anew on the fifth: seven working days after it, past the holiday, is the seventeenth.
    ledger.replies(no, 17)
    assert ledger.read().totals["on_time"] == 1
    ledger.step(no, "close", 18)
    totals = ledger.read().totals
    assert [totals[name] for name in ("closed", "closed_in", "solved", "unsolved")] == [1, 1, 0, 1]


def test_without_a_calendar_the_answer_counts_apart(ledger: Ledger) -> None:
    moment = datetime(2045, 3, 1, 9, tzinfo=BEIJING)

    def answer(db: Db) -> None:
        asker = asker_in(db, "web", 5, moment)
        asking = record_asking(db, Asking("问", "need"), moment, None, asker.id, asker.person_id)
        no = open_need(db, asking, "机器人", moment, ledger.rules)
        ledger.desk.reply(db, Mail(db, moment), no, ledger.me, "答", moment)

    ledger.does(answer)
    totals = ledger.read(None, date(2045, 3, 1), date(2045, 3, 31)).totals
    assert (totals["replied"], totals["untimed"], totals["timed"]) == (1, 1, 0)
    assert totals.rate("on_time") is None


def test_months_count_received_registered_and_closed_by_their_own_day(ledger: Ledger) -> None:
    def early(db: Db) -> str:
        asker = asker_in(db, "web", 5, on(2))
        asking = record_asking(db, Asking("问", "need"), on(2), None, asker.id, asker.person_id)
        return open_need(db, asking, "来信", on(2), ledger.rules, details={"received_at": "2026-10-30"})

    no = ledger.does(early)
    ledger.does(lambda db: ledger.desk.register(db, no, ledger.me, on(2)))
    ledger.replies(no, 3)
    ledger.asker(no, "confirm", 4)
    found = ledger.read(None, date(2026, 9, 15), date(2026, 12, 10))
    told = [(span.name, span.counts["received"], span.counts["registered"], span.counts["closed_in"]) for span in found.spans]
    assert told == [("2026-09", 0, 0, 0), ("2026-10", 1, 0, 0), ("2026-11", 0, 1, 1), ("2026-12", 0, 0, 0)]
    assert [found.spans[0].first, found.spans[-1].last] == [date(2026, 9, 15), date(2026, 12, 10)]
    assert ledger.read(None, date(2026, 10, 1), date(2026, 10, 31)).totals["registered"] == 0


def test_a_long_period_is_told_by_years(small: Ledger) -> None:
    found = small.read(None, date(2020, 5, 1), date(2026, 11, 30))
    assert [span.name for span in found.spans] == ["2020", "2021", "2022", "2023", "2024", "2025", "2026"]
    assert found.spans[-1].counts["registered"] == 8


def test_questions_enterprises_and_entries(ledger: Ledger) -> None:
    def ask(db: Db) -> None:
        asker = asker_in(db, "web", 9, on(2))
        for band, feedback, day in (
            ("answer", "solved", 2), ("answer", "unsolved", 2), ("answer", "person", 30), ("answer", None, 2),
            ("offer", "none_of_these", 2), ("need", None, 2), ("refused", None, 2), ("conversation", None, 2),
        ):  # fmt: skip
            asking = record_asking(db, Asking("问", band, "faq-1"), on(day, 23), None, asker.id, asker.person_id)
            if feedback:
                set_feedback(db, asking, feedback)
        record_asking(db, Asking("问", "answer"), datetime(2026, 12, 1, tzinfo=BEIJING), None, asker.id, asker.person_id)

    ledger.does(ask)
    first, second, third = (ledger.registered(3) for _ in range(3))

    def verify(db: Db) -> None:
        db.execute("INSERT INTO enterprises (id, name, created_at, updated_at) VALUES (1, '甲公司', '', ''), (2, '乙公司', '', '')")
        for no in (first, second):
            person = (row(db, "SELECT person_id FROM askings WHERE need_no = ?", no) or {})["person_id"]
            db.execute("UPDATE persons SET enterprise_id = 1, verified_at = '2026-11-03' WHERE id = ?", [person])
        # Claimed, but nobody of the court has verified it.
        person = (row(db, "SELECT person_id FROM askings WHERE need_no = ?", third) or {})["person_id"]
        db.execute("UPDATE persons SET enterprise_id = 2 WHERE id = ?", [person])
        for entry, state in (("court-1", "published"), ("court-2", "draft")):
            db.table("entries").insert({"id": entry, "origin": "files", "hash": "", "body": "{}", "state": state, "updated_at": ""})
            for no in (first, second):
                db.execute("INSERT INTO entry_sources VALUES (?, ?, '', '')", [entry, no])

    ledger.does(verify)
    found = ledger.read()
    asked = found.asked
    assert (asked.asked, asked.answered, asked.offered, asked.missed) == (9, 4, 1, 4)
    assert (asked.solved, asked.unsolved, asked.unsaid, asked.recorded) == (1, 2, 1, 3)
    assert (found.enterprises, found.persons, found.needs_asked, found.entries) == (1, 1, 3, 1)


def test_restricted_needs_are_in_the_totals_and_in_a_line_of_their_own(small: Ledger) -> None:
    unseen = ("(n.visibility <> ? OR n.handler = ?)", ["专班", 77])
    found = small.read(visible=unseen)
    assert found.hidden == 1
    assert found.totals["registered"] == 8
    for name in DIMENSIONS:
        assert [line.counts["registered"] for line in found.tables[name] if line.key == HIDDEN] == [1], name
    assert {line.key: line.counts["registered"] for line in found.tables["street"]} == {"中韩街道": 2, NONE: 5, HIDDEN: 1}
    # A filter would tell them apart, so then they are not counted at all.
    assert small.read({"street": "中韩街道"}, visible=unseen).totals["registered"] == 2
    assert small.read({"street": "中韩街道"}).totals["registered"] == 3
    outside = small.read(for_outside=True)
    assert (outside.totals["registered"], outside.totals["received"], outside.hidden) == (7, 10, 0)


def test_small_lines_are_merged_for_outside_and_nowhere_else(ledger: Ledger) -> None:
    streets = {"中韩街道": 7, "北宅街道": 6, "王哥庄街道": 3, "沙子口街道": 1}
    for street, count in streets.items():
        for _ in range(count):
            ledger.registered(2, street=street)
    inside = {line.key: line.counts["registered"] for line in ledger.read().tables["street"]}
    assert inside == streets
    outside = {line.key: line.counts["registered"] for line in ledger.read(for_outside=True).tables["street"]}
    # Three and one are four: so few would still point at somebody, and the next line joins them.
    assert outside == {"中韩街道": 7, OTHERS: 10}


@pytest.mark.parametrize(
    ("sizes", "merged"),
    [([], []), ([3], [3]), ([5, 5], [5, 5]), ([9, 4], [13]), ([9, 8, 4], [9, 12]), ([9, 4, 4], [9, 8]), ([2, 1, 1], [4])],
)
def test_merging_leaves_no_small_line_behind(sizes: list[int], merged: list[int]) -> None:
    lines = [Line(str(number), Counts({"registered": size})) for number, size in enumerate(sizes)]
    assert [line.counts["registered"] for line in merge_small(lines)] == merged


def test_small_months_are_merged_with_their_neighbours_for_outside(ledger: Ledger) -> None:
    for day in (2, 3, 4):
        ledger.registered(day)
    found = ledger.read(None, date(2026, 9, 1), date(2026, 12, 31), for_outside=True)
    assert [(span.name, span.counts["registered"]) for span in found.spans] == [("2026-09～12", 3)]
    inside = ledger.read(None, date(2026, 9, 1), date(2026, 12, 31))
    assert [span.counts["registered"] for span in inside.spans] == [0, 0, 3, 0]


def test_an_empty_ledger_has_noughts(ledger: Ledger) -> None:
    found = ledger.read()
    assert {found.totals[name] for name in NUMBERS} == {0}
    assert found.totals.rate("on_time") is None
    assert all(lines == () for lines in found.tables.values())
    assert [span.name for span in found.spans] == ["2026-11"]


def test_an_impossible_period_is_refused(ledger: Ledger) -> None:
    with pytest.raises(BadInput, match="开始日期 2026-11-30 晚于结束日期 2026-11-01"):
        ledger.read(None, NOVEMBER[1], NOVEMBER[0])
    with pytest.raises(BadInput, match="时段请选在 2000-01-01 和 2100-12-31 之间"):
        ledger.read(None, date(1, 1, 1), date(2026, 1, 1))


def test_ten_thousand_needs_are_counted_at_once_and_without_the_history(ledger: Ledger) -> None:
    """10,000 needs and 100,000 history rows, written straight into the tables: only how long counting takes is of interest."""
    days = [str(date(2026, 1, 1) + timedelta(days=n)) for n in range(300)]
    needs = [
        (f"XQ-2026-{n:05}", n, ("closed", "replied", "in_progress")[n % 3], f"{'ABCDEFGH'[n % 8]}0{n % 5 + 1}", day, day)
        for n, day in enumerate(days[n % 300] for n in range(10_000))
    ]

    def fill(db: Db) -> None:
        db.execute("INSERT INTO texts (id, salt, body) VALUES (1, '', '问')")
        db.conn.executemany(
            "INSERT INTO needs (no, year, seq, state, source, topic, text_id, received_at, registered_on)"
            " VALUES (?, 2026, ?, ?, '走访', ?, 1, ?, ?)",
            needs,
        )
        db.conn.executemany(
            "INSERT INTO need_history (need_no, at, actor, action, to_state, previous, link)"
            " VALUES (?, '2026-01-01', 'bot', 'note', '', '', '')",
            [(need[0],) for need in needs for _ in range(10)],
        )
        # Whoever reads the history is refused.
        db.conn.set_authorizer(lambda _, table, *__: sqlite3.SQLITE_DENY if table == "need_history" else sqlite3.SQLITE_OK)

    ledger.does(fill)
    took = []
    for _ in range(3):
        begun = time.perf_counter()
        found = ledger.read(None, date(2026, 1, 1), date(2026, 12, 31))
        took.append(time.perf_counter() - begun)
    assert found.totals["registered"] == 10_000
    assert found.totals["closed"] == 3334
    # About 0.08 s on one quiet core; the rest is room for a busy machine.
    assert min(took) < 0.6


@pytest.fixture
async def office(open_office: Opening, tmp_path: Path) -> Office:
    """A console whose court has a holiday of its own."""
    (tmp_path / "calendar.csv").write_text("2026-11-06,holiday\n", encoding="utf-8")
    return await open_office()


def register(office: Office, count: int = 1, **details: Any) -> list[str]:
    """Needs that stand in the ledger."""
    rules = office.opened.rules

    def take_in(db: Db, no: str) -> None:
        move(db, no, "register", "staff:1", frozenset({"registrar"}), office.at, rules, None, details)

    made = [office.need(chat_id=7000 + n) for n in range(count)]
    for no in made:
        office.does(partial(take_in, no=no))
    return made


async def test_the_page_shows_numbers_that_open_their_needs(office: Office) -> None:
    register(office, 3, street="中韩街道", topic="B01")
    clerk = await office.clerk("王敏", "registrar")
    page = await clerk.opens("/console/statistics")
    assert page.status == 200
    assert "2026-01-01 至 2026-11-16" in page.text
    links = [html.unescape(link) for link in re.findall(r'href="(/console/needs\?[^"]+)"', page.text)]
    begin = "/console/needs?tab=all&count=registered&by=registered&from=2026-01-01&to=2026-11-16"
    assert f"{begin}&street=%E4%B8%AD%E9%9F%A9%E8%A1%97%E9%81%93" in links
    assert "/console/needs?tab=all&count=received&by=received&from=2026-11-01&to=2026-11-16" in links
    assert 'href="/console/statistics?period=year&amp;topic=B"' in page.text
    assert "B 账款回收" in page.text
    narrowed = await clerk.opens("/console/statistics?period=month&topic=B")
    assert "B01 大企业拖欠货款" in narrowed.text
    assert "2026-11-01 至 2026-11-16" in narrowed.text


async def test_the_page_keeps_the_content_policy(office: Office) -> None:
    register(office, 2, street="中韩街道")
    page = await (await office.clerk("王敏", "auditor")).opens("/console/statistics")
    assert "<script" not in page.text
    assert "style=" not in page.text
    assert page.text.count("<svg") == 8
    anchors = set(re.findall(r'href="#([\w-]+)"', page.text)) - {"main"}
    assert anchors
    assert anchors <= set(re.findall(r'id="([\w-]+)"', page.text)), "every name leads to its meaning"


@pytest.mark.parametrize(
    ("query", "sentence"),
    [
        ("from=2026-11-30&to=2026-11-01", "开始日期 2026-11-30 晚于结束日期 2026-11-01"),
        ("from=2026-11-31&to=2026-12-01", "开始日期请写成 2026-11-18 这样的日期"),
        ("from=2026-11-01", "结束日期请写成"),
        ("from=0001-01-01&to=2026-01-01", "时段请选在"),
        ("from=%3Cscript%3E&to=2026-01-01", "您填的是“&lt;script&gt;”"),
    ],
)
async def test_bad_dates_are_a_clear_sentence(office: Office, query: str, sentence: str) -> None:
    page = await (await office.clerk("王敏", "registrar")).opens(f"/console/statistics?{query}")
    assert page.status == 400
    assert sentence in page.text


async def test_odd_addresses_are_harmless(office: Office) -> None:
    register(office)
    clerk = await office.clerk("王敏", "registrar")
    for query in ("period=never", "topic=Z", "topic=%25", "street=' OR 1=1 --", "division=%00", "outside=yes", f"street={'长' * 300}"):
        page = await clerk.opens(f"/console/statistics?{query}")
        assert page.status == 200, query


async def test_numbers_of_single_people_are_for_few(office: Office) -> None:
    register(office)
    for role in ("registrar", "assigner", "handler", "reviewer"):
        clerk = await office.clerk(f"某{role}", role)
        assert "按承办人" not in (await clerk.opens("/console/statistics")).text
        refused = await clerk.opens("/console/statistics?handler=1")
        assert refused.status == 409
        assert "只有督办、管理员和审计能看" in refused.text
    for role in ("supervisor", "admin", "auditor"):
        clerk = await office.clerk(f"某{role}", role)
        assert "按承办人" in (await clerk.opens("/console/statistics")).text
        assert "按承办人" not in (await clerk.opens("/console/statistics?outside=1")).text
        assert (await clerk.opens("/console/statistics?outside=1&handler=1")).status == 409


async def test_who_may_not_see_a_restricted_need_learns_only_that_it_is_there(office: Office) -> None:
    (no, *_) = register(office, 2, street="中韩街道")
    rules = office.opened.rules
    office.does(lambda db: move(db, no, "restrict", "staff:1", frozenset({"supervisor"}), office.at, rules, "群体", {"visibility": "专班"}))
    page = await (await office.clerk("王敏", "registrar")).opens("/console/statistics")
    assert "总数含专班办理的 1 件" in page.text
    assert "专班办理（不分项）" in page.text
    assert '<th scope="row">专班办理（不分项）</th>' in page.text, "and it opens nothing"
    assert "=hidden" not in page.text
    seen = await (await office.clerk("督办", "supervisor")).opens("/console/statistics")
    assert "专班办理" not in seen.text


async def test_outside_learns_no_small_number_and_opens_nothing(office: Office) -> None:
    register(office, 3, street="中韩街道")
    clerk = await office.clerk("督办", "supervisor")
    page = await clerk.opens("/console/statistics?outside=1")
    assert "统计（对外口径）" in page.text
    assert "不足5" in page.text
    assert "其他（不足 5 件合并）" in page.text
    assert "中韩街道" not in page.text
    assert "/console/needs?" not in page.text
    main = page.text[page.text.index("<main") :]
    assert not re.search(r"<(?:td|dd)>\s*[1-4]\s*</", main)
    assert not re.search(r"登记 [1-4]\b", main), "nor in what a chart tells"
    download = await clerk.opens("/console/statistics.csv?outside=1")
    assert "中韩街道" not in download.text


async def test_outside_no_rate_tells_what_its_numbers_keep_back(office: Office) -> None:
    made, rules = register(office, 10, topic="B01"), office.opened.rules
    for no in made[:9]:
        steps = (("reply", "staff:1", frozenset({"registrar"})), ("confirm", "asker", ASKER))
        for action, actor, roles in steps:
            office.does(partial(move, no=no, action=action, actor=actor, roles=roles, at=office.at, rules=rules, text="答"))
    clerk = await office.clerk("督办", "supervisor")
    inside, outside = [(await clerk.opens(f"/console/statistics{query}")).text for query in ("", "?outside=1")]
    assert "90.0%" in inside
    assert "90.0%" not in outside, "nine of ten solved would tell the one that is not"
    assert "100.0%" in outside, "all nine on time tells nothing"


async def test_download_opens_in_a_spreadsheet_and_is_written_down(office: Office) -> None:
    register(office, 2, street="中韩街道")
    clerk = await office.clerk("=1+1", "admin")
    handler = office.does(lambda db: (row(db, "SELECT id FROM staff WHERE name = '=1+1'") or {})["id"])
    register(office, 1, handler=handler)
    async with clerk.session.get(f"{office.root}/console/statistics.csv?period=month") as response:
        body = await response.read()
        assert response.headers["Content-Disposition"] == 'attachment; filename="statistics-2026-11-01-2026-11-16.csv"'
    assert body.startswith(b"\xef\xbb\xbf")
    assert body.count(b"\n") == body.count(b"\r\n") > 50
    lines = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
    assert lines[0] == ["演示，非法院正式服务"]
    assert ["登记", "3"] in lines
    assert not any(cell.startswith(("=", "+", "-", "@")) for line in lines for cell in line)
    assert any(line and line[0] == "'=1+1" for line in lines)
    audited = office.does(lambda db: rows(db, "SELECT actor, action, note FROM audit WHERE action LIKE 'export%'"))
    assert audited == [{"actor": f"staff:{handler}", "action": "export_statistics", "note": "2026-11-01 至 2026-11-16"}]


async def test_an_empty_ledger_is_said(office: Office) -> None:
    page = await (await office.clerk("王敏", "registrar")).opens("/console/statistics")
    assert page.status == 200
    assert page.text.count("这段时间没有登记的需求") == 6
    assert "没有可画的数据" in page.text


@pytest.mark.parametrize(
    ("period", "first", "last"),
    [
        ("month", "2026-11-01", "2026-11-16"),
        ("last_month", "2026-10-01", "2026-10-31"),
        ("quarter", "2026-10-01", "2026-11-16"),
        ("year", "2026-01-01", "2026-11-16"),
    ],
)
def test_periods(period: str, first: str, last: str) -> None:
    wanted = statistics.Wanted.read({"period": period}, date(2026, 11, 16))
    assert (str(wanted.first), str(wanted.last)) == (first, last)


def test_last_month_in_january() -> None:
    wanted = statistics.Wanted.read({"period": "last_month"}, date(2026, 1, 31))
    assert (wanted.first, wanted.last) == (date(2025, 12, 1), date(2025, 12, 31))
