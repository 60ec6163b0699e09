"""The ledger's record and list: what history makes of a need, who may see it, and how it is found."""

import asyncio
import re
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from datetime import date, datetime, timedelta
from functools import cache
from html import unescape
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import intake
from bot.access import Staff
from bot.console import board, story
from bot.console.board import Wanted
from bot.console.needs import MOST_VIEWS, OWN_FORM
from bot.console.pages import _marked
from bot.console.today import read_today
from knowledge.clock import BEIJING
from knowledge.court import ROLES
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, NotFound
from knowledge.ledger import history, sensitive
from knowledge.ledger.needs import move
from knowledge.ledger.record import CACHED, PROJECTED
from knowledge.ledger.workflow import ASKER, BOT, MOVES, OPEN, PAUSED
from tests.courthouse import CROWD, Court, empty_ledger
from tests.office import Office, Page

OUTSIDERS = sorted(set(ROLES) - sensitive.WATCHERS)
"""Roles that do not see what is for named staff alone once somebody has it in hand."""


# --- History and what follows from it -----------------------------------------------------------------------------------------


Walk = list[tuple[str, int, dict[str, Any]]]


def _may_set(action: str) -> st.SearchStrategy[dict[str, Any]]:
    days = st.dates(date(2025, 12, 1), date(2027, 3, 1)).map(date.isoformat)
    fields: dict[str, dict[str, st.SearchStrategy[Any]]] = {
        "extend": {"due_on": days},
        "suspend": {"until": days},
        "transfer": {"until": days, "partners": st.just(["directory:1"])},
        "assign": {"division": st.sampled_from(["civil", "filing"]), "copies": st.just([])},
        "register": {"topic": st.sampled_from(["B01", "J01"]), "street": st.just("中韩街道")},
        "edit": {
            "urgency": st.sampled_from(["一般", "较急", "特急"]),
            "people": st.integers(0, 99),
            "received_at": days,
            "flags": st.just([]),
        },
        "close": {"outcome": st.just("答复解决"), "closed_on": days},
        "rate": {"satisfaction": st.just("满意")},
        "restrict": {"visibility": st.just("专班"), "sensitive": st.just("信访")},
        "unrestrict": {"visibility": st.just("院内")},
    }
    return st.fixed_dictionaries({}, optional=fields.get(action, {}))


@st.composite
def walks(draw: st.DrawFn) -> Walk:
    """Steps that the table allows one after another: action, hours since the one before, fields that it sets."""
    state, before, walk = "submitted", "submitted", []
    for _ in range(draw(st.integers(1, 14))):
        allowed = [action for action, found in MOVES.items() if state in found.sources]
        if not allowed:
            break
        action = draw(st.sampled_from(allowed))
        walk.append((action, draw(st.integers(0, 24 * 20)), draw(_may_set(action))))
        target = MOVES[action].target
        came = before if target == "back" else target or state
        state, before = came, state if came != state else before
    return walk


START = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31)).map(lambda at: at.replace(microsecond=0, tzinfo=BEIJING))
OTHER_RULES = {"answer_days_by_urgency": {"一般": 4, "较急": 2, "紧急": 1, "特急": 1}, "sign_days": 2, "acknowledge_days": 3}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(START, st.lists(walks(), min_size=1, max_size=3), st.sampled_from(["机器人", "来信"]))
def test_columns_are_what_the_history_makes_of_them(start: datetime, many: list[Walk], source: str) -> None:
    db = empty_ledger()
    court = Court(db)
    for walk in many:
        court.at = start
        no = court.need(source=source)
        for action, hours, details in walk:
            court.at += timedelta(hours=hours)
            move(db, no, action, "bot", MOVES[action].roles, court.at, court.rules, "理由", details)
    assert history.verify(db, court.rules).first_break is None
    assert history.rebuild(db, court.rules) == 0
    kept = [name for name in PROJECTED if name not in CACHED]
    before = rows(db, f"SELECT {', '.join(kept)} FROM needs ORDER BY no")
    other = Court(db, {date(2027, 1, 1): False, date(2026, 11, 17): False}, **OTHER_RULES).rules
    history.rebuild(db, other, CACHED)
    assert rows(db, f"SELECT {', '.join(kept)} FROM needs ORDER BY no") == before
    assert history.verify(db, other).first_break is None
    assert history.rebuild(db, other) == 0
    for need in rows(db, "SELECT * FROM needs"):
        assert (need["paused_since"] is not None) == (need["state"] in PAUSED)
        assert need["state"] in OPEN or need["duty"] is None
    db.close()


def test_a_column_changed_behind_the_historys_back_is_found_and_not_mended_with_the_deadlines(court: Court) -> None:
    no = court.need()
    court.db.execute("UPDATE needs SET division = 'civil' WHERE no = ?", [no])
    assert history.verify(court.db).first_break == f"{no} 与它的历史不符"
    history.rebuild(court.db, court.rules, CACHED)
    assert not court.is_whole()
    assert history.rebuild(court.db, court.rules) == 1
    assert court.is_whole()


def test_a_deadline_changed_by_hand_shows_only_with_the_rules(court: Court) -> None:
    no = court.need()
    court.db.execute("UPDATE needs SET due_on = '2030-01-01' WHERE no = ?", [no])
    assert history.verify(court.db).first_break is None
    assert history.verify(court.db, court.rules).first_break == f"{no} 与它的历史不符"


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE need_history SET action = 'close'",
        "DELETE FROM need_history",
        "DELETE FROM needs",
        "UPDATE audit SET note = 'x'",
        "DELETE FROM audit",
    ],
)
def test_nothing_is_deleted_or_rewritten(court: Court, sql: str) -> None:
    court.need()
    court.db.execute("INSERT INTO audit (at, actor, action) VALUES ('2026-11-16', 'cli', 'look')")
    with pytest.raises(sqlite3.IntegrityError):
        court.db.execute(sql)
    assert court.is_whole()


def test_a_need_suspended_before_registering_is_not_in_the_ledger(court: Court) -> None:
    no = court.need()
    court.moves(no, "suspend", until="2026-11-30")
    court.moves(no, "continue")
    assert (court.look(no)["state"], court.look(no)["registered_on"]) == ("submitted", None)


# --- Who sees a need of named staff -------------------------------------------------------------------------------------------


def anonymous(text: str, no: str) -> str:
    """A sentence about a need without its number, to be compared."""
    return text.replace("（样子像 XQ-2026-0001）", "").replace(no, "N")


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("我们要去北京告你们", "信访"),
        ("我要投诉法官，态度很差", "个案投诉"),
        ("再不给钱我就去跳楼", "人身危险"),
        ("厂门口 拉 横 幅 了", "群体性"),
        ("几十个\n工人要上访", "群体性"),
        ("客户拖欠货款怎么办", None),
        ("", None),
    ],
)
def test_the_courts_words_make_a_need_restricted(court: Court, question: str, kind: str | None) -> None:
    found = court.look(court.sensitive_need(question or "没有"))
    assert (found["sensitive"], found["visibility"]) == (kind, "专班" if kind else "院内")


def test_who_sees_a_restricted_need(db: Db) -> None:
    court = Court(db, duty_persons={"群体性": "值班员"})
    people = {role: court.staff(f"某{role}", role) for role in ROLES}
    duty, handler = court.staff("值班员", "handler"), court.staff("承办员", "handler")
    no = court.sensitive_need(handler=handler.id)
    seen = {name for name, who in (people | {"duty": duty, "own": handler}).items() if court.desk.may_see(db, no, who)}
    assert seen == {*sensitive.WATCHERS, "duty", "own"}
    court.moves(no, "register", "submit_reply")
    assert court.desk.may_see(db, no, people["reviewer"]), "while an answer waits for them"
    court.moves(no, "approve")
    assert not court.desk.may_see(db, no, people["reviewer"])
    other = court.sensitive_need("我要去信访局上访，讨个说法")
    assert not court.desk.may_see(db, other, duty), "on duty for another kind"
    assert court.desk.may_see(db, other, people["assigner"]), "until somebody has it in hand"
    court.moves(no, "unrestrict", visibility="院内")
    assert all(court.desk.may_see(db, no, who) for who in people.values())


def test_a_restricted_need_is_in_nobody_elses_lists_searches_and_counts(court: Court) -> None:
    clerk, watcher = court.staff("王敏", "registrar", "handler"), court.staff("督办员", "supervisor")
    no, open_one = court.sensitive_need(), court.need()
    court.at += timedelta(days=10)
    today = court.at.date()
    for wanted in (Wanted("all"), Wanted("all", search=no), Wanted("all", search="堵门"), Wanted(due="late"), Wanted("intake")):
        found = board.read_board(court.db, wanted, today, court.court, court.desk.visible(clerk))
        assert no not in [line.no for line in found.lines]
        assert found.counts["all"] == found.counts["open"] <= 1, "only the other one is counted"
        assert found.late <= 1
    assert no in [line.no for line in board.read_board(court.db, Wanted("all"), today, court.court, court.desk.visible(watcher)).lines]
    counted = {name: n for name, n, _ in read_today(court.db, court.desk, clerk, today).numbers}
    assert (counted["新收到"], counted["已超期"], counted["在办"]) == (1, 1, 1)
    assert no not in (court.desk.needs_board(court.db, clerk, today).text or "")
    assert open_one in (court.desk.needs_board(court.db, clerk, today).text or "")
    assert no in (court.desk.needs_board(court.db, watcher, today).text or "")


def test_the_desk_refuses_a_restricted_need_in_the_words_of_an_unknown_number(court: Court) -> None:
    """Otherwise whoever tries numbers learns which of them are restricted."""
    clerk = court.staff("王敏", *OUTSIDERS)
    no = court.sensitive_need(handler=court.staff("专办", "handler").id)
    tries: list[Callable[[str], Any]] = [
        lambda no: court.step(no, "note", clerk, "看看"),
        lambda no: court.does(lambda db, mail: court.desk.register(db, no, clerk, court.at)),
        lambda no: court.does(lambda db, mail: court.desk.reject(db, mail, no, clerk, "无关", court.at)),
        lambda no: court.does(lambda db, mail: court.desk.assign(db, mail, no, clerk, court.at, "civil", None)),
        lambda no: court.does(lambda db, mail: court.desk.reply(db, mail, no, clerk, "答复", court.at)),
        lambda no: court.does(lambda db, mail: court.desk.submit_reply(db, mail, no, clerk, "答复", court.at)),
        lambda no: court.does(lambda db, mail: court.desk.approve(db, mail, no, clerk, court.at)),
        lambda no: court.does(lambda db, mail: court.desk.edit(db, no, clerk, court.at, {"people": 3})),
    ]
    before = court.footprint()
    for attempt in tries:
        with pytest.raises(BadInput) as hidden:
            attempt(no)
        with pytest.raises(NotFound) as unknown:
            attempt("XQ-2026-9999")
        assert court.footprint() == before
        assert anonymous(str(hidden.value), no) == anonymous(str(unknown.value), "XQ-2026-9999")


def test_registering_does_not_reach_a_restricted_need(court: Court) -> None:
    clerk = court.staff("王敏", "registrar")
    no = court.sensitive_need()
    before = court.footprint()
    with pytest.raises(BadInput):
        court.does(lambda db, mail: intake.register_need(db, court.desk, clerk, no, {"company": "某厂"}, {}, court.at, unknown=True))
    assert court.footprint() == before
    assert row(court.db, "SELECT company FROM persons") == {"company": None}


async def test_restricted_pages_are_like_pages_of_no_need(office: Office) -> None:
    clerk, watcher = await office.clerk("王敏", *OUTSIDERS), await office.clerk("督办员", "supervisor")
    no, unknown = office.need(CROWD), "XQ-2026-9999"
    restricted, supervisor = {"visibility": "专班", "sensitive": "群体性", "handler": 2}, frozenset({"supervisor"})
    office.does(lambda db: move(db, no, "restrict", "staff:2", supervisor, office.at, office.opened.rules, "群体", restricted))
    ours = office.need("普通的一件，客户不付款怎么办", 8)
    csrf = (await clerk.opens("/console")).fields["csrf"]

    def told(page: Page, number: str) -> tuple[int, str]:
        return page.status, re.sub(r"\s+", " ", anonymous(page.text, number))

    for path in ("", "/edit"):
        hidden, other = await clerk.opens(f"/console/needs/{no}{path}"), await clerk.opens(f"/console/needs/{unknown}{path}")
        assert told(hidden, no) == told(other, unknown)
    typed = {"csrf": csrf, "text": "答复", "why": "理由", "reason": "核实情况", "division": "civil", "action": "note", "people": "3"}
    for path in ("reply", "register", "reject", "assign", "step", "reveal", "approve", "edit"):
        for version in ("0", str(office.does(lambda db: story.last_change(db, no)))):
            hidden = await clerk.sends(f"/console/needs/{no}/{path}", None, version=version, **typed)
            other = await clerk.sends(f"/console/needs/{unknown}/{path}", None, version=version, **typed)
            assert "堵门" not in hidden.text and "restrict" not in hidden.text, path
            assert told(hidden, no) == told(other, unknown), path
    assert [action for action, _ in office.story(no)] == ["submit", "restrict"]
    chosen = [("csrf", csrf), ("action", "register"), ("unknown", "1"), ("no", no), ("no", unknown), ("no", ours)]
    bulk = await clerk.opens("/console/bulk", "POST", data=chosen)
    assert "登记了 1 件" in bulk.text and "没有做 2 件" in bulk.text
    assert "只有专人" not in bulk.text
    assert (await watcher.opens(f"/console/needs/{no}")).status == 200


# --- The list -----------------------------------------------------------------------------------------------------------------


def numbers(court: Court, staff: Staff, phones: bool = False, from_day: str = "", **query: Any) -> list[str]:
    """The numbers a list shows for this address."""
    wanted = Wanted.read(query | {"from": from_day})
    found = board.read_board(court.db, wanted, court.at.date(), court.court, court.desk.visible(staff), phones)
    return [line.no for line in found.lines]


def test_every_filter_finds_its_own(court: Court) -> None:
    me = court.staff("王敏", "registrar", "handler")
    set_by: dict[str, Any] = {
        "topic": "B01",
        "street": "中韩街道",
        "industry": "制造业",
        "division": "civil",
        "handler": me.id,
        "urgency": "较急",
        "litigation": "拟诉",
        "sensitive": "信访",
        "source": "来信",
    }
    by_name = {name: court.need(**{name: value}) for name, value in set_by.items()}
    plain = court.need()
    for name, no in by_name.items():
        asked: dict[str, Any] = {name: str(set_by[name])}
        assert numbers(court, me, **asked) == [no], name
        if name not in ("urgency", "source", "litigation"):
            asked = {name: "无"}
            without = numbers(court, me, **asked)
            assert no not in without and plain in without
    assert numbers(court, me, topic="B") == [by_name["topic"]]
    assert numbers(court, me, topic="A") == []
    none = court.need(litigation="无")
    assert numbers(court, me, litigation="无") == [none], "无 is an answer there, not a gap"
    assert numbers(court, me, state="closed") == []
    assert set(numbers(court, me, state="submitted")) == {*by_name.values(), plain, none}
    assert numbers(court, me, topic="B01", street="中韩街道") == [], "filters narrow together"


def test_the_list_by_dates_and_what_is_due(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    early = court.need()
    court.moves(early, "register")
    court.passes(days=2)
    middle = court.need()
    court.moves(middle, "register", "reply")
    court.passes(days=5)
    late = court.need(received_at="2026-11-20")
    assert numbers(court, me, tab="all", by="received", from_day="2026-11-16", to="2026-11-16") == [early]
    assert set(numbers(court, me, tab="all", by="received", from_day="2026-11-18")) == {middle, late}
    assert numbers(court, me, by="registered", to="2026-11-16") == [early]
    assert numbers(court, me, by="replied", from_day="2026-11-18", to="2026-11-18") == [middle]
    assert numbers(court, me, by="closed", from_day="2026-01-01") == []
    assert numbers(court, me, tab="all", from_day="2026-13-99")[:1] == [late], "a day that cannot be counts as not given"
    assert court.at.date() == date(2026, 11, 23)
    assert numbers(court, me, due="today") == [late]
    court.passes(days=1)
    assert numbers(court, me, due="late") == [late]
    assert numbers(court, me, due="soon") == [early]
    assert numbers(court, me) == [late, early], "what is due first stands first"
    assert numbers(court, me, order="newest") == [late, early]
    assert numbers(court, me, order="oldest") == [early, late]
    assert numbers(court, me, tab="replied") == [middle]


def test_two_character_words_are_found_everywhere_they_may_stand(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    asked = court.need("我们的鸽子被扣了该怎么要回来")
    noted = court.need(profile={"company": "青岛鲸鱼机械有限公司"})
    court.step(noted, "note", me, "电话里说还有螃蟹")
    court.moves(noted, "register")
    court.does(lambda db, mail: court.desk.reply(db, mail, noted, me, "请带好海胆的凭证", court.at))
    for word, found in {"鸽子": asked, "螃蟹": noted, "海胆": noted, "鲸鱼": noted, noted[-4:]: noted, noted.lower(): noted}.items():
        assert numbers(court, me, tab="all", q=word) == [found], word
    assert numbers(court, me, tab="all", q="螃蟹 海胆") == [noted]
    assert numbers(court, me, tab="all", q="螃蟹 鸽子") == []
    for literally in ("%%", "__", "鸽_", "'; DROP TABLE needs; --", "\\", '"鸽子"'):
        assert numbers(court, me, tab="all", q=literally) == []


def test_a_phone_number_finds_its_owner_for_contact_readers_alone(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    no = court.need(profile={"phone": "13800138000", "contact": "张三"})
    assert numbers(court, me, phones=True, q="13800138000") == [no]
    for phones, word in ((False, "13800138000"), (True, "1380013"), (True, "138001380"), (True, "张三")):
        assert numbers(court, me, phones=phones, q=word) == []


@given(text=st.text(max_size=40), words=st.lists(st.text(min_size=1, max_size=4).filter(str.strip), max_size=3))
def test_highlighting_escapes_everything_and_loses_nothing(text: str, words: list[str]) -> None:
    marked = str(_marked(text, words))
    bare = marked.replace("<mark>", "").replace("</mark>", "")
    assert "<" not in bare and ">" not in bare
    assert unescape(bare) == unescape(str(_marked(text, [])))


def test_searched_words_are_marked(court: Court) -> None:
    assert str(_marked("<b>ABC</b> & abc", ["abc"])) == "&lt;b&gt;<mark>ABC</mark>&lt;/b&gt; &amp; <mark>abc</mark>"
    assert str(_marked("a<b", ["<"])) == "a<mark>&lt;</mark>b"
    assert str(_marked("x.y", ["."])) == "x<mark>.</mark>y"


NAMES = st.sampled_from(["tab", "q", "order", "page", "from", "to", "by", "due", "x", *board.FILTERS])
VALUES = st.one_of(
    st.text(max_size=30),
    st.sampled_from([*board.TABS, *board.ORDERS, *board.DAYS, "无", "late", "2026-11-16", "0", "-1", "999999", "9" * 40, "１", "\0", "%"]),
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(NAMES, VALUES, max_size=8))
def test_any_address_gives_a_list(query: dict[str, str]) -> None:
    court = _standing_court()
    wanted = Wanted.read(query)
    staff = Staff(1, "王敏", frozenset({"registrar"}))
    found = board.read_board(court.db, wanted, court.at.date(), court.court, court.desk.visible(staff), True)
    assert 1 <= found.page <= found.pages
    assert wanted.link().startswith("/console/needs?")
    assert Wanted.read({name: str(value) for name, value in wanted.query.items()}) == replace(
        wanted, page=1, by=wanted.by if wanted.first or wanted.last else "registered"
    ), "the link says the same"


@cache
def _standing_court() -> Court:
    court = Court(empty_ledger())
    court.need(topic="B01", street="中韩街道")
    court.moves(court.need(), "register", "reply")
    return court


ODD_ADDRESSES = [
    {"q": "<script>alert(1)</script>"},
    {"tab": "nonsense", "page": "-5", "order": "'; --"},
    {"page": "999999"},
    {"q": "\0" * 5 + "货款"},
    {"q": "货" * 800},
    {"handler": "不是数字", "topic": "%", "state": "gone"},
    {"from": "2026-02-30", "to": "9999-12-31", "by": "closed"},
    {"due": "late", "tab": "closed"},
]


async def test_any_address_is_a_page(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar", "assigner")
    office.need()
    for query in ODD_ADDRESSES:
        page = await clerk.opens("/console/needs?" + urlencode(query))
        assert page.status == 200, query
        assert "<script" not in page.text
    for raw in ("q=%ff%fe", "q=%ED%A0%80", "page=%00", "from=" + quote("二〇二六"), "tab=open&tab=all", "%" * 9, "q=%"):
        assert (await clerk.opens(f"/console/needs?{raw}")).status == 200, raw
    found = await clerk.opens("/console/needs?" + urlencode({"q": "<b>货"}))
    assert "&lt;b&gt;货" in found.text and "<b>货" not in found.text


async def test_saved_views_are_ones_own_and_limited(office: Office) -> None:
    mine, other = await office.clerk("王敏", "registrar"), await office.clerk("李强", "registrar")
    page, theirs = await mine.opens("/console/needs?street=中韩街道"), await other.opens("/console/needs")
    saved = await mine.sends("/console/views", page, name="中韩", query="street=中韩街道&evil=1&tab=<b>")
    assert saved.status == 303
    (view,) = office.does(lambda db: rows(db, "SELECT * FROM views"))
    assert "evil" not in view["query"] and "%3Cb" not in view["query"], "only what a list understands is kept"
    assert "中韩</a>" in (await mine.opens("/console/needs")).text
    assert "中韩</a>" not in (await other.opens("/console/needs")).text
    await other.sends("/console/views/drop", theirs, view=str(view["id"]))
    assert office.does(lambda db: rows(db, "SELECT count(*) AS n FROM views")) == [{"n": 1}]
    for name in ("", " ", "长" * 21):
        assert (await mine.sends("/console/views", page, name=name, query="")).status == 400
    for number in range(MOST_VIEWS - 1):
        assert (await mine.sends("/console/views", page, name=f"第{number}个", query="due=late")).status == 303
    full = await mine.sends("/console/views", page, name="再一个", query="due=late")
    assert (full.status, "最多" in full.text) == (400, True)
    assert (await mine.sends("/console/views", page, name="中韩", query="due=late")).status == 303, "an old one can be set anew"
    assert (await mine.sends("/console/views/drop", page, view=str(view["id"]))).status == 303
    assert (await mine.sends("/console/views/drop", page, view="x")).status == 303


async def test_bulk_does_what_it_can_and_says_what_it_could_not(office: Office) -> None:
    clerk, handler = await office.clerk("王敏", "registrar", "assigner"), "陈承"
    office.link(handler, "handler")
    office.does(lambda db: db.execute("UPDATE staff SET division = 'commercial' WHERE name = ?", [handler]))
    page = await clerk.opens("/console/needs")
    one, two, gone = office.need(chat_id=1), office.need(chat_id=2), office.need(chat_id=3)
    office.does(lambda db: move(db, gone, "withdraw", "asker", ASKER, office.at, office.opened.rules))

    async def bulk(action: str, *wanted: str, **typed: str) -> Page:
        fields = [("csrf", page.fields["csrf"]), ("action", action), *(("no", no) for no in wanted), *typed.items()]
        return await clerk.opens("/console/bulk", "POST", data=fields)

    bare = await bulk("register", one)
    assert "登记了 0 件" in bare.text and f"{one}：登记前还要填：企业名称" in bare.text
    done = await bulk("register", one, gone, two, one, "XQ-2026-9999", "<b>", unknown="1")
    assert "登记了 2 件" in done.text and "没有做 3 件" in done.text
    assert f"{gone}：这件需求现在是“撤回”" in unescape(done.text) and "没有编号为 XQ-2026-9999" in done.text and "<b>：" not in done.text
    assert [action for action, _ in office.story(one)] == ["submit", "register"]
    assert [action for action, _ in office.story(gone)] == ["submit", "withdraw"]
    nobody = await bulk("assign", one, handler="auto")
    assert "分派了 0 件" in nobody.text and "请选承办部门" in nobody.text
    given = await bulk("assign", one, gone, two, handler="auto", division="commercial")
    assert "分派了 2 件" in given.text and "没有做 1 件" in given.text
    three = office.need(chat_id=4)
    assert "请写明不予登记的理由" in (await bulk("reject", three, kind="重复")).text
    assert "不予登记了 1 件" in (await bulk("reject", three, gone, kind="重复", why="与前一件相同")).text
    assert office.story(three)[-1] == ("reject", "重复：与前一件相同")
    for action, wanted in (("", [one]), ("void", [one]), ("register", [])):
        assert (await bulk(action, *wanted)).status == 400
    assert len(office.outbox()) == 1, "the one turned away is told"
    assert office.does(lambda db: history.verify(db, office.opened.rules)).first_break is None


async def test_a_record_saved_as_it_is_changes_nothing_and_ticks_can_be_taken_off(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar", "handler")
    no = office.need()
    path = f"/console/needs/{no}/edit"
    first = await clerk.opens(path)
    assert (await clerk.sends(path, first, received_at="2026-11-16", flags="典型案例线索", people="12")).status == 303
    second = await clerk.opens(path)
    assert (await clerk.sends(path, second, received_at="2026-11-16", people="")).status == 303
    found = office.does(lambda db: row(db, "SELECT flags, people FROM needs WHERE no = ?", no))
    assert found["flags"] in (None, "[]") and found["people"] is None


async def test_clerks_who_edit_at_the_same_time_lose_nothing(office: Office) -> None:
    one, two = await office.clerk("王敏", "registrar"), await office.clerk("李强", "registrar")
    no = office.need()
    path = f"/console/needs/{no}/edit"
    pages = [await clerk.opens(path) for clerk in (one, two)]
    typed = [{"received_at": "2026-11-16", "summary": f"{name}的摘要"} for name in ("王敏", "李强")]
    both = await asyncio.gather(one.sends(path, pages[0], **typed[0]), two.sends(path, pages[1], **typed[1]))
    assert sorted(page.status for page in both) == [303, 409]
    lost = next(page for page in both if page.status == 409)
    assert "的摘要" in lost.text
    assert [action for action, _ in office.story(no)] == ["submit", "edit"]


async def test_a_note_too_long_changes_nothing(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    no = office.need()
    for path, field in (("step", "why"), ("edit", "remark"), ("reply", "text"), ("reject", "why")):
        page = await clerk.opens(f"/console/needs/{no}")
        typed = {field: "长" * 100_000, "action": "note", "people": "5"}
        refused = await clerk.sends(f"/console/needs/{no}/{path}", page, **typed)
        assert refused.status in (400, 413), path
        assert "字" in refused.text
    assert [action for action, _ in office.story(no)] == ["submit"]


async def test_the_generic_form_takes_only_its_own_steps(office: Office) -> None:
    clerk = await office.clerk("王敏", *ROLES)
    no = office.need()
    for action in ("", "nothing", *sorted(OWN_FORM)):
        page = await clerk.opens(f"/console/needs/{no}")
        assert (await clerk.sends(f"/console/needs/{no}/step", page, action=action, why="理由")).status == 400, action
    for action in ("withdraw", "confirm", "rate", "reopen", "add", "complete", "resume"):
        page = await clerk.opens(f"/console/needs/{no}")
        assert (await clerk.sends(f"/console/needs/{no}/step", page, action=action, why="理由")).status == 409, action
    assert [action for action, _ in office.story(no)] == ["submit"]


def test_what_only_askers_and_the_bot_do_is_not_a_role_of_staff() -> None:
    assert not (ASKER | BOT) & set(ROLES)
