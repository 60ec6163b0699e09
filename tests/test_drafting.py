"""From a need to a draft: what is taken over, what is scrubbed, what never becomes one, and the steps of a version."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from knowledge import drafting, library
from knowledge.clock import BEIJING, stamp
from knowledge.court import load_court
from knowledge.database import Database, Db, row, rows
from knowledge.drafting import citation_of, citation_warnings, citations_in, draft_from_need, looks_personal, scrub
from knowledge.enterprise import asker_in, set_profile
from knowledge.entry import Citation, Entry
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound
from knowledge.ledger.deadlines import Calendar, Rules
from knowledge.ledger.needs import Asking, move, open_need, record_asking
from knowledge.texts import erase_texts

AT = datetime(2026, 11, 16, 9, 0, tzinfo=BEIJING)
ROLES = frozenset({"registrar", "assigner", "handler", "reviewer", "supervisor"})
REPLY = "可以主张违约金。依据《民法典》第五百七十七条、第五百八十五条第二款。联系青岛海天餐饮有限公司的赵六，13987654321。"


class Ledger:
    """A database with the steps a test needs."""

    def __init__(self, folder: Path) -> None:
        self.database = Database(folder / "test.db", "OFF")
        self.rules = Rules.of(load_court(folder), Calendar())

    def does(self, operation: Any) -> Any:
        return self.database.write(operation).result()

    def need(self, question: str, chat: int = 1, **profile: str) -> str:
        def ask(db: Db) -> str:
            asker = asker_in(db, "web", chat, AT)
            for name, value in profile.items():
                set_profile(db, asker.person_id, name, value, AT)
            asking = record_asking(db, Asking(question, "need"), AT, None, asker.id, asker.person_id)
            return open_need(db, asking, "机器人", AT, self.rules, "B01")

        return str(self.does(ask))

    def steps(self, no: str, action: str, text: str = "", **details: Any) -> None:
        self.does(lambda db: move(db, no, action, "staff:1", ROLES, AT, self.rules, text, details or None))

    def draft(self, no: str, question: str | None = None) -> Entry:
        entry: Entry = self.does(lambda db: draft_from_need(db, no, question))
        return entry


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    found = Ledger(tmp_path)
    found.does(lambda db: db.execute("INSERT INTO staff (name, roles, created_at) VALUES ('王敏', '[]', ?)", [stamp(AT)]))
    yield found
    found.database.close()


@pytest.fixture
def answered(ledger: Ledger) -> str:
    """A group of two needs, answered."""
    lead = ledger.need(
        "海天餐饮找青岛海天餐饮有限公司的老客户要货款，赵六的电话 13987654321，怎么办？",
        1,
        company="青岛海天餐饮有限公司",
        contact="赵六",
        phone="13987654321",
    )
    member = ledger.need("货款一直拖着不付怎么办", 2, company="崂山区兴旺木器厂", contact="钱七")
    ledger.steps(member, "merge", lead_no=lead)
    ledger.steps(lead, "reply", REPLY)
    return lead


def test_a_draft_takes_question_wordings_answer_citations_and_topic(ledger: Ledger, answered: str) -> None:
    central = "货款一直拖着不付怎么办"
    entry = ledger.draft(answered, central)
    assert (entry.id, entry.question, entry.topic, entry.state) == (answered.lower(), central, "B01", "draft")
    assert len(entry.wordings) == 1 and entry.answer.startswith("可以主张违约金。")
    assert [str(citation) for citation in entry.basis] == [
        "《中华人民共和国民法典》第五百七十七条",
        "《中华人民共和国民法典》第五百八十五条第二款",
    ]


def test_a_draft_is_scrubbed_of_numbers_companies_and_people(ledger: Ledger, answered: str) -> None:
    entry = ledger.draft(answered)
    said = entry.full_text()
    for secret in ("13987654321", "海天餐饮", "赵六"):
        assert secret not in said
    assert "某企业" in entry.question and "某人" in entry.question and "139****4321" in entry.question
    # A masked number is still one, so somebody has to look.
    assert any("139****4321" in found for found in looks_personal(entry))


def test_without_a_central_wording_the_leads_own_question_stands(ledger: Ledger, answered: str) -> None:
    assert ledger.draft(answered).question.startswith("某企业找某企业")
    assert ledger.draft(answered, "没有人这样问过").question.startswith("某企业找某企业")


def test_a_member_leads_to_the_groups_draft(ledger: Ledger, answered: str) -> None:
    assert ledger.draft("XQ-2026-0002").id == answered.lower()


def test_a_need_that_is_not_answered_gives_no_draft(ledger: Ledger) -> None:
    no = ledger.need("货款怎么要")
    with pytest.raises(NotAllowed, match="还没有答复"):
        ledger.draft(no)
    with pytest.raises(NotFound):
        ledger.draft("XQ-2026-0099")


@pytest.mark.parametrize("details", [{"sensitive": "信访"}, {"visibility": "专班"}])
def test_sensitive_needs_never_become_a_draft(ledger: Ledger, answered: str, details: dict[str, str]) -> None:
    ledger.steps(answered, "restrict", "群众反映", **details)
    with pytest.raises(NotAllowed, match="敏感需求"):
        ledger.draft(answered)
    # Nor by way of somebody who was grouped with it.
    with pytest.raises(NotAllowed, match="敏感需求"):
        ledger.draft("XQ-2026-0002")


def test_a_sensitive_member_is_left_out(ledger: Ledger, answered: str) -> None:
    ledger.steps("XQ-2026-0002", "restrict", "群众反映", sensitive="信访", visibility="专班")
    assert ledger.draft(answered).wordings == ()
    assert ledger.does(lambda db: drafting.sources_of(db, answered)) == [answered]


def test_erased_texts_are_not_taken(ledger: Ledger, answered: str) -> None:
    ledger.does(lambda db: erase_texts(db, [row(db, "SELECT text_id FROM askings WHERE need_no = ?", answered)["text_id"]], AT))  # type: ignore[index]
    assert ledger.draft(answered).question == "货款一直拖着不付怎么办"


def test_scrub_replaces_the_longest_name_first() -> None:
    assert scrub("海天餐饮公司和海天", {"海天": "某人", "海天餐饮公司": "某企业"}) == "某企业和某人"
    assert scrub("  两  行\n\t文字 ", {}) == "两 行\n文字"
    assert scrub(None, {}) == ""


@pytest.mark.parametrize(
    "text",
    [
        "微信号 abc12345 联系",
        "（2026）鲁0212民初123号案件",
        "青岛兴旺木器有限公司欠款",
        "崂山区香港东路195号门店",
        "代码 91370212MA3TEXT0XF",
        "鲁B12345 货车",
        "找张经理谈过",
        "QQ：123456789",
        "电话 88881234 找我",
    ],
)
def test_what_looks_personal_is_named(text: str) -> None:
    assert looks_personal(Entry("x", "问题", text))


@pytest.mark.parametrize(
    "text",
    [
        "有限责任公司的股东以其认缴的出资额为限对公司承担责任，股份有限公司也一样。",
        "赔偿 12345678 元以下的，拨打 12368 咨询；法释〔2023〕11号。",
        "依据《中华人民共和国民法典》第五百七十七条，自 2026-01-01 起算三年。",
        "总经理、业务经理离职后，公司总是不办手续，怎么办？",
    ],
)
def test_ordinary_words_are_not_remarked_on(text: str) -> None:
    assert looks_personal(Entry("x", "问题", text)) == []


def test_citations_are_read_from_a_reply() -> None:
    found = citations_in("见《劳动合同法》第10条和第八十二条第一款，另见《民事诉讼法》（2023年修正）第一百二十六条；第三条不算。")
    assert [str(citation) for citation in found] == [
        "《中华人民共和国劳动合同法》第十条",
        "《中华人民共和国劳动合同法》第八十二条第一款",
        "《中华人民共和国民事诉讼法》第一百二十六条",
    ]


def test_a_typed_citation_keeps_or_gets_its_version() -> None:
    old = Citation("中华人民共和国民法典", "第五百七十七条", "2021-01-01")
    assert citation_of(str(old), [old]) is old
    assert citation_of("《民法典》第五百八十五条", (), date(2026, 11, 16)) == Citation(
        "中华人民共和国民法典", "第五百八十五条", "2021-01-01"
    )
    with pytest.raises(BadInput, match="看不懂"):
        citation_of("民法典第五百八十五条")


def test_unknown_and_repealed_laws_are_warned_of() -> None:
    entry = Entry("x", "问", "答", basis=(Citation("没有这部法", "第一条"), Citation("中华人民共和国民法典", "第九千条")))
    warnings = citation_warnings(entry, date(2026, 11, 16))
    assert len(warnings) == 2 and "没有这部法" in warnings[0] and "第九千条" in warnings[1]
    right = Entry("x", "问", "答", basis=(Citation("中华人民共和国民法典", "第五百七十七条"),))
    assert citation_warnings(right, date(2026, 11, 16)) == []


def started(ledger: Ledger, no: str) -> str:
    """A draft of this need in the library; returns its hash."""
    entry = ledger.draft(no)
    ledger.does(lambda db: drafting.start(db, entry, drafting.sources_of(db, no), "staff:1", AT))
    return entry.content_hash()


def test_a_draft_goes_through_its_steps_each_on_record(ledger: Ledger, answered: str) -> None:
    entry_id, seen = answered.lower(), started(ledger, answered)
    with pytest.raises(Conflict, match="已经有编号"):
        ledger.does(lambda db: drafting.start(db, Entry(entry_id, "问", "答"), [], "staff:1", AT))
    ledger.does(lambda db: drafting.submit(db, entry_id, seen, "staff:1", AT))
    with pytest.raises(Conflict):
        ledger.does(lambda db: drafting.submit(db, entry_id, seen, "staff:1", AT))
    with pytest.raises(BadInput, match="理由"):
        ledger.does(lambda db: drafting.give_back(db, entry_id, seen, "staff:2", AT, "嗯"))
    ledger.does(lambda db: drafting.give_back(db, entry_id, seen, "staff:2", AT, "答复太长"))
    before = ledger.does(lambda db: drafting.newest(db, entry_id))[1]
    better = replace(before, answer="先发律师函。")
    assert ledger.does(lambda db: drafting.save(db, better, seen, "staff:3", AT)) is True
    with pytest.raises(Conflict, match="别人改了"):
        ledger.does(lambda db: drafting.save(db, replace(before, answer="别的"), seen, "staff:1", AT))
    assert ledger.does(lambda db: drafting.save(db, better, better.content_hash(), "staff:3", AT)) is False
    version = ledger.does(lambda db: drafting.working(db, entry_id))
    assert (version.state, version.author, version.entry.answer) == ("draft", "staff:3", "先发律师函。")
    steps = ledger.does(lambda db: rows(db, "SELECT actor, action, note FROM entry_events ORDER BY id"))
    assert [(item["actor"], item["action"]) for item in steps] == [
        ("staff:1", "drafted"),
        ("staff:1", "submitted"),
        ("staff:2", "returned"),
        ("staff:3", "edited"),
    ]
    assert steps[2]["note"] == "答复太长"
    sources = ledger.does(lambda db: [item["need_no"] for item in drafting.needs_behind(db, entry_id)])
    assert sources == ["XQ-2026-0001", "XQ-2026-0002"]
    assert ledger.does(lambda db: drafting.entry_of_need(db, "XQ-2026-0002")) == entry_id


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"question": " "}, "问题是空的"),
        ({"question": "问" * 201}, "201 字"),
        ({"answer": "答" * 100_000}, "100000 字"),
        ({"wordings": tuple(map(str, range(101)))}, "101 行"),
        ({"steps": ("步" * 301,)}, "301 字"),
        ({"valid_from": date(2026, 2, 1), "valid_until": date(2026, 1, 1)}, "失效日期早于生效日期"),
    ],
)
def test_what_cannot_stand_in_an_entry_changes_nothing(ledger: Ledger, answered: str, changes: dict[str, Any], said: str) -> None:
    entry_id, seen = answered.lower(), started(ledger, answered)
    entry = ledger.does(lambda db: drafting.newest(db, entry_id))[1]
    with pytest.raises(BadInput, match=said):
        ledger.does(lambda db: drafting.save(db, replace(entry, **changes), seen, "staff:1", AT))
    assert ledger.does(lambda db: drafting.newest(db, entry_id)) == (seen, entry)


def test_what_serves_goes_on_serving_while_a_new_version_is_written(ledger: Ledger) -> None:
    shipped = Entry("A01-1", "旧问题？", "旧答复")
    ledger.does(lambda db: library.put_entry(db, "shipped", shipped, AT))
    ledger.does(lambda db: drafting.save(db, replace(shipped, answer="新答复"), shipped.content_hash(), "staff:1", AT))
    serving = ledger.does(lambda db: library.published(db, "A01-1", AT.date()))
    assert serving is not None and serving.entry.answer == "旧答复"
    assert [version.entry.answer for version in ledger.does(drafting.open_versions)] == ["新答复"]


def test_wordings_go_into_an_existing_entry_with_their_needs(ledger: Ledger, answered: str) -> None:
    shipped = Entry("A01-1", "货款拖着不付？", "可以起诉", wordings=("货款一直拖着不付怎么办",))
    ledger.does(lambda db: library.put_entry(db, "shipped", shipped, AT))
    seen = started(ledger, answered)
    assert ledger.does(lambda db: drafting.add_wordings(db, "A01-1", answered.lower(), seen, "staff:1", AT)) == 1
    version = ledger.does(lambda db: drafting.working(db, "A01-1"))
    assert version.entry.answer == "可以起诉" and len(version.entry.wordings) == 2
    held = ledger.does(lambda db: library.find(db, answered.lower()))
    assert held.entry.state == "withdrawn" and ledger.does(lambda db: drafting.working(db, answered.lower())) is None
    assert ledger.does(lambda db: drafting.entry_of_need(db, answered)) == "A01-1"
    with pytest.raises(Conflict):
        ledger.does(lambda db: drafting.add_wordings(db, "A01-1", answered.lower(), seen, "staff:1", AT))


def test_what_a_reviewer_withdrew_here_is_not_brought_back_by_an_upgrade(ledger: Ledger) -> None:
    shipped = Entry("A01-1", "旧问题？", "旧答复")
    ledger.does(lambda db: library.put_entry(db, "console", replace(shipped, answer="我们的答复"), AT))
    ledger.does(lambda db: library.set_state(db, "A01-1", "withdrawn", AT, "陈静"))
    changes = ledger.does(lambda db: library.replace_origin(db, "shipped", [shipped], AT))
    assert changes.kept_ours == ["A01-1"]
    assert ledger.does(lambda db: library.published(db, "A01-1", AT.date())) is None


def test_entries_that_run_out_are_found_in_time(ledger: Ledger) -> None:
    for number, last in enumerate((AT.date() - timedelta(days=1), AT.date() + timedelta(days=30), AT.date() + timedelta(days=31), None)):
        ledger.does(lambda db, n=number, d=last: library.put_entry(db, "console", Entry(f"e{n}", "问", "答", valid_until=d), AT))
    found = ledger.does(lambda db: library.running_out(db, AT.date() + timedelta(days=30)))
    assert [item.entry.id for item in found] == ["e0", "e1"]
