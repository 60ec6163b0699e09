"""/topics: every published answer on one plain page, for people who would rather look than ask. No script needed."""

import asyncio
import gzip
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from aiohttp import web
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from bot.replies import UNREVIEWED, basis_lines
from bot.startup import Opened
from knowledge import library
from knowledge.entry import looking_order
from knowledge.library import Published


class TopicsPage:
    """Lists groups, leaves and their answers as they are in the library now."""

    def __init__(self, opened: Opened) -> None:
        self._opened = opened
        folder = Path(__file__).parent / "channels" / "page"
        environment = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
        self._template = environment.get_template("topics.html")
        self._shown: tuple[int, date] | None = None
        self._page = self._compressed = b""
        self._style = (folder / "topics.css").read_text(encoding="utf-8")

    def attach(self, application: web.Application) -> None:
        """Add /topics."""
        application.router.add_get("/topics", self._show)
        application.router.add_get("/static/topics.css", self._show_style)

    async def _show_style(self, request: web.Request) -> web.Response:
        return web.Response(text=self._style, content_type="text/css", headers={"Cache-Control": "public, max-age=3600"})

    async def _show(self, request: web.Request) -> web.Response:
        today = self._opened.clock().date()
        state = (await asyncio.wrap_future(self._opened.database.read(library.revision)), today)
        if state != self._shown:
            found = await asyncio.wrap_future(self._opened.database.read(library.all_published))
            page = await asyncio.to_thread(self._rendered, found, today)
            # Rendering half a thousand answers takes a while; the page is kept until the library or the day changes.
            self._page, self._compressed, self._shown = page, await asyncio.to_thread(gzip.compress, page), state
        headers = {"Vary": "Accept-Encoding"}
        if "gzip" in request.headers.get("Accept-Encoding", ""):
            return web.Response(
                body=self._compressed, content_type="text/html", charset="utf-8", headers=headers | {"Content-Encoding": "gzip"}
            )
        return web.Response(body=self._page, content_type="text/html", charset="utf-8", headers=headers)

    def _rendered(self, found: Sequence[Published], today: date) -> bytes:
        only_reviewed = self._opened.settings.answer_only_reviewed
        valid = [item for item in found if item.entry.kind != "passage" and item.entry.valid_on(today)]
        shown = [item for item in valid if item.reviewed_by or not only_reviewed]
        questions = {item.entry.id: item.entry.question for item in shown}
        return self._template.render(
            court=self._opened.court,
            groups=self._grouped(shown),
            questions=questions,
            basis=lambda entry: basis_lines(entry, today),
            unreviewed=UNREVIEWED,
        ).encode()

    def _grouped(self, items: list[Published]) -> list[tuple[str, list[tuple[str, list[Published]]]]]:
        """(group name, [(leaf name, entries)]) in the order of the taxonomy; empty leaves are left out."""
        by_leaf: dict[str, list[Published]] = {}
        for item in items:
            by_leaf.setdefault(item.entry.topic or "", []).append(item)
        groups: dict[str, list[tuple[str, list[Published]]]] = {}
        for topic in self._opened.topics.values():
            in_leaf = sorted(by_leaf.get(topic.code, ()), key=lambda item: looking_order(item.entry))
            if in_leaf:
                groups.setdefault(topic.group_name, []).append((topic.name, in_leaf))
        return list(groups.items())
