"""The web chat: one page, one websocket, and the same handlers as every other channel.

What a visitor sends becomes an aiogram update in the inbox and is confirmed once it is on record; what the bot says comes
through the outbox and counts as delivered once the page says it shows it. Page and server may lose each other at any
moment: the page repeats its unconfirmed messages under the same keys, the server shows the whole history on each
connection, and both know every message by its number, so nothing is lost and nothing shows twice.
"""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from datetime import datetime

from aiogram import Bot
from aiohttp import WSMsgType, web
from pydantic import ValidationError

from bot.access import Throttle
from bot.channels.web_history import bot_item, inbox_number, mark_delivered, own_item, page_buttons, read_history, shown_text, was_offered
from bot.channels.web_messages import MOST_CHARACTERS, Got, PageMessage, Payload, Ping, Press, Say, SendFile, pressed, said, sent_file
from bot.channels.web_pages import MAY_NOT_UPLOAD, WebPages, refusal
from bot.channels.web_security import COOKIE, is_own_origin, load_signer, peer_address
from bot.channels.web_uploads import BOT_TOKEN, BrowserSession, Uploads
from bot.inbox import Inbox
from bot.outbox import Outbox, Sending, TryLater
from bot.settings import Settings
from knowledge.clock import stamp
from knowledge.court import Court
from knowledge.database import Database
from knowledge.errors import BadInput, StorageFailed

log = logging.getLogger(__name__)

RECEIPT_SECONDS = 10.0
MISSED_RECEIPTS = 3
PING_SECONDS = 25.0
SOCKETS_PER_ADDRESS = 20
SOCKETS_PER_CHAT = 5
MESSAGES_PER_MINUTE = 60
MOST_RUBBISH = 5
MOST_MESSAGE_BYTES = 64 * 1024

NOT_RECORDED = "暂时记不下来，请稍后再发。您写的内容还在屏幕上。"
TOO_LONG = f"一条消息最多 {MOST_CHARACTERS} 字，这一条没有发出。请精简一下，或分成几条发送。"


class Browser:
    """One open page of a chat. Until it has its history, what is sent to it waits."""

    def __init__(self, socket: web.WebSocketResponse, chat_id: int, address: str) -> None:
        self.socket, self.chat_id, self.address = socket, chat_id, address
        self.rubbish = 0
        self.missed = 0
        self._held: list[Payload] | None = []

    async def send(self, message: Payload) -> None:
        """Send, or hold back; a page that is gone gets its history when it comes back."""
        if self._held is not None:
            self._held.append(message)
            return
        await self._send(message)

    async def welcome(self, history: Payload) -> None:
        """Send the history, then what came up meanwhile."""
        await self._send(history)
        held, self._held = self._held or [], None
        for message in held:
            await self._send(message)

    async def close(self, code: int, problem: str | None = None) -> None:
        """Say why, and close."""
        if problem:
            await self._send({"type": "problem", "key": None, "text": problem})
        await self.socket.close(code=code)

    async def _send(self, message: Payload) -> None:
        try:
            async with asyncio.timeout(RECEIPT_SECONDS):
                await self.socket.send_str(json.dumps(message, ensure_ascii=False))
        except (ConnectionError, TimeoutError):
            log.debug("a page was gone before it got its message")


class WebChannel:
    """The channel `web`: its routes (`attach`), its bot, and the courier of its outbox (`deliver`)."""

    def __init__(
        self,
        settings: Settings,
        database: Database,
        court: Court,
        clock: Callable[[], datetime],
        ready: Callable[[], bool],
        may_upload: Callable[[int], Awaitable[bool]],
    ) -> None:
        self._settings, self._database, self._court, self._clock = settings, database, court, clock
        self._may_upload = may_upload
        self._signer = load_signer(settings.data_dir)
        self._uploads = Uploads(settings.data_dir / "uploads")
        self._pages = WebPages(settings, court, self._signer, self._uploads, ready, may_upload)
        self.bot = Bot(BOT_TOKEN, session=BrowserSession(self._uploads))
        self._inbox: Inbox | None = None
        self._outbox: Outbox | None = None
        self._browsers: list[Browser] = []
        self._receipts: dict[tuple[int, int], asyncio.Future[None]] = {}
        self._throttle = Throttle(MESSAGES_PER_MINUTE)
        self._closing: set[asyncio.Task[None]] = set()

    def attach(self, app: web.Application) -> None:
        """Add the channel's routes, and the security headers to every response of `app`."""
        self._pages.attach(app)
        app.router.add_get("/ws", self._connect)

    async def start(self, inbox: Inbox, outbox: Outbox) -> None:
        """From now on pages may connect."""
        self._inbox, self._outbox = inbox, outbox
        self._uploads.forget(self._court.retention_raw_days)

    async def stop(self) -> None:
        """Tell every page to come back later."""
        self._inbox = None
        await asyncio.gather(*(browser.close(1001) for browser in self._browsers), *self._closing, return_exceptions=True)

    async def deliver(self, sending: Sending) -> int | None:
        """Show it on every open page of the chat; done when one of them confirms. Raises TryLater."""
        browsers = self._of_chat(sending.chat_id)
        if not browsers:
            raise TryLater("没有打开网页", seconds=float("inf"))
        receipt = asyncio.get_running_loop().create_future()
        self._receipts[sending.chat_id, sending.id] = receipt
        try:
            async with asyncio.timeout(RECEIPT_SECONDS):
                await asyncio.gather(*(browser.send(self._as_message(sending)) for browser in browsers))
                await receipt
        except TimeoutError:
            self._count_missed(browsers)
            raise TryLater("网页没有确认收到", seconds=1.0) from None
        finally:
            self._receipts.pop((sending.chat_id, sending.id), None)
        return sending.id

    async def _connect(self, request: web.Request) -> web.StreamResponse:
        chat_id = self._signer.chat(request.cookies.get(COOKIE))
        if chat_id is None or not is_own_origin(request, self._settings.public_url):
            return refusal(403, "请从对话页面打开。")
        if self._inbox is None:
            return refusal(503, "正在启动，请稍候。")
        socket = web.WebSocketResponse(heartbeat=PING_SECONDS, max_msg_size=MOST_MESSAGE_BYTES)
        await socket.prepare(request)
        browser = Browser(socket, chat_id, self._signer.address(peer_address(request, self._settings.proxies)))
        if sum(other.address == browser.address for other in self._browsers) >= SOCKETS_PER_ADDRESS:
            await browser.close(4429, "这个网络里打开的对话太多了。请关掉几个页面，稍后会自动重试。")
            return socket
        self._make_room(chat_id)
        self._browsers.append(browser)
        try:
            await self._talk(browser)
        finally:
            self._leave(browser)
        return socket

    def _make_room(self, chat_id: int) -> None:
        """A page that reconnects may have left dead sockets behind, so the oldest of the chat gives way."""
        for browser in self._of_chat(chat_id)[: 1 - SOCKETS_PER_CHAT]:
            self._dismiss(browser, 4409)

    async def _talk(self, browser: Browser) -> None:
        await self._welcome(browser)
        if self._outbox:
            self._outbox.attend("web", browser.chat_id)
        async for message in browser.socket:
            if message.type is WSMsgType.ERROR:
                return
            try:
                await self._take(browser, message.data if message.type is WSMsgType.TEXT else "")
            except Exception:
                # One message that cannot be handled must not end the conversation.
                log.exception("a message from a page could not be handled")
                await browser.send({"type": "problem", "key": None, "text": "出了点问题，这一步没有成功。请再试一次。"})
            if browser.rubbish >= MOST_RUBBISH:
                await browser.close(1008)
                return

    async def _welcome(self, browser: Browser) -> None:
        history = await asyncio.wrap_future(self._database.read(lambda db: read_history(db, browser.chat_id)))
        await browser.welcome(
            {
                "type": "history",
                "chat": self._signer.tag(browser.chat_id),
                "items": history.items,
                "receipts": history.receipts,
                "more": history.more,
                "may_upload": await self._may_upload(browser.chat_id),
            }
        )

    def _leave(self, browser: Browser) -> None:
        if browser in self._browsers:
            self._browsers.remove(browser)
        if not self._of_chat(browser.chat_id):
            for (chat_id, _), receipt in self._receipts.items():
                if chat_id == browser.chat_id and not receipt.done():
                    receipt.set_exception(TryLater("网页关掉了", seconds=float("inf")))

    async def _take(self, browser: Browser, text: str) -> None:
        try:
            message = PageMessage.validate_json(text)
        except ValidationError:
            browser.rubbish += 1
            await browser.send({"type": "problem", "key": None, "text": "页面发来的内容看不懂。请刷新页面再试。"})
            return
        match message:
            case Say():
                await self._take_text(browser, message)
            case Press():
                await self._take_press(browser, message)
            case SendFile():
                await self._take_file(browser, message)
            case Got():
                await self._take_receipts(browser, message.ids)
            case Ping():
                await browser.send({"type": "pong"})

    async def _take_text(self, browser: Browser, say: Say) -> None:
        text = say.text.replace("\0", "").strip()
        if not text:
            await self._refuse(browser, say.key, "还没有写内容。请写下您的问题再发送。")
        elif len(text) > MOST_CHARACTERS:
            await self._refuse(browser, say.key, TOO_LONG)
        else:
            await self._record(browser, say.key, said(browser.chat_id, text, self._clock()))

    async def _take_press(self, browser: Browser, press: Press) -> None:
        offered = self._database.read(lambda db: was_offered(db, browser.chat_id, press.message, press.data))
        if await asyncio.wrap_future(offered):
            await self._record(browser, press.key, pressed(browser.chat_id, press, self._clock()))
        else:
            await self._refuse(browser, press.key, "这个按钮已经失效了。请直接输入您的问题。")

    async def _take_file(self, browser: Browser, sent: SendFile) -> None:
        try:
            upload = self._uploads.find(sent.file)
        except BadInput as error:
            await self._refuse(browser, sent.key, str(error))
            return
        if upload.chat_id != browser.chat_id or not await self._may_upload(browser.chat_id):
            await self._refuse(browser, sent.key, MAY_NOT_UPLOAD)
            return
        await self._record(browser, sent.key, sent_file(browser.chat_id, upload, self._clock()))

    async def _take_receipts(self, browser: Browser, numbers: list[int]) -> None:
        browser.missed = 0
        late = []
        for number in numbers:
            receipt = self._receipts.get((browser.chat_id, number))
            if receipt is None:
                late.append(number)
            elif not receipt.done():
                receipt.set_result(None)
        if late:
            at = stamp(self._clock())
            try:
                await asyncio.wrap_future(self._database.write(lambda db: mark_delivered(db, browser.chat_id, late, at)))
            except StorageFailed:
                # They are sent again, and the page knows them already.
                log.warning("receipts of a page could not be written down")

    async def _record(self, browser: Browser, key: str, payload: Payload) -> None:
        if self._inbox is None:
            return
        if not self._throttle.allows(browser.chat_id):
            await self._refuse(browser, key, "发得太快了，这一条还没有收下。请过一分钟再发。", retry=True)
            return
        # The chat is part of the key, so no chat can take another's.
        full_key = f"{browser.chat_id}:{key}"
        try:
            number = await self._inbox.receive("web", full_key, browser.chat_id, payload, browser.address)
            known = await asyncio.wrap_future(self._database.read(lambda db: inbox_number(db, full_key))) if number is None else number
        except StorageFailed:
            await self._refuse(browser, key, NOT_RECORDED, retry=True)
            return
        await browser.send({"type": "received", "key": key, "id": known})
        if number is not None:
            await self._tell_others(browser, key, number, payload)

    async def _tell_others(self, browser: Browser, key: str, number: int, payload: Payload) -> None:
        shown = shown_text(payload)
        if shown is None:
            return
        item = own_item(number, key, shown, stamp(self._clock()))
        for other in self._of_chat(browser.chat_id):
            if other is not browser:
                await other.send(item)

    async def _refuse(self, browser: Browser, key: str, text: str, retry: bool = False) -> None:
        await browser.send({"type": "problem", "key": key, "text": text, "retry": retry})

    def _of_chat(self, chat_id: int) -> list[Browser]:
        return [browser for browser in self._browsers if browser.chat_id == chat_id]

    def _as_message(self, sending: Sending) -> Payload:
        saying = sending.saying
        if saying.edits is None:
            return bot_item(sending.id, saying, stamp(self._clock()))
        edit = {"type": "edit", "id": saying.edits, "html": saying.text, "buttons": page_buttons(saying.buttons)}
        # The receipt is for the edit, not for the message it changes.
        return edit | {"receipt": sending.id}

    def _count_missed(self, browsers: list[Browser]) -> None:
        """A page asleep in a pocket answers pings but shows nothing: let it reconnect when it wakes."""
        for browser in browsers:
            browser.missed += 1
            if browser.missed >= MISSED_RECEIPTS:
                self._dismiss(browser, 4408)

    def _dismiss(self, browser: Browser, code: int) -> None:
        if browser in self._browsers:
            self._browsers.remove(browser)
        task = asyncio.create_task(browser.close(code), name="web close")
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
