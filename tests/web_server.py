"""A real web channel on loopback: real database, inbox and outbox, and a handler that answers as the product would look."""

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.channels.web import WebChannel
from bot.inbox import Inbox, Incoming
from bot.outbox import Button, Mail, Outbox, Saying
from bot.settings import Settings
from bot.turn import Turn
from knowledge.clock import now
from knowledge.court import load_court
from knowledge.database import Database, Db, rows

WELCOME = (
    "您好，这里是<b>院企通</b>。\n企业遇到的法律和诉讼问题，直接打字问就行：先用大白话答复，再列出法律依据；答不上来的会登记给法院，有编号、有期限。\n\n"
    "也可以点下面的常见问题："
)
CHIPS = (
    (Button("对方拖着货款不给怎么办", "ask:1"),),
    (Button("公司账户被冻结了", "ask:2"),),
    (Button("怎么网上立案", "ask:3"), Button("诉讼费多少", "ask:4")),
)
ANSWER = (
    "⚠️ <b>诉讼时效一般是三年，从约定的付款日第二天算起；过了再起诉，对方一抗辩就可能败诉。</b>\n"
    "可以先发书面催款函，再起诉或申请支付令，不必等对方同意。\n\n"
    "<b>怎么做</b>\n1. 把合同、送货单、对账单、聊天记录存好；\n2. 发催款函，写明金额和付款期限，保留寄送凭证；\n"
    "3. 对方不否认欠款的，可以申请支付令，费用低、快。\n\n"
    "<b>依据</b>\n<blockquote>《中华人民共和国民法典》第一百八十八条：向人民法院请求保护民事权利的诉讼时效期间为三年。</blockquote>\n"
    '更多：<a href="/topics">买卖合同与货款</a>\n<i>通用参考，未经本院审核 · 2026-05-16 版</i>'
)
FEEDBACK = ((Button("解决了", "solved"), Button("没解决", "unsolved")), (Button("找法院工作人员", "staff"),))
NEED = "已经记下来了，编号 <code>XQ-2026-0001</code>。\n承办人会在 7 个工作日内答复，答复会发到这个对话里。"


class WebServer:
    """The channel on a port of its own; can be stopped and started again on the same data."""

    def __init__(self, data_dir: Path, **settings: Any) -> None:
        self.settings = Settings(data_dir=data_dir, **settings)
        self.port = 0
        self.ready = True
        self.uploaders: set[int] = set()
        self.handled: list[dict[str, Any]] = []
        self.silent = False
        self.court = load_court(data_dir)

    @property
    def url(self) -> str:
        """Where the page is."""
        return f"http://127.0.0.1:{self.port}"

    async def start(self) -> "WebServer":
        """Open the database and the port."""
        self.database = Database(self.settings.data_dir / "yuanqitong.db", "NORMAL")
        self.channel = WebChannel(self.settings, self.database, self.court, now, lambda: self.ready, self._may_upload)
        self.outbox = Outbox(self.database, {"web": self.channel}, now)
        self.inbox = Inbox(self.database, self._handle, now)
        app = web.Application()
        self.channel.attach(app)
        app.router.add_get("/topics", self._topics)
        self._runner = web.AppRunner(app, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.port = self._runner.addresses[0][1]
        await self.channel.start(self.inbox, self.outbox)
        await self.inbox.resume()
        await self.outbox.attend_all()
        return self

    async def stop(self) -> None:
        """Close everything, as on SIGTERM."""
        await self.channel.stop()
        await self._runner.cleanup()
        await self.inbox.drain(2)
        await self.outbox.stop(1)
        self.database.close()

    async def say(self, chat_id: int, *sayings: Saying) -> None:
        """Send to a chat without being asked."""

        def send(db: Db) -> None:
            Mail(db, now()).send("web", chat_id, *sayings)

        await asyncio.wrap_future(self.database.write(send))
        self.outbox.attend("web", chat_id)

    async def rows(self, sql: str) -> list[dict[str, Any]]:
        """Look into the database."""
        return await asyncio.wrap_future(self.database.read(lambda db: rows(db, sql)))

    async def _may_upload(self, chat_id: int) -> bool:
        return chat_id in self.uploaders

    async def _topics(self, request: web.Request) -> web.Response:
        return web.Response(text="topics")

    async def _handle(self, incoming: Incoming) -> None:
        self.handled.append(incoming.payload)
        at = now()
        turn = Turn(self.database, incoming, at)
        await turn.close("conversation", *([] if self.silent else replies(incoming.payload)))
        for chat in turn.touched:
            self.outbox.attend(*chat)


def replies(payload: dict[str, Any]) -> list[Saying]:
    """What the pretended product says."""
    if query := payload.get("callback_query"):
        return _to_press(query["data"], query["message"]["message_id"])
    message = payload["message"]
    if "document" in message:
        return [Saying(f"收到文件 {message['document']['file_size']} 字节。")]
    if message["text"].startswith("/start"):
        return [Saying(WELCOME, CHIPS)]
    if "货款" in message["text"]:
        return [Saying(ANSWER, FEEDBACK)]
    return [Saying(f"您问的是：{message['text'].replace('<', '&lt;')}", FEEDBACK)]


def _to_press(data: str, message: int) -> list[Saying]:
    if data == "unsolved":
        return [Saying(None, (), edits=message), Saying(NEED, need_no=None)]
    if data == "solved":
        return [Saying("好的，祝经营顺利。", (), edits=message)]
    return [Saying(ANSWER, FEEDBACK)]


def named_court(server: WebServer) -> None:
    """Let a real court have confirmed the configuration."""
    server.court = replace(server.court, name="青岛市崂山区人民法院", confirmed_by="测试 2026-11-22")
