"""Where an entry comes from: what changed between versions, who asked, how often it answered, who was not reached."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime
from pathlib import Path
from typing import Any

import pytest

from knowledge import drafting, library, lineage
from knowledge.clock import BEIJING
from knowledge.court import load_court
from knowledge.database import Database, Db, row
from knowledge.enterprise import asker_in, set_profile
from knowledge.entry import Citation, Entry
from knowledge.ledger.deadlines import Calendar, Rules
from knowledge.ledger.needs import Asking, open_need, record_asking, set_feedback
from knowledge.ledger.telling import note_telling, recipients
from knowledge.lineage import differences, sources, tellings_of_entry, undelivered, use_by_month, verified_enterprises, versions_of

AT = datetime(2026, 11, 16, 9, 0, tzinfo=BEIJING)
EVERYTHING: lineage.Visible = ("1", [])
ENTRY = Entry("xq-2026-0001", "货款拖着不付怎么办？", "可以起诉。\n也可以申请支付令。", wordings=("欠钱不还", "拖欠货款"))


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    found = Database(tmp_path / "test.db", "OFF")
    yield found
    found.close()


def does(database: Database, operation: Any) -> Any:
    return database.write(operation).result()


def asks(database: Database, chat: int, company: str, verified: bool = False, **details: Any) -> str:
    """A need of a company."""
    rules = Rules.of(load_court(Path("/nowhere")), Calendar())

    def ask(db: Db) -> str:
        asker = asker_in(db, "web", chat, AT)
        set_profile(db, asker.person_id, "company", company, AT)
        set_profile(db, asker.person_id, "phone", "13987654321", AT)
        if verified:
            db.execute("INSERT OR IGNORE INTO enterprises (name, created_at, updated_at) VALUES (?, '', '')", [company])
            found = row(db, "SELECT id FROM enterprises WHERE name = ?", company) or {}
            db.execute("UPDATE persons SET enterprise_id = ?, verified_at = '2026-11-01' WHERE id = ?", [found["id"], asker.person_id])
        asking = record_asking(db, Asking("货款怎么要", "need"), AT, None, asker.id, asker.person_id)
        return open_need(db, asking, "机器人", AT, rules, details=details)

    return str(does(database, ask))


def test_differences_name_the_field_and_the_lines() -> None:
    after = replace(
        ENTRY,
        answer="可以起诉。\n先发律师函。",
        wordings=("拖欠货款", "欠钱不还"),
        basis=(Citation("中华人民共和国民法典", "第五百七十七条", "2021-01-01"),),
        valid_until=date(2027, 1, 1),
        state="draft",
    )
    found = {item.name: (item.gone, item.new) for item in differences(ENTRY, after)}
    assert found["答复"] == (("也可以申请支付令。",), ("先发律师函。",))
    assert found["其他问法"] == (("欠钱不还", "拖欠货款"), ("拖欠货款", "欠钱不还"))  # only the order
    assert found["依据"] == ((), ("《中华人民共和国民法典》第五百七十七条（2021-01-01 版本）",))
    assert found["失效日期"] == ((), ("2027-01-01",))
    assert differences(ENTRY, replace(ENTRY, state="draft")) == ()


def test_versions_come_newest_first_with_their_steps(database: Database) -> None:
    draft = replace(ENTRY, state="draft")
    better = replace(draft, answer="先发律师函。")
    does(database, lambda db: drafting.start(db, draft, [], "staff:1", AT))
    does(database, lambda db: drafting.save(db, better, draft.content_hash(), "staff:2", AT))
    newest, oldest = does(database, lambda db: versions_of(db, ENTRY.id))
    assert (newest.entry.answer, [step["action"] for step in newest.events]) == ("先发律师函。", ["edited"])
    assert [item.name for item in newest.differences] == ["答复"]
    assert (oldest.differences, [step["action"] for step in oldest.events]) == ((), ["drafted"])


def test_sources_and_verified_enterprises_leave_out_what_may_not_be_seen(database: Database) -> None:
    one = asks(database, 1, "甲公司", verified=True)
    twice = asks(database, 2, "甲公司", verified=True)
    unknown = asks(database, 3, "乙公司")
    hidden = asks(database, 4, "丙公司", verified=True, visibility="专班", sensitive="信访")
    does(database, lambda db: drafting.link_needs(db, ENTRY.id, [one, twice, unknown, hidden], "staff:1", AT))
    visible: lineage.Visible = ("n.visibility <> ?", ["专班"])
    found = does(database, lambda db: sources(db, ENTRY.id, visible))
    assert [(item["no"], item["company"], item["verified"]) for item in found] == [
        (one, "甲公司", 1),
        (twice, "甲公司", 1),
        (unknown, "乙公司", 0),
    ]
    assert does(database, lambda db: verified_enterprises(db, ENTRY.id, visible)) == 1
    assert does(database, lambda db: verified_enterprises(db, ENTRY.id, EVERYTHING)) == 2


def test_use_is_counted_by_month(database: Database) -> None:
    def answer(db: Db) -> None:
        for month, band, feedback in (
            (10, "answer", "solved"),
            (11, "answer", "unsolved"),
            (11, "answer", "person"),
            (11, "answer", None),
            (11, "offer", None),
        ):
            number = record_asking(db, Asking("问", band, ENTRY.id), AT.replace(month=month))
            if feedback:
                set_feedback(db, number, feedback)

    does(database, answer)
    found = does(database, lambda db: use_by_month(db, ENTRY.id))
    assert [(item.month, item.answered, item.solved, item.unsolved) for item in found] == [("2026-11", 3, 0, 2), ("2026-10", 1, 1, 0)]


def test_the_undelivered_are_those_without_a_message_and_those_whose_message_has_not_arrived(database: Database) -> None:
    numbers = [asks(database, chat, f"{chat}公司") for chat in range(1, 6)]

    def tell(db: Db) -> None:
        states: list[str | None] = ["delivered", "waiting", "failed", None, "waiting"]
        for no, state in zip(numbers, states, strict=True):
            (to,) = recipients(db, [no])
            outbox_id = None
            if state:
                sql = "INSERT INTO outbox (channel, chat_id, text, state, created_at) VALUES ('web', ?, '答复', ?, '')"
                outbox_id = db.execute(sql, [to.chat_id, state]).lastrowid
            note_telling(db, "entry:x:1", to, AT, outbox_id, "x")
        db.execute("UPDATE needs SET state = 'withdrawn' WHERE no = ?", [numbers[4]])

    does(database, tell)
    found = does(database, lambda db: undelivered(db, EVERYTHING))
    assert [(item["need_no"], item["state"]) for item in found] == [(numbers[3], "phone"), (numbers[2], "failed"), (numbers[1], "waiting")]
    assert [item["need_no"] for item in does(database, lambda db: undelivered(db, EVERYTHING, numbers[2]))] == [numbers[2]]
    assert does(database, lambda db: undelivered(db, ("n.no = ?", ["none"]))) == []
    told = does(database, lambda db: tellings_of_entry(db, "x", EVERYTHING))
    assert [item["state"] for item in told] == ["delivered", "waiting", "failed", "phone", "withdrawn"]


def test_an_entry_that_came_with_a_document_waits_without_an_author(database: Database) -> None:
    does(database, lambda db: library.put_entry(db, "console", replace(ENTRY, state="draft"), AT))
    version = does(database, lambda db: drafting.working(db, ENTRY.id))
    assert (version.state, version.author) == ("draft", None)
    assert does(database, drafting.open_versions) == []
