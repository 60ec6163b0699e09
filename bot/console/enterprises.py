"""The enterprises' pages: the list, and one enterprise with its people, its needs and how often it asked.

Who only says that they belong to an enterprise stands apart from whom staff have checked, and counts for nothing until then.
Contact details are masked unless opened with a reason, which the audit keeps.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from aiohttp import web

from bot.access import CONTACT_READERS, Staff
from bot.audit import note_audit
from bot.console.board import mask_company
from bot.console.serving import SIGNED_IN, Console, Route, Visit, go, number_in, status_of
from knowledge import enterprise as enterprises
from knowledge.database import Db, row, rows
from knowledge.enterprise import ENTERPRISE_FIELDS, FIELDS
from knowledge.errors import BadInput, Conflict, NotFound
from knowledge.ledger import directory
from knowledge.ledger.record import CHOICES
from knowledge.ledger.workflow import STATE_NAMES
from knowledge.privacy import mask, mask_name, mask_phone
from knowledge.texts import must_be_reason

KEEPERS = frozenset({"registrar", "admin"})
VERIFIERS = frozenset({"registrar", "handler"})
CHECKS = ("电话核对", "营业执照", "当面")
"""How staff can have checked that a person speaks for an enterprise."""
PAGE = 50
MOST_WORDS = 6
LONGEST_SEARCH = 60
SHOWN_NEEDS = 50
SHOWN_CLAIMS = 20
INDIVIDUAL = "个体"
ANSWERED = ("answer", "offer", "need")
"""What a question can have come to that counts as having asked the bot; what was refused is nobody's business here."""
DONE = {
    "made": "档案已建好，请补充资料。",
    "known": "这家企业已有档案，就是这一份。",
    "edited": "已保存。",
    "same": "没有改动。",
    "verified": "已核对身份。这位联系人从现在起能看到本企业的需求。",
    "unverified": "已取消核对。",
}


@dataclass(frozen=True)
class Wanted:
    """What the clerk asked to see in the list."""

    search: str
    street: str
    page: int

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Wanted":
        """From the address line; what makes no sense there counts as not given."""
        search = " ".join(query.get("q", "").replace("\0", "").split())[:LONGEST_SEARCH]
        return cls(search, query.get("street", "")[:LONGEST_SEARCH], max(1, number_in(query.get("page", ""), 1)))

    def link(self, page: int) -> str:
        """The address of another page of this list."""
        query = {"q": self.search, "street": self.street, "page": page}
        return "/console/enterprises?" + urlencode({name: value for name, value in query.items() if value})


@dataclass(frozen=True)
class Listed:
    """One page of the list; `claims` are names people typed that no enterprise has."""

    lines: list[dict[str, Any]]
    total: int
    page: int
    pages: int
    claims: list[dict[str, Any]]


@dataclass(frozen=True)
class Shown:
    """Everything the page of one enterprise shows, as masked as it has to be."""

    id: int
    name: str
    fields: dict[str, Any]
    warning: str | None
    key: directory.Body | None
    copies: list[str]
    verified: list[dict[str, Any]]
    claimed: list[dict[str, Any]]
    needs: list[dict[str, Any]]
    needs_total: int
    asked: dict[str, int]
    version: str


async def show_list(console: Console, visit: Visit) -> web.StreamResponse:
    """Enterprises by name or code, and by street."""
    return await _list_page(console, visit)


async def make(console: Console, visit: Visit) -> web.StreamResponse:
    """A new record, or the one there is under this name or code."""
    fields = {name: visit.form.get(name, "") for name in ("name", "uscc")}

    def find_or_make(db: Db) -> tuple[int, str]:
        before = row(db, "SELECT coalesce(max(id), 0) AS id FROM enterprises")
        number = enterprises.find_or_make_enterprise(db, fields, visit.at)
        if before and number <= before["id"]:
            return number, "known"
        note_audit(db, visit.at, visit.me.actor, "make_enterprise", f"enterprise:{number}")
        return number, "made"

    try:
        number, done = await console.write(find_or_make)
    except BadInput as error:
        return await _list_page(console, visit, status_of(error), str(error))
    return go(f"/enterprises/{number}?done={done}")


async def show_enterprise(console: Console, visit: Visit) -> web.StreamResponse:
    """One enterprise."""
    return await _enterprise_page(console, visit, done=DONE.get(visit.done, ""))


async def edit(console: Console, visit: Visit) -> web.StreamResponse:
    """Change the record, if it is still as the clerk saw it."""
    court, form = console.opened.court, visit.form

    def change(db: Db) -> str:
        known = enterprises.find_enterprise(db, _id(visit))
        if _version(known) != form.get("version", ""):
            raise Conflict("您打开页面之后，别人改过这份档案，所以没有保存。您填的还在，改过的地方写着现在的内容，请核对后再保存。")
        fields = {name: form[name] for name in ENTERPRISE_FIELDS if name in form}
        for name, allowed in (("street", court.streets), ("industry", court.industries)):
            if (value := fields.get(name)) and value != known[name] and value not in allowed:
                raise BadInput(f"{ENTERPRISE_FIELDS[name]}没有“{value[:30]}”这一项，请从列表里选。")
        changed = enterprises.set_enterprise(db, _id(visit), fields, visit.at)
        if not changed:
            return "same"
        names = "、".join(ENTERPRISE_FIELDS[name] for name in changed)
        note_audit(db, visit.at, visit.me.actor, "edit_enterprise", f"enterprise:{_id(visit)}", f"改了：{names}")
        return "edited"

    return await _act(console, visit, change)


async def verify(console: Console, visit: Visit) -> web.StreamResponse:
    """Staff have checked that this person speaks for this enterprise, and say how."""
    how, person = visit.form.get("how", ""), number_in(visit.form.get("person", ""), 0)

    def check(db: Db) -> str:
        if how not in CHECKS:
            raise BadInput(f"请选是怎么核对的：{'、'.join(CHECKS)}。")
        if not any(contact["id"] == person and not contact["verified"] for contact in enterprises.contacts_of(db, _id(visit))):
            raise Conflict("这位联系人已核对过，或已改了自报的企业，所以没有记下。请看过下面的名单再决定。")
        enterprises.verify_contact(db, person, _id(visit), visit.me.id, visit.at)
        note_audit(db, visit.at, visit.me.actor, "verify_contact", f"enterprise:{_id(visit)} person:{person}", how)
        return "verified"

    return await _act(console, visit, check)


async def unverify(console: Console, visit: Visit) -> web.StreamResponse:
    """Take a check back, with a reason."""
    person = number_in(visit.form.get("person", ""), 0)

    def take_back(db: Db) -> str:
        reason = must_be_reason(visit.form.get("reason", ""), "取消核对")
        if not any(contact["id"] == person and contact["verified"] for contact in enterprises.contacts_of(db, _id(visit))):
            raise Conflict("这位联系人已不是这家企业核对过的联系人。请看过下面的名单再决定。")
        enterprises.unverify_contact(db, person, visit.at)
        note_audit(db, visit.at, visit.me.actor, "unverify_contact", f"enterprise:{_id(visit)} person:{person}", reason)
        return "unverified"

    return await _act(console, visit, take_back)


async def reveal(console: Console, visit: Visit) -> web.StreamResponse:
    """Open the contact details once; the reason goes into the audit first."""

    def open_up(db: Db) -> Shown:
        enterprises.find_enterprise(db, _id(visit))
        reason = must_be_reason(visit.form.get("reason", ""), "查看联系方式")
        note_audit(db, visit.at, visit.me.actor, "reveal_contacts", f"enterprise:{_id(visit)}", reason)
        return _read_enterprise(db, console, visit, revealed=True)

    try:
        shown = await console.write(open_up)
    except NotFound:
        raise
    except BadInput as error:
        return await _enterprise_page(console, visit, status_of(error), str(error))
    return _show(console, visit, shown, revealed=True)


async def _act(console: Console, visit: Visit, doing: Callable[[Db], str]) -> web.StreamResponse:
    """Do one thing with an enterprise and show it again; when it cannot be done, say why and keep what was typed."""
    try:
        done = await console.write(doing)
    except NotFound:
        raise
    except BadInput as error:
        return await _enterprise_page(console, visit, status_of(error), str(error))
    return go(f"/enterprises/{_id(visit)}?done={done}")


async def _list_page(console: Console, visit: Visit, status: int = 200, problem: str = "") -> web.StreamResponse:
    wanted = Wanted.read(visit.request.query)
    found = await console.read(lambda db: _read_list(db, wanted, console, visit.me))
    return console.pages.show(
        "enterprises",
        visit.session,
        status,
        listed=found,
        wanted=wanted,
        streets=console.opened.court.streets,
        may_keep=visit.me.may(KEEPERS),
        kept=visit.form,
        problem=problem,
        here="enterprises",
    )


async def _enterprise_page(console: Console, visit: Visit, status: int = 200, problem: str = "", done: str = "") -> web.StreamResponse:
    shown = await console.read(lambda db: _read_enterprise(db, console, visit))
    return _show(console, visit, shown, status, problem, done)


def _show(
    console: Console, visit: Visit, shown: Shown, status: int = 200, problem: str = "", done: str = "", revealed: bool = False
) -> web.Response:
    may = {"edit": visit.me.may(KEEPERS), "verify": visit.me.may(VERIFIERS), "reveal": visit.me.may(CONTACT_READERS)}
    return console.pages.show(
        "enterprise",
        visit.session,
        status,
        shown=shown,
        names=ENTERPRISE_FIELDS,
        choices=CHOICES | {"street": console.opened.court.streets, "industry": console.opened.court.industries},
        checks=CHECKS,
        may=may,
        # What was typed into the record's form comes back; the other forms are short.
        fields=shown.fields | {name: value for name, value in visit.form.items() if name in ENTERPRISE_FIELDS},
        kept=visit.form,
        revealed=revealed,
        problem=problem,
        done=done,
        here="enterprises",
    )


def _read_list(db: Db, wanted: Wanted, console: Console, me: Staff) -> Listed:
    visible, visible_args = console.desk.visible(me)
    condition, args = _matching(wanted)
    counted = row(db, f"SELECT count(*) AS n FROM enterprises e WHERE {condition}", *args)
    total = int((counted or {"n": 0})["n"])
    pages = max(1, -(-total // PAGE))
    page = min(wanted.page, pages)
    own = "p.enterprise_id = e.id AND p.verified_at IS NOT NULL"
    lines = rows(
        db,
        "SELECT e.id, e.name, e.uscc, e.ent_type, e.street, e.industry,"
        f" (SELECT count(*) FROM persons p WHERE {own}) AS verified,"
        " (SELECT count(DISTINCT n.no) FROM persons p JOIN askings a ON a.person_id = p.id JOIN needs n ON n.no = a.need_no"
        f"  WHERE {own} AND {visible}) AS needs"
        f" FROM enterprises e WHERE {condition} ORDER BY e.name LIMIT ? OFFSET ?",
        *visible_args,
        *args,
        PAGE,
        (page - 1) * PAGE,
    )
    waiting = _waiting(db, lines)
    for line in lines:
        line["waiting"] = waiting[line["id"]]
        line["name"] = _shown_name(line, me)
    claims = _unknown_claims(db) if page == 1 and not wanted.search and not wanted.street else []
    return Listed(lines, total, page, pages, [claim | {"shown": _shown_name({"name": claim["name"]}, me)} for claim in claims])


def _matching(wanted: Wanted) -> tuple[str, list[str]]:
    """Every word must be in the name or in the code, taken literally."""
    words = [enterprises.tidy("name", word) for word in wanted.search.split()[:MOST_WORDS]]
    conditions = ["(instr(lower(replace(e.name, ' ', '')), lower(?)) OR instr(coalesce(e.uscc, ''), upper(?)))" for _ in words]
    args = [word for word in words for _ in range(2)]
    if wanted.street:
        conditions.append("e.street = ?")
        args.append(wanted.street)
    return " AND ".join(conditions) or "1", args


def _waiting(db: Db, lines: list[dict[str, Any]]) -> Counter[int]:
    """How many people claim to belong to each of these enterprises: by its name, its code, or as it was entered for them."""
    found = rows(
        db,
        "SELECT enterprise_id, replace(company, ' ', '') AS name, uscc, count(*) AS n FROM persons WHERE verified_at IS NULL"
        " AND (company IS NOT NULL OR uscc IS NOT NULL OR enterprise_id IS NOT NULL) GROUP BY 1, 2, 3",
    )
    ids = {line["id"]: line["id"] for line in lines}
    names = {_flat(line["name"]): line["id"] for line in lines}
    codes = {line["uscc"]: line["id"] for line in lines if line["uscc"]}
    counts: Counter[int] = Counter()
    for item in found:
        claimed = {ids.get(item["enterprise_id"]), names.get(item["name"]), codes.get(item["uscc"])}
        counts.update({number: item["n"] for number in claimed if number is not None})
    return counts


def _unknown_claims(db: Db) -> list[dict[str, Any]]:
    """Company names people typed that no enterprise has, the latest first."""
    return rows(
        db,
        "SELECT min(company) AS name, count(*) AS people FROM persons WHERE company IS NOT NULL AND verified_at IS NULL"
        " AND enterprise_id IS NULL AND replace(company, ' ', '') NOT IN (SELECT replace(name, ' ', '') FROM enterprises)"
        " GROUP BY replace(company, ' ', '') ORDER BY max(updated_at) DESC LIMIT ?",
        SHOWN_CLAIMS,
    )


def _read_enterprise(db: Db, console: Console, visit: Visit, revealed: bool = False) -> Shown:
    """Raises NotFound."""
    known = enterprises.find_enterprise(db, _id(visit))
    contacts = enterprises.contacts_of(db, _id(visit))
    people = {contact["id"]: bool(contact["verified"]) for contact in contacts}
    needs, needs_total = _needs(db, console, visit.me, people)
    shown = [_contact(contact, known["name"], revealed) for contact in contacts]
    return Shown(
        id=known["id"],
        name=_shown_name(known, visit.me),
        fields={name: known[name] for name in ENTERPRISE_FIELDS} | {"name": _shown_name(known, visit.me)},
        warning=enterprises.uscc_warning(known["uscc"]) if known["uscc"] else None,
        key=directory.key_enterprise(db, visit.today, known["name"]),
        copies=[label for _, label in directory.copies_for(db, visit.today, known["street"], [])],
        verified=[contact for contact in shown if contact["verified"]],
        claimed=[contact for contact in shown if not contact["verified"]],
        needs=needs,
        needs_total=needs_total,
        asked=_asked(db, console, visit.me, [person for person, verified in people.items() if verified]),
        version=_version(known),
    )


def _contact(contact: dict[str, Any], enterprise_name: str, revealed: bool) -> dict[str, Any]:
    """One person as shown: what they filled in by label, and whether they call their company something else by now."""
    own = {name: contact[name] or "" for name in FIELDS}
    if not revealed:
        own = {name: mask(value) for name, value in own.items()}
        own |= {"contact": mask_name(contact["contact"]), "phone": mask_phone(contact["phone"])}
        own["company"] = "同本企业" if _flat(contact["company"]) == _flat(enterprise_name) else mask_company(contact["company"])
    says_other = bool(contact["company"]) and _flat(contact["company"]) != _flat(enterprise_name)
    return {
        "id": contact["id"],
        "verified": bool(contact["verified"]),
        "verified_at": contact["verified_at"],
        "verified_by": contact["verified_by"],
        "facts": {FIELDS[name]: value for name, value in own.items() if value},
        "says_other": says_other,
    }


def _needs(db: Db, console: Console, me: Staff, people: Mapping[int, bool]) -> tuple[list[dict[str, Any]], int]:
    """The newest needs of these people that this clerk may see, and how many there are; `people` says who is verified."""
    visible, args = console.desk.visible(me)
    asked = f"FROM needs n JOIN askings a ON a.need_no = n.no WHERE a.person_id IN ({','.join('?' * len(people))}) AND {visible}"
    counted = row(db, f"SELECT count(DISTINCT n.no) AS n {asked}", *people, *args)
    checked = [person for person, verified in people.items() if verified]
    found = rows(
        db,
        "SELECT n.no, n.state, n.received_at, (SELECT body FROM texts WHERE id = n.text_id) AS question,"
        f" max(a.person_id IN ({','.join('?' * len(checked))})) AS verified {asked}"
        " GROUP BY n.no ORDER BY n.year DESC, n.seq DESC LIMIT ?",
        *checked,
        *people,
        *args,
        SHOWN_NEEDS,
    )
    lines = [item | {"question": _question(item["question"]), "state_name": STATE_NAMES[item["state"]]} for item in found]
    return lines, int((counted or {"n": 0})["n"])


def _question(text: str | None) -> str:
    if text is None:
        return "（文字已删除）"
    flat = " ".join(mask(text).split())
    return flat if len(flat) <= 90 else flat[:89] + "…"


def _asked(db: Db, console: Console, me: Staff, people: list[int]) -> dict[str, int]:
    """How often these people asked the bot, by what it came to; what this clerk may not see is not counted."""
    visible, args = console.desk.visible(me)
    found = rows(
        db,
        "SELECT a.band, count(*) AS n FROM askings a LEFT JOIN needs n ON n.no = a.need_no"
        f" WHERE a.person_id IN ({','.join('?' * len(people))}) AND (a.need_no IS NULL OR {visible}) GROUP BY a.band",
        *people,
        *args,
    )
    by_band = {item["band"]: item["n"] for item in found}
    return {band: by_band.get(band, 0) for band in ANSWERED}


def _shown_name(known: Mapping[str, Any], me: Staff) -> str:
    """A company's name in full; a person's business masked for those who may not see contacts.

    What nothing tells to be a company may be a person's business.
    """
    kind, code, name = known.get("ent_type"), known.get("uscc") or "", known["name"]
    is_person = kind == INDIVIDUAL or code.startswith("92") or not (kind or code or "公司" in name)
    return mask_company(name) if is_person and not me.may(CONTACT_READERS) else name


def _version(known: Mapping[str, Any]) -> str:
    """Differs as soon as any field of the record does."""
    return hashlib.sha256(json.dumps([known[name] for name in ENTERPRISE_FIELDS]).encode()).hexdigest()


def _flat(name: str | None) -> str:
    return (name or "").replace(" ", "")


def _id(visit: Visit) -> int:
    return number_in(visit.part("enterprise"), 0)


ROUTES = (
    Route("GET", "/enterprises", SIGNED_IN, show_list),
    Route("POST", "/enterprises", KEEPERS, make),
    Route("GET", "/enterprises/{enterprise}", SIGNED_IN, show_enterprise),
    Route("POST", "/enterprises/{enterprise}", KEEPERS, edit),
    Route("POST", "/enterprises/{enterprise}/verify", VERIFIERS, verify),
    Route("POST", "/enterprises/{enterprise}/unverify", VERIFIERS, unverify),
    Route("POST", "/enterprises/{enterprise}/reveal", CONTACT_READERS, reveal),
)
