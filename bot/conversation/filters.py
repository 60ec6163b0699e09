"""Async filters only: aiogram sends every other kind through a thread, where it would wait behind model work."""

from aiogram.filters import Filter
from aiogram.types import CallbackQuery, Message

from bot.red_lines import refusal
from bot.turn import Turn


class Text(Filter):
    """A message with text in it; handed on as `text`."""

    async def __call__(self, message: Message) -> bool | dict[str, str]:
        return {"text": message.text.strip()} if message.text and message.text.strip() else False


class Expecting(Filter):
    """The chat is in the middle of a form step named `step:…`; handed on as `about` and `text`.

    A cry for help is never taken for a form's answer, and a command leaves the form.
    """

    def __init__(self, step: str) -> None:
        self._step = step

    async def __call__(self, message: Message, turn: Turn) -> bool | dict[str, str]:
        step, _, about = str(turn.conversation.get("expecting", "")).partition(":")
        text = (message.text or "").strip()
        if step != self._step or not text or text.startswith("/"):
            return False
        # What staff write is an answer about somebody's trouble, not a cry for help.
        if turn.staff is None and refusal(text) == "R5":
            return False
        return {"about": about, "text": text}


class StaffWith(Filter):
    """The chat belongs to a member of staff with one of these roles."""

    def __init__(self, roles: frozenset[str]) -> None:
        self._roles = roles

    async def __call__(self, event: Message | CallbackQuery, turn: Turn) -> bool:
        return turn.staff is not None and turn.staff.may(self._roles)


def pressed(query: CallbackQuery) -> int:
    """The message whose button was pressed (0 when the channel no longer knows)."""
    return query.message.message_id if query.message else 0
