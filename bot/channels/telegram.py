"""Telegram: updates go into the inbox, replies come out of the outbox, and nothing is answered in between.

Updates are fetched by our own loop because aiogram's confirms them before they are handled: here the next offset is asked
for only after the inbox has committed, so a kill at any moment leads to a redelivery and never to a loss. Updates stay
the plain dictionaries Telegram sent; one that is newer than aiogram's types cannot stop the ones behind it.

What Telegram says about a reply is translated for the outbox: later, later for everybody, or never. The token is part of
every address, so it is cut out of whatever the HTTP client reports. Groups are not listened to: other people's messages
are not ours to record.
"""

import asyncio
import hmac
import json
import logging
import re
from collections.abc import Collection, Coroutine
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from aiogram import Bot
from aiogram.client.default import DefaultBotProperties
from aiogram.client.session.aiohttp import AiohttpSession
from aiogram.client.telegram import TelegramAPIServer
from aiogram.enums import ParseMode
from aiogram.exceptions import (
    AiogramError,
    ClientDecodeError,
    TelegramAPIError,
    TelegramBadRequest,
    TelegramConflictError,
    TelegramEntityTooLarge,
    TelegramForbiddenError,
    TelegramMigrateToChat,
    TelegramNetworkError,
    TelegramNotFound,
    TelegramRetryAfter,
    TelegramUnauthorizedError,
)
from aiogram.methods import (
    AnswerCallbackQuery,
    DeleteMyCommands,
    EditMessageReplyMarkup,
    EditMessageText,
    SendMessage,
    SetMyCommands,
    TelegramMethod,
)
from aiogram.methods.base import TelegramType
from aiogram.types import BotCommand, BotCommandScopeChat, InlineKeyboardButton, InlineKeyboardMarkup
from aiogram.utils.token import TokenValidationError
from aiohttp import ClientSession, web

from bot.access import ADMINS
from bot.inbox import Inbox
from bot.outbox import Button, Saying, Sending, TryLater, Undeliverable, plain
from bot.settings import Settings
from knowledge.errors import BadInput, StorageFailed
from knowledge.privacy import mask

log = logging.getLogger(__name__)

CHANNEL = "telegram"
WEBHOOK_PATH = "/telegram/webhook"
WANTED = ["message", "edited_message", "callback_query"]
POLL_SECONDS = 30
ANSWER_SECONDS = 30.0
FIRST_PAUSE = 1.0
LONGEST_PAUSE = 60.0
PER_SECOND = 25.0
"""Telegram allows a bot about 30 messages a second over all chats."""

VISITOR_COMMANDS = {
    "start": "主题列表",
    "my": "我的提问和办理状态",
    "profile": "填写企业资料（自愿）",
    "link": "绑定网页端",
    "forget": "删除我的资料",
    "help": "使用说明",
}
STAFF_COMMANDS = {
    "today": "今天到期和超期的需求",
    "needs": "待办需求",
    "need": "查看一件需求：/need 编号",
    "console": "登录工作台的一次性链接",
    "logout": "退出工作人员身份",
}
REVIEWER_COMMANDS = {"drafts": "待审核的条目"}
ADMIN_COMMANDS = {"status": "体检", "reindex": "重建索引"}

NO_CONNECTION = "连不上 Telegram，会一直重试（间隔最多 60 秒），收发的消息都不会丢。请检查网络，境内需要设置 TELEGRAM_PROXY"
NOT_WRITTEN = "收到的 Telegram 消息暂时写不进数据库，写进之前不会确认，会一直重试。请检查磁盘空间"
OTHER_POLLER = (
    "另一个程序正在用同一个 TELEGRAM_BOT_TOKEN 收消息，一个令牌只能给一个程序用。"
    "请停掉另一个程序，或者向 @BotFather 另申请一个令牌。会一直重试"
)
REFUSED = "Telegram 拒绝了收消息的请求，会一直重试。请检查 TELEGRAM_WEBHOOK_URL 和 TELEGRAM_API_BASE"
UNKNOWN_BOT = "Telegram 不认 TELEGRAM_BOT_TOKEN（令牌填错了，或者已被 @BotFather 吊销），Telegram 已停用。请改正这个设置后重新启动"
IN_PRIVATE = "请私聊我提问。群里的消息大家都看得到，所以我不在群里答复，也不记录群里的消息。"


class TelegramChannel:
    """Receives by long polling, or by webhook when its address is set; delivers for the outbox.

    `bot` is the one to feed recorded updates with. Stop the channel after the outbox: `stop` closes the connection, and what
    is to be delivered after that waits for the next start.
    """

    def __init__(self, settings: Settings) -> None:
        """Raises BadInput naming the setting that is missing or wrong; connects to nothing yet."""
        self._webhook_url, self._secret = _webhook(settings)
        self.bot = _bot(settings)
        self._inbox: Inbox | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._pace = Pace(PER_SECOND)
        self._offset: int | None = None
        self._trouble: str | None = None
        self._connected = False
        self._stopped = False
        self._pointed: set[int] = set()

    async def start(self, inbox: Inbox) -> None:
        """Begin to receive into `inbox`. Returns at once: a Telegram that cannot be reached does not hold up the start."""
        self._inbox = inbox
        self._in_background(self._keep_receiving())

    async def stop(self) -> None:
        """Receive no more and close the connection. What was not confirmed is sent again after the next start."""
        self._inbox, self._stopped = None, True
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.bot.session.close()

    def routes(self) -> list[web.RouteDef]:
        """What the web server must answer: nothing when polling."""
        return [web.post(WEBHOOK_PATH, self._on_webhook)] if self._webhook_url else []

    async def deliver(self, sending: Sending) -> int | None:
        """Send or edit one message; an edit that has nothing left to change counts as done.

        Raises TryLater or Undeliverable. HTML that Telegram refuses is sent once more without its tags.
        """
        saying = _masked(sending.saying) if sending.saying.need_no else sending.saying
        try:
            return await self._send(sending.chat_id, saying, ParseMode.HTML)
        except _TagsRefused:
            return await self._send(sending.chat_id, replace(saying, text=plain(saying.text or "")), None)

    async def set_commands(self, chat_id: int, roles: Collection[str]) -> None:
        """Show in this chat the menu that fits `roles`; without roles the visitors' menu comes back. Never fails."""
        scope = BotCommandScopeChat(chat_id=chat_id)
        if roles:
            await self._attempt(SetMyCommands(commands=_commands(_offered(set(roles))), scope=scope), "设置命令菜单")
        else:
            await self._attempt(DeleteMyCommands(scope=scope), "撤销命令菜单")

    # Receiving

    async def _keep_receiving(self) -> None:
        pause = FIRST_PAUSE
        while True:
            try:
                await self._receive_once()
            except TelegramUnauthorizedError:
                self._went_wrong(UNKNOWN_BOT, level=logging.ERROR)
                return
            except TelegramRetryAfter as error:
                log.info("Telegram 要求收消息等待 %s 秒", error.retry_after)
                await asyncio.sleep(error.retry_after)
            except Exception as error:
                # This loop is the only way in: it must outlive whatever happens in it.
                self._went_wrong(_trouble(error), _brief(error))
                await asyncio.sleep(pause)
                pause = min(LONGEST_PAUSE, pause * 2)
            else:
                pause = FIRST_PAUSE
                self._went_well()
                if self._webhook_url:
                    return

    async def _receive_once(self) -> None:
        if self._webhook_url:
            await self.bot.set_webhook(self._webhook_url, allowed_updates=WANTED, secret_token=self._secret)
            return
        if not self._connected:
            await self.bot.delete_webhook()
        # The first call does not wait for updates: it shows whether Telegram can be reached.
        timeout = POLL_SECONDS if self._connected else 0
        fetch = _FetchUpdates(offset=self._offset, timeout=timeout, allowed_updates=WANTED)
        updates = await self.bot(fetch, request_timeout=timeout + int(ANSWER_SECONDS))
        await self._take_all(updates)

    async def _take_all(self, updates: list[dict[str, Any]]) -> None:
        # Begun in order, so recorded in order, and all in one commit.
        taken = await asyncio.gather(*(self._take(update) for update in updates), return_exceptions=True)
        failures = [outcome for outcome in taken if outcome is not None]
        if failures:
            raise failures[0]
        if updates:
            self._offset = max(int(update["update_id"]) for update in updates) + 1

    async def _take(self, update: object) -> None:
        """Record one update. Raises StorageFailed; an update that makes no sense is skipped, or it would block all behind it."""
        arrival = _arrival(update)
        if arrival is None or self._inbox is None:
            return
        if not arrival.private:
            if arrival.kind == "message":
                self._in_background(self._point_to_private(arrival))
        else:
            try:
                await self._inbox.receive(CHANNEL, arrival.key, arrival.chat_id, arrival.payload)
            except (ValueError, TypeError, OverflowError) as error:
                log.error("有一条 Telegram 消息无法记录，已跳过（%s）", type(error).__name__)
        if arrival.kind == "callback_query":
            answer = AnswerCallbackQuery(callback_query_id=str(arrival.event["id"]))
            self._in_background(self._attempt(answer, "确认按钮"))

    async def _on_webhook(self, request: web.Request) -> web.Response:
        """200 once the update is on record, 401 without the secret, 400 for no JSON, 503 while nothing can be recorded."""
        # As bytes: compare_digest raises on a string that is not ASCII, and a header may hold anything.
        given = request.headers.get("X-Telegram-Bot-Api-Secret-Token", "").encode("utf-8", "surrogateescape")
        if not hmac.compare_digest(given, self._secret.encode()):
            return web.Response(status=401)
        try:
            update = json.loads(await request.read())
        except (ValueError, RecursionError):
            return web.Response(status=400)
        if self._inbox is None:
            return web.Response(status=503)
        try:
            await self._take(update)
        except StorageFailed:
            self._went_wrong(NOT_WRITTEN)
            return web.Response(status=503)
        if self._trouble == NOT_WRITTEN:
            self._went_well()
        return web.Response()

    async def _point_to_private(self, arrival: "_Arrival") -> None:
        """Answer in a group, once: to ask us is to write to us alone."""
        if arrival.chat_id in self._pointed or arrival.event.get("from", {}).get("is_bot"):
            return
        try:
            me = await self.bot.me()
        except AiogramError:
            return
        if _speaks_to(arrival.event, me.username or "", me.id) and arrival.chat_id not in self._pointed:
            self._pointed.add(arrival.chat_id)
            await self._pace.turn()
            await self._attempt(SendMessage(chat_id=arrival.chat_id, text=IN_PRIVATE, parse_mode=None), "答复群消息")

    # Sending

    async def _send(self, chat_id: int, saying: Saying, parse_mode: str | None) -> int | None:
        await self._pace.turn()
        if self._stopped:
            raise TryLater("院企通正在停止", float("inf"))
        try:
            sent = await self.bot(_method(chat_id, saying, parse_mode))
        except TelegramRetryAfter as error:
            self._pace.hold(error.retry_after)
            raise TryLater(f"Telegram 要求等待 {error.retry_after} 秒", error.retry_after, everywhere=True) from None
        except TelegramBadRequest as error:
            _refuse(error.message, saying, parse_mode)
            return None
        except TelegramForbiddenError:
            raise Undeliverable("对方停用或屏蔽了机器人，Telegram 送不到。请用其他方式联系。") from None
        except (TelegramMigrateToChat, TelegramEntityTooLarge) as error:
            raise Undeliverable(f"Telegram 不收这条消息（{type(error).__name__}）。") from None
        except TelegramUnauthorizedError:
            self._went_wrong(UNKNOWN_BOT, level=logging.ERROR)
            raise TryLater("Telegram 不认令牌 TELEGRAM_BOT_TOKEN", LONGEST_PAUSE, everywhere=True) from None
        except ClientDecodeError as error:
            if not _is_done(error):
                raise TryLater("Telegram 的回答看不懂") from None
            return _number(error.data.get("result"), saying)
        except AiogramError as error:
            raise TryLater(f"Telegram 暂时送不到（{_brief(error)}）") from None
        return _number(sent, saying)

    async def _attempt(self, method: TelegramMethod[Any], what: str) -> None:
        """Make a call that nobody waits for and that may fail."""
        if self._stopped:
            return
        try:
            await self.bot(method)
        except AiogramError as error:
            log.info("Telegram：%s没有成功（%s）", what, _brief(error))

    # Keeping going

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work, name=CHANNEL)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _went_wrong(self, trouble: str, detail: str = "", level: int = logging.WARNING) -> None:
        """One line when it begins, however long it lasts."""
        if trouble != self._trouble:
            log.log(level, "%s%s。", trouble, f"（{detail}）" if detail else "")
        self._trouble = trouble

    def _went_well(self) -> None:
        if self._trouble:
            log.info("Telegram 恢复正常。")
        self._trouble = None
        if not self._connected:
            self._connected = True
            log.info("Telegram 已连上。")
            self._in_background(self._attempt(SetMyCommands(commands=_commands(VISITOR_COMMANDS)), "设置命令菜单"))


class Pace:
    """Lets callers through in order, `per_second` at most, and nobody while on hold."""

    def __init__(self, per_second: float) -> None:
        self._gap = 1 / per_second
        self._free_at = 0.0
        self._queue = asyncio.Lock()

    async def turn(self) -> None:
        """Wait for one's turn."""
        clock = asyncio.get_running_loop().time
        async with self._queue:
            # Looked at again after each sleep: a hold may have begun meanwhile.
            while (wait := self._free_at - clock()) > 0:  # noqa: ASYNC110
                await asyncio.sleep(wait)
            self._free_at = clock() + self._gap

    def hold(self, seconds: float) -> None:
        """Let nobody through for `seconds`."""
        self._free_at = max(self._free_at, asyncio.get_running_loop().time() + seconds)


class _TagsRefused(Exception):
    """Telegram could not read the HTML."""


class _FetchUpdates(TelegramMethod[list[dict[str, Any]]]):
    """getUpdates as plain dictionaries."""

    __returning__ = list[dict[str, Any]]
    __api_method__ = "getUpdates"

    offset: int | None = None
    timeout: int
    allowed_updates: list[str]


class _Session(AiohttpSession):
    """aiogram's session with the token cut out of its errors, and HTTP proxies without a further package."""

    def __init__(self, api: TelegramAPIServer, proxy: str | None) -> None:
        self._http_proxy = proxy if proxy and proxy.startswith("http") else None
        super().__init__(proxy=None if self._http_proxy else proxy, api=api, timeout=ANSWER_SECONDS)

    async def create_session(self) -> ClientSession:
        if self._http_proxy is None:
            return await super().create_session()
        if self._session is None or self._session.closed:
            self._session = ClientSession(connector=self._connector_type(**self._connector_init), proxy=self._http_proxy)
            self._should_reset_connector = False
        return self._session

    async def make_request(self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None) -> TelegramType:  # noqa: ASYNC109
        try:
            return await super().make_request(bot, method, timeout)
        except TelegramNetworkError as error:
            error.message = error.message.replace(bot.token, "***")
            # Not chained: the original error's text holds the address, and the token with it.
            raise error from None
        except AiogramError:
            raise
        except Exception as error:
            # The errors of a socks proxy have no family of their own, and an answer need not even be text.
            raise TelegramNetworkError(method, type(error).__name__) from None


@dataclass(frozen=True)
class _Arrival:
    """An update as far as this channel needs to understand it."""

    key: str
    kind: str
    chat_id: int
    private: bool
    event: dict[str, Any]
    payload: dict[str, Any]


def _arrival(update: Any) -> _Arrival | None:
    """None for a kind we did not ask for, or no update at all."""
    try:
        key = str(int(update["update_id"]))
        kind = next(name for name in WANTED if name in update)
        event = update[kind]
        message = event.get("message") if kind == "callback_query" else event
        # A button without its message can only be a very old one; its presser is also the private chat's number.
        chat = message["chat"] if message else {"id": event["from"]["id"], "type": "private"}
        payload = {name: value for name, value in update.items() if name != "update_id"}
        return _Arrival(key, kind, int(chat["id"]), chat["type"] == "private", event, payload)
    except (KeyError, TypeError, ValueError, AttributeError, StopIteration):
        return None


def _speaks_to(message: dict[str, Any], username: str, bot_id: int) -> bool:
    """Whether a group message is meant for us: our name, an answer to us, or a command that names no other bot."""
    text = str(message.get("text") or message.get("caption") or "").lower()
    ours = f"@{username.lower()}"
    if message.get("reply_to_message", {}).get("from", {}).get("id") == bot_id:
        return True
    command = re.match(r"/\w+(@\w+)?", text)
    if command:
        return command[1] in (None, ours)
    return re.search(rf"{re.escape(ours)}\b", text) is not None


def _method(chat_id: int, saying: Saying, parse_mode: str | None) -> TelegramMethod[Any]:
    buttons = _keyboard(saying.buttons)
    if saying.edits is None:
        return SendMessage(chat_id=chat_id, text=saying.text or "", parse_mode=parse_mode, reply_markup=buttons)
    if saying.text is None:
        return EditMessageReplyMarkup(chat_id=chat_id, message_id=saying.edits, reply_markup=buttons)
    return EditMessageText(chat_id=chat_id, message_id=saying.edits, text=saying.text, parse_mode=parse_mode, reply_markup=buttons)


def _keyboard(buttons: tuple[tuple[Button, ...], ...]) -> InlineKeyboardMarkup | None:
    if not buttons:
        return None
    return InlineKeyboardMarkup(
        inline_keyboard=[[InlineKeyboardButton(text=button.label, callback_data=button.data) for button in line] for line in buttons]
    )


def _masked(saying: Saying) -> Saying:
    """What is about a need travels abroad here: personal numbers in it do not."""
    buttons = tuple(tuple(Button(mask(button.label), button.data) for button in line) for line in saying.buttons)
    return replace(saying, text=mask(saying.text) if saying.text else saying.text, buttons=buttons)


def _refuse(reason: str, saying: Saying, parse_mode: str | None) -> None:
    """Raise what follows from a refusal; returns when nothing is left to do, as for an edit that changes nothing."""
    lower = reason.lower()
    if parse_mode and "can't parse entities" in lower:
        raise _TagsRefused
    gone = ("message is not modified", "message to edit not found", "message can't be edited", "message_id_invalid")
    if saying.edits is not None and any(words in lower for words in gone):
        return
    if "chat not found" in lower:
        raise Undeliverable("Telegram 上找不到这个会话（对方没有启用过机器人，或者已注销）。请用其他方式联系。")
    raise Undeliverable(f"Telegram 不收这条消息：{reason}")


def _is_done(error: ClientDecodeError) -> bool:
    """Whether Telegram did it although aiogram could not read the answer: doing it again would double the message."""
    return isinstance(error.data, dict) and error.data.get("ok") is True


def _number(result: Any, saying: Saying) -> int | None:
    number = result.get("message_id") if isinstance(result, dict) else getattr(result, "message_id", None)
    return number if isinstance(number, int) else saying.edits


def _trouble(error: Exception) -> str:
    if isinstance(error, StorageFailed):
        return NOT_WRITTEN
    if isinstance(error, (TelegramBadRequest, TelegramNotFound)):
        return REFUSED
    return OTHER_POLLER if isinstance(error, TelegramConflictError) else NO_CONNECTION


def _brief(error: Exception) -> str:
    """An error for the log. Some hold people's messages or chat numbers: of those only the kind is told."""
    if isinstance(error, StorageFailed):
        return str(error)
    message = (
        error.message if isinstance(error, TelegramAPIError) and not isinstance(error, (TelegramRetryAfter, TelegramMigrateToChat)) else ""
    )
    return f"{type(error).__name__}：{message}"[:200] if message else type(error).__name__


def _offered(roles: set[str]) -> dict[str, str]:
    """What a member of staff finds in the menu; handlers check the role again, the menu is only a convenience."""
    reviewing = REVIEWER_COMMANDS if "reviewer" in roles or ADMINS & roles else {}
    return STAFF_COMMANDS | reviewing | (ADMIN_COMMANDS if ADMINS & roles else {}) | VISITOR_COMMANDS


def _commands(offered: dict[str, str]) -> list[BotCommand]:
    return [BotCommand(command=name, description=text) for name, text in offered.items()]


def _bot(settings: Settings) -> Bot:
    if settings.telegram_bot_token is None:
        raise BadInput("没有设置 TELEGRAM_BOT_TOKEN。请填上 @BotFather 给的令牌；不填就不开 Telegram。")
    api = TelegramAPIServer.from_base(_api_base(settings.telegram_api_base))
    try:
        return Bot(
            settings.telegram_bot_token.get_secret_value(),
            session=_session(api, settings.telegram_proxy),
            default=DefaultBotProperties(parse_mode=ParseMode.HTML, link_preview_is_disabled=True),
        )
    except TokenValidationError:
        raise BadInput("设置 TELEGRAM_BOT_TOKEN 不对：应是“数字:字母数字”的样子，中间没有空格。请从 @BotFather 重新复制。") from None


def _api_base(address: str) -> str:
    try:
        parts = urlsplit(address)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or "{" in address or "}" in address:
        raise BadInput("设置 TELEGRAM_API_BASE 不对：应是 https://api.telegram.org 这样的网址。请改正 .env 或环境变量。")
    return address


def _session(api: TelegramAPIServer, proxy: str | None) -> _Session:
    wrong = "设置 TELEGRAM_PROXY 不对：应是 http://127.0.0.1:7890 或 socks5://127.0.0.1:1080 的样子。请改正 .env 或环境变量。"
    try:
        if proxy:
            parts = urlsplit(proxy)
            if parts.scheme not in ("http", "https", "socks4", "socks5", "socks5h") or not parts.hostname or not parts.port:
                raise BadInput(wrong)
            # aiogram always lets the proxy resolve names, which is all that socks5h asks for.
            proxy = re.sub(r"^socks5h:", "socks5:", proxy)
        return _Session(api, proxy)
    except ValueError:
        raise BadInput(wrong) from None
    except RuntimeError:
        raise BadInput("TELEGRAM_PROXY 用 socks 代理需要软件包 aiohttp-socks：pip install aiohttp-socks；或者改用 http:// 代理。") from None


def _webhook(settings: Settings) -> tuple[str, str]:
    """Address and secret of the webhook, both empty when polling. Raises BadInput: without a secret anybody could post updates."""
    url = settings.telegram_webhook_url
    if not url:
        return "", ""
    secret = settings.telegram_webhook_secret.get_secret_value() if settings.telegram_webhook_secret else ""
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,256}", secret):
        raise BadInput(
            "设置了 TELEGRAM_WEBHOOK_URL 就必须设置 TELEGRAM_WEBHOOK_SECRET：1 到 256 位字母、数字、下划线、连字符。"
            "请填上一个随机的，或者去掉 TELEGRAM_WEBHOOK_URL 改用长轮询。"
        )
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(f"设置 TELEGRAM_WEBHOOK_URL 不对：应是 https://法院域名{WEBHOOK_PATH} 的样子。请改正 .env 或环境变量。")
    return (url if parts.path.strip("/") else url.rstrip("/") + WEBHOOK_PATH), secret
