"""Turns what was read into pages. Everything is escaped unless a template says otherwise, and none does."""

import re
from collections.abc import Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any

import jinja2
from aiohttp import web
from markupsafe import Markup, escape

from bot.access import CONTACT_READERS, Session, Staff
from bot.console.drafts import READERS
from knowledge.court import ROLES, Court

HERE = Path(__file__).parent
STATIC = {"console.css": "text/css", "icon.svg": "image/svg+xml"}
MENU = (
    ("today", "/console", "今天", frozenset(ROLES)),
    ("board", "/console/needs", "需求台账", frozenset(ROLES)),
    ("groups", "/console/groups", "同类归并", frozenset(ROLES)),
    ("drafts", "/console/entries", "条目审核", READERS),
    ("undelivered", "/console/undelivered", "未送达", CONTACT_READERS),
    ("enterprises", "/console/enterprises", "企业", frozenset(ROLES)),
    ("directory", "/console/directory", "通讯录", frozenset(ROLES)),
    ("statistics", "/console/statistics", "统计", frozenset(ROLES)),
    ("why", "/console/why", "答复试问", frozenset(ROLES)),
    ("staff", "/console/staff", "工作人员", frozenset({"admin"})),
    ("audit", "/console/audit", "审计", frozenset({"auditor", "admin", "supervisor"})),
)
"""The main menu: name, address, label, and who sees it."""
TITLES = {
    400: "没有做成",
    403: "不能这样做",
    404: "没有找到",
    405: "不能这样打开",
    409: "情况有变，还没有提交",
    413: "内容太长",
    429: "尝试太多次",
    500: "系统出了问题",
    503: "暂时做不了",
}


class Pages:
    """The console's templates, with what every page shows: the court, the watermark, who is signed in."""

    def __init__(self, court: Court) -> None:
        self._court = court
        self._static = {name: (HERE / "static" / name).read_bytes() for name in STATIC}
        self._templates = jinja2.Environment(
            loader=jinja2.FileSystemLoader(HERE / "templates"),
            autoescape=True,
            undefined=jinja2.StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters |= {"moment": _moment, "day": _day, "marked": _marked}

    def show(self, template: str, session: Session | None, status: int = HTTPStatus.OK, **shown: Any) -> web.Response:
        """One page."""
        text = self._templates.get_template(f"{template}.html").render(
            court_name=self._court.name or "区人民法院（演示）",
            watermark=self._court.watermark if self._court.is_demo else "",
            me=session.staff if session else None,
            my_roles=_roles(session.staff) if session else "",
            menu=[(name, path, label) for name, path, label, roles in MENU if session and session.staff.may(roles)],
            csrf=session.csrf if session else "",
            **shown,
        )
        return web.Response(text=text, status=status, content_type="text/html")

    def problem(self, status: int, text: str, session: Session | None = None, kept: str = "") -> web.Response:
        """What went wrong, one next step, and what the person had typed where it would be lost."""
        return self.show("problem", session, status, forbidden=status == 403, title=TITLES.get(status, TITLES[400]), text=text, kept=kept)

    def static(self, name: str) -> web.Response | None:
        """A file the pages need."""
        if name not in STATIC:
            return None
        return web.Response(body=self._static[name], content_type=STATIC[name], charset="utf-8")


def _roles(staff: Staff) -> str:
    return "、".join(name for role, name in ROLES.items() if role in staff.roles)


def _moment(stamp: str) -> str:
    return stamp[:16].replace("T", " ")


def _marked(text: str, words: Sequence[str]) -> Markup:
    """`text`, escaped, with every word somebody searched for highlighted."""
    if not words:
        return escape(text)
    found = re.split("|".join(f"({re.escape(word)})" for word in words), text, flags=re.IGNORECASE)
    lower = {word.lower() for word in words}
    return Markup("").join(Markup("<mark>{}</mark>").format(part) if part.lower() in lower else escape(part) for part in found if part)


def _day(stamp: object) -> str:
    return str(stamp)[:10]
