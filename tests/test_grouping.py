"""Needs that ask the same: put together and taken apart with nothing lost, answered once, counted by verified enterprises."""

import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any
from zlib import crc32

import pytest

from bot import access
from bot.access import Staff
from bot.console import groups
from bot.desk import Desk
from bot.joining import Joining, tells_nobody
from bot.outbox import Mail
from bot.settings import Settings
from bot.startup import Opened
from knowledge.clock import stamp
from knowledge.database import row, rows
from knowledge.enterprise import asker_in, forget, set_profile
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound
from knowledge.ledger import grouping, history
from knowledge.ledger.needs import Asking, move, open_need, record_asking
from knowledge.ledger.workflow import ASKER
from tests.office import MONDAY, Clerk, Office

ROLES = frozenset({"registrar", "handler"})
SAME = ("客户拖欠货款不给怎么办", "买家一直拖欠货款不付怎么办", "对方拖欠我的货款不付，怎么办", "客户的货款一直拖欠，怎么办")


class Ledger:
    """A real ledger, and enterprises that ask in it."""

    def __init__(self, opened: Opened) -> None:
        self.opened, self.rules = opened, opened.rules
        self.desk = Desk(opened.court, opened.rules, opened.topics)
        number = self.does(lambda db: access.add_staff(db, "王敏", list(ROLES), MONDAY))
        self.staff = Staff(number, "王敏", ROLES)

    def does(self, operation: Any) -> Any:
        return self.opened.database.write(operation).result()

    def asks(self, company: str, question: str = SAME[0], chat: int | None = None, **details: Any) -> str:
        """A need of somebody from this company; 核实 companies begin with 企业."""

        def ask(db: Any) -> str:
            asker = asker_in(db, "web", chat or crc32(company.encode()), MONDAY)
            if company.startswith("企业"):
                db.execute(
                    "INSERT OR IGNORE INTO enterprises (name, created_at, updated_at) VALUES (?, ?, ?)",
                    [company, stamp(MONDAY), stamp(MONDAY)],
                )
                db.execute(
                    "UPDATE persons SET verified_at = ?, enterprise_id = (SELECT id FROM enterprises WHERE name = ?) WHERE id = ?",
                    [stamp(MONDAY), company, asker.person_id],
                )
            set_profile(db, asker.person_id, "company", company, MONDAY)
            asking = record_asking(db, Asking(question, "need"), MONDAY, None, asker.id, asker.person_id)
            return open_need(db, asking, "机器人", MONDAY, self.rules, details=details)

        return str(self.does(ask))

    def merge(self, lead: str, *members: str) -> tuple[str, ...]:
        found = self.does(lambda db: grouping.merge(db, lead, members, self.staff.actor, ROLES, MONDAY, self.rules, "同一件事"))
        return tuple(found)

    def split(self, no: str) -> None:
        self.does(lambda db: grouping.split(db, no, self.staff.actor, ROLES, MONDAY, self.rules))

    def undo(self, lead: str, place: int = -1) -> None:
        link = self.does(lambda db: grouping.links_of(db, lead))[place]["id"]
        self.does(lambda db: grouping.undo(db, link, self.staff.actor, ROLES, MONDAY, self.rules))

    def group(self, no: str) -> tuple[str, ...] | None:
        found = self.does(lambda db: grouping.group_of(db, no))
        return (found.lead, *found.members) if found else None

    def counts(self, no: str) -> int:
        return int(self.does(lambda db: grouping.verified_enterprises(db, no)))

    def story(self, no: str) -> list[tuple[int, str, str]]:
        found = self.does(lambda db: rows(db, "SELECT id, action, link FROM need_history WHERE need_no = ? ORDER BY id", no))
        return [(item["id"], item["action"], item["link"]) for item in found]

    def is_whole(self) -> bool:
        """Whether the chain and every column of every need are what the history makes of them."""
        return self.does(lambda db: history.verify(db, self.rules)).first_break is None

    def told(self, action: Any) -> list[tuple[int, str]]:
        """The messages to askers that `action` leaves in the outbox: chat and need."""
        before = self.does(lambda db: row(db, "SELECT coalesce(max(id), 0) AS n FROM outbox"))["n"]
        self.does(lambda db: action(db, Mail(db, MONDAY)))
        found = self.does(lambda db: rows(db, "SELECT chat_id, need_no FROM outbox WHERE id > ? ORDER BY id", before))
        return [(item["chat_id"], item["need_no"]) for item in found]


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Opened(Settings(data_dir=tmp_path), clock=lambda: MONDAY)
    yield Ledger(opened)
    opened.close()


def test_merge_split_and_merge_again_only_add_to_the_histories(ledger: Ledger) -> None:
    lead, one, two = (ledger.asks(f"企业{n}") for n in "甲乙丙")
    before = {no: ledger.story(no) for no in (lead, one, two)}
    assert ledger.merge(lead, one, two) == (one, two)
    assert ledger.group(one) == ledger.group(lead) == (lead, one, two)
    ledger.split(one)
    assert ledger.group(one) is None
    assert ledger.group(lead) == (lead, two)
    ledger.merge(lead, one)
    assert ledger.group(lead) == (lead, two, one)
    assert [action for _, action, _ in ledger.story(one)] == ["submit", "merge", "split", "merge"]
    for no, steps in before.items():
        assert ledger.story(no)[: len(steps)] == steps
    links = ledger.does(lambda db: grouping.links_of(db, lead))
    assert [(item["member_no"], item["undone_at"] is None) for item in links] == [(one, False), (two, True), (one, True)]
    assert ledger.is_whole()


def test_undo_takes_back_exactly_what_that_merge_linked(ledger: Ledger) -> None:
    lead, one, two, three = (ledger.asks(f"企业{n}") for n in "甲乙丙丁")
    ledger.merge(lead, one)
    ledger.does(lambda db: grouping.merge(db, lead, (two, three), ledger.staff.actor, ROLES, MONDAY.replace(hour=11), ledger.rules))
    ledger.undo(lead)
    assert ledger.group(lead) == (lead, one)
    assert ledger.group(two) is None and ledger.group(three) is None
    with pytest.raises(Conflict):
        ledger.undo(lead)
    with pytest.raises(NotFound):
        ledger.does(lambda db: grouping.undo(db, 999, ledger.staff.actor, ROLES, MONDAY, ledger.rules))
    assert ledger.is_whole()


def test_a_merged_lead_brings_its_members_and_undo_gives_them_back(ledger: Ledger) -> None:
    old, first, closed, new, other = (ledger.asks(f"企业{n}") for n in "甲乙丙丁戊")
    ledger.merge(old, first, closed)
    ledger.does(lambda db: move(db, closed, "withdraw", "asker", ASKER, MONDAY, ledger.rules))
    assert ledger.merge(new, old, other) == (old, first, closed, other)
    assert ledger.group(first) == (new, old, first, closed, other)
    assert ledger.is_whole()
    with pytest.raises(Conflict, match=new):
        ledger.merge(first, ledger.asks("企业己"))
    ledger.undo(new)
    assert ledger.group(new) is None
    assert ledger.group(other) is None
    assert ledger.group(first) == (old, first, closed)
    assert ledger.is_whole()


def test_what_cannot_be_merged_says_why_and_changes_nothing(ledger: Ledger) -> None:
    lead, one, two, gone = (ledger.asks(f"企业{n}") for n in "甲乙丙丁")
    ledger.does(lambda db: move(db, gone, "withdraw", "asker", ASKER, MONDAY, ledger.rules))
    ledger.merge(lead, one)
    before = ledger.does(lambda db: rows(db, "SELECT * FROM need_history"))
    for wrong, problem in (
        (lambda: ledger.merge(lead), BadInput),
        (lambda: ledger.merge(lead, lead), BadInput),
        (lambda: ledger.merge(lead, one), Conflict),
        (lambda: ledger.merge(one, two), Conflict),
        (lambda: ledger.merge(two, one), Conflict),
        (lambda: ledger.merge(two, lead, one), Conflict),
        (lambda: ledger.merge(gone, two), NotAllowed),
        (lambda: ledger.merge(lead, two, gone), NotAllowed),
        (lambda: ledger.merge(lead, "XQ-2026-9999"), NotFound),
        (lambda: ledger.merge("XQ-2026-9999", lead), NotFound),
        (lambda: ledger.merge(lead, *(f"XQ-2026-{n:04d}" for n in range(500))), BadInput),
        (lambda: ledger.split(lead), Conflict),
        (lambda: ledger.split("XQ-2026-9999"), NotFound),
        (
            lambda: ledger.does(lambda db: grouping.merge(db, lead, (two,), "staff:1", frozenset({"auditor"}), MONDAY, ledger.rules)),
            NotAllowed,
        ),
    ):
        with pytest.raises(problem):
            wrong()
    assert ledger.does(lambda db: rows(db, "SELECT * FROM need_history")) == before
    assert ledger.group(lead) == (lead, one)
    assert ledger.is_whole()


def test_of_two_clerks_at_once_the_second_is_told(ledger: Ledger) -> None:
    one, two, wanted = (ledger.asks(f"企业{n}") for n in "甲乙丙")
    outcomes: list[object] = []

    def clerk(lead: str) -> None:
        try:
            outcomes.append(ledger.merge(lead, wanted))
        except Conflict as error:
            outcomes.append(error)

    clerks = [threading.Thread(target=clerk, args=(lead,)) for lead in (one, two)]
    for thread in clerks:
        thread.start()
    for thread in clerks:
        thread.join()
    assert sorted(type(outcome).__name__ for outcome in outcomes) == ["Conflict", "tuple"]
    assert ledger.does(lambda db: rows(db, "SELECT count(*) AS n FROM need_links"))[0]["n"] == 1
    assert ledger.is_whole()


def test_enterprises_are_counted_not_messages_and_only_verified_ones(ledger: Ledger) -> None:
    first = ledger.asks("企业甲", chat=1)
    more = [ledger.asks("企业甲", chat=1) for _ in range(3)] + [ledger.asks("企业甲", chat=2)]
    assert ledger.counts(first) == 1
    ledger.merge(first, *more)
    assert ledger.counts(first) == 1
    unverified = ledger.asks("自称的公司", chat=3)
    ledger.merge(first, unverified)
    assert ledger.counts(first) == 1
    second, third = ledger.asks("企业乙", chat=4), ledger.asks("企业丙", chat=5)
    ledger.merge(first, second, third)
    assert ledger.counts(unverified) == 3
    person = ledger.does(lambda db: asker_in(db, "web", 4, MONDAY)).person_id
    ledger.does(lambda db: forget(db, person, MONDAY))
    assert ledger.counts(first) == 2
    ledger.does(lambda db: move(db, third, "withdraw", "asker", ASKER, MONDAY, ledger.rules))
    assert ledger.counts(first) == 1


def test_a_group_is_public_from_three_enterprises_on_while_it_is_open_and_nothing_of_it_is_sensitive(ledger: Ledger) -> None:
    lead, one, two = (ledger.asks(f"企业{n}") for n in "甲乙丙")
    ledger.merge(lead, one)

    def is_public() -> bool:
        listed = ledger.does(grouping.public_groups)
        assert listed == ({lead: 3} if ledger.does(lambda db: grouping.public_lead(db, lead)) else {})
        return bool(listed)

    assert not is_public()
    ledger.merge(lead, two)
    assert is_public()
    assert not ledger.does(lambda db: grouping.public_lead(db, one)), "a member leads nobody"
    roles = frozenset({"registrar", "supervisor"})
    ledger.does(lambda db: move(db, two, "restrict", "staff:1", roles, MONDAY, ledger.rules, "涉及信访", {"visibility": "专班"}))
    assert not is_public()
    ledger.does(lambda db: move(db, two, "unrestrict", "staff:1", roles, MONDAY, ledger.rules, "不涉及", {"visibility": "院内"}))
    assert is_public()
    ledger.does(lambda db: ledger.desk.reply(db, Mail(db, MONDAY), lead, ledger.staff, "可以起诉。", MONDAY))
    assert not is_public()


def test_sensitive_needs_go_with_nobody_but_their_own_kind(ledger: Ledger) -> None:
    secret: dict[str, Any] = {"sensitive": "信访", "visibility": "专班"}
    plain = [ledger.asks(f"企业{n}") for n in "甲乙丙"]
    hidden = [ledger.asks(f"企业{n}", **secret) for n in "丁戊己"]
    other = ledger.asks("企业庚", **{**secret, "sensitive": "群体性"})
    for lead, member in ((plain[0], hidden[0]), (hidden[0], plain[0]), (hidden[0], other)):
        with pytest.raises(NotAllowed):
            ledger.merge(lead, member)
    ledger.merge(hidden[0], hidden[1], hidden[2])
    assert ledger.does(grouping.public_groups) == {}
    boss = Staff(ledger.staff.id, "王敏", frozenset({"supervisor", "registrar"}))
    for staff in (ledger.staff, boss):
        waiting = ledger.does(lambda db, staff=staff: groups.read_waiting(db, ledger.desk, staff, MONDAY.date()))
        assert [item.no for item in waiting] == plain[::-1], "the newest first"
    with pytest.raises(NotAllowed):
        ledger.does(lambda db: grouping.join(db, plain[0], hidden[0], MONDAY, ledger.rules))


def test_one_answer_reaches_three_enterprises_once_each_and_a_split_need_no_more(ledger: Ledger) -> None:
    lead, again, one, two = (
        ledger.asks("企业甲", chat=1),
        ledger.asks("企业甲", chat=1),
        ledger.asks("企业乙", chat=2),
        ledger.asks("企业丙", chat=3),
    )
    ledger.merge(lead, again, one, two)
    told = ledger.told(lambda db, mail: ledger.desk.reply(db, mail, lead, ledger.staff, "可以起诉。", MONDAY))
    assert sorted(chat for chat, _ in told) == [1, 2, 3]
    states = {item["no"]: item["state"] for item in ledger.does(lambda db: rows(db, "SELECT no, state FROM needs"))}
    assert set(states.values()) == {"replied"}
    assert [action for _, action, _ in ledger.story(two)] == ["submit", "merge", "follow_reply"]
    ledger.split(two)
    told = ledger.told(lambda db, mail: ledger.desk.reply(db, mail, lead, ledger.staff, "补充一点。", MONDAY))
    assert sorted(chat for chat, _ in told) == [1, 2]
    assert ledger.does(lambda db: row(db, "SELECT state FROM needs WHERE no = ?", two)) == {"state": "replied"}
    assert ledger.is_whole()


def test_pairs_that_are_unlike_are_remembered_either_way_round(ledger: Ledger) -> None:
    one, two = ledger.asks("企业甲"), ledger.asks("企业乙")
    for first, second in ((two, one), (one, two)):
        ledger.does(partial(grouping.say_unlike, first=first, second=second, actor=ledger.staff.actor, at=MONDAY))
    assert ledger.does(grouping.unlike_pairs) == {(one, two)}
    for wrong, problem in ((one, BadInput), ("XQ-2026-9999", NotFound)):
        with pytest.raises(problem):
            ledger.does(partial(grouping.say_unlike, first=one, second=wrong, actor=ledger.staff.actor, at=MONDAY))


def joining(ledger: Ledger) -> Joining:
    opened = ledger.opened
    return Joining(opened.database.path, opened.encoder, opened.court, opened.topics)


def test_a_fourth_enterprise_joins_and_is_told_with_the_others(ledger: Ledger) -> None:
    found = joining(ledger)
    lead, one = ledger.asks("企业甲", SAME[0], 1), ledger.asks("企业乙", SAME[1], 2)
    ledger.merge(lead, one)
    assert found.find(SAME[3]) is None, "two enterprises are too few"
    ledger.merge(lead, ledger.asks("企业丙", SAME[2], 3))
    offer = found.find(SAME[3])
    assert offer and (offer.lead, offer.enterprises, offer.shown) == (lead, 3, SAME[0])
    assert found.find("员工工伤认定要什么材料") is None
    assert found.find(SAME[3] + "，不给就去跳楼") is None, "danger goes to a person"
    mine = ledger.asks("企业丁", SAME[3], 4)
    ledger.does(lambda db: grouping.join(db, mine, offer.lead, MONDAY, ledger.rules))
    assert ledger.counts(lead) == 4
    with pytest.raises(Conflict):
        ledger.does(lambda db: grouping.join(db, mine, lead, MONDAY, ledger.rules))
    told = ledger.told(lambda db, mail: ledger.desk.reply(db, mail, lead, ledger.staff, "可以起诉。", MONDAY))
    assert sorted(chat for chat, _ in told) == [1, 2, 3, 4]
    with pytest.raises(NotAllowed):
        ledger.does(lambda db: _join_new(db, ledger, lead))
    assert ledger.is_whole()


def _join_new(db: Any, ledger: Ledger, lead: str) -> None:
    """A need that comes after the answer waits for nothing."""
    asker = asker_in(db, "web", 9, MONDAY)
    asking = record_asking(db, Asking(SAME[1], "need"), MONDAY, None, asker.id, asker.person_id)
    grouping.join(db, open_need(db, asking, "机器人", MONDAY, ledger.rules), lead, MONDAY, ledger.rules)


def test_opposite_questions_are_not_offered_to_join(ledger: Ledger) -> None:
    question = "试用期内可以辞退员工吗"
    lead, *members = (ledger.asks(f"企业{n}", question, place) for place, n in enumerate("甲乙丙", 1))
    ledger.merge(lead, *members)
    found = joining(ledger)
    assert found.find("试用期里可以辞退员工吗")
    assert found.find("试用期内不可以辞退员工吗") is None
    assert found.find("试用期满可以辞退员工吗") is None


def test_only_what_tells_nobody_is_shown_else_the_topic(ledger: Ledger) -> None:
    lead, *members = (
        ledger.asks(f"企业{n}", question, place, topic="B01")
        for place, (n, question) in enumerate(zip("甲乙丙", ("张伟明拖欠货款不给怎么办", *SAME[1:3]), strict=True), 1)
    )
    ledger.merge(lead, *members)
    offer = joining(ledger).find(SAME[3])
    assert offer and offer.shown == ledger.opened.topics["B01"].name
    summary = "客户拖欠货款怎么办"
    ledger.does(lambda db: move(db, lead, "edit", ledger.staff.actor, ROLES, MONDAY, ledger.rules, summary, {"field": "summary"}))
    offer = joining(ledger).find(SAME[3])
    assert offer and offer.shown == summary


@pytest.mark.parametrize(
    "text",
    (
        "张伟明欠我货款不还怎么办",
        "李总一直拖着工资怎么办",
        "青岛海之星机械有限公司不付款",
        "海之星欠款怎么办",
        "供应商海尔集团不发货",
        "欠我30万货款怎么办",
        "电话13812345678，怎么联系法院",
        "微信abc123的人骗了我",
        "我是明珠酒店的，被拖欠餐费",
        "在中韩街道开店被罚怎么办",
        "（2026）鲁0212民初123号案子怎么还没判",
        "怎么办" * 30,
    ),
)
def test_what_might_tell_who_asked_is_not_shown(text: str) -> None:
    assert not tells_nobody(text, ["青岛海之星机械有限公司"])


@pytest.mark.parametrize("text", [*SAME, "公司不给我发工资怎么办", "对方公司不付款怎么办", "合同没写期限，15日内能反悔吗"])
def test_ordinary_questions_are_shown(text: str) -> None:
    assert tells_nobody(text, ["青岛海之星机械有限公司"])


async def merges(clerk: Clerk, lead: str, *members: str) -> Any:
    """Send the form of a proposal."""
    page = await clerk.opens("/console/groups")
    data = [("csrf", page.fields["csrf"]), ("lead", lead), *(("member", no) for no in (lead, *members))]
    return await clerk.opens("/console/groups/merge", "POST", data=data)


async def test_clerk_confirms_a_proposal_undoes_it_and_says_what_is_unlike(office: Office) -> None:
    numbers = [office.need(question, chat) for chat, question in enumerate(SAME[:3], 1)]
    office.need("网购七天无理由退货怎么算", 9)
    clerk = await office.clerk("王敏", "handler")
    page = await clerk.opens("/console/groups")
    assert "0 家核实的企业，3 件需求像在问同一件事" in page.text
    assert "网购七天" not in page.text
    done = await merges(clerk, numbers[1], numbers[0], numbers[2])
    assert done.status == 303
    page = await clerk.opens(done.headers["Location"])
    assert "已归并" in page.text and "像在问同一件事" not in page.text
    assert [action for action, _ in office.story(numbers[0])] == ["submit", "merge"]
    undone = await clerk.sends("/console/groups/undo", page)
    assert undone.headers["Location"] == "/console/groups?done=undone"
    assert office.does(lambda db: grouping.group_of(db, numbers[1])) is None
    page = await clerk.opens("/console/groups")
    data = [("csrf", page.fields["csrf"]), ("lead", numbers[0]), ("member", numbers[1]), ("member", numbers[2])]
    await clerk.opens("/console/groups/unlike", "POST", data=data)
    page = await clerk.opens("/console/groups?done=unlike")
    assert "以后不再一起建议" in page.text
    assert f'value="{numbers[0]}"' not in page.text
    assert office.does(lambda db: rows(db, "SELECT action, subject FROM audit WHERE action = 'unlike'")) == [
        {"action": "unlike", "subject": numbers[0]}
    ]
    assert office.does(lambda db: history.verify(db, office.opened.rules)).first_break is None


async def test_second_clerk_is_told_and_sees_the_page_as_it_is_now(office: Office) -> None:
    one, two, three = (office.need(question, chat) for chat, question in enumerate(SAME[:3], 1))
    first, second = await office.clerk("王敏", "handler"), await office.clerk("李强", "assigner")
    assert (await merges(first, one, two)).status == 303
    late = await merges(second, three, two)
    assert late.status == 409
    assert f"已归并到 {one}" in late.text
    page = await second.opens("/console/groups")
    split = await second.sends("/console/groups/split", page, member=two)
    assert split.status == 303
    assert (await second.sends("/console/groups/split", page, member=two)).status == 409
    assert [action for action, _ in office.story(two)] == ["submit", "merge", "split"]


@pytest.mark.parametrize(
    ("path", "typed", "status"),
    [
        ("merge", {}, 400),
        ("merge", {"lead": "没有"}, 400),
        ("merge", {"lead": "XQ-2026-0001", "member": "XQ-2026-0001"}, 400),
        ("merge", {"lead": "XQ-2026-0001", "member": "XQ-2026-9999"}, 404),
        ("merge", {"lead": "xq-2026-0001", "member": "长" * 3000}, 400),
        ("unlike", {"lead": "XQ-2026-0001"}, 400),
        ("split", {}, 404),
        ("split", {"member": "XQ-2026-0001"}, 409),
        ("undo", {}, 400),
        ("undo", {"link": "９"}, 400),
        ("undo", {"link": "-1"}, 400),
    ],
)
async def test_bad_forms_are_a_clear_page_and_change_nothing(office: Office, path: str, typed: dict[str, str], status: int) -> None:
    no, clerk = office.need(), await office.clerk("王敏", "handler")
    page = await clerk.opens("/console/groups")
    answer = await clerk.sends(f"/console/groups/{path}", page, **typed)
    assert answer.status == status
    assert 'role="alert"' in answer.text
    assert [action for action, _ in office.story(no)] == ["submit"]


async def test_who_may_not_group_sees_no_button_and_hidden_needs_stay_hidden(office: Office) -> None:
    numbers = [office.need(question, chat) for chat, question in enumerate(SAME[:3], 1)]
    clerk, auditor, admin = (
        await office.clerk("王敏", "registrar"),
        await office.clerk("审计", "auditor"),
        await office.clerk("管理", "admin"),
    )
    await merges(clerk, *numbers)
    office.does(
        lambda db: move(
            db, numbers[2], "restrict", "staff:1", frozenset({"registrar"}), MONDAY, office.opened.rules, "信访", {"visibility": "专班"}
        )
    )
    page = await clerk.opens("/console/groups")
    assert "另有 1 件由专人办理" in page.text and numbers[2] not in page.text
    assert (await clerk.sends("/console/groups/split", page, member=numbers[2])).status == 404
    seen = await auditor.opens("/console/groups")
    assert numbers[2] in seen.text
    for reader in (seen, await admin.opens("/console/groups")):
        assert "/console/groups/split" not in reader.text
    assert (await auditor.sends("/console/groups/split", seen, member=numbers[1])).status == 403
    undone = await clerk.sends("/console/groups/undo", page)
    assert undone.status == 404, "what one may not see one cannot take apart either"
    assert len(office.does(lambda db: grouping.group_of(db, numbers[0])).members) == 2


async def test_personal_data_in_questions_is_masked_and_markup_is_text(office: Office) -> None:
    office.need("客户拖欠货款不给怎么办，电话 13812345678<script>", 1)
    office.need("客户拖欠货款不给怎么办，电话 13912345678", 2)
    page = await (await office.clerk("王敏", "registrar")).opens("/console/groups")
    assert "138****5678" in page.text and "13812345678" not in page.text
    assert "<script>" not in page.text
