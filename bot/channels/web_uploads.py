"""Files sent through the page, and the bot that hands them to handlers.

A file lies under a random name; what it was called is metadata beside it and never part of a path. Handlers fetch it with
`bot.download` as on any channel. They send nothing through this bot: replies go through the outbox alone.
"""

import json
import re
import secrets
import time
from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

from aiogram import Bot
from aiogram.client.session.base import BaseSession
from aiogram.exceptions import TelegramBadRequest
from aiogram.methods import GetFile, GetMe, TelegramMethod
from aiogram.methods.base import TelegramType
from aiogram.types import File, User
from aiohttp import BodyPartReader

from knowledge.errors import BadInput, NotFound

MOST_BYTES = 20 * 1024 * 1024
TOO_BIG = "文件超过 20 MB，没有接收。请拆成几个小一点的文件再传。"
BOT_TOKEN = "1:web"  # noqa: S105 - opens nothing: aiogram wants the form


class TooBig(BadInput):
    """The file is larger than the channel takes."""


@dataclass(frozen=True)
class Upload:
    """A file a chat has sent: its random id, what the sender called it, and its size."""

    id: str
    chat_id: int
    name: str
    size: int


class Uploads:
    """The folder of uploaded files."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def save(self, part: BodyPartReader, chat_id: int) -> Upload:
        """Keep an incoming file. Raises TooBig or BadInput; then nothing of it is left."""
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        number = secrets.token_urlsafe(18)
        path = self._folder / number
        try:
            upload = Upload(number, chat_id, _tidy_name(part.filename), await _receive(part, path))
            path.with_suffix(".json").write_text(json.dumps(asdict(upload), ensure_ascii=False), encoding="utf-8")
        except BaseException:
            path.unlink(missing_ok=True)
            raise
        return upload

    def find(self, number: str) -> Upload:
        """The upload with this id. Raises NotFound."""
        path = self._folder / f"{number}.json"
        if not re.fullmatch(r"[\w-]{24}", number, re.ASCII) or not path.is_file():
            raise NotFound("这个文件已经不在了，请重新上传。")
        return Upload(**json.loads(path.read_text(encoding="utf-8")))

    async def content(self, number: str, chunk_size: int) -> AsyncGenerator[bytes, None]:
        """The bytes of an upload. Raises NotFound."""
        with (self._folder / self.find(number).id).open("rb") as file:
            while chunk := file.read(chunk_size):
                yield chunk

    def forget(self, days: int) -> None:
        """Remove what is older than `days`, as raw messages are."""
        for path in self._folder.glob("*"):
            if path.stat().st_mtime < time.time() - days * 86400:
                path.unlink(missing_ok=True)


class BrowserSession(BaseSession):
    """Answers a bot about itself and its files, and refuses to send."""

    def __init__(self, uploads: Uploads) -> None:
        super().__init__()
        self._uploads = uploads

    async def make_request(self, bot: Bot, method: TelegramMethod[TelegramType], timeout: int | None = None) -> TelegramType:  # noqa: ASYNC109 - aiogram's own signature
        """Answer GetMe and GetFile. Raises TelegramBadRequest for everything else, as Telegram would."""
        if isinstance(method, GetMe):
            return cast(TelegramType, User(id=bot.id, is_bot=True, first_name="院企通", username="web"))
        if isinstance(method, GetFile):
            return cast(TelegramType, self._file(method))
        raise TelegramBadRequest(method=method, message="the web channel sends through the outbox alone")

    async def stream_content(
        self,
        url: str,
        headers: dict[str, Any] | None = None,
        timeout: int = 30,  # noqa: ASYNC109
        chunk_size: int = 65536,
        raise_for_status: bool = True,
    ) -> AsyncGenerator[bytes, None]:
        """The bytes of an upload; its id is the end of the address aiogram made for it."""
        async for chunk in self._uploads.content(url.rpartition("/")[2], chunk_size):
            yield chunk

    async def close(self) -> None:
        """Nothing is held open."""

    def _file(self, method: GetFile) -> File:
        try:
            upload = self._uploads.find(method.file_id)
        except NotFound as error:
            raise TelegramBadRequest(method=method, message="file not found") from error
        return File(file_id=upload.id, file_unique_id=upload.id, file_size=upload.size, file_path=upload.id)


async def _receive(part: BodyPartReader, path: Path) -> int:
    size = 0
    with path.open("xb") as file:
        while chunk := await part.read_chunk(65536):
            size += len(chunk)
            if size > MOST_BYTES:
                raise TooBig(TOO_BIG)
            file.write(chunk)
    if size == 0:
        raise BadInput("文件是空的，请检查后重新上传。")
    return size


def _tidy_name(name: str | None) -> str:
    """The last part of what the sender called the file, without characters that could confuse a screen."""
    last = re.split(r"[/\\]", name or "")[-1]
    return "".join(character for character in last if character.isprintable()).strip()[-120:] or "文件"
