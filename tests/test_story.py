"""The main story, told through both channels: asked, answered or recorded, replied to by staff, told, reopened."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from bot import access
from bot.app import App
from knowledge.ledger.history import verify
from knowledge.ledger.needs import list_needs
from tests.bot_api import message
from tests.conftest import Running
from tests.visitors import TelegramVisitor, Visitor, WebVisitor, handled

KNOWN = "客户一直拖着货款不给，怎么办"
UNKNOWN = "捡到一只走失的鸽子脚上有环，送回去能要点饲料钱吗"


@pytest.fixture(params=["web", "telegram"])
async def visitor(request: pytest.FixtureRequest, running: Running) -> AsyncIterator[Visitor]:
    """An enterprise, in one channel and then in the other."""
    if request.param == "web":
        async with WebVisitor(running.app, running.port) as person:
            yield person
    else:
        yield TelegramVisitor(running.app, running.api, 70001)


@pytest.fixture
async def clerk(running: Running) -> TelegramVisitor:
    """A registrar with Telegram."""
    add_staff(running.app, "李登记", ["registrar"], 90001)
    return TelegramVisitor(running.app, running.api, 90001)


def add_staff(app: App, name: str, roles: list[str], telegram_id: int | None = None) -> None:
    """Somebody of the court, as `staff add` makes them."""
    app.database.write(lambda db: access.add_staff(db, name, roles, app.clock(), telegram_id)).result()


async def test_start_says_what_this_is_and_shows_topics(visitor: Visitor) -> None:
    await visitor.says("/start")
    assert "不是法官" in visitor.sees() and "演示，非法院正式服务" in visitor.sees()
    assert "请不要发送身份证号" in visitor.sees()
    await visitor.presses("账款回收")
    await visitor.presses("申请支付令")
    await visitor.presses("")
    assert "依据" in visitor.sees()


async def test_a_leaf_with_many_questions_has_pages(visitor: Visitor) -> None:
    await visitor.says("/start")
    await visitor.presses("执行与信用")
    await visitor.presses("追加股东与司法拍卖")
    first = visitor.sees().splitlines()
    await visitor.presses("更多问题")
    second = visitor.sees().splitlines()
    assert not set(first[2:10]) & set(second[2:-1]) and "更多问题" not in second
    await visitor.presses(second[2])
    assert "依据" in visitor.sees()


async def test_privacy_notice_comes_once(visitor: Visitor) -> None:
    await visitor.says("你好")
    assert "请不要发送身份证号" in visitor.sees()
    await visitor.says("你好")
    assert "请不要发送身份证号" not in visitor.sees()


async def test_known_question_is_answered_with_deadline_steps_and_basis(visitor: Visitor) -> None:
    await visitor.says(KNOWN)
    seen = visitor.sees()
    assert "期限提示" in seen and "怎么做" in seen and "《中华人民共和国民法典》" in seen
    assert seen.index("期限提示") < seen.index("怎么做") < seen.index("依据")
    assert "通用参考，未经本院审核" in seen
    await visitor.presses("解决了")
    assert "很高兴" in visitor.sees()


async def test_an_answer_leads_to_those_it_links_to(visitor: Visitor, running: Running) -> None:
    await visitor.says(KNOWN)
    first = visitor.sees()
    await visitor.presses("相关：")
    assert visitor.sees().startswith(first.split("相关：")[1].split("…")[0].strip().split("\n")[0][:12])
    assert "依据" in visitor.sees() and "解决了" in visitor.sees()
    await visitor.presses("没解决")
    assert "XQ-2026-0001" in visitor.sees()
    rows = running.app.database.read(lambda db: db.execute("SELECT entry_id, feedback FROM askings ORDER BY id").fetchall()).result()
    assert rows[0] == ("B01-2", None) and rows[1][0] != "B01-2" and rows[1][1] == "unsolved"


async def test_unsolved_answer_becomes_a_need_once(visitor: Visitor, running: Running) -> None:
    await visitor.says(KNOWN)
    await visitor.presses("没解决")
    assert "XQ-2026-0001" in visitor.sees()
    needs = running.app.database.read(list_needs).result()
    assert [need["question"] for need in needs] == [KNOWN]


async def test_a_miss_gets_a_number_is_replied_to_and_can_be_reopened(visitor: Visitor, clerk: TelegramVisitor, running: Running) -> None:
    await visitor.says(UNKNOWN)
    assert "XQ-2026-0001" in visitor.sees() and "个工作日" in visitor.sees()
    notice = await clerk.waits("XQ-2026-0001")
    assert "鸽子" in notice.text
    await clerk.says("饲料的钱可以由双方商量，谈好了写下来。", reply_to_message={**message(90001, "通知"), "message_id": notice.id})
    reply = await visitor.waits("关于 XQ-2026-0001 的答复")
    assert "双方商量" in reply.text and "李登记（登记员）" in reply.text
    await visitor.presses("没解决")
    assert "重新打开" in visitor.sees()
    await clerk.waits("答复未解决")
    await clerk.says("/need XQ-2026-0001")
    await clerk.presses("答复")
    await clerk.says("请带上聊天记录到诉讼服务中心，我们当面说明。")
    await visitor.waits("当面说明")
    await visitor.presses("解决了")
    assert "已办结" in visitor.sees()
    found = running.app.database.read(verify).result()
    assert found.first_break is None and found.length == 5


async def test_my_questions_show_state(visitor: Visitor) -> None:
    await visitor.says(UNKNOWN)
    await visitor.says("/my")
    assert "XQ-2026-0001" in visitor.sees() and "待登记" in visitor.sees()


async def test_person_called_silences_the_bot_until_handed_back(visitor: Visitor, clerk: TelegramVisitor) -> None:
    await visitor.says(KNOWN)
    await visitor.presses("找法院工作人员")
    assert "值守时间" in visitor.sees()
    await visitor.says(KNOWN)
    assert "期限提示" not in visitor.sees() and "已补充到" in visitor.sees()
    await clerk.waits("提问人补充")
    await visitor.presses("让机器人继续回答")
    await visitor.says(KNOWN)
    assert "期限提示" in visitor.sees()


async def test_danger_is_answered_even_while_a_person_has_the_chat(visitor: Visitor) -> None:
    await visitor.says(KNOWN)
    await visitor.presses("找法院工作人员")
    await visitor.says("工人爬上塔吊说不给工资就跳下来")
    assert "110" in visitor.sees() and "120" in visitor.sees()


async def test_profile_is_optional_editable_and_code_is_never_a_hard_stop(visitor: Visitor) -> None:
    await visitor.says("/profile")
    await visitor.presses("改企业名称")
    await visitor.says("青岛某某精密机械有限公司")
    assert "青岛某某精密机械有限公司" in visitor.sees()
    await visitor.presses("改统一社会信用代码")
    await visitor.says("9137 0212-MA3TEXT0XG")
    assert "校验位对不上" in visitor.sees() and "91370212MA3TEXT0XG" in visitor.sees()
    await visitor.presses("改所属街道")
    await visitor.presses("中韩街道")
    assert "中韩街道" in visitor.sees()
    await visitor.presses("改企业名称")
    await visitor.says("清空")
    assert "企业名称：（未填）" in visitor.sees()


async def test_forget_erases_and_ledger_still_verifies(visitor: Visitor, running: Running) -> None:
    await visitor.says(UNKNOWN)
    await visitor.says("/forget")
    await visitor.presses("确认删除")
    await visitor.says("/my")
    assert "鸽子" not in visitor.sees() and "XQ-2026-0001" in visitor.sees()
    found = running.app.database.read(verify).result()
    assert found.first_break is None and found.erased == 1
    left = running.app.database.read(lambda db: db.execute("SELECT count(*) FROM inbox WHERE payload LIKE '%鸽子%'").fetchone()[0])
    assert left.result() == 0


async def test_two_chats_become_one_person_only_by_the_code(running: Running) -> None:
    telegram = TelegramVisitor(running.app, running.api, 70002)
    async with WebVisitor(running.app, running.port) as web:
        await web.says(UNKNOWN)
        await telegram.says("/my")
        assert "XQ-" not in telegram.sees()
        await telegram.says("/link 00000000")
        assert "绑定码不对" in telegram.sees()
        await web.says("/link")
        code = web.sees().split("/link ")[1][:8]
        await telegram.says(f"/link {code}")
        assert "绑定成功" in telegram.sees()
        await telegram.says("/my")
        assert "XQ-2026-0001" in telegram.sees()
        await telegram.says(f"/link {code}")
        assert "绑定码不对" in telegram.sees()


async def test_staff_ask_why_and_nothing_is_recorded(clerk: TelegramVisitor, running: Running) -> None:
    await clerk.says("/why 老板拖欠工子怎么办")
    assert "拖欠工子 当作 拖欠工资" in clerk.sees() and "候选（" in clerk.sees() and "结果：" in clerk.sees()
    await clerk.says("/why")
    assert "请在 /why 后面写上问题" in clerk.sees()
    assert running.app.database.read(lambda db: db.execute("SELECT count(*) FROM askings").fetchone()[0]).result() == 0


async def test_staff_and_admin_actions_do_not_exist_for_strangers(visitor: Visitor, running: Running) -> None:
    await visitor.says(UNKNOWN)
    for command in ("/needs", "/need XQ-2026-0001", "/reindex", "/status", "/drafts", "/why 货款"):
        await visitor.says(command)
        assert (
            "候选（" not in visitor.sees()
            and "待登记" not in visitor.sees()
            and "索引" not in visitor.sees()
            and "XQ-2026-0001 " not in visitor.sees()
        )
    if isinstance(visitor, WebVisitor):
        await visitor.presses_data(visitor.seen[-1].id, "s:reply:XQ-2026-0001")
        assert visitor.problems
    else:
        await running.api.press(visitor.chat_id, "s:reject:XQ-2026-0001", 2)  # type: ignore[attr-defined]
        await handled(running.app, "telegram", 70001)
    assert running.app.database.read(list_needs).result()[0]["state"] == "submitted"


async def test_somebody_elses_button_does_nothing(running: Running) -> None:
    one, other = TelegramVisitor(running.app, running.api, 70003), TelegramVisitor(running.app, running.api, 70004)
    await one.says(KNOWN)
    data = one.seen[-2].buttons.get("没解决") or one.seen[-1].buttons["没解决"]
    await other.says("你好")
    number = await running.api.press(70004, data, 1)
    await running.api.until(lambda: (running.api.confirmed or 0) >= number)
    await handled(running.app, "telegram", 70004)
    await other.waits("按钮已经失效")
    assert running.app.database.read(list_needs).result() == []


async def test_anonymous_needs_are_limited_but_kept_on_record(running: Running) -> None:
    person = TelegramVisitor(running.app, running.api, 70005)
    for i in range(6):
        await person.says(f"{UNKNOWN}，第{i}只呢，{'喵' * i}")
    assert "不再单独编号" in person.sees()
    assert len(running.app.database.read(list_needs).result()) == 5


async def test_messages_of_one_chat_are_answered_in_order(running: Running) -> None:
    person = TelegramVisitor(running.app, running.api, 70006)
    for text in (KNOWN, "谢谢", UNKNOWN):
        await running.api.say(70006, text)
    await person.waits("XQ-2026-0001")
    texts = [seen.text for seen in person.seen]
    order = [next(i for i, text in enumerate(texts) if words in text) for words in ("期限提示", "不客气", "XQ-2026-0001")]
    assert order == sorted(order)


@pytest.mark.parametrize(
    "text",
    ["？？？", "😀😀😀", "\u202e\u202d反过来", "<b>x</b><script>alert(1)</script>", "'; DROP TABLE needs; --", "1", "a\x00b", "哦" * 3999],
)
async def test_strange_input_gets_a_sentence_and_one_outcome(text: str, running: Running) -> None:
    person = TelegramVisitor(running.app, running.api, 70007)
    replies = await person.says(text)
    assert replies and all("<script>" not in reply.html for reply in replies)
    outcomes = running.app.database.read(lambda db: db.execute("SELECT outcome FROM inbox").fetchall()).result()
    assert len(outcomes) == 1 and outcomes[0][0] in ("answered", "offered", "need", "conversation", "refused")


async def test_photo_voice_edited_and_sticker_are_met_with_what_to_do(running: Running) -> None:
    person = TelegramVisitor(running.app, running.api, 70008)
    photo = [{"file_id": "a", "file_unique_id": "b", "width": 1, "height": 1}]
    number = await running.api.queue(message=_without_text(70008, photo=photo))
    await running.api.until(lambda: (running.api.confirmed or 0) >= number)
    await handled(running.app, "telegram", 70008)
    assert "请用文字" in person.seen[0].text


async def test_leaning_question_is_searched_with_the_one_before(visitor: Visitor) -> None:
    await visitor.says("怎么申请支付令")
    await visitor.says("那要什么材料？")
    assert "支付令" in visitor.sees()


async def test_reply_waits_for_a_closed_page_and_comes_once(running: Running, clerk: TelegramVisitor) -> None:
    async with WebVisitor(running.app, running.port) as person:
        await person.says(UNKNOWN)
        await person.leaves()
        await clerk.says("/need XQ-2026-0001")
        await clerk.presses("答复")
        await clerk.says("已经看到，明天联系您。")
        await asyncio.sleep(0.2)
        await person.connects()
        await person.waits("明天联系您")
        await handled(running.app, "web", person.chat_id)
        assert sum("明天联系您" in seen.text for seen in person.seen) == 1


def _without_text(chat_id: int, **content: object) -> dict[str, object]:
    return {name: value for name, value in message(chat_id, "").items() if name != "text"} | content
