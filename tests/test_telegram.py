"""Telegram as people meet it: nothing they write is lost, every reply arrives, in order, and the token stays secret."""

import asyncio
import json
import logging
import re
import sqlite3
import traceback
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.exceptions import TelegramNetworkError
from aiohttp import web
from pydantic import SecretStr

from bot.channels import telegram
from bot.channels.telegram import WEBHOOK_PATH, TelegramChannel
from bot.inbox import Inbox, Incoming, finish
from bot.outbox import Button, Mail, Outbox, Saying, Sending, TryLater, Undeliverable
from bot.settings import Settings
from knowledge.clock import now
from knowledge.database import Database, Db, rows
from knowledge.errors import BadInput, StorageFailed
from tests.bot_api import DROPPED, SERVER_ERROR, TOKEN, BotApi, Failure, message, too_many

pytestmark = pytest.mark.asyncio

SECRET = "a-Secret_1"
WANG, LI, GROUP = 501, 502, -1001


def settings(api_url: str, **more: Any) -> Settings:
    """Settings for the bot whose token the stand-in knows, whatever the machine's own `.env` says."""
    none: dict[str, Any] = {"telegram_proxy": None, "telegram_webhook_url": None, "telegram_webhook_secret": None}
    return Settings.model_validate({**none, "telegram_bot_token": SecretStr(TOKEN), "telegram_api_base": api_url, **more})


@dataclass
class Court:
    """A running bot: what it has handled, its database, and the pieces to stop and start again."""

    api: BotApi
    database: Database
    handled: list[Incoming] = field(default_factory=list)
    open: asyncio.Event = field(default_factory=asyncio.Event)
    _stops: list[Any] = field(default_factory=list)

    async def start(self, **more: Any) -> TelegramChannel:
        """Start the channel with an inbox whose handler notes the message and, once `open`, answers `答：…`."""
        channel = TelegramChannel(settings(self.api.url, **more))
        outbox = Outbox(self.database, {"telegram": channel}, now)

        async def handle(incoming: Incoming) -> None:
            self.handled.append(incoming)
            await self.open.wait()
            text = incoming.payload.get("message", {}).get("text", "")
            await self.mail("telegram", incoming.chat_id, Saying(f"答：{text}"), done=incoming.id)
            outbox.attend("telegram", incoming.chat_id)

        inbox = Inbox(self.database, handle, now)
        await inbox.resume()
        await channel.start(inbox)
        await outbox.attend_all()
        self._stops = [lambda: inbox.drain(0), lambda: outbox.stop(0), channel.stop]
        self.outbox = outbox
        return channel

    async def stop(self) -> None:
        """Stop what runs; what is being handled stays unfinished, as after a kill."""
        for stop in self._stops:
            await stop()
        for task in asyncio.all_tasks():
            if task.get_name() == "inbox telegram":
                task.cancel()
        self._stops = []

    async def mail(self, channel: str, chat_id: int, *sayings: Saying, done: int | None = None) -> None:
        """Write replies into the outbox, in the transaction that finishes message `done`."""

        def write(db: Db) -> None:
            if done is None or finish(db, done, "conversation", now()):
                Mail(db, now()).send(channel, chat_id, *sayings)

        await asyncio.wrap_future(self.database.write(write))

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        return await asyncio.wrap_future(self.database.read(lambda db: rows(db, sql)))


@pytest.fixture(autouse=True)
def no_wait_at_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiogram waits a quarter of a second for TLS connections to close; here there are none."""

    async def close(self: AiohttpSession) -> None:
        if self._session is not None:
            await self._session.close()

    monkeypatch.setattr(AiohttpSession, "close", close)


@pytest_asyncio.fixture
async def api() -> AsyncIterator[BotApi]:
    async with BotApi() as api:
        yield api


@pytest_asyncio.fixture
async def court(api: BotApi, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Court]:
    monkeypatch.setattr(telegram, "FIRST_PAUSE", 0.02)
    database = Database(tmp_path / "court.db", "NORMAL")
    court = Court(api, database)
    court.open.set()
    yield court
    await court.stop()
    database.close()


@pytest_asyncio.fixture
async def channel(api: BotApi) -> AsyncIterator[TelegramChannel]:
    """A channel that only sends."""
    channel = TelegramChannel(settings(api.url))
    yield channel
    await channel.stop()


def sending(text: str | None, chat_id: int = WANG, **more: Any) -> Sending:
    return Sending(1, chat_id, Saying(text, **more))


# Receiving


async def test_a_question_is_answered_and_the_menu_is_set_after_polling_began(court: Court, api: BotApi) -> None:
    await court.start()
    await api.say(WANG, "公司被起诉怎么办")
    await api.until(lambda: api.texts(WANG) == ["答：公司被起诉怎么办"])
    await api.until(lambda: bool(api.called("setMyCommands")))
    order = [call.method for call in api.calls]
    assert order.index("deleteWebhook") < order.index("getUpdates") < order.index("setMyCommands")
    assert api.called("getUpdates")[0]["allowed_updates"] == ["message", "edited_message", "callback_query"]


async def test_an_update_is_on_record_before_the_offset_moves(court: Court, api: BotApi) -> None:
    unrecorded: list[int] = []

    def check(ids: list[int]) -> None:
        with sqlite3.connect(court.database.path) as own:
            known = {int(key) for (key,) in own.execute("SELECT update_key FROM inbox WHERE channel = 'telegram'")}
        unrecorded.extend(number for number in ids if number not in known)

    api.on_confirm = check
    for number in range(30):
        await api.say(WANG + number % 3, f"第{number}问")
    last = await api.say(WANG, "最后一问")
    await court.start()
    await api.until(lambda: api.confirmed == last)
    assert unrecorded == []
    found = await court.rows("SELECT chat_id, payload FROM inbox ORDER BY id")
    assert [json.loads(item["payload"])["message"]["text"] for item in found] == [f"第{n}问" for n in range(30)] + ["最后一问"]
    assert "update_id" not in json.loads(found[0]["payload"])


async def test_killed_before_confirming_the_message_comes_again_and_has_one_effect(court: Court, api: BotApi) -> None:
    court.open.clear()
    number = await api.say(WANG, "欠薪怎么办")
    await court.start()
    await api.until(lambda: len(court.handled) == 1)
    await court.stop()
    # As after a kill before the next getUpdates: Telegram still has the update.
    api._updates = [{"update_id": number, "message": message(WANG, "欠薪怎么办")}]
    court.open.set()
    await court.start()
    await api.until(lambda: api.confirmed == number and bool(api.texts(WANG)))
    await api.say(WANG, "还有一问")
    await api.until(lambda: len(api.texts(WANG)) == 2)
    assert api.texts(WANG) == ["答：欠薪怎么办", "答：还有一问"]
    assert [(item["attempts"], item["outcome"]) for item in await court.rows("SELECT * FROM inbox ORDER BY id")] == [
        (2, "conversation"),
        (1, "conversation"),
    ]


async def test_every_kind_of_private_message_is_recorded_as_sent(court: Court, api: BotApi) -> None:
    await court.start()
    await api.queue(message=message(WANG, "", voice={"file_id": "v", "duration": 2, "newer_than_aiogram": {"x": 1}}))
    await api.queue(edited_message=message(WANG, "改过的问题", edit_date=1_790_000_001))
    await api.press(WANG, "solved:1")
    await api.queue(my_chat_member={"chat": {"id": WANG, "type": "private"}})
    last = await api.say(WANG, "你好")
    await api.until(lambda: len(court.handled) == 4 and api.confirmed == last)
    payloads = [incoming.payload for incoming in court.handled]
    assert [list(payload) for payload in payloads] == [["message"], ["edited_message"], ["callback_query"], ["message"]]
    assert payloads[0]["message"]["voice"]["newer_than_aiogram"] == {"x": 1}
    assert payloads[2]["callback_query"]["from"]["id"] == WANG


async def test_a_pressed_button_is_acknowledged_while_its_handler_is_still_busy(court: Court, api: BotApi) -> None:
    court.open.clear()
    await court.start()
    await api.press(WANG, "solved:1")
    await api.until(lambda: bool(api.called("answerCallbackQuery")))
    assert len(await court.rows("SELECT 1 FROM inbox WHERE done_at IS NULL")) == 1


async def test_storage_that_fails_holds_the_offset_until_the_message_is_written(
    court: Court, api: BotApi, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = True
    receive = Inbox.receive

    async def failing(self: Inbox, *args: Any, **more: Any) -> int | None:
        if broken:
            raise StorageFailed("磁盘满了。")
        return await receive(self, *args, **more)

    monkeypatch.setattr(Inbox, "receive", failing)
    number = await api.say(WANG, "问题")
    await court.start()
    await api.until(lambda: len(api.called("getUpdates")) >= 3)
    assert api.confirmed is None
    assert len([record for record in caplog.records if "写不进数据库" in record.message]) == 1
    broken = False
    await api.until(lambda: api.confirmed == number and bool(api.texts(WANG)))
    assert api.texts(WANG) == ["答：问题"]


async def test_half_a_character_does_not_block_the_messages_behind_it(court: Court, api: BotApi) -> None:
    await api.say(WANG, "半个字符\ud800")
    last = await api.say(WANG, "正常的问题")
    await court.start()
    await api.until(lambda: api.confirmed == last and api.texts(WANG) == ["答：半个字符?", "答：正常的问题"])


async def test_an_outage_is_one_line_down_and_one_line_up(court: Court, api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    api.fail("getUpdates", DROPPED, SERVER_ERROR, DROPPED, SERVER_ERROR)
    await court.start()
    await api.say(WANG, "在吗")
    await api.until(lambda: bool(api.texts(WANG)))
    lines = [record.message for record in caplog.records if record.name == telegram.__name__]
    assert len([line for line in lines if "连不上" in line]) == 1
    assert len([line for line in lines if "恢复正常" in line]) == 1


async def test_a_flood_limit_on_receiving_is_waited_out(court: Court, api: BotApi) -> None:
    api.fail("getUpdates", too_many(1))
    await court.start()
    await api.until(lambda: bool(api.called("getUpdates")))
    polls = [call for call in api.calls if call.method == "getUpdates"]
    assert polls[0].status == 429
    assert polls[1].at - polls[0].at >= 0.99


async def test_a_revoked_token_ends_receiving_with_the_name_of_the_setting(
    court: Court, api: BotApi, caplog: pytest.LogCaptureFixture
) -> None:
    api.unauthorized = True
    await court.start()
    await api.until(lambda: any("TELEGRAM_BOT_TOKEN" in record.message for record in caplog.records))
    calls = len(api.calls)
    await asyncio.sleep(0.1)
    assert len(api.calls) == calls
    with pytest.raises(TryLater) as later:
        await (channel := TelegramChannel(settings(api.url))).deliver(sending("答"))
    await channel.stop()
    assert later.value.everywhere


async def test_another_poller_is_named_and_outlived(court: Court, api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    conflict = Failure(409, "Conflict: terminated by other getUpdates request")
    api.fail("getUpdates", conflict, conflict)
    await court.start()
    await api.say(WANG, "在吗")
    await api.until(lambda: bool(api.texts(WANG)))
    assert len([record for record in caplog.records if "另一个程序" in record.message]) == 1


async def test_a_group_is_pointed_to_private_once_and_nothing_of_it_is_kept(court: Court, api: BotApi) -> None:
    await court.start()
    await api.say(GROUP, "大家好，我的手机号是13800138000", "supergroup")
    await api.say(GROUP, "/start@other_bot", "supergroup")
    await api.until(lambda: api.confirmed is not None)
    await api.say(GROUP, "@Yuanqitong_bot 公司被起诉怎么办", "supergroup")
    await api.until(lambda: len(api.texts(GROUP)) == 1)
    await api.say(GROUP, "/start", "supergroup")
    last = await api.say(WANG, "私聊")
    await api.until(lambda: api.confirmed == last and bool(api.texts(WANG)))
    assert api.texts(GROUP) == [telegram.IN_PRIVATE]
    assert [item["chat_id"] for item in await court.rows("SELECT chat_id FROM inbox")] == [WANG]


# Delivering


async def test_a_flood_limit_is_obeyed_and_order_is_kept(court: Court, api: BotApi) -> None:
    await court.start()
    api.fail("sendMessage", too_many(1))
    await court.mail("telegram", WANG, *(Saying(f"第{n}条") for n in range(5)))
    await court.mail("telegram", LI, *(Saying(f"第{n}条") for n in range(5)))
    await court.outbox.attend_all()
    await api.until(lambda: len(api.called("sendMessage")) == 10)
    assert api.texts(WANG) == api.texts(LI) == [f"第{n}条" for n in range(5)]
    sent = [call for call in api.calls if call.method == "sendMessage"]
    refused = next(call for call in sent if call.status == 429)
    # A call that was on its way with the refused one may still arrive; then nobody sends until the time is over.
    assert [call for call in sent if refused.at + 0.1 < call.at < refused.at + 0.99] == []


async def test_an_unreachable_telegram_loses_no_reply_and_keeps_their_order(court: Court, api: BotApi) -> None:
    await court.start()
    await api.until(lambda: bool(api.called("getUpdates")))
    api.unreachable = True
    await court.mail("telegram", WANG, *(Saying(f"第{n}条") for n in range(4)))
    await court.outbox.attend_all()
    await api.until(lambda: any(call.method == "sendMessage" for call in api.calls))
    api.unreachable = False
    await api.until(lambda: len(api.texts(WANG)) == 4)
    assert api.texts(WANG) == [f"第{n}条" for n in range(4)]
    assert {item["state"] for item in await court.rows("SELECT state FROM outbox")} <= {"delivered", "waiting"}


async def test_a_long_answer_goes_in_parts_that_telegram_takes(court: Court, api: BotApi) -> None:
    await court.start()
    answer = "<b>" + "依照法律规定应当支付违约金。\n" * 700 + "</b>"
    await court.mail("telegram", WANG, Saying(answer, ((Button("解决了", "solved:1"),),)))
    await court.outbox.attend_all()
    await api.until(lambda: len(api.texts(WANG)) >= 3)
    await api.until(lambda: "reply_markup" in api.called("sendMessage")[-1])
    sent = api.called("sendMessage")
    assert all(part["text"].startswith("<b>") and part["text"].endswith("</b>") for part in sent)
    assert "".join(part["text"] for part in sent).count("违约金") == 700
    assert ["reply_markup" in part for part in sent] == [False] * (len(sent) - 1) + [True]


async def test_a_saying_becomes_a_message_with_buttons_and_without_a_preview(channel: TelegramChannel, api: BotApi) -> None:
    number = await channel.deliver(sending("<b>答</b> https://example.org", buttons=((Button("解决了", "solved:1"),),)))
    sent = api.called("sendMessage")[0]
    assert (sent["chat_id"], sent["text"], sent["parse_mode"]) == (WANG, "<b>答</b> https://example.org", "HTML")
    assert sent["link_preview_options"]["is_disabled"] is True
    assert sent["reply_markup"]["inline_keyboard"] == [[{"text": "解决了", "callback_data": "solved:1"}]]
    assert number == 2


async def test_edits_change_the_text_or_only_the_buttons(channel: TelegramChannel, api: BotApi) -> None:
    assert await channel.deliver(sending("改", edits=9)) == 9
    assert await channel.deliver(sending(None, edits=9)) == 9
    assert api.called("editMessageText")[0]["text"] == "改"
    assert "reply_markup" not in api.called("editMessageReplyMarkup")[0]


@pytest.mark.parametrize(
    "reason",
    ["message is not modified: specified new message content is the same", "message to edit not found", "message can't be edited"],
)
async def test_an_edit_with_nothing_left_to_change_is_done(channel: TelegramChannel, api: BotApi, reason: str) -> None:
    api.fail("editMessageText", Failure(400, f"Bad Request: {reason}"))
    assert await channel.deliver(sending("改", edits=9)) is None


async def test_someone_who_blocked_the_bot_or_never_knew_it_cannot_be_reached(channel: TelegramChannel, api: BotApi) -> None:
    api.blocked, api.strangers = {WANG}, {LI}
    for chat_id in (WANG, LI):
        with pytest.raises(Undeliverable, match="请用其他方式联系"):
            await channel.deliver(sending("答", chat_id))


async def test_trouble_that_passes_is_tried_later_and_only_for_this_chat(channel: TelegramChannel, api: BotApi) -> None:
    api.fail("sendMessage", DROPPED, SERVER_ERROR, Failure(404, "Not Found"))
    for _ in range(3):
        with pytest.raises(TryLater) as later:
            await channel.deliver(sending("答"))
        assert (later.value.seconds, later.value.everywhere) == (None, False)


async def test_a_message_telegram_will_never_take_is_not_tried_for_ever(channel: TelegramChannel, api: BotApi) -> None:
    api.fail("sendMessage", Failure(400, "Bad Request: BUTTON_DATA_INVALID"))
    with pytest.raises(Undeliverable, match="BUTTON_DATA_INVALID"):
        await channel.deliver(sending("答"))


async def test_refused_html_is_sent_again_without_tags(channel: TelegramChannel, api: BotApi) -> None:
    api.refuse_html = True
    assert await channel.deliver(sending("<b>违约金 &lt; 30%</b>")) is not None
    sent = api.called("sendMessage")[0]
    assert (sent["text"], "parse_mode" in sent) == ("违约金 < 30%", False)


async def test_a_message_that_was_sent_is_not_sent_again_because_its_receipt_is_newer_than_aiogram(
    channel: TelegramChannel, api: BotApi, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def strange(method: str, parameters: dict[str, Any]) -> dict[str, Any]:
        return {"message_id": 77, "chat": "in a shape aiogram does not know"}

    monkeypatch.setattr(api, "_result", strange)
    assert await channel.deliver(sending("答")) == 77


async def test_a_notice_about_a_need_is_masked_and_an_answer_is_not(channel: TelegramChannel, api: BotApi) -> None:
    await channel.deliver(sending("联系人电话 13800138000", need_no="XQ-2026-0001"))
    await channel.deliver(sending("立案咨询 13800138000"))
    assert api.texts(WANG) == ["联系人电话 138****8000", "立案咨询 13800138000"]


async def test_sending_keeps_below_the_limit_over_all_chats(channel: TelegramChannel, api: BotApi) -> None:
    await asyncio.gather(*(channel.deliver(sending("通知", chat_id)) for chat_id in range(1, 14)))
    times = [call.at for call in api.calls]
    assert times[-1] - times[0] >= 12 / telegram.PER_SECOND * 0.9


async def test_during_a_flood_limit_other_chats_wait_as_well(channel: TelegramChannel, api: BotApi) -> None:
    api.fail("sendMessage", too_many(1))
    with pytest.raises(TryLater) as later:
        await channel.deliver(sending("答"))
    assert (later.value.seconds, later.value.everywhere) == (1, True)
    await channel.deliver(sending("答", LI))
    assert api.calls[1].at - api.calls[0].at >= 0.99


async def test_every_command_in_a_menu_has_a_handler() -> None:
    code = "".join(path.read_text() for path in (Path(telegram.__file__).parents[1] / "conversation").glob("*.py"))
    offered = telegram.VISITOR_COMMANDS | telegram.STAFF_COMMANDS | telegram.REVIEWER_COMMANDS | telegram.ADMIN_COMMANDS
    assert set(offered) - {"start"} <= set(re.findall(r'Command\("(\w+)"\)', code))


async def test_after_stopping_a_reply_waits_for_the_next_start(channel: TelegramChannel, api: BotApi) -> None:
    await channel.stop()
    with pytest.raises(TryLater) as later:
        await channel.deliver(sending("答"))
    assert later.value.seconds == float("inf")
    assert api.calls == []


async def test_menus_follow_roles_and_a_failure_is_only_logged(
    channel: TelegramChannel, api: BotApi, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    await channel.set_commands(WANG, frozenset({"registrar"}))
    await channel.set_commands(WANG, ["admin"])
    await channel.set_commands(WANG, [])
    staff, admin = ({item["command"] for item in call["commands"]} for call in api.called("setMyCommands"))
    assert "needs" in staff < admin
    assert api.called("deleteMyCommands")[0]["scope"] == {"type": "chat", "chat_id": WANG}
    api.fail("setMyCommands", Failure(400, "Bad Request: chat not found"))
    await channel.set_commands(LI, ["handler"])
    assert "命令菜单" in caplog.text


# Webhook


@pytest_asyncio.fixture
async def webhook(court: Court, api: BotApi) -> AsyncIterator[str]:
    channel = await court.start(telegram_webhook_url="https://court.example/telegram/webhook", telegram_webhook_secret=SecretStr(SECRET))
    app = web.Application()
    app.add_routes(channel.routes())
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    yield f"http://127.0.0.1:{runner.addresses[0][1]}{WEBHOOK_PATH}"
    await runner.cleanup()


async def post(url: str, secret: str | None, body: bytes) -> int:
    headers = {} if secret is None else {"X-Telegram-Bot-Api-Secret-Token": secret}
    async with aiohttp.ClientSession() as session, session.post(url, data=body, headers=headers) as response:
        return response.status


def update(number: int, text: str) -> bytes:
    return json.dumps({"update_id": number, "message": message(WANG, text)}).encode()


async def test_the_webhook_is_registered_with_its_secret(webhook: str, api: BotApi) -> None:
    await api.until(lambda: bool(api.called("setWebhook")))
    call = api.called("setWebhook")[0]
    assert (call["url"], call["secret_token"]) == ("https://court.example/telegram/webhook", SECRET)
    assert call["allowed_updates"] == ["message", "edited_message", "callback_query"]
    assert api.called("getUpdates") == []


@pytest.mark.parametrize("secret", [None, "", "wrong", SECRET + "x", "密钥"])
async def test_a_webhook_call_without_the_secret_is_refused(webhook: str, court: Court, secret: str | None) -> None:
    assert await post(webhook, secret, update(1, "问题")) == 401
    assert await court.rows("SELECT 1 FROM inbox") == []


async def test_a_secret_of_bytes_that_are_no_text_is_refused(webhook: str) -> None:
    host, port = webhook.split("/")[2].split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [f"POST {WEBHOOK_PATH} HTTP/1.1", f"Host: {host}", "Content-Length: 2", "Connection: close"]
    writer.write("\r\n".join(lines).encode() + b"\r\nX-Telegram-Bot-Api-Secret-Token: \xff\xfe\xb7\r\n\r\n{}")
    assert b" 401 " in await reader.readline()
    writer.close()


async def test_a_webhook_update_is_recorded_once_however_often_it_comes(webhook: str, court: Court, api: BotApi) -> None:
    assert [await post(webhook, SECRET, update(5, "问题")) for _ in range(2)] == [200, 200]
    await api.until(lambda: bool(api.texts(WANG)))
    assert [item["update_key"] for item in await court.rows("SELECT update_key FROM inbox")] == ["5"]
    assert api.texts(WANG) == ["答：问题"]


async def test_a_webhook_says_so_when_nothing_could_be_written(webhook: str, court: Court, monkeypatch: pytest.MonkeyPatch) -> None:
    async def failing(*_: Any, **__: Any) -> None:
        raise StorageFailed("磁盘满了。")

    monkeypatch.setattr(Inbox, "receive", failing)
    assert await post(webhook, SECRET, update(5, "问题")) == 503
    monkeypatch.undo()
    assert await post(webhook, SECRET, update(5, "问题")) == 200
    assert await post(webhook, SECRET, b"not json") == 400
    assert await post(webhook, SECRET, b"[]") == 200


# Settings and secrets


@pytest.mark.parametrize(
    ("wrong", "named"),
    [
        ({"telegram_bot_token": None}, "TELEGRAM_BOT_TOKEN"),
        ({"telegram_bot_token": SecretStr("no token")}, "TELEGRAM_BOT_TOKEN"),
        ({"telegram_api_base": "api.telegram.org"}, "TELEGRAM_API_BASE"),
        ({"telegram_api_base": "http://127.0.0.1:port"}, "TELEGRAM_API_BASE"),
        ({"telegram_webhook_url": "https://court.example/"}, "TELEGRAM_WEBHOOK_SECRET"),
        ({"telegram_webhook_url": "https://court.example/", "telegram_webhook_secret": SecretStr("有 空格")}, "TELEGRAM_WEBHOOK_SECRET"),
        ({"telegram_webhook_url": "court.example", "telegram_webhook_secret": SecretStr(SECRET)}, "TELEGRAM_WEBHOOK_URL"),
        ({"telegram_proxy": "127.0.0.1:7890"}, "TELEGRAM_PROXY"),
        ({"telegram_proxy": "ftp://127.0.0.1:7890"}, "TELEGRAM_PROXY"),
    ],
)
async def test_a_wrong_setting_is_named_before_anything_starts(wrong: dict[str, Any], named: str) -> None:
    with pytest.raises(BadInput, match=named):
        TelegramChannel(settings("http://127.0.0.1:1", **wrong))


async def test_a_socks_proxy_without_its_package_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "aiohttp_socks", None)
    with pytest.raises(BadInput, match="pip install aiohttp-socks"):
        TelegramChannel(settings("http://127.0.0.1:1", telegram_proxy="socks5://127.0.0.1:1080"))


async def test_an_http_proxy_needs_no_further_package(api: BotApi) -> None:
    channel = TelegramChannel(settings("http://telegram.invalid", telegram_proxy=api.url))
    assert await channel.deliver(sending("经过代理")) is not None
    await channel.stop()
    assert api.texts(WANG) == ["经过代理"]


async def test_the_token_is_in_no_log_and_no_stored_error(court: Court, api: BotApi, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    api.fail("getUpdates", DROPPED, SERVER_ERROR)
    channel = await court.start()
    api.fail("sendMessage", DROPPED, Failure(404, "Not Found"))
    for _ in range(2):
        with pytest.raises(TryLater):
            await channel.deliver(sending("答"))
    # An address the HTTP client refuses is quoted whole in its error.
    channel.bot.session.api = TelegramAPIServer.from_base("http://[::1")
    with pytest.raises(TryLater) as later:
        await channel.deliver(sending("答"))
    assert "***" in str(later.value)
    with pytest.raises(TelegramNetworkError) as raw:
        await channel.bot.send_message(WANG, "答")
    await channel.set_commands(WANG, ["admin"])
    await asyncio.sleep(0.1)
    told = caplog.text + "".join(traceback.format_exception(raw.value)) + "".join(traceback.format_exception(later.value))
    told += repr(channel.bot.session) + str(await court.rows("SELECT error FROM outbox"))
    assert "***" in caplog.text
    assert TOKEN not in told
    assert TOKEN.split(":")[1] not in told
