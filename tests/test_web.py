"""The web chat as a browser's network traffic sees it: identity, origin, keys, history, receipts, limits."""

import asyncio
import json
import os
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from aiogram.exceptions import TelegramBadRequest
from aiohttp.test_utils import make_mocked_request

from bot.channels import web as web_channel
from bot.channels.web_messages import MOST_CHARACTERS
from bot.channels.web_security import COOKIE, FIRST_CHAT, Signer, is_https, is_own_origin, load_signer, peer_address
from bot.inbox import Inbox
from bot.outbox import Button, Saying, TryLater
from bot.settings import Settings
from knowledge.errors import NotFound, StorageFailed, Unreadable
from tests.web_server import CHIPS, WebServer

KEY = "0123456789abcdef"
OK = Saying("好", ((Button("行", "ok"),),))


class Visitor:
    """A browser with one open page."""

    def __init__(self, server: WebServer, session: aiohttp.ClientSession) -> None:
        self.server, self.session = server, session
        self.sockets: list[aiohttp.ClientWebSocketResponse] = []

    @property
    def cookie(self) -> str:
        """The identity the page gave."""
        return next(cookie.value for cookie in self.session.cookie_jar if cookie.key == COOKIE)

    @property
    def chat_id(self) -> int:
        """The chat behind it."""
        return int(self.cookie.split(".")[0])

    async def opens(self) -> dict[str, Any]:
        """Open the page and its websocket; returns the history."""
        async with self.session.get(self.server.url + "/") as response:
            assert response.status == 200
        return await self.connects()

    async def connects(self, **headers: str) -> dict[str, Any]:
        """Open the websocket again, as after a lost connection."""
        self.socket = await self.session.ws_connect(self.server.url + "/ws", headers={"Origin": self.server.url} | headers)
        self.sockets.append(self.socket)
        return await self.hears("history")

    async def leaves(self) -> None:
        """Close every page."""
        for socket in self.sockets:
            await socket.close()

    async def sends(self, **message: Any) -> None:
        """Send one message of the protocol."""
        await self.socket.send_str(json.dumps(message))

    async def says(self, text: str, key: str = KEY) -> None:
        """Write something."""
        await self.sends(type="say", key=key, text=text)

    async def hears(self, kind: str, confirm: bool = True) -> dict[str, Any]:
        """The next message of this kind; what the bot says is confirmed as the page does."""
        while True:
            message: dict[str, Any] = await self.socket.receive_json(timeout=5)
            number = message.get("receipt", message["id"] if message.get("from") == "bot" else None)
            if confirm and number:
                await self.sends(type="got", ids=[number])
            if message["type"] == kind:
                return message

    async def hears_goodbye(self) -> int:
        """The code the server closes with."""
        while (message := await self.socket.receive(timeout=5)).type is not aiohttp.WSMsgType.CLOSE:
            assert message.type is aiohttp.WSMsgType.TEXT
        return int(message.data)

    async def hears_nothing(self, seconds: float = 0.2) -> None:
        """Nothing arrives for a while."""
        with pytest.raises(TimeoutError):
            await self.socket.receive(timeout=seconds)

    async def upload(self, content: bytes, name: str = "制度.docx") -> tuple[int, dict[str, Any]]:
        """Post a file."""
        form = aiohttp.FormData(quote_fields=False)
        form.add_field("file", content, filename=name)
        async with self.session.post(self.server.url + "/upload", data=form, headers={"Origin": self.server.url}) as response:
            return response.status, await response.json()


@pytest_asyncio.fixture
async def server(tmp_path: Path) -> AsyncIterator[WebServer]:
    started = await WebServer(tmp_path).start()
    yield started
    await started.stop()


@pytest_asyncio.fixture
async def visitor(server: WebServer) -> AsyncIterator[Visitor]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        opened = Visitor(server, session)
        yield opened
        await opened.leaves()


@pytest_asyncio.fixture
async def stranger(server: WebServer) -> AsyncIterator[Visitor]:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
        opened = Visitor(server, session)
        yield opened
        await opened.leaves()


# Identity


def test_only_our_key_makes_a_cookie() -> None:
    ours, theirs = Signer(b"a" * 32), Signer(b"b" * 32)
    chat = ours.new_chat()
    assert FIRST_CHAT <= chat < 2 * FIRST_CHAT
    assert ours.chat(ours.cookie(chat)) == chat
    assert theirs.chat(ours.cookie(chat)) is None
    swapped = ours.cookie(ours.new_chat()).split(".")[0] + "." + ours.cookie(chat).split(".")[1]
    for forged in (None, "", "1", f"{chat}", f"{chat}.{'0' * 64}", swapped, ours.cookie(chat).upper(), "１" * 16 + "." + "0" * 64, "é"):
        assert ours.chat(forged) is None


def test_the_key_is_made_once_for_the_owner_alone(tmp_path: Path) -> None:
    cookie = load_signer(tmp_path).cookie(FIRST_CHAT)
    assert stat.S_IMODE((tmp_path / "secret.key").stat().st_mode) == 0o600
    assert load_signer(tmp_path).chat(cookie) == FIRST_CHAT
    (tmp_path / "secret.key").write_bytes(b"short")
    with pytest.raises(Unreadable, match=r"secret\.key"):
        load_signer(tmp_path)


def test_an_address_is_kept_only_as_a_keyed_hash() -> None:
    signer = Signer(b"a" * 32)
    assert "1.2.3.4" not in signer.address("1.2.3.4")
    assert signer.address("1.2.3.4") != Signer(b"b" * 32).address("1.2.3.4")
    assert signer.address("2001:db8::1") == signer.address("2001:db8::2") != signer.address("2001:db8:0:1::1")


async def test_a_forged_cookie_becomes_a_new_identity(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    first = visitor.chat_id
    async with visitor.session.get(server.url + "/") as response:
        assert "HttpOnly" in response.headers["Set-Cookie"] and "SameSite=Lax" in response.headers["Set-Cookie"]
        assert "Max-Age=31536000" in response.headers["Set-Cookie"] and "Secure" not in response.headers["Set-Cookie"]
    assert visitor.chat_id == first
    visitor.session.cookie_jar.update_cookies({COOKIE: f"{first}.{'0' * 64}"}, response.url)
    await visitor.opens()
    assert visitor.chat_id != first


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("9.9.9.9", None, "9.9.9.9"),
        ("9.9.9.9", "1.1.1.1", "9.9.9.9"),
        ("10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("10.0.0.1", "127.0.0.1, 1.1.1.1, 10.0.0.2", "1.1.1.1"),
        ("10.0.0.1", "1.1.1.1:4321", "1.1.1.1"),
        ("10.0.0.1", "[2001:db8::1]:4321", "2001:db8::1"),
        ("10.0.0.1", "127.0.0.1, rubbish", "rubbish"),
        ("10.0.0.1", None, "10.0.0.1"),
        ("::ffff:10.0.0.1", "1.1.1.1", "1.1.1.1"),
        ("::ffff:9.9.9.9", None, "9.9.9.9"),
    ],
)
def test_forwarded_addresses_are_believed_from_named_proxies_alone(peer: str, forwarded: str | None, expected: str) -> None:
    headers = {"X-Forwarded-For": forwarded} if forwarded else {}
    request = make_mocked_request("GET", "/", headers=headers).clone(remote=peer)
    assert peer_address(request, Settings(trusted_proxies="10.0.0.0/8").proxies) == expected


@pytest.mark.parametrize(
    ("peer", "proto", "expected"), [("9.9.9.9", "https", False), ("10.0.0.1", "https", True), ("10.0.0.1", "http", False)]
)
def test_a_cookie_is_secure_behind_https(peer: str, proto: str, expected: bool) -> None:
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-Proto": proto}).clone(remote=peer)
    assert is_https(request, Settings(trusted_proxies="10.0.0.0/8").proxies) is expected


@pytest.mark.parametrize(
    ("origin", "expected"),
    [
        ("http://chat.local:8080", True),
        ("https://chat.local:8080", True),
        ("https://court.example", True),
        ("https://court.example:443", True),
        ("http://court.example", False),
        ("http://chat.local", False),
        ("https://evil.example", False),
        ("null", False),
        ("http://[bad", False),
        (None, False),
    ],
)
def test_the_origin_is_ours_or_the_public_one(origin: str | None, expected: bool) -> None:
    headers = {"Host": "chat.local:8080"} | ({"Origin": origin} if origin else {})
    assert is_own_origin(make_mocked_request("GET", "/ws", headers=headers), "https://court.example/chat") is expected


async def test_the_websocket_refuses_other_origins_and_strangers(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    for headers in ({"Origin": "https://evil.example"}, {"Origin": server.url, "Cookie": f"{COOKIE}=bad"}, {}):
        async with aiohttp.ClientSession(cookies={} if "Cookie" in headers else {COOKIE: visitor.cookie}) as other:
            with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
                await other.ws_connect(server.url + "/ws", headers=headers)
            assert refused.value.status == 403


# What a page loads


async def test_every_response_forbids_everything_foreign(server: WebServer, visitor: Visitor) -> None:
    for path in ("/", "/healthz", "/nowhere", "/static/chat.js", "/topics"):
        async with visitor.session.get(server.url + path) as response:
            policy = response.headers["Content-Security-Policy"]
            assert "default-src 'none'" in policy and "unsafe" not in policy and f"ws://127.0.0.1:{server.port}" in policy
            assert response.headers["Referrer-Policy"] == "no-referrer"
            assert response.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_strange_host_cannot_write_the_policy(server: WebServer, visitor: Visitor) -> None:
    async with visitor.session.get(server.url + "/", headers={"Host": "a; script-src *"}) as response:
        assert "*" not in response.headers.get("Content-Security-Policy", "")


async def test_the_demo_says_so_until_a_court_is_named(server: WebServer, visitor: Visitor) -> None:
    async with visitor.session.get(server.url + "/") as response:
        text = await response.text()
    assert "演示，非法院正式服务" in text and "智能助手，非裁判意见" in text and "请勿输入身份证号、银行卡号、商业秘密" in text


async def test_healthz_says_whether_questions_can_be_answered(server: WebServer, visitor: Visitor) -> None:
    for ready, status in ((False, 503), (True, 200)):
        server.ready = ready
        async with visitor.session.get(server.url + "/healthz") as response:
            assert response.status == status


# The conversation


async def test_a_question_is_received_answered_and_delivered(server: WebServer, visitor: Visitor) -> None:
    assert (await visitor.opens())["items"] == []
    await visitor.says("我问 <b>")
    received = await visitor.hears("received")
    answer = await visitor.hears("message")
    assert received["key"] == KEY and answer["from"] == "bot" and answer["html"] == "您问的是：我问 &lt;b>"
    assert answer["buttons"][0][0] == {"label": "解决了", "data": "solved"}
    assert await _settled(server, "SELECT state, message_id = id AS own FROM outbox") == [{"state": "delivered", "own": 1}]
    stored = (await server.rows("SELECT address, update_key FROM inbox"))[0]
    assert stored["update_key"] == f"{visitor.chat_id}:{KEY}" and "127.0.0.1" not in stored["address"]
    message = server.handled[0]["message"]
    assert message["from"]["id"] == message["chat"]["id"] == visitor.chat_id


async def test_the_same_key_has_one_effect(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.says("一次")
    first = await visitor.hears("received")
    await visitor.hears("message")
    await visitor.says("一次")
    assert await visitor.hears("received") == first
    await visitor.hears_nothing()
    assert len(server.handled) == 1


async def test_another_chat_may_use_the_same_key(server: WebServer, visitor: Visitor, stranger: Visitor) -> None:
    await visitor.opens()
    await stranger.opens()
    await visitor.says("甲")
    await stranger.says("乙")
    assert "甲" in (await visitor.hears("message"))["html"]
    assert "乙" in (await stranger.hears("message"))["html"]
    await visitor.hears_nothing()


async def test_history_is_whole_after_a_reload(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.says("/start", "start-2026-11-22")
    assert len((await visitor.hears("message"))["buttons"]) == len(CHIPS)
    await visitor.says("第一问", "key-number-1")
    await visitor.hears("message")
    await visitor.says("第二问", "key-number-2")
    last = await visitor.hears("message")
    await visitor.sends(type="press", key="key-number-3", message=last["id"], data="solved")
    await visitor.hears("edit")
    await _settled(server, "SELECT 1")
    await visitor.socket.close()
    history = await visitor.opens()
    shown = [(item["from"], item["html"][:6]) for item in history["items"]]
    assert shown == [("bot", "您好，这里是"), ("me", "第一问"), ("bot", "您问的是：第"), ("me", "第二问"), ("bot", "好的，祝经营")]
    assert history["items"][1]["key"] == "key-number-1" and history["items"][-1]["buttons"] == []
    assert history["receipts"] == [] and history["more"] is False and history["may_upload"] is False


async def test_a_long_history_shows_its_newest_part(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.socket.close()
    await server.say(visitor.chat_id, *(Saying(f"第{number}条") for number in range(250)))
    history = await visitor.connects()
    assert history["more"] is True and len(history["items"]) == 200
    assert history["items"][-1]["html"] == "第249条" and history["items"][0]["html"] == "第50条"
    assert len(history["receipts"]) == 200, "what is not shown must not be confirmed"


async def test_purged_texts_are_left_out(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.says("旧问题")
    await visitor.hears("message")
    await asyncio.wrap_future(server.database.write(lambda db: db.execute("UPDATE inbox SET payload = NULL")))
    await asyncio.wrap_future(server.database.write(lambda db: db.execute("UPDATE outbox SET text = NULL, buttons = NULL")))
    assert (await visitor.connects())["items"] == []


async def test_a_press_becomes_a_callback_and_the_edit_arrives(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.says("问")
    answer = await visitor.hears("message")
    await visitor.sends(type="press", key="press-key-1", message=answer["id"], data="unsolved")
    edit = await visitor.hears("edit")
    assert edit["id"] == answer["id"] and edit["html"] is None and edit["buttons"] == []
    assert "XQ-2026-0001" in (await visitor.hears("message"))["html"]
    query = server.handled[-1]["callback_query"]
    assert query["data"] == "unsolved" and query["message"]["message_id"] == answer["id"]
    states = await _settled(server, "SELECT DISTINCT state FROM outbox")
    assert states == [{"state": "delivered"}]


async def test_only_a_button_this_chat_was_shown_can_be_pressed(server: WebServer, visitor: Visitor, stranger: Visitor) -> None:
    await visitor.opens()
    await stranger.opens()
    await visitor.says("问")
    answer = await visitor.hears("message")
    await stranger.sends(type="press", key="press-key-1", message=answer["id"], data="solved")
    assert "失效" in (await stranger.hears("problem"))["text"]
    await visitor.sends(type="press", key="press-key-2", message=answer["id"], data="forged")
    assert "失效" in (await visitor.hears("problem"))["text"]
    assert len(server.handled) == 1


async def test_updates_are_valid_for_aiogram(server: WebServer, visitor: Visitor) -> None:
    from aiogram.types import Message, Update

    server.uploaders.add(0)
    await visitor.opens()
    server.uploaders.add(visitor.chat_id)
    await visitor.says("问")
    answer = await visitor.hears("message")
    await visitor.sends(type="press", key="press-key-1", message=answer["id"], data="solved")
    await visitor.hears("edit")
    _, upload = await visitor.upload(b"content")
    await visitor.sends(type="file", key="file-key-1", **upload)
    await visitor.hears("message")
    for payload in server.handled:
        update = Update.model_validate({"update_id": 1} | payload, context={"bot": server.channel.bot})
        if update.callback_query:
            assert isinstance(update.callback_query.message, Message) and update.callback_query.data == "solved"
    assert len(server.handled) == 3


# Receipts


async def test_what_nobody_reads_waits_for_the_page(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.socket.close()
    await server.say(visitor.chat_id, Saying("您的需求有答复了"))
    await asyncio.sleep(0.1)
    assert (await server.rows("SELECT state, attempts FROM outbox"))[0] == {"state": "waiting", "attempts": 0}
    history = await visitor.connects()
    assert [item["html"] for item in history["items"]] == ["您的需求有答复了"]
    await visitor.sends(type="got", ids=history["receipts"])
    assert await _settled(server, "SELECT state FROM outbox") == [{"state": "delivered"}]


async def test_without_a_receipt_it_is_sent_again(server: WebServer, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_channel, "RECEIPT_SECONDS", 0.1)
    await visitor.opens()
    await server.say(visitor.chat_id, OK)
    first = await visitor.hears("message", confirm=False)
    again = await visitor.hears("message")
    assert first["id"] == again["id"]
    assert await _settled(server, "SELECT state FROM outbox") == [{"state": "delivered"}]


async def test_a_page_asleep_is_let_go(server: WebServer, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web_channel, "RECEIPT_SECONDS", 0.05)
    await visitor.opens()
    await server.say(visitor.chat_id, OK)
    assert await visitor.hears_goodbye() == 4408
    assert (await visitor.connects())["items"][0]["html"] == "好"


async def test_nobody_confirms_for_another_chat(
    server: WebServer, visitor: Visitor, stranger: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(web_channel, "RECEIPT_SECONDS", 0.3)
    await visitor.opens()
    await stranger.opens()
    await server.say(visitor.chat_id, OK)
    message = await visitor.hears("message", confirm=False)
    await stranger.sends(type="got", ids=[message["id"]])
    await asyncio.sleep(0.1)
    assert (await server.rows("SELECT state FROM outbox"))[0]["state"] == "waiting"


async def test_all_pages_of_a_chat_see_everything_and_one_receipt_is_enough(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    other = Visitor(server, visitor.session)
    await other.connects()
    await visitor.says("问")
    mine = await other.hears("message")
    assert mine["from"] == "me" and mine["key"] == KEY and mine["html"] == "问"
    assert (await other.hears("message"))["id"] == (await visitor.hears("message", confirm=False))["id"]


async def test_a_page_closed_while_delivering_stops_the_wait(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await server.say(visitor.chat_id, OK)
    await visitor.hears("message", confirm=False)
    await visitor.socket.close()
    await asyncio.sleep(0.1)
    from bot.outbox import Sending

    with pytest.raises(TryLater) as later:
        await server.channel.deliver(Sending(1, visitor.chat_id, OK))
    assert later.value.seconds == float("inf")
    assert [item["html"] for item in (await visitor.connects())["items"]] == ["好"]


async def test_a_stopped_server_loses_nothing(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.says("问")
    await visitor.hears("message")
    await server.stop()
    await server.start()
    history = await visitor.connects()
    assert [item["from"] for item in history["items"]] == ["me", "bot"]


# What is refused


@pytest.mark.parametrize(("text", "words"), [("  \n ", "还没有写内容"), ("长" * (MOST_CHARACTERS + 1), "最多 4000 字")])
async def test_empty_and_overlong_texts_get_a_sentence(server: WebServer, visitor: Visitor, text: str, words: str) -> None:
    await visitor.opens()
    await visitor.says(text)
    problem = await visitor.hears("problem")
    assert problem["key"] == KEY and words in problem["text"] and problem["retry"] is False
    assert await server.rows("SELECT * FROM inbox") == []


async def test_the_longest_text_is_taken(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.says("长" * MOST_CHARACTERS)
    assert (await visitor.hears("received"))["id"] == 1


async def test_rubbish_is_told_and_then_cut_off(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    rubbish = ["nonsense", "[" * 30_000, '{"type":"say"}', '{"type":"say","key":"k;--","text":"x"}', '{"type":"got","ids":[true, 1e99]}']
    for text in rubbish:
        await visitor.socket.send_str(text)
        assert "刷新页面" in (await visitor.hears("problem"))["text"]
    assert await visitor.hears_goodbye() == 1008
    assert await server.rows("SELECT * FROM inbox") == []


async def test_half_a_character_is_refused_without_harm(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.socket.send_str('{"type":"say","key":"' + KEY + '","text":"\\ud83d"}')
    assert "刷新页面" in (await visitor.hears("problem"))["text"]
    await visitor.says("\0 问 \u202e")
    assert await visitor.hears("message")


async def test_a_message_over_64_kb_closes_the_socket(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    await visitor.socket.send_str("x" * 70_000)
    assert await visitor.hears_goodbye() == 1009


async def test_a_failing_disk_is_told_and_the_message_can_be_repeated(
    server: WebServer, visitor: Visitor, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: Any) -> None:
        raise StorageFailed("disk full")

    await visitor.opens()
    with monkeypatch.context() as broken:
        broken.setattr(Inbox, "receive", fail)
        await visitor.says("问")
        problem = await visitor.hears("problem")
    assert "暂时记不下来，请稍后再发" in problem["text"] and problem["retry"] is True
    await visitor.says("问")
    assert await visitor.hears("received")


async def test_a_flood_is_slowed_down(server: WebServer, visitor: Visitor) -> None:
    server.silent = True
    await visitor.opens()
    for number in range(web_channel.MESSAGES_PER_MINUTE + 5):
        await visitor.says("问", f"flood-{number:04}")
    problem = await visitor.hears("problem")
    assert "太快" in problem["text"] and problem["retry"] is True


async def test_a_sixth_page_of_a_chat_replaces_the_oldest(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    others = [Visitor(server, visitor.session) for _ in range(5)]
    for other in others:
        await other.connects()
    assert await visitor.hears_goodbye() == 4409


async def test_one_address_opens_twenty_pages(server: WebServer) -> None:
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        signer = load_signer(server.settings.data_dir)

        async def opened() -> Visitor:
            page = Visitor(server, session)
            page.socket = await session.ws_connect(
                server.url + "/ws", headers={"Origin": server.url, "Cookie": f"{COOKIE}={signer.cookie(signer.new_chat())}"}
            )
            return page

        pages = [await opened() for _ in range(20)]
        for page in pages:
            await page.hears("history")
        assert "太多" in (await (await opened()).hears("problem"))["text"]


# Files


async def test_a_file_reaches_the_handler_through_the_bot(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    server.uploaders.add(visitor.chat_id)
    assert (await visitor.connects())["may_upload"] is True
    content = os.urandom(200_000)
    status, upload = await visitor.upload(content, "../../制度\u202e 二.docx")
    assert status == 200 and upload["name"] == "制度 二.docx" and upload["size"] == len(content)
    await visitor.sends(type="file", key="file-key-1", **upload)
    assert "200000 字节" in (await visitor.hears("message"))["html"]
    document = server.handled[-1]["message"]["document"]
    fetched = await server.channel.bot.download(document["file_id"])
    assert fetched is not None and fetched.read() == content
    assert (await visitor.connects())["items"][0]["html"] == "📎 制度 二.docx"
    assert not list(server.settings.data_dir.rglob("*.docx"))


async def test_uploads_are_for_those_who_may(server: WebServer, visitor: Visitor, stranger: Visitor) -> None:
    await visitor.opens()
    await stranger.opens()
    assert (await visitor.upload(b"x"))[0] == 403
    server.uploaders.update({visitor.chat_id, stranger.chat_id})
    _, upload = await visitor.upload(b"x")
    await stranger.sends(type="file", key="file-key-1", **upload)
    assert "不能上传" in (await stranger.hears("problem"))["text"]
    await visitor.sends(type="file", key="file-key-1", file="../secret.key", name="x", size=1)
    assert "不在了" in (await visitor.hears("problem"))["text"]
    async with visitor.session.post(server.url + "/upload", data=b"x", headers={"Origin": "https://evil.example"}) as response:
        assert response.status == 403


async def test_a_file_over_20_mb_is_refused_before_it_is_sent(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    server.uploaders.add(visitor.chat_id)
    read = 0

    async def slowly() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(50):
            read += 1
            yield b"x" * 1024 * 1024
            await asyncio.sleep(0.01)

    headers = {"Origin": server.url, "Content-Type": "multipart/form-data; boundary=b", "Content-Length": str(50 * 1024 * 1024)}
    async with visitor.session.post(server.url + "/upload", data=slowly(), headers=headers) as response:
        assert response.status == 413 and "20 MB" in (await response.json())["text"]
    assert read < 20


async def test_a_file_that_hides_its_size_is_cut_off(server: WebServer, visitor: Visitor, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.channels.web_uploads.MOST_BYTES", 100_000)
    await visitor.opens()
    server.uploaders.add(visitor.chat_id)
    status, answer = await visitor.upload(b"x" * 200_000)
    assert status == 413 and "20 MB" in answer["text"]
    assert not list((server.settings.data_dir / "uploads").iterdir())
    assert (await visitor.upload(b""))[0] == 400
    async with visitor.session.post(server.url + "/upload", data=b"x", headers={"Origin": server.url}) as response:
        assert response.status == 400


async def test_old_uploads_are_forgotten(server: WebServer, visitor: Visitor) -> None:
    await visitor.opens()
    server.uploaders.add(visitor.chat_id)
    _, upload = await visitor.upload(b"x")
    for path in (server.settings.data_dir / "uploads").iterdir():
        os.utime(path, (0, 0))
    await server.stop()
    await server.start()
    with pytest.raises(TelegramBadRequest):
        await server.channel.bot.download(upload["file"])


async def test_the_bot_answers_about_itself_and_sends_nothing(server: WebServer) -> None:
    assert (await server.channel.bot.me()).is_bot
    with pytest.raises(TelegramBadRequest):
        await server.channel.bot.send_message(1, "x")
    with pytest.raises(NotFound):
        await anext(server.channel.bot.session.stream_content("https://api.telegram.org/file/bot1:web/..%2fsecret.key"))


async def _settled(server: WebServer, sql: str) -> list[dict[str, Any]]:
    """The rows once the outbox has written down what it delivered."""
    for _ in range(50):
        if not await server.rows("SELECT 1 FROM outbox WHERE state = 'waiting'"):
            break
        await asyncio.sleep(0.02)
    return await server.rows(sql)
