"""The round of every few minutes: reminders once, in daytime, to the right people; closing what was answered and delivered."""

from datetime import datetime
from typing import Any

import pytest

from bot.outbox import Mail
from bot.rounds import make_round
from knowledge.clock import BEIJING, stamp
from knowledge.database import Db, row, rows
from knowledge.ledger.needs import move
from knowledge.ledger.workflow import ASKER
from tests.courthouse import CROWD, Court


def at(day: str, hour: int = 9) -> datetime:
    return datetime.fromisoformat(day).replace(hour=hour, tzinfo=BEIJING)


def round_at(court: Court, day: str, hour: int = 9) -> list[tuple[int, str]]:
    """The messages of one round: to whom (the number of the staff) and what."""
    court.at = at(day, hour)
    before = len(court.sent())
    court.does(lambda db, mail: make_round(db, mail, court.desk, court.at))
    return [(chat - 9000, text) for _, chat, text in court.sent()[before:]]


def alerts(court: Court, no: str) -> list[str]:
    return [item["level"] for item in rows(court.db, "SELECT level FROM alerts WHERE need_no = ? ORDER BY raised_at, level", no)]


def in_progress(court: Court, handler: Any, **details: Any) -> str:
    no = court.need(handler=handler.id, **details)
    court.moves(no, "register", "assign", "accept")
    return no


# --- Reminders ----------------------------------------------------------------------------------------------------------------


def test_amber_red_and_escalated_each_once(court: Court) -> None:
    handler, watcher = court.staff("承办", "handler"), court.staff("督办", "supervisor")
    no = in_progress(court, handler)  # Due on Wednesday the 25th.
    heard = {day: round_at(court, day) for day in ("2026-11-23", "2026-11-24", "2026-11-25", "2026-11-26", "2026-11-27", "2026-11-30")}
    assert heard["2026-11-23"] == []
    assert [(who, "快到期" in text and no in text) for who, text in heard["2026-11-24"]] == [(handler.id, True)]
    assert heard["2026-11-25"] == [], "told yesterday that it is due today"
    assert [(who, "已超期" in text) for who, text in heard["2026-11-26"]] == [(handler.id, True)]
    assert heard["2026-11-27"] == []
    assert [(who, "超期督办" in text) for who, text in heard["2026-11-30"]] == [(watcher.id, True)], "three working days late"
    assert round_at(court, "2026-12-01") == round_at(court, "2026-11-30") == []
    assert alerts(court, no) == ["soon", "late", "escalated"]


def test_a_round_repeated_says_nothing_twice(court: Court) -> None:
    handler = court.staff("承办", "handler")
    in_progress(court, handler)
    assert len(round_at(court, "2026-11-24")) == 1
    assert [round_at(court, "2026-11-24", hour) for hour in (9, 10, 17)] == [[], [], []]


def test_one_message_for_each_chat_however_many_needs(court: Court) -> None:
    one, two = court.staff("甲", "handler"), court.staff("乙", "handler")
    mine = [in_progress(court, one, question=f"第{n}件，电话13812345678<b>") for n in range(25)]
    theirs = in_progress(court, two)
    heard = dict(round_at(court, "2026-11-24"))
    assert set(heard) == {one.id, two.id}
    assert sum(no in heard[one.id] for no in mine) == 20 and "另有 5 件" in heard[one.id]
    assert theirs in heard[two.id] and theirs not in heard[one.id]
    assert "电话" not in heard[one.id] and "&lt;" not in heard[one.id], "no word of a question: the message would outlive its erasure"


@pytest.mark.parametrize(
    ("day", "hour"),
    [("2026-11-24", 7), ("2026-11-24", 18), ("2026-11-24", 0), ("2026-11-28", 10), ("2026-11-29", 10)],
)
def test_nobody_is_reminded_at_night_or_on_a_day_off(court: Court, day: str, hour: int) -> None:
    handler = court.staff("承办", "handler")
    no = in_progress(court, handler)
    assert round_at(court, day, hour) == []
    assert alerts(court, no) == [], "and it is not forgotten"
    court.staff("督办", "supervisor")
    assert len(round_at(court, "2026-11-30", 8)) == 1


def test_holidays_are_silent_and_a_worked_saturday_is_not(court: Court) -> None:
    handler = court.staff("承办", "handler")
    court.at = at("2026-09-28")
    in_progress(court, handler, urgency="较急")
    assert row(court.db, "SELECT due_on FROM needs") == {"due_on": "2026-10-08"}
    assert round_at(court, "2026-10-01") == round_at(court, "2026-10-07") == []
    assert len(round_at(court, "2026-10-10")) == 1


def test_a_year_without_a_calendar_is_not_silent(court: Court) -> None:
    handler = court.staff("承办", "handler")
    court.at = at("2026-12-28")
    no = in_progress(court, handler, urgency="较急")
    court.moves(no, "extend", due_on="2027-01-05")
    assert round_at(court, "2027-01-04") == [], "the next working day is not known"
    assert [(who, "快到期" in text) for who, text in round_at(court, "2027-01-05")] == [(handler.id, True)]
    assert [(who, "已超期" in text) for who, text in round_at(court, "2027-01-06")] == [(handler.id, True)]


def test_who_is_reminded_follows_the_state(court: Court) -> None:
    people = {role: court.staff(f"某{role}", role) for role in ("registrar", "assigner", "handler", "reviewer", "supervisor")}
    waiting = court.need()
    registered = court.need()
    court.moves(registered, "register")
    own = in_progress(court, people["handler"])
    reviewed = in_progress(court, people["handler"])
    court.moves(reviewed, "submit_reply")
    paused = in_progress(court, people["handler"])
    court.moves(paused, "ask_enterprise")
    answered = court.need()
    court.moves(answered, "reply")
    heard = dict(round_at(court, "2026-11-17"))
    assert set(heard) == {people["registrar"].id} and waiting in heard[people["registrar"].id]
    heard = dict(round_at(court, "2026-11-24"))
    assert registered in heard[people["assigner"].id]
    assert own in heard[people["handler"].id] and reviewed not in heard[people["handler"].id]
    assert reviewed in heard[people["reviewer"].id]
    everything = "\n".join(heard.values())
    assert paused not in everything and answered not in everything


def test_a_suspension_that_ends_is_remembered(court: Court) -> None:
    head = court.staff("分派", "assigner")
    no = court.need()
    court.moves(no, "register", "suspend", until="2026-11-20")
    owned = court.need(handler=court.staff("承办", "handler").id)
    court.moves(owned, "register", "suspend", until="2026-11-20")
    (heard,) = round_at(court, "2026-11-19")
    assert heard[0] == head.id and "恢复办理" in heard[1] and no in heard[1] and owned in heard[1], "only the assigner can end it"


@pytest.mark.parametrize("level", ["soon", "late", "escalated"])
def test_a_restricted_need_is_remembered_by_the_duty_person_and_its_handler_alone(db: Db, level: str) -> None:
    court = Court(db, duty_persons={"群体性": "值班员"})
    for role in ("registrar", "assigner", "reviewer", "supervisor", "auditor", "admin", "handler"):
        court.staff(f"某{role}", role)
    duty, handler = court.staff("值班员", "handler"), court.staff("专办", "handler")
    court.sensitive_need()
    court.moves(court.sensitive_need(handler=handler.id), "register", "assign", "accept")
    day = {"soon": "2026-11-24", "late": "2026-11-26", "escalated": "2026-12-07"}[level]
    assert {who for who, _ in round_at(court, day)} == {duty.id, handler.id}


def test_a_need_restricted_by_hand_is_not_told_to_who_may_not_see_it(court: Court) -> None:
    clerk, head, watcher = court.staff("登记", "registrar"), court.staff("分派", "assigner"), court.staff("督办", "supervisor")
    for actions in ([], ["register"]):
        no = court.need(CROWD)
        court.moves(no, *actions)
        court.step(no, "restrict", watcher, "涉及重点企业", visibility="专班")
    assert {who for who, _ in round_at(court, "2026-11-24")} <= {watcher.id, head.id}
    assert court.told(clerk) == []


def test_a_new_term_is_a_new_reminder(court: Court) -> None:
    handler = court.staff("承办", "handler")
    no = in_progress(court, handler)
    assert len(round_at(court, "2026-11-26")) == 1
    court.moves(no, "extend", due_on="2026-12-04")
    assert round_at(court, "2026-11-27") == []
    assert len(round_at(court, "2026-12-03")) == 1


# --- Closing ------------------------------------------------------------------------------------------------------------------


def answered(court: Court, delivered: str | None = "2026-11-16", **details: Any) -> str:
    """A need answered on Monday the 16th; its answer was delivered on that day (None: not yet)."""
    clerk = court.staff(f"登记{len(court.sent())}", "registrar")
    no = court.need(**details)
    court.does(lambda db, mail: court.desk.reply(db, mail, no, clerk, "答复", court.at))
    arrive(court, no, delivered)
    return no


def arrive(court: Court, no: str, day: str | None, state: str = "delivered") -> None:
    if day:
        court.db.execute("UPDATE outbox SET state = ?, delivered_at = ? WHERE need_no = ?", [state, stamp(at(day, 10)), no])


def test_what_was_answered_and_delivered_is_closed_after_a_silent_week(court: Court) -> None:
    no = answered(court)
    round_at(court, "2026-11-23", 23)
    assert court.look(no)["state"] == "replied"
    round_at(court, "2026-11-24", 3)
    need = court.look(no)
    assert (need["state"], need["closed_on"], need["solved"]) == ("closed", "2026-11-24", None), "closed is not solved"
    steps = court.steps(no)
    round_at(court, "2026-11-25")
    assert court.steps(no) == steps == ["submit", "reply", "close"]
    assert court.is_whole()


@pytest.mark.parametrize("delivered", [None, "failed", "late"])
def test_what_has_not_arrived_is_not_closed(court: Court, delivered: str | None) -> None:
    no = answered(court, None)
    if delivered == "failed":
        court.db.execute("UPDATE outbox SET state = 'failed', error = '对方已停用'")
    if delivered == "late":
        arrive(court, no, "2026-11-30")
    round_at(court, "2026-12-01")
    assert court.look(no)["state"] == "replied"
    arrive(court, no, "2026-12-01")
    round_at(court, "2026-12-08")
    assert court.look(no)["state"] == "replied"
    round_at(court, "2026-12-09")
    assert court.look(no)["state"] == "closed"


def test_a_word_of_the_asker_keeps_it_open(court: Court) -> None:
    no = answered(court)
    court.at = at("2026-11-20")
    move(court.db, no, "add", "asker", ASKER, court.at, court.rules, "还有一个问题")
    round_at(court, "2026-11-27")
    assert court.look(no)["state"] == "replied"
    round_at(court, "2026-11-28")
    assert court.look(no)["state"] == "closed"


def test_who_was_told_by_phone_is_closed_by_a_person(court: Court) -> None:
    clerk = court.staff("登记", "registrar")
    no = court.need()
    court.db.execute("UPDATE askings SET asker_id = NULL WHERE need_no = ?", [no])
    court.does(lambda db, mail: court.desk.reply(db, mail, no, clerk, "答复", court.at))
    round_at(court, "2026-12-30")
    assert court.look(no)["state"] == "replied"
    court.step(no, "close", clerk, outcome="答复解决")
    assert court.look(no)["state"] == "closed"


def test_of_two_needs_of_one_enterprise_answered_together_neither_is_closed_before_the_answer_arrived(court: Court) -> None:
    clerk = court.staff("登记", "registrar")
    lead, member = court.need(chat=5), court.need(chat=5)
    court.moves(member, "merge", lead_no=lead)
    assert court.does(lambda db, mail: court.desk.reply(db, mail, lead, clerk, "一并答复", court.at)) == 1
    round_at(court, "2026-12-30")
    assert [court.look(no)["state"] for no in (lead, member)] == ["replied", "replied"]


def test_an_answer_that_reached_nobody_is_not_closed_by_itself(court: Court) -> None:
    clerk = court.staff("登记", "registrar")
    no = court.need()
    court.db.execute("UPDATE askings SET asker_id = NULL, person_id = NULL WHERE need_no = ?", [no])
    assert court.does(lambda db, mail: court.desk.reply(db, mail, no, clerk, "答复", court.at)) == 0
    round_at(court, "2026-12-30")
    assert court.look(no)["state"] == "replied"


# --- Killed in between --------------------------------------------------------------------------------------------------------


class Killed(Exception):
    """The process ended here."""


class MailUntil(Mail):
    """Mail that is killed at its n-th message."""

    def __init__(self, court: Court, last: int) -> None:
        super().__init__(court.db, court.at)
        self._left = last

    def send(self, *args: Any) -> list[int]:
        if self._left == 0:
            raise Killed
        self._left -= 1
        return super().send(*args)


def test_a_round_that_is_killed_has_done_nothing_and_the_next_one_does_all(court: Court) -> None:
    handlers = [court.staff(f"承办{n}", "handler") for n in range(3)]
    for handler in handlers:
        in_progress(court, handler)
    done = answered(court)
    court.at = at("2026-11-24")
    before = (court.footprint(), court.db["alerts"].count, court.look(done))
    for last in range(3):
        with pytest.raises(Killed), court.db.atomic():
            make_round(court.db, MailUntil(court, last), court.desk, court.at)
        assert (court.footprint(), court.db["alerts"].count, court.look(done)) == before
    assert {who for who, _ in round_at(court, "2026-11-24")} == {handler.id for handler in handlers}
    assert court.look(done)["state"] == "closed"
    assert court.is_whole()
