"""Visitors for the benchmark: pages of the web chat without the browser, as light as possible, each a chat of its own."""

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Self

from aiohttp import ClientConnectionError, ClientSession, ClientWebSocketResponse, DummyCookieJar, WSMsgType

from bot.channels.web_security import COOKIE
from bot.replies import PRIVACY, SORRY

PATIENCE = 60.0


class Page:
    """One open page. It confirms what it is shown, as the real one does, and counts it."""

    def __init__(self, session: ClientSession, base: str, number: int) -> None:
        self._session, self._base = session, base
        self._headers = {"Origin": base, "X-Forwarded-For": f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"}
        self._shown: asyncio.Queue[str] = asyncio.Queue()
        self._sent = 0
        self._problem = ""
        self.replies = 0
        self.last_reply = 0.0

    async def __aenter__(self) -> Self:
        async with self._session.get(self._base + "/", headers=self._headers) as response:
            self._headers["Cookie"] = f"{COOKIE}={response.cookies[COOKIE].value}"
        self._socket: ClientWebSocketResponse = await self._session.ws_connect(self._base + "/ws", headers=self._headers)
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._socket.close()
        await self._reader

    async def asks(self, text: str) -> str:
        """Send a message and wait for what comes back: the raw JSON of the bot's first message. Raises RuntimeError when it is refused."""
        self._sent += 1
        await self._socket.send_json({"type": "say", "key": f"bench-{self._sent:08d}", "text": text})
        async with asyncio.timeout(PATIENCE):
            shown = await self._shown.get()
        if self._problem:
            raise RuntimeError(f"a message was refused: {self._problem}")
        return shown

    async def begins(self) -> None:
        """Say hello, which makes the chat known; it does not count."""
        await self.asks("/start")
        self.replies = 0

    async def _read(self) -> None:
        async for event in self._socket:
            if event.type is not WSMsgType.TEXT:
                return
            message = json.loads(event.data)
            if message["type"] == "message" and message["from"] == "bot":
                # The notice that comes with a chat's first reply is no reply itself.
                if message["html"] != PRIVACY:
                    self.replies, self.last_reply = self.replies + 1, time.perf_counter()
                    self._shown.put_nowait(event.data)
                await self._socket.send_json({"type": "got", "ids": [message["id"]]})
            elif message["type"] == "problem":
                self._problem = message["text"]
                self._shown.put_nowait(event.data)


@dataclass(frozen=True)
class Talk:
    """How a crowd was served: messages, replies, seconds from the first message to the last reply, and each one's wait."""

    messages: int
    replies: int
    seconds: float
    waits: tuple[float, ...]


async def crowd_talks(base: str, chats: int, texts: Sequence[str]) -> Talk:
    """Have `chats` people share `texts` among them; each writes again when the reply has come, all at the same time."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        pages = [await Page(session, base, number).__aenter__() for number in range(chats)]
        await asyncio.gather(*(page.begins() for page in pages))
        waits: list[float] = []

        async def talk(page: Page, own: Sequence[str]) -> None:
            for text in own:
                sent = time.perf_counter()
                await page.asks(text)
                waits.append(time.perf_counter() - sent)

        began = time.perf_counter()
        await asyncio.gather(*(talk(page, texts[number::chats]) for number, page in enumerate(pages)))
        seconds = max(page.last_reply for page in pages) - began
        replies = sum(page.replies for page in pages)
        await asyncio.gather(*(page.__aexit__() for page in pages))
        return Talk(len(texts), replies, seconds, tuple(waits))


async def first_health(base: str) -> float:
    """The moment `/healthz` says 200."""
    async with ClientSession() as session:
        while True:
            try:
                async with session.get(base + "/healthz") as response:
                    if response.status == 200:
                        return time.perf_counter()
            except ClientConnectionError:
                pass
            await asyncio.sleep(0.01)


async def first_answer(base: str, question: str) -> tuple[float, int]:
    """The moment the first answer is on a page that was opened as early as it could be, and how many questions failed before it."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session:
        while True:
            try:
                async with Page(session, base, 1) as page:
                    failed = 0
                    while SORRY in await page.asks(question):
                        failed += 1
                    return time.perf_counter(), failed
            except (ClientConnectionError, OSError):
                await asyncio.sleep(0.01)


async def until_shown(base: str, question: str, words: str) -> float:
    """The moment a question first brings `words`, asked again and again. Raises TimeoutError when that takes far too long."""
    async with ClientSession(cookie_jar=DummyCookieJar()) as session, Page(session, base, 2) as page, asyncio.timeout(PATIENCE):
        await page.begins()
        while words not in await page.asks(question):
            # A chat may write once a second on average.
            await asyncio.sleep(0.25)
        return time.perf_counter()
