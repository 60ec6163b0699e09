"""The staff page: who works here, what they may do, how they get in, and shutting them out. Admins only; all of it is audited."""

import json
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from bot import access
from bot.access import ADMINS
from bot.channels.web_security import FIRST_CHAT
from bot.console.serving import Console, Route, Visit, go, number_in, status_of
from bot.desk import Desk
from bot.outbox import Mail, Saying
from knowledge.court import ROLES
from knowledge.database import Db, rows
from knowledge.errors import BadInput, Conflict, NotFound
from knowledge.ledger.workflow import OPEN

CHANNELS = {"telegram": "Telegram", "web": "网页"}
DONE = {
    "added": "已添加。请生成登录链接，交给本人或由机器人发给本人。",
    "changed": "已保存，马上生效。",
    "activated": "已恢复在职。本人可以用原密码登录，或请生成新的登录链接。",
    "deactivated": "已停用，所有浏览器和对话已退出。",
    "signed-out": "已退出本人的全部浏览器和对话，未用的登录链接也作废了。",
    "sent": "登录链接已由机器人发到本人的对话里，24 小时内有效，只能用一次。",
}


@dataclass(frozen=True)
class Person:
    """A member of staff as admins see them; `in_hand` counts only needs the viewer may see."""

    id: int
    name: str
    roles: tuple[str, ...]
    role_names: str
    division: str
    division_name: str
    active: bool
    has_password: bool
    chats: str
    reachable: bool
    sessions: int
    last_signed_in: str
    in_hand: int


def read_people(db: Db, viewer: access.Staff, desk: Desk, at: datetime) -> list[Person]:
    """Everybody, the active first, in the order they were added."""
    in_hand, sessions, last = _in_hand(db, viewer, desk), _open_sessions(db, at), _last_signed_in(db)
    divisions = desk.court.divisions
    people = []
    for item in rows(db, "SELECT * FROM staff ORDER BY active DESC, id"):
        roles = json.loads(item["roles"])
        chats = [channel for channel, _ in access.chats_of_staff(db, [item["id"]], at)]
        people.append(
            Person(
                id=item["id"],
                name=item["name"],
                roles=tuple(roles),
                role_names="、".join(ROLES[role] for role in roles),
                division=item["division"] or "",
                division_name=divisions.get(item["division"], item["division"]) or "",
                active=bool(item["active"]),
                has_password=item["password_hash"] is not None,
                chats="、".join(name for channel, name in CHANNELS.items() if channel in chats),
                reachable=bool(chats),
                sessions=sessions.get(item["id"], 0),
                last_signed_in=last.get(f"staff:{item['id']}", ""),
                in_hand=in_hand.get(item["id"], 0),
            )
        )
    return people


async def show_staff(console: Console, visit: Visit) -> web.StreamResponse:
    """Everybody; with `person` in the address, also what can be done with that one."""
    chosen = number_in(visit.request.query.get("person", ""), 0)
    return await _page(console, visit, chosen, done=DONE.get(visit.done, ""))


async def add(console: Console, visit: Visit) -> web.StreamResponse:
    """Add a person."""
    form = visit.form

    def add(db: Db) -> int:
        telegram_id, division = _telegram_id(form.get("telegram", "")), _division(console, form.get("division", ""))
        return access.add_staff(db, form.get("name", ""), form.many("role"), visit.at, telegram_id, division, visit.me.actor)

    try:
        added = await console.write(add)
    except BadInput as error:
        return await _page(console, visit, 0, status_of(error), str(error))
    return go(f"/staff?person={added}&done=added")


async def change(console: Console, visit: Visit) -> web.StreamResponse:
    """Give a person other roles or another division."""
    form, person = visit.form, _person(visit)

    def change(db: Db) -> None:
        division = _division(console, form.get("division", ""))
        access.change_staff(db, person, form.many("role"), division, visit.at, visit.me.actor)

    try:
        await console.write(change)
    except BadInput as error:
        return await _page(console, visit, person, status_of(error), str(error))
    return go(f"/staff?person={person}&done=changed")


async def set_active(console: Console, visit: Visit) -> web.StreamResponse:
    """Shut a person out, or let them in again."""
    person, wanted = _person(visit), visit.form.get("active", "")
    step = {"no": access.deactivate, "yes": access.activate}.get(wanted)
    if step is None:
        raise BadInput("没有选“停用”或“恢复”，什么都没有改动。请返回上一页重新选择。")
    try:
        await console.write(lambda db: step(db, person, visit.at, visit.me.actor))
    except BadInput as error:
        return await _page(console, visit, person, status_of(error), str(error))
    return go(f"/staff?person={person}&done={'activated' if wanted == 'yes' else 'deactivated'}")


async def sign_out(console: Console, visit: Visit) -> web.StreamResponse:
    """End everything a person has open."""
    person = _person(visit)
    await console.write(lambda db: access.sign_out_everywhere(db, person, visit.at, visit.me.actor))
    return go(f"/staff?person={person}&done=signed-out")


async def make_link(console: Console, visit: Visit) -> web.StreamResponse:
    """A one-time link: shown here once, or sent by the bot and not shown; if asked for, the password is cleared first."""
    person, sent, clears = _person(visit), visit.form.get("how") == "send", "clear" in visit.form

    def make(db: Db, mail: Mail) -> str:
        name = access.find_staff(db, person)["name"]
        if clears:
            access.clear_password(db, person, visit.at, visit.me.actor)
        token = access.make_link(db, name, visit.at, visit.me.actor)
        if sent:
            _send(db, mail, console, visit, person, token)
        return token

    try:
        token = await console.act(visit.at, make)
    except BadInput as error:
        return await _page(console, visit, person, status_of(error), str(error))
    if sent:
        return go(f"/staff?person={person}&done=sent")
    return await _page(console, visit, person, link=access.link_address(console.settings, token))


def _send(db: Db, mail: Mail, console: Console, visit: Visit, person: int, token: str) -> None:
    """Put the link into the person's chats. Raises Conflict when there are none."""
    chats = access.chats_of_staff(db, [person], visit.at)
    if not chats:
        raise Conflict("本人没有绑定对话，机器人发不了，没有生成链接。请点“显示链接”，当面或用内网交给本人。")
    for channel, chat_id in chats:
        mail.send(channel, chat_id, Saying(access.link_message(console.settings, token)))


async def _page(
    console: Console, visit: Visit, chosen: int, status: int = 200, problem: str = "", done: str = "", link: str = ""
) -> web.StreamResponse:
    people = await console.read(lambda db: read_people(db, visit.me, console.desk, visit.at))
    person = next((item for item in people if item.id == chosen), None)
    if chosen and person is None:
        raise NotFound("没有这位工作人员。请回到“工作人员”页面重新选择。")
    return console.pages.show(
        "staff",
        visit.session,
        status,
        people=people,
        person=person,
        roles=ROLES,
        divisions=console.opened.court.divisions,
        kept=visit.form,
        kept_roles=visit.form.many("role"),
        problem=problem,
        done=done,
        link=link,
        here="staff",
    )


def _person(visit: Visit) -> int:
    """The person a form is about. Raises BadInput when it names none."""
    person = number_in(visit.form.get("person", ""), 0)
    if not person:
        raise BadInput("没有选择工作人员，什么都没有改动。请返回上一页重新选择。")
    return person


def _division(console: Console, code: str) -> str | None:
    """A division that was chosen, or none. Raises BadInput for one that does not exist."""
    if code and code not in console.opened.court.divisions:
        raise BadInput("没有这个部门，什么都没有改动。请从列表里选一个。")
    return code or None


def _telegram_id(text: str) -> int | None:
    """A Telegram id, if one was typed. Raises BadInput for what is none."""
    text = text.strip()
    if not text:
        return None
    if not re.fullmatch(r"[0-9]{1,16}", text) or not 0 < int(text) < FIRST_CHAT:
        raise BadInput("Telegram 编号应当是一串数字，例如 123456789。不知道可以不填，本人以后用登录链接绑定。")
    return int(text)


def _in_hand(db: Db, viewer: access.Staff, desk: Desk) -> dict[int, int]:
    condition, args = desk.visible(viewer)
    marks = ",".join("?" * len(OPEN))
    found = rows(
        db,
        f"SELECT n.handler, count(*) AS n FROM needs n WHERE n.handler IS NOT NULL AND n.state IN ({marks}) AND {condition}"
        " GROUP BY n.handler",
        *sorted(OPEN),
        *args,
    )
    return {item["handler"]: item["n"] for item in found}


def _open_sessions(db: Db, at: datetime) -> dict[int, int]:
    return {item["id"]: len(access.sessions_of(db, item["id"], at)) for item in rows(db, "SELECT DISTINCT staff_id AS id FROM sessions")}


def _last_signed_in(db: Db) -> dict[str, Any]:
    """When each actor last signed in; sessions themselves are forgotten once they have ended."""
    found = rows(db, "SELECT actor, max(at) AS at FROM audit WHERE action IN ('sign_in_link', 'sign_in_password') GROUP BY actor")
    return {item["actor"]: item["at"] for item in found}


ROUTES = (
    Route("GET", "/staff", ADMINS, show_staff),
    Route("POST", "/staff", ADMINS, add),
    Route("POST", "/staff/change", ADMINS, change),
    Route("POST", "/staff/active", ADMINS, set_active),
    Route("POST", "/staff/link", ADMINS, make_link),
    Route("POST", "/staff/sign-out", ADMINS, sign_out),
)
