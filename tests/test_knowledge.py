"""What the court knows: ledger and its chain, deadlines, people, masking, library, and the court's own configuration."""

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest
import sqlite_utils

from bot.access import add_staff
from bot.desk import Desk
from bot.outbox import Mail
from knowledge import enterprise, library
from knowledge.clock import BEIJING, stamp
from knowledge.court import load_court, load_topics
from knowledge.database import Database, Db, row, rows
from knowledge.entry import Citation, Entry
from knowledge.errors import BadInput, NotAllowed, NotFound, Unreadable
from knowledge.ledger import history
from knowledge.ledger.deadlines import Calendar, Rules, timing
from knowledge.ledger.needs import (
    Asking,
    asking_of,
    find_need,
    list_needs,
    move,
    need_story,
    needs_of_person,
    open_need,
    record_asking,
)
from knowledge.ledger.record import CACHED
from knowledge.ledger.workflow import MOVES, STATE_NAMES, next_state
from knowledge.migrations import steps
from knowledge.privacy import mask, mask_name, mask_phone
from knowledge.texts import digest_of, erase_texts, keep_text

T = TypeVar("T")
AT = datetime(2026, 3, 4, 10, 0, tzinfo=BEIJING)
REGISTRAR, ASKER = frozenset({"registrar"}), frozenset({"asker"})
CARD = "370212190001010017"
RULES = Rules.of(load_court(Path("nowhere")), Calendar())


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    """An empty ledger."""
    made = Database(tmp_path / "data" / "yuanqitong.db", "NORMAL")
    yield made
    made.close()


def asks(db: Db, text: str, chat_id: int = 1, at: datetime = AT) -> str:
    """A question from a chat that becomes a need."""
    asker = enterprise.asker_in(db, "web", chat_id, at)
    asking = record_asking(db, Asking(text, "need"), at, asker_id=asker.id, person_id=asker.person_id)
    return open_need(db, asking, "网页", at, RULES)


# --- the ledger -----------------------------------------------------------------------------------------------------------


def test_needs_are_numbered_by_year_without_gaps(database: Database) -> None:
    for year, wanted in ((2026, "XQ-2026-0001"), (2026, "XQ-2026-0002"), (2027, "XQ-2027-0001"), (2026, "XQ-2026-0003")):
        at = AT.replace(year=year)
        assert database.write(partial(asks, text="问", at=at)).result() == wanted
    listed = database.read(list_needs).result()
    assert [need["no"] for need in listed] == ["XQ-2027-0001", "XQ-2026-0003", "XQ-2026-0002", "XQ-2026-0001"]
    with pytest.raises(NotFound, match="XQ-2026-0009"):
        database.read(lambda db: find_need(db, "XQ-2026-0009")).result()


def test_a_number_is_not_used_up_by_what_failed(database: Database) -> None:
    def fails(db: Db) -> None:
        asks(db, "问")
        raise BadInput("不行")

    with pytest.raises(BadInput):
        database.write(fails).result()
    assert database.write(lambda db: asks(db, "问")).result() == "XQ-2026-0001"
    assert database.read(history.verify).result().length == 1


def test_an_asking_and_an_incoming_message_count_once(database: Database) -> None:
    def twice(db: Db) -> None:
        db.execute("INSERT INTO inbox (id, channel, update_key, chat_id, received_at) VALUES (5, 'web', 'k', 1, ?)", [stamp(AT)])
        first = record_asking(db, Asking("问", "need"), AT, inbox_id=5)
        assert record_asking(db, Asking("又问", "need"), AT, inbox_id=5) == first
        assert open_need(db, first, "网页", AT, RULES) == open_need(db, first, "网页", AT, RULES) == "XQ-2026-0001"

    database.write(twice).result()
    found = database.read(history.verify).result()
    assert (found.length, found.first_break) == (1, None)


def test_every_step_is_written_down_with_who_when_and_what(database: Database) -> None:
    def steps(db: Db) -> list[dict[str, object]]:
        no = asks(db, "货款要不回来")
        move(db, no, "register", "staff:1", REGISTRAR, AT, RULES)
        move(db, no, "reply", "staff:1", REGISTRAR, AT, RULES, "可以申请支付令")
        move(db, no, "reopen", "asker", ASKER, AT, RULES, "对方还是不给")
        move(db, no, "reply", "staff:1", REGISTRAR, AT, RULES, "可以起诉")
        move(db, no, "confirm", "asker", ASKER, AT + timedelta(days=1), RULES)
        return need_story(db, no)

    story = database.write(steps).result()
    assert [(s["actor"], s["action"], s["to_state"], s["body"]) for s in story] == [
        ("bot", "submit", "submitted", "货款要不回来"),
        ("staff:1", "register", "registered", None),
        ("staff:1", "reply", "replied", "可以申请支付令"),
        ("asker", "reopen", "reopened", "对方还是不给"),
        ("staff:1", "reply", "replied", "可以起诉"),
        ("asker", "confirm", "closed", None),
    ]
    assert story[-1]["at"] == "2026-03-05T10:00:00+08:00"
    assert database.read(lambda db: find_need(db, "XQ-2026-0001")).result()["state"] == "closed"
    assert database.read(history.verify).result().first_break is None


@pytest.mark.parametrize("action", MOVES)
@pytest.mark.parametrize("state", STATE_NAMES)
def test_steps_are_for_the_roles_and_states_of_the_table_alone(action: str, state: str) -> None:
    everybody = ["asker", "registrar", "assigner", "handler", "reviewer", "supervisor", "admin", "auditor"]
    for role in everybody:
        allowed = role in MOVES[action].roles and state in MOVES[action].sources
        if allowed:
            assert next_state(action, state, frozenset({role})) in STATE_NAMES
        else:
            with pytest.raises(NotAllowed):
                next_state(action, state, frozenset({role}))
    assert not MOVES[action].roles & {"auditor"}
    # What the enterprise says for itself nobody says for it; three steps either side may take.
    assert action in ("complete", "resume", "reopen") or "asker" not in MOVES[action].roles or MOVES[action].roles == {"asker"}


def test_a_step_that_is_not_allowed_changes_nothing(database: Database) -> None:
    no = database.write(lambda db: asks(db, "问")).result()
    for action, roles in (("confirm", ASKER), ("reply", frozenset({"auditor"})), ("register", ASKER)):
        with pytest.raises(NotAllowed):
            database.write(partial(move, no=no, action=action, actor="staff:1", roles=roles, at=AT, rules=RULES)).result()
    assert len(database.read(lambda db: need_story(db, no)).result()) == 1
    assert database.read(lambda db: find_need(db, no)).result()["state"] == "submitted"


def test_the_chain_links_every_row_to_the_one_before(database: Database) -> None:
    assert database.read(history.head).result() == "0" * 64
    heads = []
    for number in range(3):
        database.write(partial(asks, text=f"第{number}问")).result()
        heads.append(database.read(history.head).result())
    chain = database.read(lambda db: rows(db, "SELECT previous, link FROM need_history ORDER BY id")).result()
    assert [item["link"] for item in chain] == heads and [item["previous"] for item in chain] == ["0" * 64, *heads[:-1]]


def test_two_texts_that_are_equal_have_different_digests(database: Database) -> None:
    one, other = database.write(lambda db: [digest_of(db, keep_text(db, "同一句话")) for _ in range(2)]).result()
    assert one and other and one != other


def test_erasing_texts_leaves_the_chain_whole_and_says_so(database: Database) -> None:
    def erase(db: Db) -> int:
        asks(db, "要删的话")
        asks(db, "留下的话")
        return erase_texts(db, [1, 1, 99], AT)

    assert database.write(erase).result() == 1
    found = database.read(history.verify).result()
    assert (found.first_break, found.erased, found.length) == (None, 1, 2)
    assert database.read(lambda db: find_need(db, "XQ-2026-0001")).result()["question"] is None


def test_a_cut_off_tail_shows_in_the_head(database: Database) -> None:
    """A last row that changes no state leaves a valid chain: only the head that a backup has kept tells."""

    def add(db: Db) -> str:
        no = asks(db, "问")
        move(db, no, "add", "asker", ASKER, AT, RULES, "补充")
        return history.head(db)

    kept = database.write(add).result()

    def cut(db: Db) -> None:
        db.execute("DROP TRIGGER need_history_never_shrinks")
        db.execute("DELETE FROM need_history WHERE action = 'add'")

    database.write(cut).result()
    assert database.read(history.head).result() != kept


def test_a_person_sees_only_their_own(database: Database) -> None:
    def fill(db: Db) -> tuple[list[str], dict[str, object] | None]:
        asks(db, "我的", chat_id=1)
        asks(db, "别人的", chat_id=2)
        me = enterprise.asker_in(db, "web", 1, AT)
        mine = [item["question"] for item in needs_of_person(db, me.person_id)]
        return mine, asking_of(db, 2, me.id)

    assert database.write(fill).result() == (["我的"], None)


def test_an_old_ledger_is_whole_after_the_upgrade(tmp_path: Path) -> None:
    """Needs from before the history carried fields: what it says of the new columns is worked out once."""
    old = sqlite_utils.Database(tmp_path / "old.db")
    steps.apply(old, stop_before="m005_whole_ledger")
    text = keep_text(old, "货款要不回来")
    old.table("needs").insert(
        {"no": "XQ-2026-0001", "year": 2026, "seq": 1, "state": "replied", "source": "机器人", "text_id": text, "received_at": stamp(AT)}
    )
    link = history.GENESIS
    life = (("submit", None, "submitted"), ("register", "submitted", "registered"), ("reply", "registered", "replied"))
    for action, before, after in life:
        said = text if action == "submit" else None
        facts = {"need_no": "XQ-2026-0001", "at": stamp(AT), "actor": "bot", "action": action, "from_state": before, "to_state": after}
        facts["digest"] = digest_of(old, said)
        now = hashlib.sha256((link + json.dumps(facts, ensure_ascii=False, sort_keys=True)).encode()).hexdigest()
        old.table("need_history").insert({**facts, "text_id": said, "previous": link, "link": now})
        link = now
    old.close()
    upgraded = Database(tmp_path / "old.db", "NORMAL")
    try:
        need = upgraded.read(lambda db: find_need(db, "XQ-2026-0001")).result()
        assert (need["registered_on"], need["urgency"], need["visibility"]) == ("2026-03-04", "一般", "院内")
        upgraded.write(lambda db: history.rebuild(db, RULES, CACHED)).result()
        assert upgraded.read(lambda db: history.verify(db, RULES)).result().first_break is None
        upgraded.write(lambda db: db.execute("UPDATE needs SET state = 'closed'")).result()
        assert upgraded.read(history.verify).result().first_break == "XQ-2026-0001 与它的历史不符"
    finally:
        upgraded.close()


# --- deadlines ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("day", "working_days", "due"),
    [
        ("2026-03-04", 7, "2026-03-13"),
        ("2026-03-06", 1, "2026-03-09"),
        ("2026-03-07", 1, "2026-03-09"),
        ("2026-02-13", 1, "2026-02-14"),  # a Saturday of make-up work before the Spring Festival
        ("2026-02-14", 1, "2026-02-24"),
        ("2026-09-30", 1, "2026-10-08"),
        ("2026-10-09", 1, "2026-10-10"),  # a Saturday of make-up work after National Day
        ("2026-12-31", 0, "2026-12-31"),
    ],
)
def test_working_days_follow_public_holidays_and_make_up_days(day: str, working_days: int, due: str) -> None:
    assert Calendar().after(date.fromisoformat(day), working_days) == date.fromisoformat(due)


def test_a_year_without_data_is_not_guessed() -> None:
    assert Calendar().is_working_day(date(2031, 3, 4)) is None
    assert Calendar().after(date(2030, 12, 31), 1) is None


def test_the_courts_own_calendar_wins_and_adds_years(tmp_path: Path) -> None:
    path = tmp_path / "calendar.csv"
    path.write_text("\ufeff2031-01-01,holiday\r\n2031-01-04,workday\r\n2026-03-05,holiday\r\n", encoding="utf-8")
    calendar = Calendar.load(path)
    assert calendar.is_working_day(date(2031, 1, 4)) is True and date(2031, 1, 4).weekday() == 5
    assert calendar.is_working_day(date(2031, 1, 1)) is False and calendar.is_working_day(date(2031, 1, 2)) is True
    assert calendar.after(date(2026, 3, 4), 1) == date(2026, 3, 6)
    assert calendar.is_working_day(date(2032, 1, 5)) is None
    assert Calendar.load(tmp_path / "none.csv") == Calendar()


@pytest.mark.parametrize("line", ["2027-13-01,holiday", "2027-01-01", "2027-01-01,休", "日期,类型", "2027-01-01,holiday,x"])
def test_a_calendar_line_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    (tmp_path / "calendar.csv").write_text(f"2027-01-01,holiday\n{line}\n", encoding="utf-8")
    with pytest.raises(Unreadable, match=r"calendar\.csv 第 2 行"):
        Calendar.load(tmp_path / "calendar.csv")


def test_a_calendar_in_another_encoding_is_read_or_refused(tmp_path: Path) -> None:
    (tmp_path / "calendar.csv").write_bytes("2027-01-01,holiday\n2027-02-06,假期\n".encode("gb18030"))
    with pytest.raises(Unreadable, match=r"calendar\.csv"):
        Calendar.load(tmp_path / "calendar.csv")


def test_due_dates_count_from_the_day_of_receipt() -> None:
    def due(received: str) -> date | None:
        steps: list[dict[str, Any]] = [
            {"day": date.fromisoformat(received[:10]), "from_state": None, "to_state": "submitted", "action": "submit", "details": {}}
        ]
        return timing(steps, RULES).due_on

    assert due("2026-03-04T23:59:00+08:00") == date(2026, 3, 13)
    assert due("2040-03-04T10:00:00+08:00") is None


# --- masking --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        (CARD, "370*************17"),
        (f"身份证{CARD}。", "身份证370*************17。"),
        ("370202198001010010", "370*************10"),  # 市南区, born before 1994
        ("370222199001010010", "370*************10"),  # 崂山县, as it was called until 1994
        ("370212190001010018", "370212190001010018"),
        ("11010519491231002x", "110*************2x"),
        ("13800138000", "138****8000"),
        ("电话+86 138 0013 8000，急", "电话138****8000，急"),
        ("１３８００１３８０００", "138****8000"),
        ("找我138-0013-8000", "找我138****8000"),
        ("单号20261122138001380001", "单号20261122138001380001"),
        ("6222020000000000000", "6222****0000"),
        ("4111 1111 1111 1111", "4111****1111"),
        ("6217000000000000013", "6217000000000000013"),
        ("91370212MA3TEXT0XF", "91370212MA3TEXT0XF"),
        ("913702127180000188", "913702127180000188"),
        ("0532-88881234", "0532-****1234"),
        ("053288881234", "0532-****1234"),
        ("邮箱zhang.san@example.com.cn", "邮箱z***@example.com.cn"),
        ("（2026）鲁0212民初123号，标的13800元", "（2026）鲁0212民初123号，标的13800元"),
        ("", ""),
    ],
)
def test_personal_numbers_are_masked_and_others_are_not(text: str, masked: str) -> None:
    assert mask(text) == masked
    assert mask(masked) == masked


def test_several_numbers_in_one_text() -> None:
    assert mask(f"张三{CARD},13800138000和13900139000") == "张三370*************17,138****8000和139****9000"


def test_names_and_phones_for_lists() -> None:
    assert (mask_name("欧阳修"), mask_name(None), mask_name("")) == ("欧××", "", "")
    assert (mask_phone("13800138000"), mask_phone("转 8012"), mask_phone(None)) == ("138****8000", "****", "")


# --- enterprises ----------------------------------------------------------------------------------------------------------


def test_a_chat_is_one_asker_and_one_person(database: Database) -> None:
    one, again, other = database.write(lambda db: [enterprise.asker_in(db, "web", chat, AT) for chat in (1, 1, 2)]).result()
    assert one == again and one.person_id != other.person_id and one.conversation == {} and not one.greeted
    database.write(lambda db: enterprise.save_conversation(db, one.id, {"step": "公司"})).result()
    assert database.write(lambda db: enterprise.asker_in(db, "web", 1, AT)).result().conversation == {"step": "公司"}


def test_profiles_are_tidied_cleared_and_never_too_long(database: Database) -> None:
    person = database.write(lambda db: enterprise.asker_in(db, "web", 1, AT)).result().person_id

    def sets(field: str, value: str | None) -> dict[str, str | None]:
        database.write(lambda db: enterprise.set_profile(db, person, field, value, AT)).result()
        return database.read(lambda db: enterprise.profile(db, person)).result()

    assert sets("uscc", " 9137 0212-ma3text0xf ")["uscc"] == "91370212MA3TEXT0XF"
    assert sets("company", "青岛某某（集团）公司")["company"] == "青岛某某(集团)公司"
    assert database.read(lambda db: row(db, "SELECT consented_at FROM persons")).result() == {"consented_at": None}
    assert sets("phone", "１３８００１３８０００")["phone"] == "13800138000"
    assert database.read(lambda db: row(db, "SELECT consented_at FROM persons")).result() == {"consented_at": stamp(AT)}
    assert sets("company", None)["company"] is None
    for field, value in (("company", "长" * 101), ("secret", "x"), ("id", "1")):
        with pytest.raises(BadInput):
            sets(field, value)


@pytest.mark.parametrize(
    "code", ["91370212MA3TEXT0XF", "91370212MA00000A9L", "92370212MAC123455Q", "913702127180000188", "91350100M000100Y43"]
)
def test_valid_company_codes_raise_no_warning(code: str) -> None:
    assert enterprise.uscc_warning(code) is None and enterprise.uscc_warning(f" {code[:4]}-{code[4:].lower()}") is None


@pytest.mark.parametrize(
    ("code", "said"), [("91370212MA3TEXT0XG", "校验位"), ("91370212MA3TEXTOXF", "字母"), ("9137021MA3TEXT0XF", "17 位")]
)
def test_odd_company_codes_are_warned_of(code: str, said: str) -> None:
    assert said in (enterprise.uscc_warning(code) or "")


def test_a_link_code_works_once_and_for_ten_minutes(database: Database) -> None:
    def askers(db: Db) -> list[enterprise.Asker]:
        return [enterprise.asker_in(db, channel, 1, AT) for channel in ("web", "telegram")]

    web, telegram = database.write(askers).result()
    database.write(lambda db: asks(db, "手机上问的")).result()
    late = database.write(lambda db: enterprise.link_code(db, web.person_id, AT)).result()
    with pytest.raises(BadInput):
        database.write(lambda db: enterprise.use_link_code(db, telegram, late, AT + timedelta(minutes=11))).result()
    code = database.write(lambda db: enterprise.link_code(db, web.person_id, AT)).result()
    assert len(code) == 8 and code.isdigit()
    kept = database.read(lambda db: rows(db, "SELECT code_hash FROM link_codes")).result()
    assert all(code not in item["code_hash"] for item in kept)
    database.write(lambda db: enterprise.use_link_code(db, telegram, f" {code}\n", AT + timedelta(minutes=10))).result()
    assert [asker.person_id for asker in database.write(askers).result()] == [web.person_id] * 2
    with pytest.raises(BadInput):
        database.write(lambda db: enterprise.use_link_code(db, telegram, code, AT)).result()


def everything(database: Database) -> str:
    """All that any table holds."""

    def read(db: Db) -> str:
        names = [item["name"] for item in rows(db, "SELECT name FROM sqlite_master WHERE type = 'table'")]
        return "\n".join(str(item) for name in names for item in rows(db, f'SELECT * FROM "{name}"'))

    return database.read(read).result()


def test_forgetting_leaves_nothing_of_a_person_but_numbers_dates_and_states(database: Database, tmp_path: Path) -> None:
    court = load_court(tmp_path)

    def live(db: Db) -> int:
        asker = enterprise.asker_in(db, "web", 1, AT)
        for field, value in (("company", "某某贸易公司"), ("contact", "张三丰"), ("phone", "13800138000")):
            enterprise.set_profile(db, asker.person_id, field, value, AT)
        payload = '{"message": {"text": "绿毛乌龟被人偷了"}}'
        db.execute(
            "INSERT INTO inbox (channel, update_key, chat_id, payload, address, received_at, outcome, done_at)"
            " VALUES ('web', 'k', 1, ?, '10.0.0.7', ?, 'need', ?)",
            [payload, stamp(AT), stamp(AT)],
        )
        no = asks(db, "绿毛乌龟被人偷了")
        move(db, no, "add", "asker", ASKER, AT, RULES, "乌龟叫阿福")
        asks(db, "别人的白猫跑了", chat_id=2)
        add_staff(db, "李登记", ["registrar"], AT, 900)
        Desk(court, RULES, load_topics()).urgent_new(db, Mail(db, AT), no, "绿毛乌龟被人偷了", "新需求")
        db.execute("UPDATE outbox SET state = 'delivered'")
        enterprise.save_conversation(db, asker.id, {"last": "绿毛乌龟"})
        return asker.person_id

    person = database.write(live).result()
    assert "绿毛乌龟" in everything(database)
    assert database.write(lambda db: enterprise.forget(db, person, AT)).result() == 2
    left = everything(database)
    assert "XQ-2026-0001" in left and "白猫" in left
    assert [word for word in ("某某贸易", "张三丰", "13800138000", "阿福", "10.0.0.7", "绿毛乌龟") if word in left] == []
    found = database.read(history.verify).result()
    assert (found.first_break, found.erased) == (None, 2)


def test_what_is_forgotten_is_gone_from_the_file(database: Database) -> None:
    word = "绿毛乌龟" * 300
    database.write(lambda db: asks(db, word)).result()
    database.write(lambda db: enterprise.forget(db, enterprise.asker_in(db, "web", 1, AT).person_id, AT)).result()
    database.close()
    connection = sqlite3.connect(database.path)
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    assert "绿毛乌龟".encode() not in database.path.read_bytes()


# --- library --------------------------------------------------------------------------------------------------------------


def entry(number: int, answer: str = "答", **fields: object) -> Entry:
    """An entry of a court's table."""
    return Entry(f"own:{number}", f"第{number}问", answer, **fields)  # type: ignore[arg-type]


def replaced(database: Database, *entries: Entry, origin: str = "files") -> library.Changes:
    return database.write(lambda db: library.replace_origin(db, origin, entries, AT)).result()


def states(database: Database) -> dict[str, str]:
    return {item["id"]: item["state"] for item in database.read(lambda db: rows(db, "SELECT id, state FROM entries")).result()}


def decides(database: Database, entry_id: str, state: str) -> None:
    database.write(lambda db: library.set_state(db, entry_id, state, AT, "王审核")).result()


def test_replacing_an_origin_tells_what_changed(database: Database) -> None:
    assert replaced(database, entry(1), entry(2), entry(3)).new == ["own:1", "own:2", "own:3"]
    replaced(database, Entry("S1", "自带", "答"), origin="shipped")
    changes = replaced(database, entry(1), entry(2, "改了"), entry(4))
    assert (changes.new, changes.changed, changes.same, changes.withdrawn) == (["own:4"], ["own:2"], ["own:1"], ["own:3"])
    assert states(database) == {"own:1": "published", "own:2": "published", "own:3": "withdrawn", "own:4": "published", "S1": "published"}
    again = replaced(database, entry(1), entry(2, "改了"), entry(4))
    assert (again.new, again.changed, again.withdrawn) == ([], [], [])
    assert replaced(database, entry(3)).changed == ["own:3"] and states(database)["own:3"] == "published"


def test_the_revision_grows_with_every_change_and_only_then(database: Database) -> None:
    def revision() -> int:
        return database.read(library.revision).result()

    assert revision() == 0
    replaced(database, entry(1))
    first = revision()
    replaced(database, entry(1))
    assert first > 0 and revision() == first
    decides(database, "own:1", "withdrawn")
    assert revision() > first
    before = revision()
    with pytest.raises(NotFound):
        decides(database, "own:9", "published")
    assert revision() == before


def test_every_version_is_kept(database: Database) -> None:
    for answer in ("一", "二", "一"):
        replaced(database, entry(1, answer))
    kept = database.read(lambda db: rows(db, "SELECT body FROM entry_versions")).result()
    assert [Entry.from_json(item["body"]).answer for item in kept] == ["一", "二"]


def test_a_reviewers_mark_lasts_as_long_as_the_content(database: Database) -> None:
    replaced(database, entry(1))
    decides(database, "own:1", "published")
    replaced(database, entry(1))
    found = database.read(lambda db: library.published(db, "own:1", AT.date())).result()
    assert found is not None and (found.reviewed_by, found.reviewed_at) == ("王审核", stamp(AT))
    replaced(database, entry(1, "改了"))
    found = database.read(lambda db: library.published(db, "own:1", AT.date())).result()
    assert found is not None and found.reviewed_by is None and found.entry.answer == "改了"


def test_a_draft_that_a_reviewer_published_stays_published(database: Database) -> None:
    replaced(database, entry(1, state="draft"))
    assert [item.id for item in database.read(library.waiting_for_review).result()] == ["own:1"]
    assert database.read(library.all_published).result() == []
    decides(database, "own:1", "published")
    assert replaced(database, entry(1, state="draft")).same == ["own:1"]
    assert states(database) == {"own:1": "published"} and database.read(library.waiting_for_review).result() == []


def test_what_a_person_withdrew_stays_withdrawn_whatever_its_source_says(database: Database) -> None:
    replaced(database, entry(1))
    decides(database, "own:1", "withdrawn")
    for answer in ("答", "改了", "改了", "又改了"):
        replaced(database, entry(1, answer))
        assert states(database) == {"own:1": "withdrawn"}, answer


def test_an_import_does_not_take_over_what_the_console_made(database: Database) -> None:
    database.write(lambda db: library.put_entry(db, "console", entry(1, "工作人员写的"), AT)).result()
    decides(database, "own:1", "published")
    replaced(database, entry(1, "文件里的"))
    replaced(database)
    found = database.read(lambda db: library.published(db, "own:1", AT.date())).result()
    assert found is not None and (found.origin, found.entry.answer) == ("console", "工作人员写的")


@pytest.mark.parametrize(
    ("since", "until", "is_valid"), [(None, None, True), (0, 0, True), (1, None, False), (None, -1, False), (-1, 1, True)]
)
def test_only_what_is_valid_today_answers(database: Database, since: int | None, until: int | None, is_valid: bool) -> None:
    today = AT.date()
    dates = [None if days is None else today + timedelta(days=days) for days in (since, until)]
    replaced(database, entry(1, valid_from=dates[0], valid_until=dates[1]))
    found = database.read(lambda db: library.published(db, "own:1", today)).result()
    assert (found is not None) == is_valid


def test_an_entry_survives_storage_whole() -> None:
    whole = Entry(
        "x:第三条",
        "问",
        "答\n二",
        kind="passage",
        topic="B01",
        wordings=("甲", "乙"),
        basis=(Citation("民法典", "第一条", "2021-01-01"), Citation("批复", "一")),
        valid_from=date(2026, 1, 1),
        place="《办法》第三条",
        state="draft",
    )
    assert Entry.from_json(whole.to_json()) == whole and whole.content_hash() == Entry.from_json(whole.to_json()).content_hash()


# --- the court's configuration --------------------------------------------------------------------------------------------


def configured(folder: Path, text: str) -> Callable[[], object]:
    folder.mkdir(exist_ok=True)
    (folder / "court.yaml").write_text(text, encoding="utf-8")
    return lambda: load_court(folder)


def test_shipped_defaults_are_a_demonstration(tmp_path: Path) -> None:
    court = load_court(tmp_path)
    assert court.is_demo and court.watermark == "演示，非法院正式服务" and court.own_keys == ()
    assert court.answer_days == 7 and "中韩街道" in court.streets and court.notify_roles == ("registrar",)


@pytest.mark.parametrize(
    ("text", "is_demo"),
    [("court_name: 某法院", True), ("confirmed_by: 张三", True), ("court_name: 某法院\nconfirmed_by: 张三 2026-11-22", False)],
)
def test_a_court_is_named_and_confirmed_or_a_demonstration(tmp_path: Path, text: str, is_demo: bool) -> None:
    configured(tmp_path, text)
    assert load_court(tmp_path).is_demo == is_demo


def test_the_courts_own_keys_win_one_by_one(tmp_path: Path) -> None:
    configured(tmp_path, "answer_working_days: {一般: 5}\nstreets: [甲街道]\n")
    court = load_court(tmp_path)
    assert court.answer_days == 5 and court.streets[0] == "甲街道" and "金家岭金融区" in court.streets
    assert court.messages_per_minute == 20 and court.own_keys == ("answer_working_days", "streets")


@pytest.mark.parametrize(
    "text",
    [
        "cort_name: 某法院",
        "- 一项",
        "只有文字",
        "a: [1",
        "answer_working_days: 七",
        "answer_working_days: {一般: 七}",
        "messages_per_minute: 很多",
        "streets: 中韩街道",
        "notify_new_needs: registrar",
        "notify_new_needs: [regstrar]",
        "messages_per_minute: 0",
        "answer_working_days: {一般: -3}",
    ],
)
def test_a_configuration_that_cannot_be_meant_is_refused_by_name(tmp_path: Path, text: str) -> None:
    with pytest.raises(Unreadable, match=r"court\.yaml"):
        configured(tmp_path, text)()


def test_the_taxonomy_has_its_hundred_leaves() -> None:
    topics = load_topics()
    assert len(topics) == 100 and topics["A01"].group == "A" and all(code == topic.code for code, topic in topics.items())
