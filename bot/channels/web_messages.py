"""What a page says, checked, and turned into the aiogram update the handlers know.

The update carries no number of its own: a visitor's message is known by its inbox row, a bot's by its outbox row.
"""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from bot.channels.web_uploads import BOT_TOKEN, Upload

MOST_CHARACTERS = 4000
Key = Annotated[str, Field(pattern=r"^[0-9A-Za-z-]{8,64}$")]
Number = Annotated[int, Field(ge=1, lt=2**53)]
Payload = dict[str, Any]


class _Message(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True)


class Say(_Message):
    """A text the visitor wrote."""

    type: Literal["say"]
    key: Key
    text: str


class Press(_Message):
    """A button the visitor pressed under message `message`."""

    type: Literal["press"]
    key: Key
    message: Number
    data: Annotated[str, Field(min_length=1, max_length=64)]


class SendFile(_Message):
    """A file uploaded before; its name and size are those measured then."""

    type: Literal["file"]
    key: Key
    file: Annotated[str, Field(max_length=64)]


class Got(_Message):
    """Outbox rows the page now shows."""

    type: Literal["got"]
    ids: Annotated[list[Number], Field(max_length=1000)]


class Ping(_Message):
    """Is anybody there?"""

    type: Literal["ping"]


PageMessage: TypeAdapter[Say | Press | SendFile | Got | Ping] = TypeAdapter(
    Annotated[Say | Press | SendFile | Got | Ping, Field(discriminator="type")]
)


def said(chat_id: int, text: str, at: datetime) -> Payload:
    """A text message."""
    return {"message": _message(chat_id, at) | {"text": text}}


def pressed(chat_id: int, press: Press, at: datetime) -> Payload:
    """A pressed button."""
    bot = {"id": int(BOT_TOKEN.partition(":")[0]), "is_bot": True, "first_name": "院企通"}
    message = _message(chat_id, at) | {"message_id": press.message, "from": bot}
    query = {"id": f"{chat_id}:{press.key}", "from": _sender(chat_id), "chat_instance": str(chat_id), "data": press.data}
    return {"callback_query": query | {"message": message}}


def sent_file(chat_id: int, upload: Upload, at: datetime) -> Payload:
    """A document."""
    document = {"file_id": upload.id, "file_unique_id": upload.id, "file_name": upload.name, "file_size": upload.size}
    return {"message": _message(chat_id, at) | {"document": document}}


def _message(chat_id: int, at: datetime) -> Payload:
    chat = {"id": chat_id, "type": "private", "first_name": "网页访客"}
    return {"message_id": 0, "date": int(at.timestamp()), "chat": chat, "from": _sender(chat_id)}


def _sender(chat_id: int) -> Payload:
    return {"id": chat_id, "is_bot": False, "first_name": "网页访客"}
