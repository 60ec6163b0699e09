"""Erasing what is known of a person: everything that staff and the bot wrote about them, and who has no chat to ask for it in."""

from typing import Any

import pytest

from bot.outbox import Mail
from knowledge import drafting
from knowledge.database import Db, row, rows
from knowledge.enterprise import asker_in, find_or_make_enterprise, forget
from knowledge.ledger.needs import move, set_text
from knowledge.ledger.workflow import ASKER
from tests.courthouse import Court
from tests.office import Office

ALL = frozenset({"registrar", "handler"})


def everything(db: Db) -> str:
    """All that any table holds."""
    names = [item["name"] for item in rows(db, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    return "\n".join(str(item) for name in names for item in rows(db, f'SELECT * FROM "{name}"'))


def person_in(court: Court, chat: int) -> int:
    return asker_in(court.db, "web", chat, court.at).person_id


def enterprise_of(court: Court, chat: int, name: str, **more: str) -> int:
    """The record of an enterprise whose contact is the person in this chat."""
    number = find_or_make_enterprise(court.db, {"name": name} | more, court.at)
    court.db.execute("UPDATE persons SET enterprise_id = ? WHERE id = ?", [number, person_in(court, chat)])
    return number


def test_what_staff_wrote_about_a_person_goes_with_them_and_the_courts_answer_stays(court: Court) -> None:
    me = court.staff("王敏", "registrar", "handler", "reviewer")
    no = court.need("绿毛乌龟被人偷了", chat=1)
    for action in ("note", "call"):
        court.step(no, action, me, f"绿毛乌龟的{action}")
    set_text(court.db, no, "summary", "绿毛乌龟的摘要", me.actor, me.roles, court.at, court.rules)
    court.db.execute("INSERT INTO imported_rows VALUES ('乌龟的指纹', ?, '2026-11-16')", [no])
    court.does(lambda db, mail: court.desk.reply(db, mail, no, me, "请报警处理", court.at))
    court.step(no, "revisit", me, "绿毛乌龟找到了")
    court.db.execute("UPDATE outbox SET state = 'delivered'")
    forget(court.db, person_in(court, 1), court.at)
    left = everything(court.db)
    assert "绿毛乌龟" not in left and "乌龟的指纹" not in left
    assert "请报警处理" in left and court.steps(no)[-1] == "revisit"
    assert court.is_whole()


def test_an_alarm_goes_with_the_message_that_gave_it(court: Court) -> None:
    duty = court.staff("督办", "supervisor")

    def danger(chat: int, text: str) -> None:
        sent = ["web", f"k{chat}", chat, "{}", "2026-11-16", "conversation", "2026-11-16"]
        columns = "channel, update_key, chat_id, payload, received_at, outcome, done_at"
        inbox = court.db.execute(f"INSERT INTO inbox ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?)", sent).lastrowid
        court.desk.alert_danger(court.db, Mail(court.db, court.at, "web", chat, inbox), text, "web")

    asker_in(court.db, "web", 1, court.at)
    danger(1, "我要从楼上跳下去")
    danger(2, "另一个人的话")
    court.db.execute("UPDATE outbox SET state = 'delivered'")
    forget(court.db, person_in(court, 1), court.at)
    (mine, others) = court.told(duty)
    assert mine is None and "另一个人的话" in others


@pytest.mark.parametrize(
    ("name", "more", "goes"),
    [
        ("张三丰小吃店", {}, True),
        ("李四海商行", {"uscc": "92370212MAC123455Q"}, True),
        ("青岛海天餐饮有限公司", {}, False),
        ("张三丰有限公司", {"ent_type": "个体"}, True),
    ],
)
def test_an_enterprise_that_bears_a_persons_name_loses_it_with_its_last_contact(
    court: Court, name: str, more: dict[str, str], goes: bool
) -> None:
    for chat in (1, 2):
        court.need(chat=chat)
        number = enterprise_of(court, chat, name, **more)
    forget(court.db, person_in(court, 1), court.at)
    assert (row(court.db, "SELECT name FROM enterprises WHERE id = ?", number) or {})["name"] == name, "somebody else is its contact"
    forget(court.db, person_in(court, 2), court.at)
    assert (name not in everything(court.db)) == goes


def test_a_draft_goes_and_what_was_published_stays(court: Court) -> None:
    me = court.staff("王敏", "registrar", "handler")
    drafts = {}
    for chat, word in ((1, "绿毛乌龟"), (2, "白猫")):
        no = court.need(f"{word}被人偷了怎么办", chat=chat)
        court.desk.reply(court.db, Mail(court.db, court.at), no, me, "请报警处理。", court.at)
        drafts[word] = drafting.draft_from_need(court.db, no)
        drafting.start(court.db, drafts[word], [no], me.actor, court.at)
    drafting.note_event(court.db, drafts["白猫"].id, drafts["白猫"].content_hash(), court.at, "staff:2", "published")
    court.db.execute("UPDATE entries SET state = 'published' WHERE id = ?", [drafts["白猫"].id])
    court.db.execute("UPDATE outbox SET state = 'delivered'")
    for chat in (1, 2):
        forget(court.db, person_in(court, chat), court.at)
    left = everything(court.db)
    assert "绿毛乌龟" not in left and "白猫" in left
    assert drafting.open_versions(court.db) == [] and drafting.working(court.db, drafts["绿毛乌龟"].id) is None


async def test_who_has_no_chat_is_erased_by_a_clerk_with_a_reason(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    no, chatting = office.need("绿毛乌龟被人偷了", contact="赵六"), office.need("白猫跑了", 8, contact="钱七")
    refused = await clerk.sends(f"/console/needs/{chatting}/forget", await clerk.opens(f"/console/needs/{chatting}"), reason="本人要求")
    assert (refused.status, "在对话里发送 /forget" in refused.text) == (400, True)
    assert f"/console/needs/{chatting}/forget" not in refused.text, "nor is it offered"
    office.does(lambda db: db.execute("UPDATE askings SET asker_id = NULL WHERE need_no = ?", [no]))
    page = await clerk.opens(f"/console/needs/{no}")
    assert f"/console/needs/{no}/forget" in page.text
    assert (await clerk.sends(f"/console/needs/{no}/forget", page, reason="要求")).status == 400
    done = await clerk.sends(f"/console/needs/{no}/forget", page, reason="本人来电要求，电话 13812345678")
    assert done.headers["Location"] == f"/console/needs/{no}?done=forgotten"
    left = office.does(everything)
    assert "绿毛乌龟" not in left and "赵六" not in left and "白猫" in left and "钱七" in left
    audit = office.does(lambda db: rows(db, "SELECT actor, subject, note FROM audit WHERE action = 'forget_person'"))
    assert audit == [{"actor": "staff:1", "subject": no, "note": "本人来电要求，电话 138****5678"}], "numbers are masked"


def test_a_person_who_asks_again_is_as_new(court: Court) -> None:
    court.need("绿毛乌龟被人偷了", chat=1)
    forget(court.db, person_in(court, 1), court.at)
    again: Any = court.need("白猫跑了", chat=1)
    forget(court.db, person_in(court, 1), court.at)
    move(court.db, again, "withdraw", "asker", ASKER, court.at, court.rules)
    assert "白猫" not in everything(court.db) and court.is_whole()
