"""Documents sent by an admin become drafts."""

import tempfile
from dataclasses import replace
from io import BytesIO
from pathlib import Path

from aiogram import Bot

from knowledge.court import load_topics
from knowledge.entry import Entry
from knowledge.errors import BadInput
from knowledge.sources import read_source


async def keep_document(bot: Bot, file_id: str, name: str, folder: str) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Fetch a document from its channel, keep it in `folder`, and read it into drafts; also returns what was refused.

    Raises BadInput with the reason when nothing in it can be used.
    """
    content = BytesIO()
    await bot.download(file_id, destination=content)
    # Only the last part of the sender's name: it is data, not a path.
    path = Path(folder) / Path(name.replace("\\", "/")).name.lstrip(".")
    path.parent.mkdir(parents=True, exist_ok=True)
    # Read apart first: a file of the same name that is already here stays until the new one has proved usable.
    with tempfile.TemporaryDirectory(dir=folder) as scratch:
        arrived = Path(scratch) / path.name
        arrived.write_bytes(content.getvalue())
        reading = read_source(arrived, load_topics())
        refused = tuple(str(item) for item in reading.refused)
        if not reading.entries:
            raise BadInput("；".join(refused[:3]) or f"《{name}》里没有能用的内容。")
        arrived.replace(path)
    return tuple(replace(entry, state="draft") for entry in reading.entries), refused
