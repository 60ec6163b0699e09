"""Needs that ask the same: what is proposed, what is together, and how it is taken apart again.

Proposals come from `indexing.similar`; here staff decide. A sensitive need is never proposed, and nobody sees more of a group
than the needs they may see. The number that counts is that of the verified enterprises, beside the number of needs.
"""

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from aiohttp import web

from bot.access import Staff, staff_name
from bot.audit import note_audit
from bot.console.board import ERASED, QUESTION_SHOWN, mask_company
from bot.console.serving import SIGNED_IN, Console, Route, Visit, go, number_in, status_of
from bot.desk import Desk
from bot.outbox import Mail
from indexing.similar import Proposal, Waiting, similar_by
from knowledge.database import Db, rows
from knowledge.errors import BadInput, NotFound
from knowledge.ledger import grouping
from knowledge.ledger.needs import NO_NEED
from knowledge.ledger.record import RESTRICTED
from knowledge.ledger.workflow import DESK_ROLES, OPEN, STATE_NAMES
from knowledge.privacy import mask

MOST_WAITING = 1000
"""The newest needs among which groups are proposed."""
ANSWERED_DAYS = 30
"""How long a need that has been answered may still lead new ones to its answer."""
SHOWN = 20
"""Proposals, and groups, on one page."""
DONE = {
    "merged": "已归并。答复牵头的需求，每家企业都会收到，各收一次。归并错了，可以撤销。",
    "split": "已拆分，这件需求单独办理；它的办理经过没有变。",
    "undone": "已撤销，归并以前是什么样，现在就是什么样。",
    "unlike": "已记下，这些需求以后不再一起建议。",
}
_NO = re.compile(r"XQ-\d{4}-\d{4,9}", re.ASCII)


@dataclass(frozen=True)
class GroupNeed:
    """One need as it is listed with others, safe to show; `since` and `by` are set for a member."""

    no: str
    state: str
    state_name: str
    received: str
    question: str
    company: str
    since: str | None
    by: str


@dataclass(frozen=True)
class Coming:
    """A need came to a group, and maybe left it again; with `undoable` the merge that brought it can be taken back whole by this link."""

    link: int
    no: str
    at: str
    who: str
    left_at: str | None
    left_who: str
    undoable: bool


@dataclass(frozen=True)
class ShownGroup:
    """A group as one person may see it; `unseen` members are for others. `stuck`: the lead is over, and members still wait."""

    lead: GroupNeed
    members: list[GroupNeed]
    unseen: int
    enterprises: int
    comings: list[Coming]
    stuck: bool

    @property
    def needs(self) -> int:
        """How many needs there are in it."""
        return 1 + len(self.members) + self.unseen


@dataclass(frozen=True)
class ShownProposal:
    """Needs that seem to ask the same, the central one first; `cases` counts those that already go with one of them, too."""

    needs: list[GroupNeed]
    cases: int
    enterprises: int


async def show_groups(console: Console, visit: Visit) -> web.StreamResponse:
    """What is proposed, and what is together."""
    return await _page(console, visit, done=DONE.get(visit.done, ""), link=number_in(visit.request.query.get("link", ""), 0))


async def merge(console: Console, visit: Visit) -> web.StreamResponse:
    """Put the ticked needs under the chosen lead."""

    def bring_together(db: Db, mail: Mail) -> str:
        lead, members = _chosen(visit)
        _must_see(db, console.desk, visit.me, (lead, *members))
        came = grouping.merge(db, lead, members, visit.me.actor, visit.me.roles, visit.at, console.opened.rules, visit.form.get("why", ""))
        console.desk.pass_on(db, mail, lead, came, visit.me, visit.at)
        link = next(item["id"] for item in grouping.links_of(db, lead) if item["member_no"] == members[0] and item["undone_at"] is None)
        return f"done=merged&link={link}"

    return await _decide(console, visit, bring_together)


async def unlike(console: Console, visit: Visit) -> web.StreamResponse:
    """The ticked needs do not ask what the chosen one asks."""

    def keep_apart(db: Db, mail: Mail) -> str:
        lead, others = _chosen(visit)
        _must_see(db, console.desk, visit.me, (lead, *others))
        for other in others:
            grouping.say_unlike(db, lead, other, visit.me.actor, visit.at)
        note_audit(db, visit.at, visit.me.actor, "unlike", lead, " ".join(others))
        return "done=unlike"

    return await _decide(console, visit, keep_apart)


async def split(console: Console, visit: Visit) -> web.StreamResponse:
    """Take one member out of its group."""

    def take_out(db: Db, mail: Mail) -> str:
        no = visit.form.get("member", "").strip().upper()
        _must_see(db, console.desk, visit.me, (no,))
        grouping.split(db, no, visit.me.actor, visit.me.roles, visit.at, console.opened.rules, visit.form.get("why", ""))
        return "done=split"

    return await _decide(console, visit, take_out)


async def undo(console: Console, visit: Visit) -> web.StreamResponse:
    """Take a whole merge back."""

    def take_back(db: Db, mail: Mail) -> str:
        link = number_in(visit.form.get("link", ""), 0)
        if not link:
            raise BadInput("没有选要撤销哪一次归并。请返回上一页重新选择。")
        touched = grouping.undo(db, link, visit.me.actor, visit.me.roles, visit.at, console.opened.rules)
        _must_see(db, console.desk, visit.me, touched)
        return "done=undone"

    return await _decide(console, visit, take_back)


def read_group(db: Db, no: str, desk: Desk, staff: Staff) -> ShownGroup | None:
    """The group a need leads or goes with, as `staff` may see it; None when it stands alone or they may not see its lead."""
    group = grouping.group_of(db, no)
    if group is None:
        return None
    links = grouping.links_of(db, group.lead)
    seen = _needs(db, desk, staff, (group.lead, *dict.fromkeys(item["member_no"] for item in links)))
    lead = seen.get(group.lead)
    if lead is None:
        return None
    members = [seen[member] for member in group.members if member in seen]
    return ShownGroup(
        lead,
        members,
        len(group.members) - len(members),
        grouping.verified_enterprises(db, no),
        [_coming(db, item, links) for item in links if item["member_no"] in seen],
        lead.state not in OPEN | {"replied"} and any(member.state in OPEN for member in members),
    )


def read_waiting(db: Db, desk: Desk, staff: Staff, today: date) -> list[Waiting]:
    """The needs among which groups may be proposed: open ones, and those answered of late; nothing sensitive, nobody's member."""
    condition, args = desk.visible(staff)
    open_states = sorted(OPEN)
    found = rows(
        db,
        "SELECT n.no, n.state, t.body, EXISTS (SELECT 1 FROM need_links l WHERE l.lead_no = n.no AND l.undone_at IS NULL) AS leads"
        " FROM needs n JOIN texts t ON t.id = n.text_id"
        f" WHERE (n.state IN ({','.join('?' * len(open_states))}) OR (n.state = 'replied' AND n.replied_on >= ?))"
        " AND n.sensitive IS NULL AND n.visibility <> ? AND n.lead_no IS NULL AND t.body IS NOT NULL"
        f" AND {condition} ORDER BY n.year DESC, n.seq DESC LIMIT {MOST_WAITING}",
        *open_states,
        (today - timedelta(days=ANSWERED_DAYS)).isoformat(),
        RESTRICTED,
        *args,
    )
    return [Waiting(item["no"], item["body"], item["state"] == "replied", bool(item["leads"])) for item in found]


async def _decide(console: Console, visit: Visit, doing: Callable[[Db, Mail], str]) -> web.StreamResponse:
    """Do it and show the page again; when it cannot be done, say why. `doing` returns what the address says of it."""
    try:
        done = await console.act(visit.at, doing)
    except BadInput as error:
        return await _page(console, visit, status_of(error), problem=str(error))
    return go(f"/groups?{done}")


async def _page(console: Console, visit: Visit, status: int = 200, problem: str = "", done: str = "", link: int = 0) -> web.StreamResponse:
    desk, me = console.desk, visit.me
    waiting, apart = await console.read(lambda db: (read_waiting(db, desk, me, visit.today), grouping.unlike_pairs(db)))
    proposals = await asyncio.to_thread(lambda: similar_by(console.opened.encoder).propose(waiting, apart))
    shown, groups = await console.read(lambda db: ([_proposal(db, desk, me, item) for item in proposals[:SHOWN]], _groups(db, desk, me)))
    return console.pages.show(
        "groups",
        visit.session,
        status,
        proposals=shown,
        more=len(proposals) - len(shown),
        groups=groups,
        may_group=me.may(DESK_ROLES),
        problem=problem,
        done=done,
        link=link,
        here="groups",
    )


def _chosen(visit: Visit) -> tuple[str, tuple[str, ...]]:
    """The lead, and the other needs that were ticked or typed. Raises BadInput when one of them is missing."""
    leads = _NO.findall(visit.form.get("lead", "").upper())
    ticked = dict.fromkeys(no for typed in visit.form.many("member") for no in _NO.findall(typed.upper()))
    members = tuple(no for no in ticked if no not in leads[:1])
    if not leads or not members:
        raise BadInput("请选一件牵头的需求，再勾选至少一件别的需求（编号样子像 XQ-2026-0001）。")
    return leads[0], members


def _must_see(db: Db, desk: Desk, staff: Staff, numbers: Sequence[str]) -> None:
    for no in numbers:
        if not desk.may_see(db, no, staff):
            raise NotFound(NO_NEED.format(no=no))


def _groups(db: Db, desk: Desk, staff: Staff) -> list[ShownGroup]:
    """The groups in which something last happened, newest first."""
    condition, args = desk.visible(staff)
    leads = rows(
        db,
        "SELECT l.lead_no, max(l.id) AS latest FROM need_links l JOIN needs n ON n.no = l.lead_no"
        f" WHERE l.undone_at IS NULL AND {condition} GROUP BY l.lead_no ORDER BY latest DESC LIMIT ?",
        *args,
        SHOWN,
    )
    return [group for item in leads if (group := read_group(db, item["lead_no"], desk, staff))]


def _proposal(db: Db, desk: Desk, staff: Staff, proposal: Proposal) -> ShownProposal:
    numbers = (proposal.lead, *(no for no, _ in proposal.members))
    cases = sum(1 + len(group.members) if (group := grouping.group_of(db, no)) else 1 for no in numbers)
    return ShownProposal(list(_needs(db, desk, staff, numbers).values()), cases, grouping.verified_enterprises(db, *numbers))


def _needs(db: Db, desk: Desk, staff: Staff, numbers: Sequence[str]) -> dict[str, GroupNeed]:
    """Those of these needs that `staff` may see, in this order."""
    condition, args = desk.visible(staff)
    found = rows(
        db,
        "SELECT n.no, n.state, n.received_at, t.body AS question, l.linked_at, l.linked_by,"
        " (SELECT p.company FROM askings a JOIN persons p ON p.id = a.person_id"
        "  WHERE a.need_no = n.no AND p.company IS NOT NULL ORDER BY a.id LIMIT 1) AS company"
        " FROM needs n JOIN texts t ON t.id = n.text_id LEFT JOIN need_links l ON l.member_no = n.no AND l.undone_at IS NULL"
        f" WHERE n.no IN ({','.join('?' * len(numbers))}) AND {condition}",
        *numbers,
        *args,
    )
    shown = {item["no"]: _need(db, item) for item in found}
    return {no: shown[no] for no in numbers if no in shown}


def _need(db: Db, item: dict[str, Any]) -> GroupNeed:
    question = " ".join(mask(item["question"]).split()) if item["question"] is not None else ERASED
    return GroupNeed(
        no=item["no"],
        state=item["state"],
        state_name=STATE_NAMES[item["state"]],
        received=item["received_at"],
        question=question if len(question) <= QUESTION_SHOWN else question[: QUESTION_SHOWN - 1] + "…",
        company=mask_company(item["company"]),
        since=item["linked_at"],
        by=staff_name(db, item["linked_by"]) if item["linked_by"] else "",
    )


def _coming(db: Db, item: dict[str, Any], links: Sequence[dict[str, Any]]) -> Coming:
    """One link; the first that still stands of a merge by staff stands for the merge."""
    act = (item["linked_at"], item["linked_by"], None)
    first = next((link["id"] for link in links if (link["linked_at"], link["linked_by"], link["undone_at"]) == act), None)
    return Coming(
        item["id"],
        item["member_no"],
        item["linked_at"],
        staff_name(db, item["linked_by"]),
        item["undone_at"],
        staff_name(db, item["undone_by"]) if item["undone_by"] else "",
        first == item["id"] and item["linked_by"].startswith("staff:"),
    )


ROUTES = (
    Route("GET", "/groups", SIGNED_IN, show_groups),
    Route("POST", "/groups/merge", DESK_ROLES, merge),
    Route("POST", "/groups/unlike", DESK_ROLES, unlike),
    Route("POST", "/groups/split", DESK_ROLES, split),
    Route("POST", "/groups/undo", DESK_ROLES, undo),
)
