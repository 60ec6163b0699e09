"""Review by a second person, what would change, everyone told, withdrawal: over the real console, index and model."""

import html
import re
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from bot import publishing
from bot.access import Staff
from bot.consequences import consequences_of
from bot.console.drafts import link
from bot.desk import Desk
from bot.outbox import Mail
from bot.settings import Settings
from bot.startup import Opened
from indexing import building
from knowledge import drafting, library
from knowledge.database import Db, row, rows
from knowledge.enterprise import asker_in
from knowledge.entry import Citation, Entry
from knowledge.errors import NotFound
from knowledge.ledger.needs import Asking, move, record_asking, set_feedback
from knowledge.ledger.workflow import ASKER
from tests.office import MONDAY, Clerk, Office, Page, serving

QUESTION = "捡到一只走失的鸽子脚上有环，送回去能要点饲料钱吗"
ANSWER = "拾得遗失的信鸽应当返还，支出的必要费用可以请失主偿还。依据《民法典》第三百一十四条、第三百一十七条第一款。"
KNOWN = "客户一直拖着货款不给，怎么办"
ALL = frozenset({"registrar", "assigner", "handler", "reviewer", "supervisor"})


class Court(Office):
    """An office over a folder that answers, with some of the shipped entries indexed."""

    @property
    def desk(self) -> Desk:
        """The staff's work under this court's rules."""
        return Desk(self.opened.court, self.opened.rules, self.opened.topics)

    def steps(self, no: str, action: str, text: str = "", **details: Any) -> None:
        """A step of the workflow, done behind the console's back."""
        self.does(lambda db: move(db, no, action, "staff:1", ALL, self.at, self.opened.rules, text, details or None))

    def asks_verified(self, question: str, chat: int, company: str) -> str:
        """A need of an enterprise whose contact staff have verified."""
        no = self.need(question, chat, company=company, contact="赵六", phone="13987654321")

        def verify(db: Db) -> None:
            db.execute("INSERT OR IGNORE INTO enterprises (name, created_at, updated_at) VALUES (?, '', '')", [company])
            found = row(db, "SELECT id FROM enterprises WHERE name = ?", company) or {}
            asker = row(db, "SELECT person_id FROM askers WHERE chat_id = ?", chat) or {}
            db.execute("UPDATE persons SET enterprise_id = ?, verified_at = '2026-11-01' WHERE id = ?", [found["id"], asker["person_id"]])

        self.does(verify)
        return no

    def replies(self, no: str, text: str = ANSWER) -> None:
        """The court's answer, told to whoever asked."""
        clerk = Staff(1, "王敏", frozenset({"registrar"}))
        self.does(lambda db: self.desk.reply(db, Mail(db, self.at), no, clerk, text, self.at))

    def follows(self) -> None:
        """What the running bot does within seconds of a change."""
        folder = self.opened.folders.index
        building.refresh(self.opened.database, folder, self.opened.encoder, self.at)
        generation = building.current(folder)
        assert generation is not None
        self.opened.answering.serve(building.open_generation(folder, generation, self.opened.encoder))

    def answers(self, question: str) -> str | None:
        """The entry that answers directly."""
        best = self.opened.answering.reply_to(question).answer
        return best.published.entry.id if best else None

    def version(self, entry_id: str) -> drafting.Version:
        """The version on its way."""
        found = self.does(lambda db: drafting.working(db, entry_id))
        assert found is not None
        return found  # type: ignore[no-any-return]

    def serving(self, entry_id: str) -> library.Held:
        """What the library holds."""
        found = self.does(lambda db: library.find(db, entry_id))
        assert found is not None
        return found  # type: ignore[no-any-return]

    def told(self) -> list[tuple[int, str]]:
        """Who was told of an entry: chat and need."""
        found = self.does(lambda db: rows(db, "SELECT chat_id, need_no FROM outbox WHERE text LIKE '%现在有了经审核的答复%' ORDER BY id"))
        return [(item["chat_id"], item["need_no"]) for item in found]


@pytest.fixture(scope="module")
def few(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data folder in which only the entries about debts serve, so that an index is built in a moment."""
    folder = Path(shutil.copytree(built, tmp_path_factory.mktemp("few") / "data"))
    opened = Opened(Settings(data_dir=folder))

    def withdraw(db: Db) -> None:
        for item in library.all_published(db):
            if not (item.entry.topic or "").startswith("B"):
                library.set_state(db, item.entry.id, "withdrawn", MONDAY)

    opened.database.write(withdraw).result()
    building.refresh(opened.database, opened.folders.index, opened.encoder, MONDAY)
    opened.close()
    return folder


@pytest.fixture
def data_dir(few: Path, tmp_path: Path) -> Path:
    """A data folder of this test's own."""
    return Path(shutil.copytree(few, tmp_path / "data"))


Opening = Callable[[], Awaitable[Court]]


@pytest.fixture
async def open_court(data_dir: Path) -> AsyncIterator[Opening]:
    """Opens the court, once its `court.yaml` is as the test wants it."""
    async with AsyncExitStack() as stack:

        async def open_one() -> Court:
            return await stack.enter_async_context(serving(Court, Settings(data_dir=data_dir)))

        yield open_one


@pytest.fixture
async def court(open_court: Opening) -> Court:
    return await open_court()


async def drafted(court: Court, writer: Clerk, no: str) -> str:
    """A draft of this need, made with the button, handed in; returns the address of its page."""
    page = await writer.opens(f"/console/needs/{no}")
    made = await writer.sends(f"/console/needs/{no}/draft", page)
    assert made.status == 303, made.text
    address = made.headers["Location"].partition("?")[0]
    return await handed_in(writer, address)


async def handed_in(writer: Clerk, address: str) -> str:
    page = await writer.opens(address)
    sent = await writer.sends(f"{address}/submit", page)
    assert sent.status == 303, sent.text
    return address


async def publishes(reviewer: Clerk, address: str, **typed: str) -> Page:
    """A reviewer opens the page and presses 发布."""
    return await reviewer.sends(f"{address}/publish", await reviewer.opens(address), **typed)


async def test_from_a_need_to_an_answer_for_the_next_and_everyone_told_once(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "registrar", "handler"), await court.clerk("陈静", "reviewer")
    assert court.answers(QUESTION) is None
    lead = court.asks_verified(QUESTION, 11, "青岛海天餐饮有限公司")
    twin = court.need("拾到带脚环的鸽子，还给失主时喂养的花费谁出", 12)
    court.steps(twin, "merge", lead_no=lead)
    court.replies(lead)
    unhappy = court.need("我捡的信鸽还回去要不要给饲料费", 13)
    court.steps(unhappy, "merge", lead_no=lead)
    colleague = court.asks_verified("信鸽喂养费能不能要", 14, "青岛海天餐饮有限公司")
    court.steps(colleague, "merge", lead_no=lead)

    address = await drafted(court, writer, lead)
    assert address == f"/console{link(lead.lower())}"
    entry = court.version(lead.lower()).entry
    assert QUESTION in (entry.question, *entry.wordings) and len(entry.wordings) == 3
    assert entry.basis == (
        Citation("中华人民共和国民法典", "第三百一十四条", "2021-01-01"),
        Citation("中华人民共和国民法典", "第三百一十七条", "2021-01-01", 1),
    )
    own = await publishes(writer, address)
    assert own.status == 403  # not a reviewer at all
    done = await publishes(reviewer, address)
    assert (done.status, done.headers["Location"]) == (303, f"{address}?done=told")

    # The two who got the reply have the answer, and so has the colleague's enterprise; the third learns it now, once.
    assert court.told() == [(13, unhappy)]
    message = court.does(lambda db: row(db, "SELECT text, buttons FROM outbox WHERE chat_id = 13 ORDER BY id DESC LIMIT 1"))
    assert "您问过的“我捡的信鸽还回去要不要给饲料费”" in message["text"] and "必要费用" in message["text"]
    assert "解决了" in message["buttons"] and "没解决" in message["buttons"]
    state = court.does(lambda db: row(db, "SELECT state FROM needs WHERE no = ?", unhappy))
    assert state == {"state": "replied"}  # so the buttons close or reopen it
    assert court.does(lambda db: publishing.tell_askers(db, Mail(db, court.at), court.desk, lead.lower(), "bot", court.at)) == 0

    court.follows()
    assert court.answers(QUESTION) == lead.lower()
    assert court.serving(lead.lower()).reviewed_by == "陈静"
    shown = (await writer.opens(address)).text
    assert "1 家核实的企业问过" in shown and "待送达" in shown and "陈静" in shown
    assert "青岛海天餐饮有限公司" not in shown


async def test_the_needs_behind_an_entry_follow_their_group(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "registrar", "handler"), await court.clerk("陈静", "reviewer")
    lead, split = court.need(QUESTION, 11), court.need("捡到鸽子的另一个问题", 12)
    court.steps(split, "merge", lead_no=lead)
    court.replies(lead)
    address = await drafted(court, writer, lead)
    court.does(lambda db: move(db, split, "reopen", "asker", ASKER, court.at, court.opened.rules))
    court.steps(split, "split", lead_no=None)
    joined = court.need("信鸽喂养费能不能要", 13)
    court.steps(joined, "merge", lead_no=lead)
    assert (await publishes(reviewer, address)).status == 303
    # Whoever was split off asked something else; whoever came along later asked this.
    assert court.told() == [(13, joined)]
    assert [item["need_no"] for item in court.does(lambda db: drafting.needs_behind(db, lead.lower()))] == [lead, joined]
    # Once published, a source that becomes sensitive neither stops the next version nor is told.
    court.steps(joined, "restrict", "信访件", sensitive="信访", visibility="专班")
    form = await writer.opens(f"{address}/edit")
    await writer.sends(f"{address}/edit", form, **fields(form) | {"deadline": "及时通知失主"})
    await handed_in(writer, address)
    assert (await publishes(reviewer, address)).status == 303
    assert court.told() == [(13, joined)]


async def test_any_entry_can_be_found_by_its_words(court: Court) -> None:
    clerk = await court.clerk("王敏", "handler")
    text = (await clerk.opens("/console/entries", params={"q": "B01-2"})).text
    assert f'href="/console{link("B01-2")}"' in text
    assert "没有含" in (await clerk.opens("/console/entries", params={"q": "没有 这种<b>东西"})).text


async def test_who_said_not_solved_is_told_of_the_entry(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "registrar", "handler"), await court.clerk("陈静", "reviewer")
    no = court.need(QUESTION, 11)
    court.replies(no)
    address = await drafted(court, writer, no)
    court.does(lambda db: move(db, no, "reopen", "asker", ASKER, court.at, court.opened.rules))
    assert (await publishes(reviewer, address)).status == 303
    assert court.told() == [(11, no)]
    message = court.does(lambda db: row(db, "SELECT buttons FROM outbox ORDER BY id DESC LIMIT 1"))
    assert message["buttons"] is None  # it is open again: a person is on it
    state = court.does(lambda db: row(db, "SELECT state FROM needs WHERE no = ?", no))
    assert state == {"state": "reopened"}


async def test_the_author_does_not_review(court: Court) -> None:
    both, other = await court.clerk("王敏", "handler", "reviewer"), await court.clerk("陈静", "reviewer")
    no = court.need(QUESTION, 11)
    court.replies(no)
    page = await both.opens(f"/console/needs/{no}")
    address = (await both.sends(f"/console/needs/{no}/draft", page)).headers["Location"].partition("?")[0]
    early = await publishes(other, address)
    assert early.status == 409 and "还没有提交审核" in early.text
    await handed_in(both, address)
    own = await publishes(both, address)
    assert own.status == 409 and "不能审核自己写的条目" in own.text
    assert "这是您自己写的" in own.text
    # Whoever changes it is a writer of it too, and it has to be handed in again.
    form = await other.opens(f"{address}/edit")
    changed = await other.sends(f"{address}/edit", form, **fields(form) | {"answer": "可以请失主偿还。"})
    assert changed.status == 303
    await handed_in(other, address)
    third = await court.clerk("周平", "handler", "reviewer")
    for writer in (other, both):
        assert (await publishes(writer, address)).status == 409
    assert (await publishes(third, address)).status == 303
    # What was written before it was published binds nobody any more.
    form = await third.opens(f"{address}/edit")
    assert (await third.sends(f"{address}/edit", form, **fields(form) | {"answer": "应当请失主偿还。"})).status == 303
    await handed_in(third, address)
    assert (await publishes(third, address)).status == 409
    assert (await publishes(both, address)).status == 303


def fields(page: Page) -> dict[str, str]:
    """What stands in the text fields of a form."""
    texts = re.findall(r'<textarea id="(\w+)"[^>]*>(.*?)</textarea>', page.text, re.DOTALL)
    dates = re.findall(r'<input id="(\w+)" type="date" name="\w+" value="([^"]*)"', page.text)
    chosen = re.findall(r'<option value="([^"]+)" selected>', page.text)
    return {name: html.unescape(text) for name, text in [*texts, *dates]} | {"topic": chosen[0] if chosen else ""}


async def test_alone_only_where_the_court_allows_it_and_then_it_is_printed(open_court: Opening, data_dir: Path) -> None:
    (data_dir / "court.yaml").write_text("allow_self_review: true\n", encoding="utf-8")
    court = await open_court()
    both = await court.clerk("王敏", "handler", "reviewer")
    no = court.need(QUESTION, 11)
    court.replies(no)
    address = await drafted(court, both, no)
    assert (await publishes(both, address)).status == 303
    assert court.serving(no.lower()).reviewed_by == "王敏（一人办理）"
    audit = court.does(lambda db: row(db, "SELECT note FROM audit WHERE action = 'entry_published'"))
    assert "一人办理" in audit["note"]
    assert "王敏（一人办理）" in (await both.opens(address)).text


async def test_a_return_needs_a_reason_and_a_stale_page_changes_nothing(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "handler"), await court.clerk("陈静", "reviewer")
    no = court.need(QUESTION, 11)
    court.replies(no)
    address = await drafted(court, writer, no)
    page = await reviewer.opens(address)
    assert (await reviewer.sends(f"{address}/return", page, why="短")).status == 400
    assert (await reviewer.sends(f"{address}/return", page, why="请补上期限")).status == 303
    assert "请补上期限" in (await writer.opens(address)).text
    form = await writer.opens(f"{address}/edit")
    await writer.sends(f"{address}/edit", form, **fields(form) | {"deadline": "自拾得之日起及时通知"})
    await handed_in(writer, address)
    stale = await reviewer.sends(f"{address}/publish", page)
    assert stale.status == 409 and "内容在您审阅时变了" in stale.text
    assert court.told() == [] and court.serving(no.lower()).entry.state == "review"


async def test_two_editors_the_second_is_told_and_both_texts_are_kept(court: Court) -> None:
    one, two = await court.clerk("王敏", "handler"), await court.clerk("李强", "registrar")
    no = court.need(QUESTION, 11)
    court.replies(no)
    address = await drafted(court, one, no)
    first, second = await one.opens(f"{address}/edit"), await two.opens(f"{address}/edit")
    assert (await one.sends(f"{address}/edit", first, **fields(first) | {"answer": "第一个人写的答复"})).status == 303
    late = await two.sends(f"{address}/edit", second, **fields(second) | {"answer": "第二个人写的答复"})
    assert late.status == 409
    assert "第二个人写的答复" in late.text and "第一个人写的答复" in late.text
    assert court.version(no.lower()).entry.answer == "第一个人写的答复"
    assert (await two.sends(f"{address}/edit", late, **fields(late))).status == 303
    assert court.version(no.lower()).entry.answer == "第二个人写的答复"


def asked_and_solved(court: Court, question: str, entry_id: str) -> None:
    """Somebody was answered by this entry and said that it helped."""

    def ask(db: Db) -> None:
        asker = asker_in(db, "web", 99, court.at)
        asking = record_asking(db, Asking(question, "answer", entry_id), court.at, None, asker.id, asker.person_id)
        set_feedback(db, asking, "solved")

    court.does(ask)


async def test_conflicts_are_shown_and_need_a_typed_reason(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "handler"), await court.clerk("陈静", "reviewer")
    known = court.answers(KNOWN)
    assert known is not None
    asked_and_solved(court, KNOWN, known)
    rival = Entry("own:货款/1", KNOWN, "只能等。", wordings=("客户拖着货款不给",), state="draft")
    court.does(lambda db: drafting.start(db, rival, [], "staff:1", court.at))
    address = await handed_in(writer, f"/console{link(rival.id)}")
    page = await writer.opens(address)
    assert "最接近的现有条目" in page.text and known in page.text
    looked = await writer.sends(f"{address}/look", page)
    assert looked.status == 303
    shown = await reviewer.opens(address)
    assert "提问人确认过原来的答复解决了问题" in shown.text
    outlook = consequences_of(court.opened).seen(court.version(rival.id).hash)
    assert outlook is not None and [change.before for change in outlook.changed] == [known] and outlook.conflicts
    refused = await publishes(reviewer, address)
    assert refused.status == 400 and "冲突" in refused.text
    assert court.serving(rival.id).entry.state == "review" and court.answers(KNOWN) == known
    assert (await publishes(reviewer, address, why="原条目已经过时，以这个为准")).status == 303
    event = court.does(lambda db: row(db, "SELECT note FROM entry_events WHERE action = 'published'"))
    assert "冲突" in event["note"] and "原条目已经过时" in event["note"]
    court.follows()
    assert court.answers(KNOWN) == rival.id


async def test_looking_ahead_counts_gains_and_leaves_what_serves_alone(court: Court) -> None:
    court.need(QUESTION, 11)
    court.need("员工没签合同要赔多少", 12)
    hidden = court.need("我捡到鸽子，信访反映，饲料钱能要吗", 13)
    court.steps(hidden, "restrict", "信访件", sensitive="信访", visibility="专班")
    before = sorted(path.name for path in court.opened.folders.index.iterdir())
    draft = Entry("new", QUESTION, ANSWER, state="draft")
    looking = consequences_of(court.opened)
    assert looking.seen("x") is None
    outlook = looking.look(draft, "x")
    assert [change.question for change in outlook.gains] == [QUESTION] and outlook.changed == outlook.conflicts == ()
    assert outlook.asked == 2  # the restricted one is not looked at
    assert looking.seen("x") is outlook
    assert sorted(path.name for path in court.opened.folders.index.iterdir()) == before
    assert court.answers(QUESTION) is None
    court.does(lambda db: library.put_entry(db, "console", Entry("other", "食堂几点开门？", "十一点。"), court.at))
    court.follows()
    assert looking.seen("x") is None  # another index serves: look again


async def test_another_version_that_no_longer_answers_is_a_change(court: Court) -> None:
    known = court.answers(KNOWN)
    assert known is not None
    asked_and_solved(court, KNOWN, known)
    entry = court.serving(known).entry
    looking = consequences_of(court.opened)
    same = looking.look(replace(entry, wordings=(*entry.wordings, "货款收不回来")), "1")
    assert same.changed == ()
    emptied = replace(entry, question="食堂几点开门？", wordings=(), answer="十一点。", keywords=(), steps=(), materials=())
    lost = looking.look(emptied, "2")
    assert [(change.before, bool(change.why)) for change in lost.changed] == [(known, True)]


async def test_wrong_citations_and_personal_data_hold_publishing_up(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "handler"), await court.clerk("陈静", "reviewer")
    entry = Entry("own:1", QUESTION, "请找张先生，138****8000。", basis=(Citation("没有这部法", "第一条"),), state="draft")
    court.does(lambda db: drafting.start(db, entry, [], "staff:1", court.at))
    address = await handed_in(writer, f"/console{link(entry.id)}")
    assert "张先生" in (await writer.opens(address)).text and "不在法规目录里" in (await writer.opens(address)).text
    unsure = await publishes(reviewer, address, why="已经核对过")
    assert unsure.status == 400 and "像个人信息" in unsure.text
    unexplained = await publishes(reviewer, address, sure="1")
    assert unexplained.status == 400 and "不在法规目录里" in unexplained.text
    assert (await publishes(reviewer, address, sure="1", why="地方规定，目录没有收")).status == 303


async def test_withdrawn_with_a_reason_it_answers_no_more(court: Court) -> None:
    reviewer = await court.clerk("陈静", "reviewer")
    known = court.answers(KNOWN)
    assert known is not None
    address = f"/console{link(known)}"
    page = await reviewer.opens(address)
    assert (await reviewer.sends(f"{address}/stop", page, why="")).status == 400
    assert court.answers(KNOWN) == known
    assert (await reviewer.sends(f"{address}/stop", page, why="法律已经修改")).status == 303
    assert court.answers(KNOWN) != known  # at once, before any index is built
    court.follows()
    assert court.answers(KNOWN) != known
    assert "法律已经修改" in (await reviewer.opens(address)).text
    audit = court.does(lambda db: row(db, "SELECT actor, subject FROM audit WHERE action = 'entry_withdrawn'"))
    assert audit["subject"] == known


async def test_a_wording_is_added_to_an_existing_entry_instead(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "handler"), await court.clerk("陈静", "reviewer")
    known = court.answers(KNOWN)
    assert known is not None
    served = court.serving(known)
    no = court.need("老客户的货款欠了半年还说再等等", 11)
    court.replies(no, "可以申请支付令。")
    address = await drafted(court, writer, no)
    page = await writer.opens(address)
    merged = await writer.sends(f"{address}/merge", page, into=known)
    assert merged.headers["Location"] == f"/console{link(known)}?done=merged"
    assert court.serving(known) == served and court.answers(KNOWN) == known
    target = await handed_in(writer, f"/console{link(known)}")
    assert "正在使用" in (await reviewer.opens(target)).text
    assert (await publishes(reviewer, target)).status == 303
    now = court.serving(known)
    assert (
        now.origin == "console" and now.entry.wordings[-1] == "老客户的货款欠了半年还说再等等" and now.entry.answer == served.entry.answer
    )
    versions = (await reviewer.opens(target)).text
    assert "<ins>老客户的货款欠了半年还说再等等</ins>" in versions
    court.follows()
    assert court.opened.answering.reply_to("老客户的货款欠了半年还说再等等").candidates[0].wording == "老客户的货款欠了半年还说再等等"
    # An upgrade of the shipped content keeps the court's own version.
    report = building.reindex(court.opened.database, court.opened.folders.index, court.opened.encoder, court.at)
    assert report.changes["shipped"].kept_ours == [known]


async def test_sensitive_needs_are_refused_with_a_sentence_and_hidden_ones_do_not_exist(court: Court) -> None:
    writer, watcher = await court.clerk("王敏", "handler"), await court.clerk("孙督", "supervisor", "registrar")
    no = court.need(QUESTION, 11)
    court.replies(no)
    court.steps(no, "restrict", "信访件", sensitive="信访", visibility="专班")
    csrf = (await writer.opens("/console")).fields["csrf"]
    assert (await writer.sends(f"/console/needs/{no}/draft", csrf=csrf)).status == 404
    csrf = (await watcher.opens("/console")).fields["csrf"]
    refused = await watcher.sends(f"/console/needs/{no}/draft", csrf=csrf)
    assert refused.status == 409 and "敏感需求" in refused.text
    assert court.does(lambda db: library.find(db, no.lower())) is None


async def test_a_need_restricted_after_drafting_is_not_published(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "handler"), await court.clerk("陈静", "reviewer")
    no = court.need(QUESTION, 11)
    court.replies(no)
    address = await drafted(court, writer, no)
    court.steps(no, "restrict", "信访件", sensitive="信访", visibility="专班")
    refused = await publishes(reviewer, address)
    assert refused.status == 409 and "敏感需求" in refused.text
    assert no not in (await reviewer.opens(address)).text  # nor is it listed among the sources


async def test_validity_dates_and_what_is_told_on_the_first_day(court: Court) -> None:
    writer, reviewer = await court.clerk("王敏", "handler"), await court.clerk("陈静", "reviewer")
    no = court.need(QUESTION, 11)
    court.replies(no)
    court.does(lambda db: move(db, no, "reopen", "asker", ASKER, court.at, court.opened.rules))
    court.replies(no, f"以新规定为准：{ANSWER}")
    late = court.need("信鸽的饲料钱", 12)
    court.steps(late, "merge", lead_no=no)
    address = await drafted(court, writer, no)
    form = await writer.opens(f"{address}/edit")
    wrong = await writer.sends(f"{address}/edit", form, **fields(form) | {"valid_from": "2026-13-01"})
    assert wrong.status == 400 and "生效日期" in wrong.text
    over = fields(form) | {"valid_until": (court.at.date() - timedelta(days=1)).isoformat()}
    assert (await writer.sends(f"{address}/edit", form, **over)).status == 303
    await handed_in(writer, address)
    refused = await publishes(reviewer, address)
    assert refused.status == 400 and "已经过去" in refused.text
    form = await writer.opens(f"{address}/edit")
    soon, last = date(2026, 11, 20), date(2026, 12, 10)
    days = {"valid_from": soon.isoformat(), "valid_until": last.isoformat()}
    await writer.sends(f"{address}/edit", form, **fields(form) | days)
    await handed_in(writer, address)
    assert (await publishes(reviewer, address)).status == 303
    court.follows()
    assert court.told() == [] and court.answers(QUESTION) is None
    assert "30 天内到期" in (await reviewer.opens("/console/entries")).text

    def round_of(db: Db) -> int:
        return publishing.tell_what_begins(db, Mail(db, court.at), court.desk, court.at)

    assert court.does(round_of) == 0
    court.at += timedelta(days=4)
    assert court.does(round_of) == 1 and court.does(round_of) == 0
    assert court.told() == [(12, late)] and court.answers(QUESTION) == no.lower()
    court.at += timedelta(days=21)
    assert court.answers(QUESTION) is None


async def test_the_undelivered_are_listed_masked_and_opened_for_a_reason(court: Court) -> None:
    clerk = await court.clerk("王敏", "registrar")
    no = court.need(QUESTION, 11, company="青岛海天餐饮有限公司", contact="赵六", phone="13987654321")
    hidden = court.need("信访反映", 12, company="崂山兴旺木器有限公司", contact="钱七", phone="13812345678")
    court.replies(no)
    court.replies(hidden)
    court.steps(hidden, "restrict", "信访件", sensitive="信访", visibility="专班")
    page = await clerk.opens("/console/undelivered")
    assert no in page.text and hidden not in page.text and "139****4321" in page.text
    assert "赵六" not in page.text and "13987654321" not in page.text
    assert (await clerk.sends("/console/undelivered", page, why="x")).status == 400
    opened = await clerk.sends("/console/undelivered", page, why="电话告知答复", no=no)
    assert "赵六" in opened.text and "13987654321" in opened.text and "13812345678" not in opened.text
    audit = court.does(lambda db: row(db, "SELECT * FROM audit WHERE action = 'undelivered_revealed'"))
    assert audit["subject"] == no and "电话告知答复" in audit["note"] and "13987654321" not in audit["note"]
    assert (await clerk.sends("/console/undelivered", page, why="电话告知答复", no=hidden)).status == 404
    court.does(lambda db: db.execute("UPDATE outbox SET state = 'delivered'"))
    assert "都送达了" in (await clerk.opens("/console/undelivered")).text


async def test_what_the_chat_can_decide_on(court: Court) -> None:
    def queue(db: Db) -> list[str]:
        return [version.entry.id for version in publishing.waiting_versions(db)]

    own = Entry("own:1", QUESTION, ANSWER, state="draft")
    court.does(lambda db: library.put_entry(db, "console", Entry("notes:1", "食堂几点开门？", "十一点。", state="draft"), court.at))
    court.does(lambda db: drafting.start(db, own, [], "staff:1", court.at))
    assert court.does(queue) == ["notes:1"]  # a draft its author still works on does not wait for anybody
    court.does(lambda db: drafting.submit(db, own.id, own.content_hash(), "staff:1", court.at))
    assert sorted(court.does(queue)) == ["notes:1", "own:1"]
    found = court.does(lambda db: publishing.waiting_version(db, own.content_hash()[:16]))
    assert found.entry == own
    with pytest.raises(NotFound):
        court.does(lambda db: publishing.waiting_version(db, "0" * 16))


async def test_ids_with_colons_slashes_and_chinese_have_pages(court: Court) -> None:
    clerk = await court.clerk("陈静", "reviewer", "handler")
    entry = Entry("本院资料:2024/1 号%2F", "食堂几点开门？<b>", "十一点。", state="draft")
    court.does(lambda db: library.put_entry(db, "console", entry, MONDAY))
    address = f"/console{link(entry.id)}"
    assert address in (await clerk.opens("/console/entries")).text
    page = await clerk.opens(address)
    assert page.status == 200 and "食堂几点开门？&lt;b&gt;" in page.text
    # Nobody here wrote it: one reviewer is the second person.
    done = await publishes(clerk, address)
    assert done.status == 303 and court.serving(entry.id).entry.state == "published"
    assert (await clerk.opens(done.headers["Location"])).status == 200
    assert (await clerk.opens("/console/entries/nichts")).status == 404
