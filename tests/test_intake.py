"""Taking needs in: what is mandatory and when, what staff type in, and what may be the same need again."""

from datetime import timedelta
from typing import Any

import pytest

from bot import access, intake
from bot.access import Staff
from bot.console.story import missing_fields, twins_of
from knowledge.database import row, rows
from knowledge.enterprise import set_profile
from knowledge.errors import BadInput, NotAllowed, NotFound
from knowledge.ledger.needs import find_need
from tests.courthouse import CROWD, QUESTION, Court
from tests.office import Office, Page

PERSON = {"company": "青岛某某精密机械有限公司", "uscc": "91370212MA3TEXT0XF", "contact": "张三", "phone": "13800138000"}
FIELDS = {"source": "来电", "topic": "B01", "street": "中韩街道", "litigation": "无", "received_at": "2026-11-13"}
LABELS = {
    "company": "企业名称",
    "contact": "联系人",
    "phone": "联系电话",
    "street": "所属街道/园区",
    "topic": "需求类别",
    "litigation": "涉诉状态",
}


def enter(court: Court, question: str = QUESTION, without: str = "", registers: bool = False, unknown: bool = False, **more: Any) -> str:
    """A need entered by a registrar, with everything but what is named."""
    known = row(court.db, "SELECT id FROM staff WHERE name = '王敏'")
    staff = Staff(known["id"], "王敏", frozenset({"registrar"})) if known else court.staff("王敏", "registrar")
    person = {name: more.pop(name, value) for name, value in PERSON.items() if name != without}
    fields = {name: value for name, value in (FIELDS | more).items() if name != without}
    return str(court.does(lambda db, _: intake.enter_need(db, court.desk, staff, question, person, fields, court.at, registers, unknown)))


def test_what_was_told_stands_in_the_record(court: Court) -> None:
    no = enter(court, registers=True, case_no="（2026）鲁0212民初123号", remark="老客户", people="12", flags=["典型案例线索"])
    need = court.look(no)
    assert (need["state"], need["source"], need["received_at"], need["registered_on"]) == ("registered", "来电", "2026-11-13", "2026-11-16")
    assert (need["people"], need["due_on"]) == (12, "2026-11-24"), "the days count from the call, not from the typing"
    person = row(court.db, "SELECT * FROM persons") or {}
    assert {name: person[name] for name in PERSON} == PERSON and person["consented_at"]
    texts = rows(court.db, "SELECT details FROM need_history WHERE details LIKE '%鲁0212%' OR details LIKE '%张三%'")
    assert texts == [], "no personal data and no case number in the chain"
    assert missing_fields(court.db, need) == []
    assert court.is_whole()


@pytest.mark.parametrize("name", LABELS)
def test_registering_asks_for_every_mandatory_field(court: Court, name: str) -> None:
    before = court.footprint()
    with pytest.raises(BadInput, match=f"登记前还要填：{LABELS[name]}。"):
        enter(court, without=name, registers=True)
    assert court.footprint() == before
    later = enter(court, without=name)
    assert court.look(later)["state"] == "submitted", "no question is turned away because a form is not complete"
    assert missing_fields(court.db, court.look(later)) == [LABELS[name]]
    assert court.look(enter(court, without=name, registers=True, unknown=True))["state"] == "registered"


def test_everything_missing_is_named_at_once(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    no = court.need()
    with pytest.raises(BadInput) as said:
        court.does(lambda db, mail: intake.register_need(db, court.desk, me, no, {}, {}, court.at))
    assert all(label in str(said.value) for label in LABELS.values())


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"received_at": "2026-11-17"}, "收到日期 2026-11-17 还没有到"),
        ({"received_at": "13.11.2026"}, "收到日期请写成"),
        ({"visited_on": "2026-11-12"}, "走访日期 2026-11-12 早于收到日期"),
        ({"division": "不存在庭"}, "承办部门没有“不存在庭”"),
        ({"street": "火星街道"}, "所属街道/园区没有“火星街道”"),
        ({"topic": "Z01"}, "需求类别没有“Z01”"),
        ({"litigation": "不知道"}, "涉诉状态没有“不知道”"),
        ({"source": ""}, "请选来源渠道"),
        ({"source": "托梦"}, "来源渠道没有“托梦”"),
        ({"people": "十来个"}, "涉案人数请填整数"),
        ({"amount": "86万"}, "金额（元）请填整数"),
        ({"company": "长" * 101}, "企业名称太长"),
        ({"company": "厂"}, "企业名称太短"),
    ],
)
def test_a_field_that_cannot_be_is_said_and_nothing_is_written(court: Court, typed: dict[str, Any], words: str) -> None:
    before = court.footprint()
    with pytest.raises(BadInput, match=words):
        enter(court, registers=True, **typed)
    assert court.footprint() == before


@pytest.mark.parametrize(("length", "fits"), [(0, False), (9, False), (10, True), (2000, True), (2001, False), (100_000, False)])
def test_the_length_of_a_question(court: Court, length: int, fits: bool) -> None:
    question = "  " + "问" * length + "\n"
    if fits:
        assert court.look(enter(court, question))["state"] == "submitted"
        return
    before = court.footprint()
    with pytest.raises(BadInput, match=f"现在是 {length} 字"):
        enter(court, question)
    assert court.footprint() == before


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("91370212MA3TEXT0XG", "91370212MA3TEXT0XG"),
        ("9137 0212-ma3text0xf", "91370212MA3TEXT0XF"),
        ("９１３７０２１２ＭＡ３ＴＥＸＴ０ＸＦ", "91370212MA3TEXT0XF"),
        ("370212123456789", "370212123456789"),
        ("", None),
    ],
)
def test_a_company_code_is_never_a_reason_to_refuse(court: Court, typed: str, kept: str | None) -> None:
    enter(court, registers=True, uscc=typed)
    assert row(court.db, "SELECT uscc FROM persons") == {"uscc": kept}
    assert row(court.db, "SELECT uscc FROM enterprises") == {"uscc": kept}


async def test_a_doubtful_company_code_is_shown_to_the_clerk(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    no = office.need(company="青岛某某机械有限公司", uscc="91370212MA3TEXT0XG")
    assert "校验位对不上" in (await clerk.opens(f"/console/needs/{no}")).text


def test_registering_makes_the_enterprise_once_and_takes_street_and_industry_from_it(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    profile = PERSON | {"street": "沙子口街道", "industry": "制造业"}
    one, two = court.need(profile=profile), court.need(profile=profile)
    for no in (one, two):
        with court.db.atomic():
            intake.register_need(court.db, court.desk, me, no, {}, {"topic": "B01", "litigation": "无"}, court.at)
    assert [(court.look(no)["street"], court.look(no)["industry"]) for no in (one, two)] == [("沙子口街道", "制造业")] * 2
    (enterprise,) = rows(court.db, "SELECT * FROM enterprises")
    assert (enterprise["name"], enterprise["uscc"]) == (PERSON["company"], PERSON["uscc"])
    assert {item["enterprise_id"] for item in rows(court.db, "SELECT enterprise_id FROM persons")} == {enterprise["id"]}
    assert row(court.db, "SELECT count(*) AS n FROM persons WHERE verified_at IS NOT NULL") == {"n": 0}, "a claim is not a check"


def test_what_the_registrar_fills_in_wins_over_the_profile(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    no = court.need(profile=PERSON | {"street": "沙子口街道"})
    fields = {"topic": "B01", "litigation": "拟诉", "street": "中韩街道", "urgency": "较急"}
    court.does(lambda db, mail: intake.register_need(db, court.desk, me, no, {"contact": "李四"}, fields, court.at))
    assert (court.look(no)["street"], court.look(no)["urgency"], court.look(no)["due_on"]) == ("中韩街道", "较急", "2026-11-19")
    assert row(court.db, "SELECT contact FROM persons") == {"contact": "李四"}
    assert court.is_whole()


def test_a_name_with_two_codes_is_two_enterprises_and_changes_nothing(court: Court) -> None:
    enter(court, registers=True)
    before = court.footprint()
    with pytest.raises(BadInput, match="统一社会信用代码不同"):
        enter(court, registers=True, uscc="91370212MA00000A9L")
    assert court.footprint() == before


def test_only_intake_registers_and_only_what_waits(court: Court) -> None:
    handler, me = court.staff("承办", "handler"), court.staff("登记", "registrar")
    no = court.need()
    with pytest.raises(NotAllowed):
        court.does(lambda db, mail: intake.register_need(db, court.desk, handler, no, PERSON, {}, court.at, unknown=True))
    assert row(court.db, "SELECT company FROM persons") == {"company": None}
    court.does(lambda db, mail: intake.register_need(db, court.desk, me, no, {}, {}, court.at, unknown=True))
    with pytest.raises(NotAllowed, match="已登记"):
        court.does(lambda db, mail: intake.register_need(db, court.desk, me, no, PERSON, {}, court.at, unknown=True))
    with pytest.raises(NotFound):
        court.does(lambda db, mail: intake.register_need(db, court.desk, me, "XQ-2026-9999", PERSON, {}, court.at))


def test_a_sensitive_need_is_written_down_whoever_took_the_call(court: Court) -> None:
    """The registrar may not see it any more afterwards, but what they typed must not be lost because of that."""
    for registers in (False, True):
        no = enter(court, CROWD, registers=registers)
        assert (court.look(no)["sensitive"], court.look(no)["visibility"]) == ("群体性", "专班")


async def test_whoever_is_on_duty_hears_of_a_sensitive_need_that_a_clerk_wrote_down(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    watcher = office.does(lambda db: access.add_staff(db, "督办员", ["supervisor"], office.at, 777))
    form = await clerk.opens("/console/needs/new")
    done = await clerk.sends("/console/needs/new", form, **(FIELDS | PERSON), question=CROWD)
    assert watcher and done.status == 303
    assert [(message["channel"], message["chat_id"]) for message in office.outbox()] == [("telegram", 777)]
    shown = await clerk.opens(done.headers["Location"])
    assert shown.status == 200 and "专人" in shown.text, "not a page that says there is no such need"


def test_twins_are_hinted_within_the_courts_days(court: Court) -> None:
    me = PERSON["company"]
    old = court.need(profile={"company": me}, topic="B01")
    court.passes(days=20)
    same = court.need(profile={"company": me}, topic="B01")
    other_topic = court.need(profile={"company": me}, topic="B02")
    other_company = court.need(profile={"company": "别家公司"}, topic="B01")
    gone = court.need(profile={"company": me}, topic="B01")
    court.moves(gone, "withdraw")
    hidden = court.need(profile={"company": me}, topic="B01", visibility="专班", sensitive="信访")
    court.passes(days=9, hours=23)
    new = court.need(profile={"company": me}, topic="B01")

    def twins(no: str) -> list[str]:
        return twins_of(court.db, find_need(court.db, no), court.desk)

    assert twins(new) == [old, same]
    assert other_topic not in twins(new) and other_company not in twins(new) and hidden not in twins(new)
    assert twins(other_topic) == [] and twins(court.need(profile={"company": me})) == [], "without a topic nothing can be said"
    court.passes(days=2)
    assert twins(court.need(profile={"company": me}, topic="B01")) == [same, new], "the first is more than thirty days old"


def test_a_twin_of_the_same_day_is_hinted_for_what_came_by_phone(court: Court) -> None:
    asked = court.need(profile={"company": PERSON["company"]}, topic="B01")
    court.passes(hours=2)
    by_phone = enter(court, received_at=court.at.date().isoformat())
    assert twins_of(court.db, find_need(court.db, by_phone), court.desk) == [asked]


def test_a_name_changed_later_is_still_a_twin_through_the_enterprise(court: Court) -> None:
    one = enter(court, registers=True)
    court.at += timedelta(days=1)
    two = enter(court, registers=True, received_at="2026-11-17")
    asked = row(court.db, "SELECT person_id FROM askings WHERE need_no = ?", one) or {}
    set_profile(court.db, asked["person_id"], "company", "改了名字的公司", court.at)
    assert twins_of(court.db, find_need(court.db, two), court.desk) == [one]


async def test_entering_in_the_browser(office: Office) -> None:
    clerk = await office.clerk("王敏", "registrar")
    form = await clerk.opens("/console/needs/new")
    typed = {name: value for name, value in (FIELDS | PERSON).items() if name != "phone"} | {
        "question": "<b>客户</b>拖着三十万货款一直不给"
    }

    async def send(**more: str) -> Page:
        return await clerk.sends("/console/needs/new", form, **(typed | more))

    refused = await send(register="1")
    assert refused.status == 400 and "登记前还要填：联系电话" in refused.text
    assert "&lt;b&gt;客户&lt;/b&gt;" in refused.text and "青岛某某精密机械有限公司" in refused.text, "nothing typed is lost"
    assert office.does(lambda db: rows(db, "SELECT count(*) AS n FROM needs")) == [{"n": 0}]
    done = await send(phone="0532-88881234", register="1", flags="典型案例线索", other_topics="B02")
    assert done.status == 303 and done.headers["Location"].endswith("?done=registered")
    need = office.does(lambda db: row(db, "SELECT state, flags, other_topics FROM needs"))
    assert need == {"state": "registered", "flags": '["典型案例线索"]', "other_topics": '["B02"]'}


async def test_a_handler_enters_but_does_not_register(office: Office) -> None:
    clerk = await office.clerk("陈承", "handler")
    form = await clerk.opens("/console/needs/new")
    csrf = {"csrf": form.fields["csrf"]}
    done = await clerk.sends("/console/needs/new", None, **(FIELDS | PERSON | csrf), question=QUESTION, register="1")
    assert done.status == 303 and done.headers["Location"].endswith("?done=entered")
    assert office.does(lambda db: row(db, "SELECT state FROM needs")) == {"state": "submitted"}
