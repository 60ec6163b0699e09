"""The audit page: what people did besides moving needs, and the history of all needs together; read only, newest first.

Of the history it shows who did what when with which need, never what was written; steps of needs somebody may not see are
left out for them, as everywhere.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import partial
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from bot.access import Staff
from bot.console.serving import Console, Route, Visit
from bot.desk import Desk
from knowledge.database import Db, row, rows
from knowledge.ledger.workflow import ACTION_NAMES as STEP_NAMES
from knowledge.ledger.workflow import STATE_NAMES
from knowledge.privacy import mask

READERS = frozenset({"auditor", "admin", "supervisor"})
PAGE = 50
ACTION_NAMES = {
    "sign_in_password": "用密码登录",
    "sign_in_link": "用链接登录",
    "sign_in_failed": "登录失败",
    "sign_out": "退出登录",
    "signed_out": "被管理员退出",
    "password_set": "设置密码",
    "password_cleared": "清除密码",
    "link_made": "生成登录链接",
    "staff_added": "添加工作人员",
    "staff_changed": "修改角色或部门",
    "staff_deactivated": "停用工作人员",
    "staff_activated": "恢复在职",
    "import_directory": "导入通讯录",
    "make_enterprise": "建企业档案",
    "edit_enterprise": "改企业档案",
    "verify_contact": "核对身份",
    "unverify_contact": "取消核对",
    "reveal_contacts": "查看企业联系方式",
    "unlike": "标为不是一回事",
    "forget_person": "应要求删除提问人资料",
    "export_statistics": "下载统计表",
    "export_ledger": "导出台账",
    "entry_published": "发布条目",
    "entry_withdrawn": "撤下条目",
    "entry_dropped": "不用草稿",
    "undelivered_revealed": "查看未送达名单",
}
"""What is called what on screen; an action without a name is shown as it is stored."""
TABS = {"audit": "登录和管理", "needs": "需求的每一步"}
OTHERS = {"cli": "命令行", "bot": "机器人", "asker": "提问人"}


@dataclass(frozen=True)
class Wanted:
    """What somebody asked to see."""

    tab: str = "audit"
    action: str = ""
    person: str = ""
    day: date | None = None
    page: int = 1

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Wanted":
        """From the address line; what makes no sense there counts as not given."""
        tab = query.get("tab", "") if query.get("tab") in TABS else "audit"
        page = int(query["page"]) if re.fullmatch(r"[0-9]{1,6}", query.get("page", "")) else 1
        person = query.get("person", "")
        return cls(tab, query.get("action", "")[:40], person if _is_actor(person) else "", _day(query.get("day", "")), max(1, page))

    def link(self, **changes: Any) -> str:
        """The address of this list with something changed."""
        shown = {"tab": self.tab, "action": self.action, "person": self.person, "day": self.day, "page": self.page} | changes
        return "/console/audit?" + urlencode({name: value for name, value in shown.items() if value})


@dataclass(frozen=True)
class Line:
    """One thing somebody did, safe to show: whom or what it was about, and the reason or what changed."""

    at: str
    who: str
    action: str
    about: str
    note: str
    need_no: str


@dataclass(frozen=True)
class Found:
    """One page of what was asked for, and what the filters offer."""

    lines: list[Line]
    total: int
    page: int
    pages: int
    actions: dict[str, str]
    people: dict[str, str]


def read_audit(db: Db, wanted: Wanted, reader: Staff, desk: Desk) -> Found:
    """The page that was asked for, or the last one there is."""
    people = {f"staff:{item['id']}": item["name"] for item in rows(db, "SELECT id, name FROM staff ORDER BY id")} | OTHERS
    source, condition, args = _of_needs(wanted, reader, desk) if wanted.tab == "needs" else _of_staff(wanted)
    total = int((row(db, f"SELECT count(*) AS n FROM {source} WHERE {condition}", *args) or {"n": 0})["n"])
    pages = max(1, -(-total // PAGE))
    page = min(wanted.page, pages)
    found = rows(db, f"SELECT * FROM {source} WHERE {condition} ORDER BY id DESC LIMIT ? OFFSET ?", *args, PAGE, (page - 1) * PAGE)
    show = _step if wanted.tab == "needs" else partial(_deed, divisions=desk.court.divisions)
    names = STEP_NAMES if wanted.tab == "needs" else _actions_there_are(db)
    return Found([show(item, people) for item in found], total, page, pages, names, people)


async def show_audit(console: Console, visit: Visit) -> web.StreamResponse:
    """Who did what, when, by kind, person and day."""
    wanted = Wanted.read(visit.request.query)
    found = await console.read(lambda db: read_audit(db, wanted, visit.me, console.desk))
    return console.pages.show("audit", visit.session, found=found, wanted=wanted, tabs=TABS, here="audit")


def _of_staff(wanted: Wanted) -> tuple[str, str, list[Any]]:
    """Where the rows are, and the condition on them with its parameters. A person's rows are those they made and those about them."""
    condition, args = _matching(wanted)
    if wanted.person:
        condition, args = f"{condition} AND ? IN (actor, subject)", [*args, wanted.person]
    return "audit", condition, args


def _of_needs(wanted: Wanted, reader: Staff, desk: Desk) -> tuple[str, str, list[Any]]:
    condition, args = _matching(wanted)
    if wanted.person:
        condition, args = f"{condition} AND actor = ?", [*args, wanted.person]
    visible, names = desk.visible(reader)
    return "need_history", f"{condition} AND need_no IN (SELECT n.no FROM needs n WHERE {visible})", [*args, *names]


def _matching(wanted: Wanted) -> tuple[str, list[Any]]:
    conditions, args = ["1"], list[Any]()
    if wanted.action:
        conditions, args = [*conditions, "action = ?"], [*args, wanted.action]
    if wanted.day:
        # Times are written so that text order is time order.
        conditions, args = [*conditions, "at >= ? AND at < ?"], [*args, str(wanted.day), str(wanted.day + timedelta(days=1))]
    return " AND ".join(conditions), args


def _actions_there_are(db: Db) -> dict[str, str]:
    there = [item["action"] for item in rows(db, "SELECT DISTINCT action FROM audit")]
    order: Sequence[str] = list(ACTION_NAMES)
    return {action: ACTION_NAMES.get(action, action) for action in sorted(there, key=lambda a: (order.index(a) if a in order else 99, a))}


def _deed(item: dict[str, Any], people: Mapping[str, str], divisions: Mapping[str, str]) -> Line:
    subject = str(item["subject"])
    about = "" if subject == item["actor"] else people.get(subject, mask(subject))
    # Where somebody works is kept by its code, because names of divisions change.
    note = re.sub(r"（(\w+)）", lambda found: f"（{divisions.get(found[1], found[1])}）", item["note"])
    need_no = subject if re.fullmatch(r"XQ-\d{4}-\d+", subject) else ""
    return Line(item["at"], _name(item["actor"], people), ACTION_NAMES.get(item["action"], item["action"]), about, mask(note), need_no)


def _step(item: dict[str, Any], people: Mapping[str, str]) -> Line:
    states = [STATE_NAMES.get(state, state) for state in dict.fromkeys((item["from_state"], item["to_state"])) if state]
    return Line(
        item["at"], _name(item["actor"], people), STEP_NAMES.get(item["action"], item["action"]), "", " → ".join(states), item["need_no"]
    )


def _name(actor: str, people: Mapping[str, str]) -> str:
    return people.get(actor, actor)


def _is_actor(text: str) -> bool:
    return text in OTHERS or re.fullmatch(r"staff:[0-9]{1,15}", text) is not None


def _day(text: str) -> date | None:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        return None
    return day if day < date.max else None


ROUTES = (Route("GET", "/audit", READERS, show_audit),)
