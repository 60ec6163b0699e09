"""A Telegram Bot API on this machine: real HTTP, so the real client is what gets tested.

It keeps updates until an offset confirms them, waits like a long poll, numbers the messages it is sent, and can be told
to misbehave: flood limits, server errors, dropped connections, refused HTML, people who blocked the bot. Every call is
kept in `calls`, also those it refused.
"""

import asyncio
import json
import re
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Self

from aiohttp import web

TOKEN = "123456:test-Token_that-must-not-leak"
BOT = {"id": 123456, "is_bot": True, "first_name": "院企通", "username": "yuanqitong_bot"}


@dataclass(frozen=True)
class Call:
    """One call as it arrived: its parameters (JSON ones parsed), when, and the status it got."""

    method: str
    parameters: dict[str, Any]
    at: float
    status: int
    result: Any = None


@dataclass(frozen=True)
class Failure:
    """What a call gets in place of its answer; no status means the connection is dropped."""

    status: int | None
    description: str = ""
    parameters: dict[str, Any] = field(default_factory=dict)


DROPPED = Failure(None)
SERVER_ERROR = Failure(500, "Internal Server Error")


def too_many(seconds: int) -> Failure:
    """A flood limit."""
    return Failure(429, f"Too Many Requests: retry after {seconds}", {"retry_after": seconds})


class BotApi:
    """`async with BotApi() as api`: listens at `api.url` for the bot with `TOKEN`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.confirmed: int | None = None
        self.on_confirm: Callable[[list[int]], None] = lambda ids: None
        self.unreachable = False
        self.refuse_html = False
        self.unauthorized = False
        self.blocked: set[int] = set()
        self.strangers: set[int] = set()
        self.url = ""
        self._updates: list[dict[str, Any]] = []
        self._failures: defaultdict[str, deque[Failure]] = defaultdict(deque)
        self._something = asyncio.Condition()
        self._next_update, self._next_message = 1000, 1
        app = web.Application()
        app.router.add_post("/bot{token}/{method}", self._on_call)
        self._runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1, access_log=None)

    async def __aenter__(self) -> Self:
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._runner.cleanup()

    async def queue(self, **event: Any) -> int:
        """Put an update in the queue, for example `queue(message={...})`; returns its number."""
        async with self._something:
            self._next_update += 1
            self._updates.append({"update_id": self._next_update, **event})
            self._something.notify_all()
        return self._next_update

    async def say(self, chat_id: int, text: str, kind: str = "private", **more: Any) -> int:
        """A person writes."""
        return await self.queue(message=message(chat_id, text, kind, **more))

    async def press(self, chat_id: int, data: str, message_id: int = 1) -> int:
        """A person presses a button."""
        pressed = {"id": f"q{self._next_update}", "from": _person(chat_id), "chat_instance": "1", "data": data}
        return await self.queue(callback_query={**pressed, "message": {**message(chat_id, "…"), "message_id": message_id}})

    def fail(self, method: str, *failures: Failure) -> None:
        """The next calls of `method` fail like this, one after another."""
        self._failures[method].extend(failures)

    def called(self, method: str) -> list[dict[str, Any]]:
        """The parameters of every call of `method` that succeeded."""
        return [call.parameters for call in self.calls if call.method == method and call.status == 200]

    def texts(self, chat_id: int) -> list[str]:
        """What a chat has been sent, in order."""
        return [sent["text"] for sent in self.called("sendMessage") if sent["chat_id"] == chat_id]

    async def until(self, happened: Callable[[], bool], seconds: float = 5.0) -> None:
        """Wait for something to become true."""
        async with asyncio.timeout(seconds):
            while not happened():
                await asyncio.sleep(0.01)

    async def _on_call(self, request: web.Request) -> web.Response:
        method = request.match_info["method"]
        parameters = {name: _value(str(text)) for name, text in (await request.post()).items()}
        failure = self._failure(request.match_info["token"], method, parameters)
        result = None if failure else await self._result(method, parameters)
        status = (failure.status or 0) if failure else 200
        self.calls.append(Call(method, parameters, asyncio.get_running_loop().time(), status, result))
        if failure and failure.status is None:
            assert request.transport
            request.transport.abort()
            return web.Response()
        if failure:
            answer = {"ok": False, "error_code": failure.status, "description": failure.description, "parameters": failure.parameters}
            return web.json_response(answer, status=failure.status or 500)
        return web.json_response({"ok": True, "result": result})

    def _failure(self, token: str, method: str, parameters: dict[str, Any]) -> Failure | None:
        if self.unreachable:
            return DROPPED
        if token != TOKEN or self.unauthorized:
            return Failure(401, "Unauthorized")
        if self._failures[method]:
            return self._failures[method].popleft()
        chat_id = parameters.get("chat_id")
        if chat_id in self.blocked:
            return Failure(403, "Forbidden: bot was blocked by the user")
        if chat_id in self.strangers:
            return Failure(400, "Bad Request: chat not found")
        text = str(parameters.get("text", ""))
        if self.refuse_html and parameters.get("parse_mode") == "HTML" and "<" in text:
            return Failure(400, "Bad Request: can't parse entities: Unsupported start tag at byte offset 0")
        if len(re.sub(r"</?\w[^>]*>", "", text)) > 4096:
            return Failure(400, "Bad Request: message is too long")
        return None

    async def _result(self, method: str, parameters: dict[str, Any]) -> Any:
        if method == "getUpdates":
            return await self._waiting_updates(parameters.get("offset"), parameters.get("timeout", 0))
        if method == "getMe":
            return BOT
        if method in ("sendMessage", "editMessageText", "editMessageReplyMarkup"):
            self._next_message += 1
            number = parameters.get("message_id", self._next_message)
            return {**message(parameters["chat_id"], str(parameters.get("text", "…"))), "message_id": number, "from": BOT}
        return True

    async def _waiting_updates(self, offset: int | None, timeout: float) -> list[dict[str, Any]]:
        if offset is not None:
            done = [update["update_id"] for update in self._updates if update["update_id"] < offset]
            self.on_confirm(done)
            self._updates = [update for update in self._updates if update["update_id"] >= offset]
            self.confirmed = offset - 1
        async with self._something:
            try:
                await asyncio.wait_for(self._something.wait_for(lambda: bool(self._updates)), timeout)
            except TimeoutError:
                return []
        return self._updates[:100]


def message(chat_id: int, text: str, kind: str = "private", **more: Any) -> dict[str, Any]:
    """A text message as Telegram writes it."""
    content = {"text": text} if text else {}
    return {"message_id": 7, "date": 1_790_000_000, "chat": {"id": chat_id, "type": kind}, "from": _person(chat_id), **content, **more}


def _person(chat_id: int) -> dict[str, Any]:
    return {"id": abs(chat_id), "is_bot": False, "first_name": "王"}


def _value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text
