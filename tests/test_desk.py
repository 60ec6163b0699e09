"""What staff do with a need: the whole table through the desk, whose need it is, review, assignment, who is told."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from bot.access import Staff
from bot.desk import LONGEST_REPLY, SELF_REVIEWED, Desk
from bot.outbox import Mail
from knowledge.court import ROLES
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, NotAllowed, NotFound
from knowledge.ledger import grouping
from knowledge.ledger.assignment import propose
from knowledge.ledger.needs import LONGEST_TEXT, find_need, move
from knowledge.ledger.telling import tellings_of
from knowledge.ledger.workflow import ASKER, BOT, MOVES, RESTRICTED_INTAKE, STATE_NAMES
from tests.courthouse import CROWD, Court

PATHS: dict[str, list[str]] = {
    "submitted": [],
    "need_info": ["ask_asker"],
    "rejected": ["reject"],
    "registered": ["register"],
    "assigned": ["register", "assign"],
    "in_progress": ["register", "assign", "accept"],
    "waiting": ["register", "assign", "accept", "ask_enterprise"],
    "transferred": ["register", "assign", "accept", "transfer"],
    "in_review": ["register", "submit_reply"],
    "replied": ["reply"],
    "reopened": ["reply", "reopen"],
    "suspended": ["suspend"],
    "closed": ["reply", "close"],
    "withdrawn": ["withdraw"],
    "voided": ["void"],
}
"""How a need comes into each state."""
EVERYTHING = frozenset(ROLES)


def in_state(court: Court, state: str, **details: Any) -> str:
    """A need in this state, handled by whom `details` name."""
    no = court.need(**details)
    court.moves(no, *PATHS[state])
    assert court.look(no)["state"] == state
    return no


def doing(court: Court, desk: Desk, action: str, no: str, staff: Staff, why: str = "写明的理由") -> Callable[[Db, Mail], Any]:
    """This step as the desk's own method takes it, with everything it needs."""
    details: dict[str, dict[str, Any]] = {
        "extend": {"due_on": "2026-12-30"},
        "suspend": {"until": "2026-12-30"},
        "transfer": {"partners": ["directory:1"]},
    }
    own: dict[str, Callable[[Db, Mail], Any]] = {
        "register": lambda db, mail: desk.register(db, no, staff, court.at),
        "reject": lambda db, mail: desk.reject(db, mail, no, staff, why, court.at),
        "assign": lambda db, mail: desk.assign(db, mail, no, staff, court.at, "civil", None, (), why),
        "edit": lambda db, mail: desk.edit(db, no, staff, court.at, {"people": 3}),
        "reply": lambda db, mail: desk.reply(db, mail, no, staff, "答复", court.at),
        "submit_reply": lambda db, mail: desk.submit_reply(db, mail, no, staff, "答复", court.at),
        "approve": lambda db, mail: desk.approve(db, mail, no, staff, court.at),
    }
    return own.get(action) or (lambda db, mail: desk.step(db, mail, no, action, staff, court.at, why, details.get(action)))


@pytest.mark.parametrize("state", STATE_NAMES)
def test_the_whole_table_is_obeyed_by_the_desk(court: Court, state: str) -> None:
    """Every action by every role: done exactly where the table says so, and otherwise nothing at all has happened."""
    handler, other = court.staff("承办员", *ROLES), court.staff("别的人", *ROLES)
    no = in_state(court, state, handler=handler.id)
    before, stored = court.footprint(), court.look(no)
    for action, allowed in MOVES.items():
        for role in ROLES:
            staff = replace(handler if allowed.own else other, roles=frozenset({role}))
            court.db.execute("SAVEPOINT one")
            roles = allowed.roles - RESTRICTED_INTAKE if action in ("register", "reject") else allowed.roles
            if role in roles and state in allowed.sources:
                doing(court, court.desk, action, no, staff)(court.db, Mail(court.db, court.at))
                came_to = PATHS_BACK if allowed.target == "back" else allowed.target or state
                assert court.look(no)["state"] == came_to, (action, role)
                assert court.steps(no)[-1] == action
            else:
                with pytest.raises(NotAllowed):
                    doing(court, court.desk, action, no, staff)(court.db, Mail(court.db, court.at))
                assert (court.footprint(), court.look(no)) == (before, stored), (action, role)
            court.db.execute("ROLLBACK TO one")
            court.db.execute("RELEASE one")
    assert court.is_whole()


PATHS_BACK = "submitted"
"""Where the suspended need of PATHS came from."""


@pytest.mark.parametrize("action", [action for action, found in MOVES.items() if found.own])
def test_what_is_the_handlers_own_is_refused_to_others_by_name(court: Court, action: str) -> None:
    handler, other = court.staff("陈承办", *ROLES), court.staff("别的人", *ROLES)
    state = sorted(MOVES[action].sources)[0]
    no = in_state(court, state, handler=handler.id)
    before = court.footprint()
    with pytest.raises(NotAllowed, match="由陈承办承办"):
        court.does(doing(court, court.desk, action, no, other))
    assert court.footprint() == before
    court.does(doing(court, court.desk, action, no, handler))


@pytest.mark.parametrize("action", [action for action, found in MOVES.items() if found.why and found.roles & EVERYTHING])
@pytest.mark.parametrize("why", ["", "  \n　"])
def test_what_needs_a_reason_is_not_done_without_one(court: Court, action: str, why: str) -> None:
    who = court.staff("某人", *ROLES)
    no = in_state(court, sorted(MOVES[action].sources)[0])
    before = court.footprint()
    with pytest.raises(BadInput, match=r"理由|内容"):
        court.does(doing(court, court.desk, action, no, who, why))
    assert court.footprint() == before


def test_a_reason_too_long_or_an_unknown_need_changes_nothing(court: Court) -> None:
    who = court.staff("某人", *ROLES)
    no = court.need()
    before = court.footprint()
    with pytest.raises(BadInput, match=f"{LONGEST_TEXT} 字以内"):
        court.step(no, "note", who, "长" * (LONGEST_TEXT + 1))
    for unknown in ("", "XQ-2026-9999", "' OR 1 --", "XQ-2026-0001\0"):
        with pytest.raises(NotFound):
            court.step(unknown, "note", who, "记一笔")
    assert court.footprint() == before


@pytest.mark.parametrize(
    ("action", "details", "words"),
    [
        ("suspend", {}, "要填到期日"),
        ("suspend", {"until": "2026-11-15"}, "早于收到日期"),
        ("suspend", {"until": "明天"}, "2026-11-18 这样的日期"),
        ("extend", {}, "要填办理期限"),
        ("extend", {"due_on": "2026-11-25"}, "要晚于现在的期限 2026-11-25"),
        ("extend", {"due_on": "2026-11-01"}, "早于收到日期"),
        ("transfer", {"partners": ["张三 13800138000"]}, "不在通讯录里"),
        ("transfer", {"partners": []}, "要填协办单位"),
        ("close", {"outcome": "解决啦"}, "办结方式没有"),
        ("close", {"satisfaction": "很好"}, "企业满意度没有"),
    ],
)
def test_a_field_missing_or_wrong_is_said(court: Court, action: str, details: dict[str, Any], words: str) -> None:
    who = court.staff("某人", *ROLES)
    state = {"transfer": "in_progress", "close": "replied"}.get(action, "registered")
    no = in_state(court, state)
    before = court.footprint()
    with pytest.raises(BadInput, match=words):
        court.does(lambda db, mail: court.desk.step(db, mail, no, action, who, court.at, "理由", details))
    assert court.footprint() == before


@pytest.mark.parametrize("state", ["submitted", "need_info", "registered", "assigned", "in_progress", "waiting", "transferred", "reopened"])
def test_going_on_returns_to_the_state_before_the_suspension(court: Court, state: str) -> None:
    who = court.staff("某人", *ROLES)
    no = in_state(court, state)
    court.step(no, "suspend", who, "等另案结果", until="2026-12-30")
    court.step(no, "note", who, "还在等")
    court.step(no, "continue", who)
    assert court.look(no)["state"] == state
    court.step(no, "suspend", who, "又等", until="2026-12-31")
    court.step(no, "continue", who)
    assert court.look(no)["state"] == state
    assert court.is_whole()


def test_the_restored_the_withdrawn_and_the_void_keep_their_story(court: Court) -> None:
    clerk, reviewer, admin = court.staff("王敏", "registrar"), court.staff("李审", "reviewer"), court.staff("管理", "admin")
    no = court.need(chat=5)
    court.does(lambda db, mail: court.desk.reject(db, mail, no, clerk, "<b>与企业无关</b>", court.at, "与企业司法需求无关"))
    assert "&lt;b&gt;" in court.sent()[-1][2] and court.sent()[-1][:2] == ("web", 5)
    with pytest.raises(BadInput, match="类型请选"):
        court.does(lambda db, mail: court.desk.reject(db, mail, no, clerk, "理由", court.at, "随便"))
    court.step(no, "restore", reviewer, "应当登记")
    assert court.look(no)["state"] == "submitted"
    move(court.db, no, "withdraw", "asker", ASKER, court.at, court.rules)
    before = court.footprint()
    with pytest.raises(NotAllowed, match="撤回"):
        move(court.db, no, "withdraw", "asker", ASKER, court.at, court.rules)
    assert court.footprint() == before
    court.step(no, "void", admin, "测试数据")
    assert court.steps(no) == ["submit", "reject", "restore", "withdraw", "void"]
    assert court.is_whole()


def test_whoever_signs_for_a_need_of_the_division_is_its_handler(court: Court) -> None:
    one, other, head = court.staff("甲法官", "handler"), court.staff("乙法官", "handler"), court.staff("分派员", "assigner")
    no = in_state(court, "registered")
    court.does(lambda db, mail: court.desk.assign(db, mail, no, head, court.at, "civil", None))
    court.step(no, "accept", one)
    assert court.look(no)["handler"] == one.id
    with pytest.raises(NotAllowed, match="甲法官"):
        court.does(lambda db, mail: court.desk.reply(db, mail, no, other, "答复", court.at))


def test_a_need_handed_back_or_given_to_a_division_is_no_longer_the_old_handlers(court: Court) -> None:
    one, other, head = court.staff("甲法官", "handler"), court.staff("乙法官", "handler"), court.staff("分派员", "assigner")
    back, moved = in_state(court, "assigned", handler=one.id), in_state(court, "assigned", handler=one.id)
    court.step(back, "ask_return", one, "不属于我庭")
    court.step(back, "return", head, "同意")
    court.does(lambda db, mail: court.desk.assign(db, mail, moved, head, court.at, "finance", None))
    assert (court.look(back)["handler"], court.look(moved)["handler"]) == (None, None)
    court.step(moved, "accept", other)


def test_an_extension_is_approved_by_somebody_else(db: Db) -> None:
    court = Court(db)
    me, other = court.staff("承办员", *ROLES), court.staff("审核员", "reviewer")
    no = in_state(court, "in_progress", handler=me.id)
    court.step(no, "ask_extension", me, "等材料")
    assert any("承办人申请延期" in text for text in court.told(other))
    with pytest.raises(NotAllowed, match="承办人以外"):
        court.step(no, "extend", me, "同意", due_on="2026-12-30")
    court.step(no, "extend", other, "同意", due_on="2026-12-30")
    assert court.look(no)["due_on"] == "2026-12-30"
    assert any("已批准延期" in text for text in court.told(me))
    alone = Court(db, allow_self_review=True)
    alone.step(no, "extend", me, "再延", due_on="2026-12-31")


def test_editing_counts_what_really_changed(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    no = court.need(people=3)

    def edit(**fields: Any) -> int:
        return int(court.does(lambda db, mail: court.desk.edit(db, no, me, court.at, fields)))

    assert edit(people="3", received_at="2026-11-16") == 0
    assert edit(people="1,2", flags=["典型案例线索"], summary=" 摘要 ", other_topics=["B02"]) == 4
    assert edit(people="12", flags=["典型案例线索"], summary="摘要", other_topics=["B02"]) == 0
    assert edit(summary="") == 1
    before = court.footprint()
    for wrong in (
        {"people": "十二"},
        {"people": -1},
        {"amount": "9" * 16},
        {"topic": "Z99"},
        {"street": "不存在街道"},
        {"received_at": "2026-11-17"},
        {"visited_on": "2026-11-01"},
        {"visited_on": "昨天"},
        {"recused": ["张三"]},
        {"urgency": "十万火急"},
        {"flags": ["随便"]},
        {"remark": "长" * 100_000},
    ):
        with pytest.raises(BadInput):
            edit(**wrong)
        assert court.footprint() == before, wrong


def test_a_field_can_be_emptied(court: Court) -> None:
    me, other = court.staff("王敏", "registrar"), court.staff("李强", "handler")
    no = court.need(people=30, flags=["群体风险"], recused=[other.id], fast_track=1)
    emptied = {"people": "", "flags": [], "recused": [], "fast_track": ""}
    assert court.does(lambda db, mail: court.desk.edit(db, no, me, court.at, emptied)) == 4
    need = court.look(no)
    assert (need["people"], need["flags"] in (None, "[]"), need["recused"] in (None, "[]"), need["fast_track"]) == (None, True, True, None)


@pytest.mark.parametrize(
    "field", ["division", "handler", "visibility", "sensitive", "outcome", "source", "due_on", "closed_on", "lead_no", "copies", "xyz"]
)
def test_what_a_step_sets_is_not_edited(court: Court, field: str) -> None:
    me = court.staff("王敏", *ROLES)
    no = court.need()
    before = court.footprint()
    with pytest.raises(BadInput, match="要用相应的办理步骤"):
        court.does(lambda db, mail: court.desk.edit(db, no, me, court.at, {"people": 3, field: "civil"}))
    assert court.footprint() == before


def test_a_text_that_is_emptied_is_none(court: Court) -> None:
    me = court.staff("王敏", "registrar")
    no = court.need()
    for text in ("摘要", ""):
        assert court.desk.edit(court.db, no, me, court.at, {"summary": text}) == 1
    assert court.look(no)["summary_id"] is None


def test_reopening_forgets_the_last_ending(court: Court) -> None:
    no = in_state(court, "replied")
    court.moves(no, "close", outcome="答复解决", satisfaction="满意")
    court.moves(no, "reopen")
    assert [court.look(no)[name] for name in ("outcome", "satisfaction", "closed_on")] == [None] * 3
    assert court.is_whole()


# --- Review -------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("details", "kind"),
    [
        ({"urgency": "特急"}, "特急"),
        ({"sensitive": "群体性"}, "群体性"),
        ({"sensitive": "信访"}, "信访"),
        ({"sensitive": "人身危险"}, "人身危险"),
        ({"sensitive": "个案投诉"}, "个案投诉"),
        ({"litigation": "本院在办"}, "本院在办"),
        ({"topic": "J01"}, "涉府"),
        ({"urgency": "紧急", "litigation": "他院在办", "topic": "B01"}, None),
        ({}, None),
    ],
)
def test_what_must_be_reviewed(court: Court, details: dict[str, Any], kind: str | None) -> None:
    me = court.staff("王敏", *ROLES)
    no = court.need(**details)
    assert court.desk.must_be_reviewed(find_need(court.db, no)) == kind
    if kind is None:
        assert court.does(lambda db, mail: court.desk.reply(db, mail, no, me, "答复", court.at)) == 1
        return
    before = court.footprint()
    with pytest.raises(NotAllowed, match=rf"{kind}.*审核"):
        court.does(lambda db, mail: court.desk.reply(db, mail, no, me, "答复", court.at))
    assert court.footprint() == before


def test_everything_is_reviewed_where_the_court_says_so(db: Db) -> None:
    court = Court(db, review_always=("全部",))
    no = court.need()
    with pytest.raises(NotAllowed, match="每件审核"):
        court.does(lambda db, mail: court.desk.reply(db, mail, no, court.staff("王敏", "handler"), "答复", court.at))


def test_only_a_reviewer_who_is_not_its_handler_lifts_the_duty_of_review(court: Court) -> None:
    handler, clerk = court.staff("陈承", "handler", "reviewer"), court.staff("王敏", "registrar")
    reviewer = court.staff("李审", "reviewer")
    no = in_state(court, "in_progress", urgency="特急", handler=handler.id)
    before = court.footprint()
    for who in (handler, clerk):
        with pytest.raises(NotAllowed, match="不用审核"):
            court.desk.edit(court.db, no, who, court.at, {"urgency": "一般"})
        assert court.footprint() == before
    assert court.does(lambda db, mail: court.desk.edit(db, no, clerk, court.at, {"people": 3})) == 1
    assert court.does(lambda db, mail: court.desk.edit(db, no, reviewer, court.at, {"urgency": "一般"})) == 1


def submit(court: Court, no: str, author: Staff, text: str = "原来的答复") -> None:
    court.does(lambda db, mail: court.desk.submit_reply(db, mail, no, author, text, court.at))


def answer(court: Court, no: str, staff: Staff, text: str = "答复") -> int:
    return int(court.does(lambda db, mail: court.desk.reply(db, mail, no, staff, text, court.at)))


def approve(court: Court, no: str, reviewer: Staff, text: str | None = None) -> int:
    return int(court.does(lambda db, mail: court.desk.approve(db, mail, no, reviewer, court.at, text)))


def test_an_answer_is_reviewed_by_somebody_else_and_sent_once(court: Court) -> None:
    author, reviewer = court.staff("陈承", "handler"), court.staff("李审", "reviewer")
    no = in_state(court, "in_progress", chat=5, topic="J01", handler=author.id)
    submit(court, no, author)
    assert any("有答复等您审核" in text for text in court.told(reviewer)) and not court.told(author)
    assert not [text for channel, _, text in court.sent() if channel == "web"], "nothing has gone out yet"
    assert approve(court, no, reviewer) == 1
    (answer,) = [text for channel, _, text in court.sent() if channel == "web"]
    assert "原来的答复" in answer and "答复人：陈承　审核人：李审" in answer and SELF_REVIEWED not in answer
    before = court.footprint()
    with pytest.raises(NotAllowed):
        approve(court, no, reviewer)
    assert court.footprint() == before
    assert court.is_whole()


def test_what_the_reviewer_corrected_goes_out(court: Court) -> None:
    author, reviewer = court.staff("陈承", "handler"), court.staff("李审", "reviewer")
    no = in_state(court, "in_progress", chat=5, handler=author.id)
    submit(court, no, author, "有错别字的答复")
    for wrong in ("", "   ", "长" * (LONGEST_REPLY + 1)):
        with pytest.raises(BadInput):
            approve(court, no, reviewer, wrong)
    approve(court, no, reviewer, " 改好的<答复> ")
    answer = court.sent()[-1][2]
    assert "改好的&lt;答复&gt;" in answer and "错别字" not in answer
    texts = rows(court.db, "SELECT t.body FROM need_history h JOIN texts t ON t.id = h.text_id WHERE h.need_no = ? ORDER BY h.id", no)
    assert [item["body"] for item in texts][-2:] == ["有错别字的答复", "改好的<答复>"], "both versions stay"


def test_nobody_approves_their_own_answer_unless_the_court_allows_it_and_then_it_says_so(db: Db) -> None:
    court, alone = Court(db), Court(db, allow_self_review=True)
    me = court.staff("陈承", "handler", "reviewer")
    no = in_state(court, "in_progress", chat=5, handler=me.id)
    submit(court, no, me)
    before = court.footprint()
    with pytest.raises(NotAllowed, match="自己写的答复"):
        approve(court, no, me, "改一个字也不行")
    assert court.footprint() == before
    assert approve(alone, no, me) == 1
    assert f"答复人、审核人：陈承（{SELF_REVIEWED}）" in court.sent()[-1][2]


def test_an_answer_sent_back_is_the_authors_again_and_the_new_one_is_what_goes_out(court: Court) -> None:
    author, reviewer = court.staff("陈承", "handler"), court.staff("李审", "reviewer")
    no = in_state(court, "in_progress", chat=5, handler=author.id)
    submit(court, no, author, "第一稿")
    with pytest.raises(BadInput, match="理由"):
        court.step(no, "send_back", reviewer)
    court.step(no, "send_back", reviewer, "请补充期限")
    assert any("审核退回" in text and "请补充期限" in text for text in court.told(author))
    with pytest.raises(NotAllowed):
        approve(court, no, reviewer)
    submit(court, no, author, "第二稿")
    approve(court, no, reviewer)
    assert "第二稿" in court.sent()[-1][2] and "第一稿" not in court.sent()[-1][2]


def test_an_answer_needs_text_and_is_not_endless(court: Court) -> None:
    me = court.staff("陈承", "handler")
    no = in_state(court, "in_progress", handler=me.id)
    before = court.footprint()
    for text in ("", " \n", "长" * (LONGEST_REPLY + 1)):
        with pytest.raises(BadInput):
            submit(court, no, me, text)
        with pytest.raises(BadInput):
            answer(court, no, me, text)
    with pytest.raises(BadInput, match="答复方式"):
        court.does(lambda db, mail: court.desk.reply(db, mail, no, me, "答复", court.at, "飞鸽"))
    assert court.footprint() == before


# --- Assignment ---------------------------------------------------------------------------------------------------------------


def proposal(court: Court, no: str, copies: tuple[str, ...] = ()) -> Any:
    return propose(court.db, find_need(court.db, no), court.court, copies)


@pytest.mark.parametrize(
    ("details", "division"),
    [
        ({"topic": "B01"}, "commercial"),
        ({"topic": "D02"}, "finance"),
        ({"topic": "I01"}, "civil"),
        ({"topic": "I03"}, "administrative"),
        ({"topic": "I04"}, "administrative"),
        ({"topic": "J02"}, "administrative"),
        ({"topic": "K01"}, "filing"),
        ({"topic": "L01"}, "enforcement"),
        ({"topic": "M01"}, "insolvency"),
        ({"topic": "N01"}, "filing"),
        ({"topic": "P1"}, None),
        ({}, None),
        ({"topic": "B01", "urgency": "特急"}, "management"),
        ({"topic": "B01", "sensitive": "群体性"}, "management"),
        ({"topic": "B01", "people": 10}, "management"),
        ({"topic": "B01", "people": 9, "urgency": "紧急"}, "commercial"),
    ],
)
def test_the_topic_names_the_division_and_a_crowd_comes_first(court: Court, details: dict[str, Any], division: str | None) -> None:
    found = proposal(court, court.need(**details))
    assert found.division == division
    assert found.reasons


def test_whoever_has_least_in_hand_is_proposed(court: Court) -> None:
    busy = court.staff("忙法官", "handler", division="commercial")
    free = court.staff("闲法官", "handler", division="commercial")
    court.staff("别庭", "handler", division="civil")
    court.staff("不承办", "reviewer", division="commercial")
    court.need(handler=free.id)
    court.moves(court.need(handler=free.id), "reply")
    for _ in range(2):
        court.moves(court.need(handler=busy.id), "register")
    found = proposal(court, court.need(topic="B01"))
    assert (found.handler.name, found.handler.in_hand) == ("闲法官", 0), "what is answered or not yet taken in is not in hand"
    assert {who.name for who in found.colleagues} == {"忙法官", "闲法官", "别庭"}
    court.db.execute("UPDATE staff SET active = 0 WHERE id = ?", [free.id])
    assert proposal(court, court.need(topic="B01")).handler.name == "忙法官"


def test_who_must_keep_out_is_neither_proposed_nor_accepted(court: Court) -> None:
    judge, other = court.staff("案件法官", "handler", division="commercial"), court.staff("别的法官", "handler", division="commercial")
    head = court.staff("分派员", "assigner")
    no = in_state(court, "registered", topic="B01", recused=[judge.id])
    found = proposal(court, no)
    assert found.handler.name == "别的法官" and judge.id not in {who.id for who in found.colleagues}
    before = court.footprint()
    with pytest.raises(BadInput, match=r"案件法官.*回避"):
        court.does(lambda db, mail: court.desk.assign(db, mail, no, head, court.at, "commercial", judge.id))
    assert court.footprint() == before
    court.does(lambda db, mail: court.desk.assign(db, mail, no, head, court.at, "commercial", None))
    with pytest.raises(NotAllowed, match="回避"):
        court.step(no, "accept", judge)
    with pytest.raises(NotAllowed, match="回避"):
        submit(court, no, judge)
    with pytest.raises(NotAllowed, match="回避"):
        court.does(lambda db, mail: court.desk.reply(db, mail, no, judge, "答复", court.at))
    court.step(no, "accept", other)


def test_after_two_hand_backs_nobody_is_proposed_until_somebody_accepts(court: Court) -> None:
    court.staff("法官", "handler", division="commercial")
    no = in_state(court, "registered", topic="B01")
    for times in (1, 2):
        assert proposal(court, no).handler is not None
        court.moves(no, "assign", "return")
        assert ("已连续退办 2 次" in "；".join(proposal(court, no).reasons)) == (times == 2)
    assert proposal(court, no).handler is None
    court.moves(no, "assign", "accept")
    assert proposal(court, no).handler is not None


def test_copies_go_to_the_people_the_directory_names(court: Court) -> None:
    head, street, judge = court.staff("分派员", "assigner"), court.staff("包联庭长", "reviewer"), court.staff("法官", "handler")
    number = court.db.execute(
        "INSERT INTO directory (kind, name, person, valid_from) VALUES ('street', '中韩街道', '包联庭长', '2026-01-01')"
    ).lastrowid
    no = in_state(court, "registered", topic="C01", street="中韩街道")
    assert proposal(court, no, (f"directory:{number}",)).copies == (f"directory:{number}", "住建部门联络员（示例）")
    copies = proposal(court, no, (f"directory:{number}",)).copies
    court.does(lambda db, mail: court.desk.assign(db, mail, no, head, court.at, "construction", judge.id, copies))
    assert any("抄送您的需求" in text for text in court.told(street))
    assert any("分派给您的需求" in text for text in court.told(judge))
    assert court.look(no)["copies"] == f'["directory:{number}", "住建部门联络员（示例）"]'


@pytest.mark.parametrize(
    ("typed", "words"),
    [
        ({"division": "不存在庭"}, "承办部门没有“不存在庭”。可选：.*行政审判庭"),
        ({"division": ""}, "请选承办部门"),
        ({"handler": 999}, "承办人要选在职的"),
        ({"copies": ["王局长 0532-88881234"]}, "不在通讯录里"),
    ],
)
def test_an_unknown_division_handler_or_copy_is_said_and_nothing_changes(court: Court, typed: dict[str, Any], words: str) -> None:
    head = court.staff("分派员", "assigner")
    no = in_state(court, "registered")
    asked = {"division": "civil", "handler": None, "copies": ()} | typed
    before = court.footprint()
    with pytest.raises(BadInput, match=words):
        court.does(lambda db, mail: court.desk.assign(db, mail, no, head, court.at, asked["division"], asked["handler"], asked["copies"]))
    assert court.footprint() == before


def test_a_division_may_be_named_as_people_call_it(court: Court) -> None:
    no = in_state(court, "registered")
    name = court.court.divisions["administrative"]
    court.does(lambda db, mail: court.desk.assign(db, mail, no, court.staff("分派员", "assigner"), court.at, name, None))
    assert court.look(no)["division"] == "administrative"


def test_giving_work_in_progress_to_somebody_else_needs_a_reason(court: Court) -> None:
    head, old, new = court.staff("分派员", "assigner"), court.staff("甲", "handler"), court.staff("乙", "handler")
    gone = court.staff("离职", "handler")
    court.db.execute("UPDATE staff SET active = 0 WHERE id = ?", [gone.id])
    no = in_state(court, "in_progress", handler=old.id)
    before = court.footprint()
    for handler, why in ((new.id, " "), (gone.id, "换人"), (head.id, "换人")):
        with pytest.raises(BadInput):
            court.desk.assign(court.db, Mail(court.db, court.at), no, head, court.at, "civil", handler, (), why)
        assert court.footprint() == before
    court.does(lambda db, mail: court.desk.assign(db, mail, no, head, court.at, "civil", new.id, (), "甲休假"))
    assert (court.look(no)["handler"], court.look(no)["state"]) == (new.id, "assigned")


# --- Who is told --------------------------------------------------------------------------------------------------------------


def test_only_the_duty_person_hears_of_a_restricted_need(db: Db) -> None:
    court = Court(db, duty_persons={"群体性": "值班员"})
    others = [court.staff(f"某{role}", role, division="management") for role in ("registrar", "handler", "admin")]
    others += [court.staff(f"某{role}", role) for role in ("supervisor", "auditor")]
    duty = court.staff("值班员", *ROLES)
    handler = court.staff("专办", "handler")
    no = court.sensitive_need()
    court.does(lambda db, mail: court.desk.urgent_new(db, mail, no, CROWD, "新需求"))
    assert len(court.told(duty)) == 1 and "专人办理" in court.told(duty)[0]
    court.does(lambda db, mail: court.desk.register(db, no, duty, court.at))
    court.does(lambda db, mail: court.desk.assign(db, mail, no, duty, court.at, "management", None))
    court.does(lambda db, mail: court.desk.assign(db, mail, no, duty, court.at, "management", handler.id))
    court.step(no, "accept", handler)
    court.step(no, "ask_extension", handler, "堵门的人还没有散")
    submit(court, no, handler, "先劝离，再谈工资")
    court.step(no, "send_back", duty, "再改")
    submit(court, no, handler, "改好了")
    assert approve(court, no, duty) == 1
    assert {who.name: court.told(who) for who in others if court.told(who)} == {}
    assert any("有答复等您审核" in text for text in court.told(duty)), "who may see it is told that it waits"


def test_without_a_duty_person_the_supervisors_are_told(db: Db) -> None:
    court = Court(db, duty_persons={"群体性": "离职的人"})
    gone, watcher, clerk = court.staff("离职的人", "registrar"), court.staff("督办员", "supervisor"), court.staff("王敏", "registrar")
    court.db.execute("UPDATE staff SET active = 0 WHERE id = ?", [gone.id])
    no = court.sensitive_need()
    court.does(lambda db, mail: court.desk.urgent_new(db, mail, no, CROWD, "新需求"))
    assert [len(court.told(who)) for who in (gone, watcher, clerk)] == [0, 1, 0]


def test_a_need_restricted_by_hand_is_told_to_nobody_else_either(court: Court) -> None:
    watcher, clerk = court.staff("督办员", "supervisor"), court.staff("王敏", "registrar")
    no = court.need()
    court.step(no, "restrict", watcher, "涉及重点企业", visibility="专班")
    court.does(lambda db, mail: court.desk.urgent_new(db, mail, no, "补充的内容", "提问人补充"))
    assert court.told(clerk) == []
    assert [text.split("（")[0] for text in court.told(watcher)] == ["🔔 设为专班", "🔔 提问人补充"], "told when it becomes restricted, too"


def test_danger_is_told_to_the_duty_person_with_nothing_recorded(db: Db) -> None:
    court = Court(db, duty_persons={"人身危险": "值班员"})
    duty, watcher = court.staff("值班员", "handler"), court.staff("督办员", "supervisor")
    before = court.footprint()
    court.does(lambda db, mail: court.desk.alert_danger(db, mail, "<b>我要跳楼</b>，电话 13812345678", "web"))
    (alert,) = court.told(duty)
    assert "&lt;b&gt;" in alert and "138****5678" in alert and "网页对话" in alert and court.told(watcher) == []
    after = court.footprint()
    assert [name for name, a, b in zip(range(8), before, after, strict=True) if a != b] == [2], "nothing but the message to the duty person"


def test_everybody_who_asked_is_told_once_and_a_paper_is_told_by_phone(court: Court) -> None:
    me = court.staff("王敏", "registrar", "handler")
    no = court.need(chat=7)
    asked = row(court.db, "SELECT * FROM askings") or {}
    for _ in range(2):  # The same person asked again from the same chat.
        court.db.execute(
            "INSERT INTO askings (asker_id, person_id, text_id, asked_at, band, need_no) VALUES (?, ?, ?, ?, 'need', ?)",
            [asked["asker_id"], asked["person_id"], asked["text_id"], asked["asked_at"], no],
        )
    person = court.db.execute("INSERT INTO persons (created_at, updated_at) VALUES ('2026-11-16', '2026-11-16')").lastrowid
    court.db.execute(
        "INSERT INTO askings (person_id, text_id, asked_at, band, need_no) VALUES (?, ?, '2026-11-16', 'need', ?)",
        [person, asked["text_id"], no],
    )
    assert court.does(lambda db, mail: court.desk.reply(db, mail, no, me, "答复", court.at)) == 1
    assert sorted(item["state"] for item in tellings_of(court.db, no)) == ["phone", "waiting"]
    assert court.does(lambda db, mail: court.desk.reply(db, mail, no, me, "再答复", court.at)) == 1, "a second answer is another telling"


def test_members_of_a_group_are_answered_with_their_lead(court: Court) -> None:
    me = court.staff("王敏", "registrar", "handler")
    lead, member, gone = court.need(chat=1), court.need(chat=2), court.need(chat=3)
    for no in (member, gone):
        court.moves(no, "merge", lead_no=lead)
    move(court.db, gone, "withdraw", "asker", ASKER, court.at, court.rules)
    assert court.does(lambda db, mail: court.desk.reply(db, mail, lead, me, "一并答复", court.at)) == 2
    assert [court.look(no)["state"] for no in (lead, member, gone)] == ["replied", "replied", "withdrawn"]
    assert sorted(chat for channel, chat, _ in court.sent() if channel == "web") == [1, 2]
    with pytest.raises(NotAllowed):
        move(court.db, gone, "follow_reply", "bot", BOT, court.at, court.rules)


def merge(court: Court, lead: str, *members: str) -> None:
    grouping.merge(court.db, lead, members, "staff:1", EVERYTHING, court.at, court.rules, "同一件事")


def test_a_group_with_a_need_that_must_be_reviewed_is_answered_by_review(court: Court) -> None:
    author, reviewer = court.staff("陈承", "handler"), court.staff("李审", "reviewer")
    lead, member = court.need(chat=1), court.need(chat=2, litigation="本院在办")
    merge(court, lead, member)
    before = court.footprint()
    with pytest.raises(NotAllowed, match=r"本院在办.*审核"):
        answer(court, lead, author)
    assert court.footprint() == before
    court.moves(lead, "register")
    submit(court, lead, author)
    assert approve(court, lead, reviewer) == 2
    assert [court.look(no)["state"] for no in (lead, member)] == ["replied", "replied"]


@pytest.mark.parametrize("reviewed", [False, True])
def test_an_answer_nobody_reviewed_is_not_passed_on_to_what_must_be_reviewed(court: Court, reviewed: bool) -> None:
    author, reviewer = court.staff("陈承", "handler"), court.staff("李审", "reviewer")
    lead, plain, urgent = court.need(chat=1), court.need(chat=2), court.need(chat=3, urgency="特急")
    if reviewed:
        court.moves(lead, "register")
        submit(court, lead, author)
        approve(court, lead, reviewer)
    else:
        answer(court, lead, author)
    merge(court, lead, plain, urgent)
    told = court.does(lambda db, mail: court.desk.pass_on(db, mail, lead, [plain, urgent], author, court.at))
    assert told == 1 + reviewed
    assert court.look(plain)["state"] == "replied"
    assert court.look(urgent)["state"] == ("replied" if reviewed else "submitted")


def test_who_was_turned_away_or_is_content_is_not_written_to_again(court: Court) -> None:
    me = court.staff("王敏", "registrar", "handler")
    lead, content, away = court.need(chat=1), court.need(chat=2), court.need(chat=3)
    merge(court, lead, content, away)
    court.moves(content, "reply", "confirm")
    court.moves(away, "reject")
    assert answer(court, lead, me) == 1
    assert [court.look(no)["state"] for no in (lead, content, away)] == ["replied", "closed", "rejected"]
    assert {chat for channel, chat, _ in court.sent() if channel == "web"} == {1}


def test_a_member_that_becomes_restricted_goes_on_alone_and_the_duty_person_is_told(db: Db) -> None:
    court = Court(db, duty_persons={"群体性": "值班员"})
    duty, clerk, handler = court.staff("值班员", "handler"), court.staff("王敏", "registrar"), court.staff("陈承", "handler")
    lead, member, other = court.need(chat=1), court.need(chat=2), court.need(chat=3)
    merge(court, lead, member, other)
    before = court.footprint()
    with pytest.raises(NotAllowed, match="请先在“同类归并”里拆分"):
        court.step(lead, "restrict", clerk, "来了很多人", visibility="专班", sensitive="群体性")
    assert court.footprint() == before
    court.step(member, "restrict", clerk, "来了很多人", visibility="专班", sensitive="群体性")
    assert (court.look(member)["lead_no"], court.steps(member)[-2:]) == (None, ["split", "restrict"])
    assert len(court.told(duty)) == 1 and "设为专班" in court.told(duty)[0] and court.told(clerk) == []
    assert answer(court, lead, handler) == 2
    assert court.look(member)["state"] == "submitted"
    assert court.is_whole()


def test_assigners_take_in_only_what_is_restricted(court: Court) -> None:
    head = court.staff("赵分", "assigner")
    plain, secret, other = court.need(), court.sensitive_need(), court.sensitive_need("我要上访，讨个说法")
    for action, theirs in (("register", secret), ("reject", other)):
        with pytest.raises(NotAllowed, match="由登记员办理"):
            court.does(doing(court, court.desk, action, plain, head))
        court.does(doing(court, court.desk, action, theirs, head))
    assert [court.look(no)["state"] for no in (plain, secret, other)] == ["submitted", "registered", "rejected"]
