"""Needs that ask the same go together: one leads, the others are its members, and one answer reaches everybody.

A member says in its own history with whom it goes (`merge`, `join`, `split`); `need_links` keeps, for the lead's side, who came
in and left when, and by whom. Nothing else of a need changes, so whatever was put together can be taken apart again. A member
leads nobody: when a lead is merged, its members move along, each by a link of its own.

What is counted are enterprises whose contact staff have verified, over all askings of a group: never messages, never what
somebody merely typed, and not whoever has withdrawn or had their question erased. A group is shown to other enterprises
(我也遇到) only from SHOWN_FROM of them on, and never when it is sensitive.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound
from knowledge.ledger import history
from knowledge.ledger.deadlines import Rules
from knowledge.ledger.needs import find_need, move
from knowledge.ledger.record import RESTRICTED
from knowledge.ledger.workflow import ASKER, MOVES, OPEN, STATE_NAMES
from knowledge.texts import keep_text

SHOWN_FROM = 3
"""Verified enterprises from which on a group may be shown to others; fewer might tell who asked."""
MOST_AT_ONCE = 200
_GONE = ("withdrawn", "voided", "rejected")
"""States in which what was asked no longer counts."""


@dataclass(frozen=True)
class Group:
    """A lead and its members, by number, in the order in which they came in."""

    lead: str
    members: tuple[str, ...]


def merge(
    db: Db, lead: str, members: Sequence[str], actor: str, roles: frozenset[str], at: datetime, rules: Rules, why: str = ""
) -> tuple[str, ...]:
    """Put `members` under `lead`; returns every need that now goes with it, those that came along with a merged lead too.

    Raises NotFound, BadInput for no member at all, NotAllowed (role, a state that is over, sensitive with anything else),
    Conflict when one of them has gone with another need meanwhile; then nothing has changed.
    """
    members = tuple(dict.fromkeys(members))
    if not members or lead in members:
        raise BadInput("请至少勾选一件和牵头需求不同的需求。")
    if len(members) > MOST_AT_ONCE:
        raise BadInput(f"一次最多归并 {MOST_AT_ONCE} 件，请分几次做。")
    _may_lead(db, lead, MOVES["merge"].sources)
    came = []
    for no in members:
        _must_be_alike_in_care(db, lead, no)
        came += [no, *_bring(db, no, lead, "merge", actor, roles, at, rules, why)]
    return tuple(came)


def join(db: Db, no: str, lead: str, at: datetime, rules: Rules) -> None:
    """An asker's need waits together with a group that others lead (我也遇到); whose need it is, the caller has checked.

    Raises NotFound, NotAllowed when either may not be shown or is over, Conflict when it already goes with another need.
    """
    if no == lead or not public_lead(db, lead):
        raise NotAllowed("这个问题现在不能一起等了。您的问题已单独登记，照常办理。")
    _must_be_alike_in_care(db, lead, no)
    if group := group_of(db, no):
        if group.lead == lead:
            raise Conflict("您已经在一起等这个答复了，有结果会通知您。")
        raise Conflict("您的问题已经和别的问题一起办理，有结果会通知您。")
    _bring(db, no, lead, "join", "asker", ASKER, at, rules)


def split(db: Db, member: str, actor: str, roles: frozenset[str], at: datetime, rules: Rules, why: str = "") -> None:
    """A member stands alone again; all it has been through stays. Raises NotFound, NotAllowed, Conflict when it goes with nobody."""
    if find_need(db, member)["lead_no"] is None:
        raise Conflict(f"{member} 没有归并到别的需求，不用拆分。请刷新后查看。")
    _unlink(db, member, actor, at)
    move(db, member, "split", actor, roles, at, rules, why, {"lead_no": None})


def undo(db: Db, link: int, actor: str, roles: frozenset[str], at: datetime, rules: Rules) -> tuple[str, ...]:
    """Take back the merge to which this link belongs: what it linked is as before; returns those needs.

    Who came along with a merged lead goes back to it, if that one leads again. Raises NotFound, NotAllowed, and Conflict when
    nothing of that merge is left.
    """
    act = row(db, "SELECT * FROM need_links WHERE id = ?", link)
    if act is None:
        raise NotFound("没有这次归并，请刷新后查看。")
    # Two askers may join in the same second; each of them came alone.
    same = "lead_no = :lead_no AND linked_at = :linked_at AND linked_by = :linked_by AND (linked_by <> 'asker' OR id = :id)"
    linked = db.execute(f"SELECT member_no FROM need_links WHERE {same} AND undone_at IS NULL ORDER BY id", act).fetchall()
    if not linked:
        raise Conflict("这次归并已经撤销过了。")
    back = {no: _lead_before(db, no, act) for (no,) in linked}
    for no in back:
        split(db, no, actor, roles, at, rules, "撤销归并")
    for no, before in back.items():
        if before and find_need(db, before)["lead_no"] is None:
            _link(db, no, before, actor, at)
            _carry(db, no, before, actor, at, rules, "撤销归并，回到原来的一组")
    return tuple(back)


def group_of(db: Db, no: str) -> Group | None:
    """The group this need leads or goes with; None when it stands alone. Raises NotFound."""
    lead = find_need(db, no)["lead_no"] or no
    members = rows(db, "SELECT member_no FROM need_links WHERE lead_no = ? AND undone_at IS NULL ORDER BY id", lead)
    return Group(lead, tuple(item["member_no"] for item in members)) if members else None


def links_of(db: Db, lead: str) -> list[dict[str, Any]]:
    """Who came to this lead and left it, in order: id, member_no, linked_at, linked_by, undone_at, undone_by."""
    return rows(db, "SELECT * FROM need_links WHERE lead_no = ? ORDER BY id", lead)


def verified_enterprises(db: Db, *needs: str) -> int:
    """How many verified enterprises ask what these needs' groups ask. Raises NotFound."""
    asked: dict[str, None] = {}
    for no in needs:
        group = group_of(db, no)
        asked |= dict.fromkeys((group.lead, *group.members) if group else (no,))
    marks = ",".join("?" * len(asked))
    found = row(db, f"SELECT count(DISTINCT p.enterprise_id) AS n {_ASKED} AND n.no IN ({marks})", *asked)
    return int((found or {"n": 0})["n"])


def public_groups(db: Db) -> dict[str, int]:
    """The open needs that others may be told of, leads and needs that stand alone, with how many verified enterprises ask them."""
    found = rows(
        db,
        f"SELECT coalesce(n.lead_no, n.no) AS lead, count(DISTINCT p.enterprise_id) AS enterprises {_ASKED}"
        " GROUP BY lead HAVING enterprises >= ? ORDER BY lead",
        SHOWN_FROM,
    )
    return {item["lead"]: item["enterprises"] for item in found if _may_be_shown(db, item["lead"])}


def public_lead(db: Db, no: str) -> bool:
    """Whether others may be told of this need: it is open, leads or stands alone, and enough verified enterprises ask it.

    Nothing of its group may be sensitive. Raises NotFound.
    """
    return find_need(db, no)["lead_no"] is None and _may_be_shown(db, no) and verified_enterprises(db, no) >= SHOWN_FROM


def questions_of(db: Db, lead: str) -> list[str]:
    """What is asked in a group, the lead's question first; erased ones are left out."""
    found = rows(
        db,
        "SELECT t.body FROM needs n JOIN texts t ON t.id = n.text_id"
        " WHERE (n.no = ?1 OR n.lead_no = ?1) AND t.body IS NOT NULL ORDER BY n.no <> ?1, n.year, n.seq",
        lead,
    )
    return [item["body"] for item in found]


def say_unlike(db: Db, first: str, second: str, actor: str, at: datetime) -> None:
    """Two needs do not ask the same: they are not proposed together again. May be said twice. Raises NotFound, BadInput."""
    if first == second:
        raise BadInput("请选两件不同的需求。")
    for no in (first, second):
        find_need(db, no)
    db.execute(
        "INSERT OR IGNORE INTO needs_unlike (first_no, second_no, said_at, said_by) VALUES (?, ?, ?, ?)",
        [*sorted((first, second)), stamp(at), actor],
    )


def unlike_pairs(db: Db) -> set[tuple[str, str]]:
    """Every pair of which somebody said that they do not ask the same, the smaller number first."""
    return {(item["first_no"], item["second_no"]) for item in rows(db, "SELECT first_no, second_no FROM needs_unlike")}


_ASKED = (
    "FROM persons p JOIN askings a ON a.person_id = p.id JOIN texts t ON t.id = a.text_id JOIN needs n ON n.no = a.need_no"
    " WHERE p.enterprise_id IS NOT NULL AND p.verified_at IS NOT NULL AND t.body IS NOT NULL"
    f" AND n.state NOT IN ({','.join(repr(state) for state in _GONE)})"
)


def _bring(
    db: Db, no: str, lead: str, action: str, actor: str, roles: frozenset[str], at: datetime, rules: Rules, why: str = ""
) -> list[str]:
    """Link a need to a lead, and whoever it leads itself; returns those."""
    need = find_need(db, no)
    if need["lead_no"]:
        raise Conflict(f"{no} 刚刚已归并到 {need['lead_no']}，这次没有改动。请刷新后再看。")
    led = [item["member_no"] for item in links_of(db, no) if item["undone_at"] is None]
    move(db, no, action, actor, roles, at, rules, why, {"lead_no": lead})
    _link(db, no, lead, actor, at)
    for member in led:
        _unlink(db, member, actor, at)
        _link(db, member, lead, actor, at)
        _carry(db, member, lead, actor, at, rules, f"随 {no} 一起归并")
    return led


def _carry(db: Db, no: str, lead: str, actor: str, at: datetime, rules: Rules, why: str) -> None:
    """A member goes where its lead goes, whatever its state: a closed one, too, stays with those it was answered with."""
    state = find_need(db, no)["state"]
    history.append(db, no, at, actor, "merge", state, state, keep_text(db, why), {"lead_no": lead})
    history.follow(db, no, rules)


def _link(db: Db, no: str, lead: str, actor: str, at: datetime) -> None:
    db.execute("INSERT INTO need_links (lead_no, member_no, linked_at, linked_by) VALUES (?, ?, ?, ?)", [lead, no, stamp(at), actor])


def _unlink(db: Db, no: str, actor: str, at: datetime) -> None:
    db.execute("UPDATE need_links SET undone_at = ?, undone_by = ? WHERE member_no = ? AND undone_at IS NULL", [stamp(at), actor, no])


def _lead_before(db: Db, no: str, act: dict[str, Any]) -> str | None:
    """Whom this need went with until the merge `act` took it along."""
    found = row(
        db,
        "SELECT lead_no FROM need_links WHERE member_no = ? AND undone_at = ? AND undone_by = ? AND lead_no <> ? ORDER BY id DESC LIMIT 1",
        no,
        act["linked_at"],
        act["linked_by"],
        act["lead_no"],
    )
    return found["lead_no"] if found else None


def _may_lead(db: Db, lead: str, states: frozenset[str]) -> None:
    need = find_need(db, lead)
    if need["lead_no"]:
        raise Conflict(f"{lead} 已归并到 {need['lead_no']}，不能再牵头。请选 {need['lead_no']} 牵头。")
    if need["state"] not in states:
        raise NotAllowed(f"{lead} 现在是“{STATE_NAMES[need['state']]}”，不能牵头。请选一件还在办的需求。")


def _must_be_alike_in_care(db: Db, lead: str, no: str) -> None:
    """A sensitive need goes only with those of its own kind, for a group is worked on by the same people."""
    one, other = ((need["sensitive"], need["visibility"] == RESTRICTED) for need in (find_need(db, lead), find_need(db, no)))
    if one != other:
        raise NotAllowed(f"{no} 和 {lead} 的敏感类型或可见范围不同，不能归并：专班办理的需求只能和同类的放在一起。")


def _may_be_shown(db: Db, lead: str) -> bool:
    """Whether a lead is open and nothing of its group is sensitive."""
    if find_need(db, lead)["state"] not in OPEN:
        return False
    hidden = row(
        db,
        "SELECT 1 FROM needs WHERE (no = ?1 OR lead_no = ?1) AND (sensitive IS NOT NULL OR visibility = ?2) LIMIT 1",
        lead,
        RESTRICTED,
    )
    return hidden is None
