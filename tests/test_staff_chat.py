"""Court staff at work in the chat, told through the running bot: lists, buttons by role, review, and who is kept out."""

from dataclasses import dataclass
from typing import Any

import pytest

from bot import access
from bot.app import App
from knowledge.database import Db, rows
from knowledge.ledger.grouping import merge
from knowledge.ledger.history import verify
from knowledge.ledger.needs import move
from knowledge.ledger.workflow import MOVES
from tests.conftest import Running
from tests.visitors import TelegramVisitor, WebVisitor, handled

QUESTION = "捡到一只走失的鸽子脚上有环，送回去能要点饲料钱吗"
CROWD = "几十个工人堵门要饲料钱，鸽子都被放飞了"
COMPLAINT = "一审判得不公，我要上访，去北京告你们"
DANGER = "老板再不给钱我就从楼上跳下去"


@dataclass
class Scene:
    """The running bot, one enterprise on the web, and staff with Telegram."""

    running: Running
    enterprise: WebVisitor

    @property
    def app(self) -> App:
        return self.running.app

    def staff(self, name: str, *roles: str, division: str | None = None) -> TelegramVisitor:
        """Somebody of the court with a Telegram chat."""

        def add(db: Db) -> int:
            number = access.add_staff(db, name, list(roles), self.app.clock())
            access.bind_chat(db, number, "telegram", 90_000 + number)
            db.execute("UPDATE staff SET division = ? WHERE id = ?", [division, number])
            return number

        return TelegramVisitor(self.app, self.running.api, 90_000 + int(self.app.database.write(add).result()))

    def reads(self, sql: str, *args: Any) -> list[dict[str, Any]]:
        return list(self.app.database.read(lambda db: rows(db, sql, *args)).result())

    def walks(self, no: str, *actions: str, **details: Any) -> None:
        """Steps made elsewhere; `details` go with the last."""

        def walk(db: Db) -> None:
            rules = self.app._desk.rules
            for action in actions:
                given = details if action == actions[-1] else None
                move(db, no, action, "bot", MOVES[action].roles, self.app.clock(), rules, "理由", given)

        self.app.database.write(walk).result()

    def steps(self, no: str = "XQ-2026-0001") -> list[str]:
        return [item["action"] for item in self.reads("SELECT action FROM need_history WHERE need_no = ? ORDER BY id", no)]

    def look(self, no: str = "XQ-2026-0001") -> dict[str, Any]:
        return self.reads("SELECT * FROM needs WHERE no = ?", no)[0]

    async def forges(self, who: TelegramVisitor, data: str) -> str:
        """Press a button that was never shown; what came back."""
        before = len(who.seen)
        number = await self.running.api.press(who.chat_id, data, 1)
        await self.running.api.until(lambda: (self.running.api.confirmed or 0) >= number)
        await handled(self.app, "telegram", who.chat_id)
        return "\n".join(seen.text for seen in who.seen[before:])

    def is_whole(self) -> bool:
        rules = self.app._desk.rules
        return self.app.database.read(lambda db: verify(db, rules)).result().first_break is None


@pytest.fixture
async def scene(running: Running) -> Any:
    async with WebVisitor(running.app, running.port) as enterprise:
        yield Scene(running, enterprise)


def labels(who: TelegramVisitor) -> list[str]:
    """The buttons under the first message that came back."""
    return list(who.seen[who._read_until].buttons)


def anonymous(text: str) -> str:
    """A sentence without the number of its need, to be compared."""
    return text.replace("（样子像 XQ-2026-0001）", "").replace("XQ-2026-0001", "N").replace("XQ-2026-9999", "N")


async def test_a_need_goes_its_whole_way_by_buttons(scene: Scene) -> None:
    clerk, head = scene.staff("王登", "registrar"), scene.staff("赵分", "assigner")
    handler, other = scene.staff("陈承", "handler", division="commercial"), scene.staff("别的庭", "handler", division="civil")
    await scene.enterprise.says(QUESTION)
    notice = await clerk.waits("新需求")
    assert "XQ-2026-0001" in notice.text
    scene.walks("XQ-2026-0001", "edit", topic="B01", urgency="特急")
    await clerk.says("/needs")
    assert "XQ-2026-0001" in clerk.sees() and "鸽子" in clerk.sees()
    await clerk.presses("2026-0001")
    assert set(labels(clerk)) == {"答复", "登记", "不予登记"}
    await clerk.presses("登记")
    assert "登记前还要填：企业名称、联系人、联系电话" in clerk.sees() and scene.look()["state"] == "submitted"
    await clerk.presses("企业没有提供，照样登记")
    assert "已登记" in clerk.sees()
    scene.walks("XQ-2026-0001", "edit", urgency="一般")

    await head.says("/need xq-2026-0001")
    assert labels(head) == ["分派"]
    await head.presses("分派")
    assert "手上最少" in head.sees() and labels(head)[0].startswith("陈承")
    await head.presses("陈承")
    assert "已分派给陈承" in head.sees()

    assert "分派给您的需求" in (await handler.waits("分派给您")).text
    await handler.presses("查看")
    assert labels(handler) == ["答复", "签收"]
    await other.says("/need XQ-2026-0001")
    assert labels(other) == [], "it is somebody else's"
    await handler.presses("签收")
    assert "已签收" in handler.sees()
    await handler.says("/need XQ-2026-0001")
    await handler.presses("答复")
    await handler.says("鸽子有主，<先>联系协会")
    assert "共通知 1 个提问端" in handler.sees()
    answer = await scene.enterprise.waits("鸽子有主，<先>联系协会")
    assert "陈承（承办人）" in answer.text and "解决了吗" in answer.text

    await scene.enterprise.presses("解决了")
    assert "已办结" in scene.enterprise.sees()
    await scene.enterprise.presses("基本满意")
    need = scene.look()
    assert (need["state"], need["solved"], need["satisfaction"]) == ("closed", 1, "基本满意")
    assert scene.steps() == ["submit", "edit", "register", "edit", "assign", "accept", "reply", "confirm", "rate"]
    assert scene.is_whole()


async def test_an_answer_that_needs_review_is_handed_in_and_decided_by_button(scene: Scene) -> None:
    author, reviewer = scene.staff("陈承", "handler"), scene.staff("李审", "reviewer", "handler")
    clerk = scene.staff("王登", "registrar")
    await scene.enterprise.says(QUESTION)
    notice = await clerk.waits("新需求")
    scene.walks("XQ-2026-0001", "edit", litigation="本院在办")
    replied = {"message_id": notice.id, "date": 0, "chat": {"id": clerk.chat_id, "type": "private"}}
    await clerk.says("登记员的答复不能直接发", reply_to_message=replied)
    assert "要经审核" in clerk.sees() and scene.steps() == ["submit", "edit"]
    number = scene.reads("SELECT id FROM staff WHERE name = '陈承'")[0]["id"]
    scene.walks("XQ-2026-0001", "register", "assign", "accept")
    scene.walks("XQ-2026-0001", "edit", handler=number)

    await author.says("/need XQ-2026-0001")
    await author.presses("答复")
    await author.says("第一稿：在办案件请走诉讼程序")
    assert "已提交审核" in author.sees()
    await reviewer.waits("有答复等您审核")
    await author.says("/need XQ-2026-0001")
    assert labels(author) == []
    await reviewer.presses("查看")
    assert {"审核通过", "退回"} <= set(labels(reviewer)) and "等您审核的答复" in reviewer.sees() and "第一稿" in reviewer.sees()
    await reviewer.presses("退回")
    await reviewer.says("请写明期限")
    assert "已退回承办人" in reviewer.sees()
    assert "请写明期限" in (await author.waits("审核退回")).text
    assert scene.enterprise.seen[-1].text.count("稿") == 0

    await author.presses("答复")
    await author.says("第二稿：十五日内上诉")
    await reviewer.says("/need XQ-2026-0001")
    await reviewer.presses("审核通过")
    assert "已通知 1 个提问端" in reviewer.sees()
    answer = await scene.enterprise.waits("第二稿")
    assert "答复人：陈承　审核人：李审" in answer.text
    again = await scene.forges(reviewer, "s:approve:XQ-2026-0001")
    assert "不能再“审核通过”" in again
    assert sum("第二稿" in seen.text for seen in scene.enterprise.seen) == 1
    assert scene.is_whole()


async def test_a_button_approves_only_the_answer_that_was_read(scene: Scene) -> None:
    author, reviewer = scene.staff("陈承", "handler"), scene.staff("李审", "reviewer")
    await scene.enterprise.says(QUESTION)
    scene.walks("XQ-2026-0001", "register", litigation="本院在办")
    await author.says("/need XQ-2026-0001")
    await author.presses("答复")
    await author.says("第一稿" + "很长" * 300)
    await reviewer.says("/need XQ-2026-0001")
    assert "很长" * 300 in reviewer.sees(), "all of what is approved is read"
    assert "等您审核的答复" not in await scene.forges(author, "s:show:XQ-2026-0001"), "reviewers alone get it so"
    scene.walks("XQ-2026-0001", "send_back", "submit_reply")
    await reviewer.presses("审核通过")
    assert "您看过之后，承办人又改了答复" in reviewer.sees() and scene.look()["state"] == "in_review"
    assert "又改了答复" in await scene.forges(reviewer, "s:approve:XQ-2026-0001"), "nor without having read any"
    await reviewer.says("/need XQ-2026-0001")
    await reviewer.presses("审核通过")
    assert "已通知 1 个提问端" in reviewer.sees()
    assert not any("很长" in seen.text for seen in scene.enterprise.seen)


async def test_what_somebody_else_has_answered_is_not_answered_again_by_accident(scene: Scene) -> None:
    one, two = scene.staff("王登", "registrar"), scene.staff("李登", "registrar")
    await scene.enterprise.says(QUESTION)
    notices = [await who.waits("新需求") for who in (one, two)]
    for who, notice, text in ((one, notices[0], "甲的答复"), (two, notices[1], "乙的答复")):
        await who.says(text, reply_to_message={"message_id": notice.id, "date": 0, "chat": {"id": who.chat_id, "type": "private"}})
    assert "共通知 1 个提问端" in one.sees()
    assert "已由王登答复" in two.sees() and scene.steps() == ["submit", "reply"]
    again = {"message_id": notices[0].id, "date": 0, "chat": {"id": one.chat_id, "type": "private"}}
    await one.says("甲自己的补充", reply_to_message=again)
    assert "共通知 1 个提问端" in one.sees() and scene.steps() == ["submit", "reply", "reply"]


async def test_nobody_approves_their_own_answer_by_button(scene: Scene) -> None:
    me = scene.staff("陈承", "handler", "reviewer")
    await scene.enterprise.says(QUESTION)
    scene.walks("XQ-2026-0001", "register", urgency="特急")
    await me.says("/need XQ-2026-0001")
    await me.presses("答复")
    await me.says("自己写的答复")
    await me.says("/need XQ-2026-0001")
    await me.presses("审核通过")
    assert "不能审核自己写的答复" in me.sees()
    assert scene.look()["state"] == "in_review"


async def test_closing_by_button_and_reopening_by_the_asker(scene: Scene) -> None:
    handler, other = scene.staff("陈承", "handler"), scene.staff("别人", "handler")
    await scene.enterprise.says(QUESTION)
    number = scene.reads("SELECT id FROM staff WHERE name = '陈承'")[0]["id"]
    scene.walks("XQ-2026-0001", "register", handler=number)
    await handler.says("/need XQ-2026-0001")
    await handler.presses("答复")
    await handler.says("答复内容")
    assert "由陈承承办" in await scene.forges(other, "s:close:XQ-2026-0001")
    await handler.says("/need XQ-2026-0001")
    await handler.presses("办结")
    assert (scene.look()["state"], scene.look()["outcome"], scene.look()["solved"]) == ("closed", "答复解决", None)
    await scene.enterprise.waits("答复内容")
    await scene.enterprise.presses("没解决")
    assert "已重新打开" in scene.enterprise.sees()
    assert "答复未解决" in (await handler.waits("答复未解决")).text
    await scene.enterprise.presses("补充说明")
    await scene.enterprise.says("协会说要收费")
    assert "协会说要收费" in (await handler.waits("提问人补充")).text
    assert scene.steps()[-4:] == ["reply", "close", "reopen", "add"]
    assert (scene.look()["state"], scene.look()["solved"], scene.look()["closed_on"]) == ("reopened", 0, None)


async def test_what_the_enterprise_was_asked_for_goes_on_the_clock_again(scene: Scene) -> None:
    await scene.enterprise.says(QUESTION)
    scene.walks("XQ-2026-0001", "ask_asker")
    assert scene.look()["paused_since"]
    await scene.enterprise.presses("补充说明")
    await scene.enterprise.says("脚环号是 2026-15-000001")
    assert (scene.look()["state"], scene.look()["paused_since"]) == ("submitted", None)
    scene.walks("XQ-2026-0001", "register", "assign", "accept", "ask_enterprise")
    await scene.enterprise.presses("补充说明")
    await scene.enterprise.says("是在崂山捡到的")
    assert scene.look()["state"] == "in_progress"
    assert scene.steps()[1:3] == ["ask_asker", "complete"] and scene.steps()[-1] == "resume"


async def test_withdrawing_and_rating_are_the_askers_own(scene: Scene) -> None:
    clerk, stranger = scene.staff("王登", "registrar"), TelegramVisitor(scene.app, scene.running.api, 70_009)
    await scene.enterprise.says(QUESTION)
    for data in ("a:withdraw_sure:XQ-2026-0001", "a:rate:XQ-2026-0001/0", "a:withdraw_sure:XQ-2026-9999", "a:rate:/", "a:withdraw_sure:"):
        assert "失效" in await scene.forges(stranger, data), data
    assert scene.steps() == ["submit"]
    await scene.enterprise.says("/my")
    await scene.enterprise.presses("撤回 XQ-2026-0001")
    assert "要撤回" in scene.enterprise.sees()
    await scene.enterprise.presses("取消")
    assert scene.steps() == ["submit"]
    await scene.enterprise.says("/my")
    await scene.enterprise.presses("撤回 XQ-2026-0001")
    await scene.enterprise.presses("确认撤回")
    assert "已撤回" in scene.enterprise.sees() and scene.look()["state"] == "withdrawn"
    assert "提问人已撤回" in (await clerk.waits("已撤回")).text
    await scene.enterprise.says("/my")
    assert not any(label.startswith("撤回") for seen in scene.enterprise.seen[-1:] for label in seen.buttons)
    await clerk.says("/needs")
    assert "没有待办" in clerk.sees()


async def test_the_members_of_a_withdrawn_lead_go_on_alone(scene: Scene) -> None:
    clerk, other = scene.staff("王登", "registrar"), TelegramVisitor(scene.app, scene.running.api, 70_011)
    await scene.enterprise.says(QUESTION)
    await other.says("捡到别人家走失的信鸽，还回去可以收饲料费吗")
    if len(scene.reads("SELECT no FROM needs")) == 1:
        await other.presses("找法院工作人员")
    lead, member = (item["no"] for item in scene.reads("SELECT no FROM needs ORDER BY no"))
    rules = scene.app._desk.rules
    scene.app.database.write(
        lambda db: merge(db, lead, [member], "staff:1", frozenset({"registrar"}), scene.app.clock(), rules, "同一件事")
    ).result()
    await scene.enterprise.says("/my")
    await scene.enterprise.presses(f"撤回 {lead}")
    await scene.enterprise.presses("确认撤回")
    assert (scene.look(lead)["state"], scene.look(member)["state"], scene.look(member)["lead_no"]) == ("withdrawn", "submitted", None)
    assert member in (await clerk.waits("请单独办理")).text
    assert scene.steps(member)[-1] == "split" and scene.is_whole()


async def test_an_answer_to_a_group_that_must_be_reviewed_is_handed_in_and_not_lost(scene: Scene) -> None:
    handler, other = scene.staff("陈承", "handler"), TelegramVisitor(scene.app, scene.running.api, 70_012)
    await scene.enterprise.says(QUESTION)
    await other.says("捡到别人家走失的信鸽，还回去可以收饲料费吗")
    if len(scene.reads("SELECT no FROM needs")) == 1:
        await other.presses("找法院工作人员")
    lead, member = (item["no"] for item in scene.reads("SELECT no FROM needs ORDER BY no"))
    scene.walks(member, "edit", litigation="本院在办")
    scene.walks(lead, "register")
    rules = scene.app._desk.rules
    scene.app.database.write(
        lambda db: merge(db, lead, [member], "staff:1", frozenset({"registrar"}), scene.app.clock(), rules, "同一件事")
    ).result()
    await handler.says(f"/need {lead}")
    await handler.presses("答复")
    await handler.says("写了很久的答复")
    assert "答复已提交审核" in handler.sees() and scene.look(lead)["state"] == "in_review"


async def test_an_unknown_number_is_not_offered_to_be_registered_anyway(scene: Scene) -> None:
    clerk = scene.staff("王登", "registrar")
    assert "照样登记" not in await scene.forges(clerk, "s:register:XQ-2026-9999") + "".join(clerk.seen[-1].buttons)


EVERY_BUTTON = ("show", "reply", "register", "reject", "assign", "accept", "close", "approve", "send_back")
WHO_MAY = {name: MOVES[name].roles for name in EVERY_BUTTON if name in MOVES}


@pytest.mark.parametrize("role", ["auditor", "supervisor", "handler", "reviewer", "assigner", "registrar", None])
async def test_buttons_forged_without_the_role_do_nothing(scene: Scene, role: str | None) -> None:
    who = scene.staff("某人", role) if role else TelegramVisitor(scene.app, scene.running.api, 70_010)
    scene.staff("陈承", "handler", division="commercial")
    await scene.enterprise.says(QUESTION)
    before = scene.look()
    for name in ("assign_to", *EVERY_BUTTON):
        allowed = WHO_MAY.get("assign" if name == "assign_to" else name, frozenset())
        if (role in allowed) or (role and name == "show"):
            continue
        came = await scene.forges(who, f"s:{name}:XQ-2026-0001" + ("/2" if name == "assign_to" else ""))
        assert "鸽子" not in came and "建议分派" not in came, name
        assert "请输入" not in came and "请直接输入" not in came, name
    await who.says("顺便说一句话")
    assert scene.look() == before and scene.steps() == ["submit"]


async def test_a_forged_button_about_nothing_is_a_sentence(scene: Scene) -> None:
    who = scene.staff("某人", "registrar", "assigner", "handler", "reviewer")
    await scene.enterprise.says(QUESTION)
    scene.walks("XQ-2026-0001", "register", topic="B01")
    forged = (
        "show:",
        "assign_to:XQ-2026-0001",
        "assign_to:XQ-2026-0001/x",
        "assign_to:XQ-2026-9999/1",
        "assign_to:/",
        "approve:XQ",
        "nothing:x",
    )
    for data in (*(f"s:{name}" for name in forged), "s:", "zzz"):
        came = await scene.forges(who, data)
        assert came and "出了问题" not in came, data


async def test_a_restricted_need_is_hidden_in_the_chat(scene: Scene) -> None:
    roles = ("registrar", "handler", "reviewer", "admin")
    clerk, watcher = scene.staff("王登", *roles), scene.staff("督办", "supervisor")
    await scene.enterprise.says(CROWD)
    if scene.reads("SELECT count(*) AS n FROM needs")[0]["n"] == 0:
        await scene.enterprise.presses("找法院工作人员")
    assert scene.look()["visibility"] == "专班"
    assert "群体性，专人办理" in (await watcher.waits("专人办理")).text
    for command in ("/needs", "/today"):
        await clerk.says(command)
        assert "XQ-2026-0001" not in clerk.sees() and "堵门" not in clerk.sees()
    await clerk.says("/need XQ-2026-9999")
    unknown = clerk.sees()
    await clerk.says("/need XQ-2026-0001")
    assert anonymous(clerk.sees()) == anonymous(unknown)
    for name in ("show", "register", "assign", "assign_to", "accept", "close", "approve"):
        hidden = await scene.forges(clerk, f"s:{name}:XQ-2026-0001" + ("/1" if name == "assign_to" else ""))
        missing = await scene.forges(clerk, f"s:{name}:XQ-2026-9999" + ("/1" if name == "assign_to" else ""))
        assert anonymous(hidden) == anonymous(missing), name
    for name in ("reply", "reject", "send_back"):
        said = []
        for no in ("XQ-2026-0001", "XQ-2026-9999"):
            await scene.forges(clerk, f"s:{name}:{no}")
            await clerk.says("写了一段话")
            said.append(anonymous(clerk.sees()))
            await clerk.says("/cancel")
        assert said[0] == said[1], name
    assert scene.steps() == ["submit"]
    assert [seen.text for seen in clerk.seen if "堵门" in seen.text] == []
    await watcher.says("/need XQ-2026-0001")
    assert "堵门" in watcher.sees()


async def test_danger_is_told_to_the_duty_person_and_nothing_is_recorded(scene: Scene) -> None:
    clerk, watcher = scene.staff("王登", "registrar"), scene.staff("督办", "supervisor")
    await scene.enterprise.says(DANGER)
    assert "110" in scene.enterprise.sees()
    alert = await watcher.waits("可能有人身危险")
    assert "网页对话" in alert.text and "跳下去" in alert.text
    assert str(scene.enterprise.chat_id) not in alert.html and not alert.buttons
    await handled(scene.app, "telegram", clerk.chat_id)
    assert clerk.seen == []
    assert scene.reads("SELECT (SELECT count(*) FROM needs) + (SELECT count(*) FROM askings) AS n") == [{"n": 0}]


async def test_a_complaint_and_then_a_person_is_a_need_for_named_staff(scene: Scene) -> None:
    clerk, watcher = scene.staff("王登", "registrar"), scene.staff("督办", "supervisor")
    await scene.enterprise.says(COMPLAINT)
    assert "12368" in scene.enterprise.sees()
    assert scene.reads("SELECT count(*) AS n FROM needs") == [{"n": 0}]
    await scene.enterprise.presses("找法院工作人员")
    need = scene.look()
    assert (need["visibility"], need["sensitive"]) == ("专班", "信访")
    assert "去北京告" in (await watcher.waits("专人办理")).text
    await handled(scene.app, "telegram", clerk.chat_id)
    assert clerk.seen == []
    await scene.enterprise.says("判决书是上个月的")
    assert "判决书是上个月的" in (await watcher.waits("提问人补充")).text
    assert clerk.seen == [] and scene.steps() == ["submit", "add"]


async def test_a_harmless_question_in_between_forgets_the_complaint(scene: Scene) -> None:
    clerk = scene.staff("王登", "registrar")
    await scene.enterprise.says(COMPLAINT)
    await scene.enterprise.says("你好")
    await scene.enterprise.presses("找法院工作人员")
    assert scene.look()["visibility"] == "院内"
    assert "要求人工" in (await clerk.waits("要求人工")).text


async def test_what_was_closed_too_long_ago_is_asked_anew(scene: Scene) -> None:
    handler = scene.staff("陈承", "handler")
    await scene.enterprise.says(QUESTION)
    await handler.says("/need XQ-2026-0001")
    await handler.presses("答复")
    await handler.says("答复内容")
    await scene.enterprise.waits("答复内容")
    scene.walks("XQ-2026-0001", "close", closed_on="2026-01-05")
    await scene.enterprise.presses("没解决")
    assert scene.look()["state"] == "closed"
    assert "重新提问" in scene.enterprise.sees()


async def test_pressing_for_a_person_again_and_again_is_limited(scene: Scene) -> None:
    """As questions are: a stranger must not be able to fill the ledger and the clerks' chats."""
    await scene.enterprise.says("/start")
    for _ in range(8):
        await scene.enterprise.says("/start")
        await scene.enterprise.presses("找法院工作人员")
    assert scene.reads("SELECT count(*) AS n FROM needs")[0]["n"] <= 5
