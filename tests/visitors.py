"""People who talk to the running bot: over a real websocket, or through a real Bot API on loopback.

    await visitor.says("员工没签合同要赔多少")
    assert "二倍" in visitor.sees()
    await visitor.presses("没解决")

Both channels have the same three verbs, so a story is told once and run through each.
"""

import asyncio
import json
import re
from dataclasses import dataclass, field
from typing import Any, Protocol, Self

from aiohttp import ClientSession, ClientWebSocketResponse, CookieJar, WSMsgType

from bot.app import App
from bot.channels.web_security import COOKIE
from bot.outbox import plain
from knowledge.database import Db, rows
from tests.bot_api import BotApi

PATIENCE = 20.0


@dataclass
class Seen:
    """A message of the bot's as a person sees it."""

    id: int
    html: str
    buttons: dict[str, str] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """What can be read, the buttons' labels too."""
        return "\n".join([plain(self.html), *self.buttons])


class Visitor(Protocol):
    """What a person can do in a chat."""

    channel: str

    @property
    def seen(self) -> list[Seen]:
        """Every message of the bot's so far."""

    async def says(self, text: str) -> list[Seen]:
        """Type a message; returns what came back once it has been handled."""

    async def presses(self, label: str) -> list[Seen]:
        """Press the newest button with this label (or beginning with it)."""

    async def waits(self, words: str) -> Seen:
        """Wait until a message with these words has come."""

    def sees(self) -> str:
        """Everything in the newest messages since the last thing this person did."""


class WebVisitor:
    """A page in a browser, without the browser."""

    channel = "web"

    def __init__(self, app: App, port: int) -> None:
        self.app, self.base = app, f"http://127.0.0.1:{port}"
        self.seen: list[Seen] = []
        self.problems: list[str] = []
        self.chat_id = 0
        self._new: list[Seen] = []
        self._received: dict[str, int] = {}
        self._keys = 0
        self._socket: ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self.session = ClientSession(headers={"Origin": self.base}, cookie_jar=CookieJar(unsafe=True))
        async with self.session.get(self.base + "/") as response:
            assert response.status == 200
        cookie = next(c for c in self.session.cookie_jar if c.key == COOKIE)
        self.chat_id = int(re.findall(r"\d{10,}", cookie.value)[0])
        await self.connects()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.leaves()
        await self.session.close()

    async def connects(self) -> None:
        """Open the page's websocket."""
        self._socket = await self.session.ws_connect(self.base.replace("http", "ws") + "/ws")
        self._reader = asyncio.create_task(self._read(self._socket))

    async def leaves(self) -> None:
        """Close the page; what is sent meanwhile waits."""
        if self._socket:
            await self._socket.close()
        if self._reader:
            await self._reader

    async def says(self, text: str, key: str | None = None) -> list[Seen]:
        self._new = []
        await self._sends({"type": "say", "key": key or self._next_key(), "text": text})
        return self._new

    async def presses(self, label: str) -> list[Seen]:
        message, data = newest_button(self.seen, label)
        return await self.presses_data(message, data)

    async def presses_data(self, message: int, data: str) -> list[Seen]:
        """Press a button by its data, whether or not it was ever shown."""
        self._new = []
        await self._sends({"type": "press", "key": self._next_key(), "message": message, "data": data})
        return self._new

    async def waits(self, words: str) -> Seen:
        return await wait_for(self, words)

    def sees(self) -> str:
        return "\n".join(seen.text for seen in self._new)

    def _next_key(self) -> str:
        self._keys += 1
        return f"00000000-0000-4000-8000-{self._keys:012d}"

    async def _sends(self, message: dict[str, Any]) -> None:
        assert self._socket is not None
        self.problems = []
        await self._socket.send_json(message)
        async with asyncio.timeout(PATIENCE):
            while message["key"] not in self._received and not self.problems:
                await asyncio.sleep(0.005)
        if not self.problems:
            await handled(self.app, self.channel, self.chat_id)

    async def _read(self, socket: ClientWebSocketResponse) -> None:
        async for event in socket:
            if event.type is not WSMsgType.TEXT:
                return
            message = json.loads(event.data)
            if message["type"] == "history":
                for item in message["items"]:
                    self._take(item)
                waiting = [*message.get("receipts", []), *[item["id"] for item in message["items"] if item["from"] == "bot"]]
                if waiting:
                    await socket.send_json({"type": "got", "ids": waiting})
            elif message["type"] == "message":
                self._take(message)
                await socket.send_json({"type": "got", "ids": [message["id"]]})
            elif message["type"] == "edit":
                self._edit(message)
                await socket.send_json({"type": "got", "ids": [message["receipt"]]})
            elif message["type"] == "received":
                self._received[message["key"]] = message["id"]
            elif message["type"] == "problem":
                self.problems.append(message["text"])

    def _take(self, item: dict[str, Any]) -> None:
        if item["from"] != "bot" or any(seen.id == item["id"] for seen in self.seen):
            return
        buttons = {button["label"]: button["data"] for line in item["buttons"] for button in line}
        seen = Seen(item["id"], item["html"], buttons)
        self.seen.append(seen)
        self._new.append(seen)

    def _edit(self, message: dict[str, Any]) -> None:
        for seen in self.seen:
            if seen.id == message["id"]:
                seen.buttons = {button["label"]: button["data"] for line in message["buttons"] for button in line}
                seen.html = message["html"] or seen.html


class TelegramVisitor:
    """A person with Telegram, through the stand-in Bot API."""

    channel = "telegram"

    def __init__(self, app: App, api: BotApi, chat_id: int) -> None:
        self.app, self.api, self.chat_id = app, api, chat_id
        self._read_until = 0

    @property
    def seen(self) -> list[Seen]:
        """Everything this chat has been sent, with the message ids the API gave."""
        found = []
        for call in self.api.calls:
            if call.method == "sendMessage" and call.status == 200 and call.parameters["chat_id"] == self.chat_id:
                lines = (call.parameters.get("reply_markup") or {}).get("inline_keyboard", [])
                buttons = {button["text"]: button["callback_data"] for line in lines for button in line}
                found.append(Seen(self._message_id(call), call.parameters["text"], buttons))
        return found

    async def says(self, text: str, **more: Any) -> list[Seen]:
        self._read_until = len(self.seen)
        number = await self.api.say(self.chat_id, text, **more)
        await self._handled(number)
        return self.seen[self._read_until :]

    async def presses(self, label: str) -> list[Seen]:
        message, data = newest_button(self.seen, label)
        self._read_until = len(self.seen)
        await self._handled(await self.api.press(self.chat_id, data, message))
        return self.seen[self._read_until :]

    async def waits(self, words: str) -> Seen:
        return await wait_for(self, words)

    def sees(self) -> str:
        return "\n".join(seen.text for seen in self.seen[self._read_until :])

    async def _handled(self, update: int) -> None:
        await self.api.until(lambda: (self.api.confirmed or 0) >= update, PATIENCE)
        await handled(self.app, self.channel, self.chat_id)

    def _message_id(self, call: Any) -> int:
        return int(call.result["message_id"])


async def handled(app: App, channel: str, chat_id: int) -> None:
    """Wait until nothing of this chat is waiting to be handled or delivered."""

    def open_work(db: Db) -> int:
        found = rows(
            db,
            "SELECT (SELECT count(*) FROM inbox WHERE channel = ?1 AND chat_id = ?2 AND done_at IS NULL)"
            " + (SELECT count(*) FROM outbox WHERE channel = ?1 AND chat_id = ?2 AND state = 'waiting') AS n",
            channel,
            chat_id,
        )
        return int(found[0]["n"])

    async with asyncio.timeout(PATIENCE):
        while await asyncio.wrap_future(app.database.read(open_work)):
            await asyncio.sleep(0.005)


async def wait_for(visitor: Visitor, words: str) -> Seen:
    """The first message with these words, as soon as it is there."""
    async with asyncio.timeout(PATIENCE):
        while True:
            for seen in visitor.seen:
                if words in seen.text:
                    return seen
            await asyncio.sleep(0.01)


def newest_button(seen: list[Seen], label: str) -> tuple[int, str]:
    """The message and data of the newest button with this label."""
    for message in reversed(seen):
        for text, data in message.buttons.items():
            if text.startswith(label):
                return message.id, data
    raise AssertionError(f"no button {label!r} in {[list(message.buttons) for message in seen[-3:]]}")
