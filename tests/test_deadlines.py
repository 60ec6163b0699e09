"""What is due when: working days, pauses, holidays with their make-up days, and rules that change after the fact."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import replies
from bot.console.today import read_today
from bot.settings import Settings
from bot.startup import Opened
from knowledge.clock import BEIJING
from knowledge.database import Db, row
from knowledge.errors import BadInput, Unreadable
from knowledge.ledger import history
from knowledge.ledger.deadlines import Calendar
from knowledge.ledger.record import CACHED, PROJECTED
from tests.courthouse import Court
from tests.office import MONDAY, Opening

FRIDAY = MONDAY + timedelta(days=4)
BEFORE_NATIONAL_DAY = datetime(2026, 9, 30, 16, 0, tzinfo=BEIJING)
"""Off from 1 to 7 October; Saturday the 10th is worked."""
LAST_DAYS = datetime(2026, 12, 28, 9, 0, tzinfo=BEIJING)
"""Nobody has announced the holidays of 2027 yet."""


def due(court: Court, no: str) -> tuple[Any, Any, Any]:
    """The day of the answer, and what is owed next by when."""
    need = court.look(no)
    return need["due_on"], need["duty"], need["duty_on"]


# --- The calendar -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("first", "days", "last"),
    [
        ("2026-11-16", 0, "2026-11-16"),
        ("2026-11-16", 1, "2026-11-17"),
        ("2026-11-20", 1, "2026-11-23"),
        ("2026-11-21", 1, "2026-11-23"),
        ("2026-09-30", 1, "2026-10-08"),
        ("2026-09-30", 3, "2026-10-10"),
        ("2026-09-30", 7, "2026-10-15"),
        ("2026-10-03", 1, "2026-10-08"),
        ("2026-12-31", 1, None),
        ("2026-12-25", 4, "2026-12-31"),
        ("2026-12-25", 5, None),
    ],
)
def test_working_days_by_the_state_councils_calendar(first: str, days: int, last: str | None) -> None:
    assert Calendar().after(date.fromisoformat(first), days) == (date.fromisoformat(last) if last else None)


@given(st.dates(date(2026, 1, 1), date(2026, 11, 1)), st.integers(0, 30))
def test_counting_forth_back_and_between_agree(first: date, days: int) -> None:
    calendar = Calendar()
    last = calendar.after(first, days)
    assert last is not None
    assert calendar.between(first, last) == days
    back = calendar.before(last, days)
    assert back is None or calendar.between(back, last) == days


def test_the_courts_own_days_win_and_make_a_year_known(tmp_path: Path) -> None:
    path = tmp_path / "calendar.csv"
    path.write_text("2027-01-01,holiday\n 2027-01-02 , workday\n2026-11-17,holiday\n", encoding="utf-8-sig")
    calendar = Calendar.load(path)
    assert calendar.after(date(2026, 11, 16), 1) == date(2026, 11, 18)
    assert calendar.after(date(2026, 12, 31), 2) == date(2027, 1, 4), "a Saturday that is worked, then Monday"
    assert calendar.is_working_day(date(2028, 1, 3)) is None


@pytest.mark.parametrize("line", ["2027-01-01", "2027-01-01,maybe", "2027-02-30,holiday", "1.1.2027,holiday", "a,b,c", ""])
def test_a_line_of_the_calendar_that_cannot_be_read_is_named(tmp_path: Path, line: str) -> None:
    path = tmp_path / "calendar.csv"
    path.write_text(f"2027-01-02,holiday\n{line}\n2027-01-04,holiday\n")
    with pytest.raises(Unreadable, match="第 2 行"):
        Calendar.load(path)


# --- What is due --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("urgency", "at", "last"),
    [
        ("一般", MONDAY, "2026-11-25"),
        ("较急", MONDAY, "2026-11-19"),
        ("紧急", MONDAY, "2026-11-17"),
        ("特急", MONDAY, "2026-11-17"),
        ("一般", FRIDAY, "2026-12-01"),
        ("紧急", FRIDAY, "2026-11-23"),
        ("一般", BEFORE_NATIONAL_DAY, "2026-10-15"),
        ("较急", BEFORE_NATIONAL_DAY, "2026-10-10"),
    ],
)
def test_the_answer_is_due_by_urgency(court: Court, urgency: str, at: datetime, last: str) -> None:
    court.at = at
    assert court.look(court.need(urgency=urgency))["due_on"] == last


def test_taking_in_signing_and_answering_are_owed_one_after_the_other(court: Court) -> None:
    court.at = FRIDAY
    no = court.need()
    assert due(court, no) == ("2026-12-01", "受理", "2026-11-23")
    court.moves(no, "register")
    assert due(court, no) == ("2026-12-01", "答复", "2026-12-01")
    court.passes(days=3)
    court.moves(no, "assign", division="civil")
    assert due(court, no) == ("2026-12-01", "签收", "2026-11-24")
    court.moves(no, "accept")
    assert due(court, no) == ("2026-12-01", "答复", "2026-12-01")
    court.moves(no, "reply")
    assert due(court, no) == ("2026-12-01", None, None)


def test_what_is_urgent_is_never_due_later_than_the_small_steps(court: Court) -> None:
    no = court.need(urgency="紧急")
    court.passes(days=4)
    court.moves(no, "register", "assign")
    assert due(court, no) == ("2026-11-17", "答复", "2026-11-17"), "overdue already: a day for signing would hide it"


@pytest.mark.parametrize(
    ("source", "urgency", "last"),
    [
        ("来信", "一般", "2026-12-07"),
        ("来信", "较急", "2026-11-19"),
        ("信访", "一般", "2026-11-18"),
        ("信访", "较急", "2026-11-18"),
        ("来电", "一般", "2026-11-25"),
    ],
)
def test_a_kind_of_its_own_has_its_own_days(db: Db, source: str, urgency: str, last: str) -> None:
    court = Court(db, answer_days_by_source={"来信": 15, "信访": 2})
    no = court.need(urgency=urgency, source=source)
    assert court.look(no)["due_on"] == last


def test_the_clock_starts_when_a_paper_came_in_and_follows_a_corrected_day(court: Court) -> None:
    clerk = court.staff("王敏", "registrar")
    no = court.need(received_at="2026-11-13")
    assert due(court, no) == ("2026-11-24", "受理", "2026-11-16")
    court.does(lambda db, mail: court.desk.edit(db, no, clerk, court.at, {"received_at": "2026-11-11"}))
    assert court.look(no)["received_at"] == "2026-11-11"
    assert court.look(no)["due_on"] == "2026-11-20"


def test_a_very_urgent_need_is_called_about_first(court: Court) -> None:
    me = court.staff("王敏", "handler")
    no = court.need(urgency="特急")
    assert (court.look(no)["duty"], court.look(no)["duty_on"]) == ("电话联系", "2026-11-16")
    court.moves(no, "register", "assign", "accept")
    assert court.look(no)["duty"] == "电话联系", "whatever else is done"
    with pytest.raises(BadInput, match="理由或内容"):
        court.step(no, "call", me, " ")
    court.step(no, "call", me, "已电话联系，约定明天上门")
    assert (court.look(no)["duty"], court.look(no)["duty_on"]) == ("答复", "2026-11-17")
    court.moves(no, "ask_extension", "submit_reply", "approve", "reopen")
    assert court.look(no)["duty"] == "答复", "once is enough"
    assert court.is_whole()


def test_what_becomes_very_urgent_later_is_called_about_from_that_day(court: Court) -> None:
    no = court.need()
    court.passes(days=4)
    court.moves(no, "edit", urgency="特急")
    assert (court.look(no)["duty"], court.look(no)["duty_on"]) == ("电话联系", "2026-11-20")


def test_a_raised_urgency_moves_the_day_and_a_lowered_one_moves_it_back(court: Court) -> None:
    no = court.need()
    for urgency, last in (("较急", "2026-11-19"), ("特急", "2026-11-17"), ("一般", "2026-11-25")):
        court.moves(no, "edit", urgency=urgency)
        assert court.look(no)["due_on"] == last


# --- Pauses -------------------------------------------------------------------------------------------------------------------

PAUSES = {
    "need_info": ([], "ask_asker", "complete"),
    "waiting": (["register", "assign", "accept"], "ask_enterprise", "resume"),
    "suspended": (["register"], "suspend", "continue"),
}


@pytest.mark.parametrize("kind", PAUSES)
@pytest.mark.parametrize(
    ("begins", "days", "more"),
    [(MONDAY, 0, 0), (MONDAY, 2, 2), (FRIDAY, 3, 1), (FRIDAY, 2, 0), (FRIDAY, 10, 6)],
    ids=["within a day", "two days", "a weekend", "into the weekend", "two weekends"],
)
def test_a_pause_lengthens_by_the_working_days_it_covers(court: Court, kind: str, begins: datetime, days: int, more: int) -> None:
    first, stop, go_on = PAUSES[kind]
    court.at = begins
    no = court.need()
    court.moves(no, *first)
    plain = court.look(no)["due_on"]
    court.moves(no, stop)
    assert court.look(no)["paused_since"] == begins.date().isoformat()
    assert due(court, no)[1:] == (None, None), "nothing is due while it stands still"
    court.passes(days=days)
    court.moves(no, go_on)
    assert court.look(no)["paused_since"] is None
    assert court.look(no)["due_on"] == _later(plain, more)


def test_a_pause_over_the_national_holiday(court: Court) -> None:
    court.at = BEFORE_NATIONAL_DAY
    no = court.need()
    court.moves(no, "ask_asker")
    court.passes(days=10)
    court.moves(no, "complete")
    assert court.at.date() == date(2026, 10, 10)
    assert court.look(no)["due_on"] == _later("2026-10-15", 3), "8, 9 and 10 October are worked"


def test_pauses_add_up_and_one_within_another_counts_once(court: Court) -> None:
    no = court.need()
    court.moves(no, "ask_asker")
    court.passes(days=1)
    court.moves(no, "suspend", until="2026-11-30")
    assert court.look(no)["paused_since"] == "2026-11-16"
    assert due(court, no)[1:] == ("恢复办理", "2026-11-30")
    court.passes(days=1)
    court.moves(no, "continue")
    assert (court.look(no)["state"], court.look(no)["paused_since"]) == ("need_info", "2026-11-16")
    court.moves(no, "complete")
    assert court.look(no)["due_on"] == _later("2026-11-25", 2)
    court.moves(no, "register", "suspend", until="2026-12-30")
    court.passes(days=5)
    court.moves(no, "continue")
    assert court.look(no)["due_on"] == _later("2026-11-25", 5)


def test_taking_in_is_not_overdue_because_the_enterprise_was_asked_for_more(court: Court) -> None:
    no = court.need()
    court.moves(no, "ask_asker")
    court.passes(days=8)
    court.moves(no, "complete")
    assert due(court, no)[1:] == ("受理", "2026-11-25"), "a working day after the pause, as a working day after receipt without it"


# --- Extension, reopening, receipts -------------------------------------------------------------------------------------------


def test_an_extension_replaces_the_day_and_a_later_one_replaces_that(court: Court) -> None:
    no = court.need()
    court.moves(no, "register", "extend", due_on="2026-12-04")
    assert court.look(no)["due_on"] == "2026-12-04"
    court.moves(no, "extend", due_on="2026-12-11")
    assert due(court, no) == ("2026-12-11", "答复", "2026-12-11")


def test_a_pause_after_an_extension_lengthens_too(court: Court) -> None:
    no = court.need()
    court.moves(no, "register", "extend", due_on="2026-12-04")
    court.moves(no, "suspend", until="2026-11-30")
    court.passes(days=2)
    court.moves(no, "continue")
    assert court.look(no)["due_on"] == _later("2026-12-04", 2)


@pytest.mark.parametrize("last", ["reply", "close"])
def test_reopening_starts_anew(court: Court, last: str) -> None:
    no = court.need()
    court.moves(no, "ask_asker")
    court.passes(days=1)
    court.moves(no, "complete", "register", "extend", due_on="2026-12-30")
    court.moves(no, *(["reply"] if last == "reply" else ["reply", "close"]))
    court.at = FRIDAY
    court.moves(no, "reopen")
    assert due(court, no) == ("2026-12-01", "答复", "2026-12-01")
    assert court.look(no)["replied_on"] is None


def test_going_on_with_a_reopened_need_is_not_reopening_it_again(court: Court) -> None:
    no = court.need()
    court.moves(no, "reply", "reopen", "suspend", until="2026-11-30")
    court.passes(days=2)
    court.moves(no, "continue")
    assert (court.look(no)["state"], court.look(no)["due_on"]) == ("reopened", _later("2026-11-25", 2))
    court.moves(no, "extend", due_on="2026-12-30")
    court.moves(no, "suspend", until="2026-12-01")
    court.moves(no, "continue")
    assert court.look(no)["due_on"] == "2026-12-30"


def test_a_receipt_from_outside_is_owed_by_its_own_day(court: Court) -> None:
    no = court.need()
    court.moves(no, "register", "assign", "accept")
    court.moves(no, "transfer", until="2026-11-20", partners=["directory:1"])
    assert due(court, no) == ("2026-11-25", "转办回执", "2026-11-20")


def test_the_end_of_a_suspension_is_not_taken_for_the_day_of_a_receipt(court: Court) -> None:
    no = court.need()
    court.moves(no, "register", "assign", "accept")
    court.moves(no, "suspend", until="2026-11-17")
    court.moves(no, "continue")
    court.moves(no, "transfer", partners=["directory:1"])
    assert due(court, no) == ("2026-11-25", "答复", "2026-11-25")


@pytest.mark.parametrize(("days", "on_time"), [(9, True), (10, False)])
def test_replied_on_the_due_day_is_on_time(court: Court, days: int, on_time: bool) -> None:
    no = court.need()
    court.moves(no, "register")
    court.passes(days=days, hours=14)
    court.moves(no, "reply")
    need = court.look(no)
    assert (need["due_on"], need["replied_on"] <= need["due_on"]) == ("2026-11-25", on_time)


def test_the_first_answer_counts_and_a_second_one_does_not_move_it(court: Court) -> None:
    no = court.need()
    court.moves(no, "reply")
    court.passes(days=30)
    court.moves(no, "reply")
    assert court.look(no)["replied_on"] == "2026-11-16"


# --- Rules that change, years without data ------------------------------------------------------------------------------------


def test_an_edited_calendar_or_rule_recomputes_the_past_and_nothing_else(tmp_path: Path) -> None:
    def opened() -> Opened:
        found = Opened(Settings(data_dir=tmp_path), clock=lambda: MONDAY)
        found.follow_rules()
        return found

    def columns(db: Db) -> dict[str, Any]:
        return row(db, f"SELECT {', '.join(PROJECTED)} FROM needs") or {}

    first = opened()

    def ask(db: Db) -> str:
        court = Court(db)
        no = court.need(urgency="较急")
        court.moves(no, "register", "suspend", until="2026-11-30")
        court.passes(days=2)
        court.moves(no, "continue")
        return no

    no = first.database.write(ask).result()
    before = first.database.read(columns).result()
    assert before["due_on"] == "2026-11-23"
    first.close()

    (tmp_path / "calendar.csv").write_text("2026-11-20,holiday\n2026-11-17,holiday\n")
    second = opened()
    after = second.database.read(columns).result()
    # Three working days and one of the pause, without the 17th and the 20th: 18, 19, 23, 24.
    assert after["due_on"] == "2026-11-24"
    assert {name for name in PROJECTED if after[name] != before[name]} <= set(CACHED)
    assert second.database.read(lambda db: history.verify(db, second.rules)).result().first_break is None
    second.close()

    (tmp_path / "court.yaml").write_text("answer_working_days: {较急: 5}\n")
    third = opened()
    assert third.database.read(columns).result()["due_on"] == "2026-11-26"
    third.close()
    (tmp_path / "court.yaml").unlink()
    (tmp_path / "calendar.csv").unlink()
    last = opened()
    assert last.database.read(columns).result() == before
    assert last.rebuild_ledger() == 0
    assert no == "XQ-2026-0001"
    last.close()


def test_a_year_without_data_has_no_day_and_says_so(court: Court) -> None:
    court.at = LAST_DAYS
    no = court.need()
    assert due(court, no) == (None, "受理", "2026-12-29")
    assert "预计 7 个工作日内答复" in (replies.receipt(no, None, 7).text or "")
    me = court.staff("王敏", "registrar", "handler")
    assert read_today(court.db, court.desk, me, LAST_DAYS.date()).calendar_missing == 2027
    assert read_today(court.db, court.desk, me, date(2027, 2, 1)).calendar_missing == 2027
    assert read_today(court.db, court.desk, me, date(2026, 3, 2)).calendar_missing is None
    court.at = datetime(2027, 1, 6, 9, 0, tzinfo=BEIJING)
    late = court.need()
    assert due(court, late) == (None, "受理", None), "what is owed is still said"
    assert court.is_whole()


async def test_the_pages_say_that_the_calendar_is_missing(open_office: Opening) -> None:
    office = await open_office()
    clerk = await office.clerk("王敏", "registrar", "handler")
    office.at = LAST_DAYS
    clerk = await office.clerk("李强", "registrar", "handler")
    no = office.need()
    office.does(lambda db: Court(db).moves(no, "register"))
    assert "没有这一年的工作日历" in (await clerk.opens(f"/console/needs/{no}")).text
    assert "2027" in (await clerk.opens("/console")).text


def _later(day: str, working_days: int) -> str:
    found = Calendar().after(date.fromisoformat(day), working_days)
    assert found
    return found.isoformat()
