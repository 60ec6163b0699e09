"""Taking needs into the ledger: what came by phone, on paper or in person, and the registrar's check of what is missing.

The mandatory fields of the ledger (DOMAIN 3.1) are asked for when a need is registered, not before: no question is turned
away because a form is not complete. What the enterprise did not give is said to be unknown, not invented.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from bot.access import Staff
from bot.desk import Desk
from knowledge.clock import stamp
from knowledge.database import Db, row
from knowledge.enterprise import find_or_make_enterprise, set_profile
from knowledge.errors import BadInput
from knowledge.ledger import sensitive
from knowledge.ledger.needs import Asking, open_need, record_asking, set_text
from knowledge.ledger.record import CHOICES, NAMES, TEXT_FIELDS, tidy_details

SHORTEST, LONGEST = 10, 2000
PERSON = ("company", "uscc", "contact", "phone")
MANDATORY_PERSON = {"company": "企业名称", "contact": "联系人", "phone": "联系电话"}
MANDATORY = ("street", "topic", "litigation")


def enter_need(
    db: Db,
    desk: Desk,
    staff: Staff,
    question: str,
    person: Mapping[str, str],
    fields: Mapping[str, Any],
    at: datetime,
    registers: bool = False,
    unknown: bool = False,
) -> str:
    """Write down a need that somebody told a member of staff, and return its number.

    `fields` are of the record and say at least where it came from; `registers` takes it into the ledger at once, and then
    nothing mandatory may be missing unless `unknown`. Raises BadInput naming what is missing or wrong.
    """
    question = question.strip()
    if not SHORTEST <= len(question) <= LONGEST:
        raise BadInput(f"需求内容请写 {SHORTEST} 到 {LONGEST} 字，现在是 {len(question)} 字。")
    texts = {name: str(fields[name]).strip() for name in TEXT_FIELDS if fields.get(name)}
    details = tidy_details({name: value for name, value in fields.items() if name not in TEXT_FIELDS}, desk.court, list(desk.topics))
    source = details.pop("source", None)
    if source is None:
        raise BadInput(f"请选{NAMES['source']}：{'、'.join(CHOICES['source'])}。")
    _days_make_sense(details, at)
    number = _make_person(db, person, details, at)
    asking = record_asking(db, Asking(question, "need", reasons=("工作人员录入",)), at, person_id=number)
    found = sensitive.details_of(question, desk.court) | details
    no = open_need(db, asking, source, at, desk.rules, details.get("topic"), staff.actor, found)
    for name, text in texts.items():
        set_text(db, no, name, text, staff.actor, staff.roles, at, desk.rules)
    # A sensitive one may be out of this person's sight from here on: then whoever is on duty registers it.
    if registers and desk.may_see(db, no, staff):
        register_need(db, desk, staff, no, {}, {}, at, unknown)
    return no


def register_need(
    db: Db, desk: Desk, staff: Staff, no: str, person: Mapping[str, str], fields: Mapping[str, Any], at: datetime, unknown: bool = False
) -> None:
    """Take a need into the ledger with what the registrar filled in about the enterprise and the record.

    Raises BadInput naming every mandatory field that is still empty, unless the registrar says the enterprise did not give it.
    """
    need = desk.find(db, no, staff)
    asked = row(db, "SELECT person_id FROM askings WHERE need_no = ? AND person_id IS NOT NULL ORDER BY id LIMIT 1", no)
    if asked:
        for name in PERSON:
            if person.get(name, "").strip():
                set_profile(db, asked["person_id"], name, person[name], at)
    known = _person(db, asked["person_id"]) if asked else {}
    details = tidy_details(fields, desk.court, list(desk.topics))
    for name in ("street", "industry"):
        if name not in details and need[name] is None and known.get(name):
            details[name] = known[name]
    missing = [label for name, label in MANDATORY_PERSON.items() if not known.get(name)]
    missing += [NAMES[name] for name in MANDATORY if not (details.get(name) or need[name])]
    if missing and not unknown:
        raise BadInput(f"登记前还要填：{'、'.join(missing)}。企业确实没有提供的，请勾选“其余企业没有提供”。")
    if asked and known.get("company"):
        about: dict[str, Any] = {name: details[name] for name in ("street", "industry") if name in details}
        enterprise = find_or_make_enterprise(db, {**known, **about, "name": known["company"]}, at)
        db.execute("UPDATE persons SET enterprise_id = coalesce(enterprise_id, ?) WHERE id = ?", [enterprise, asked["person_id"]])
    changed = {name: value for name, value in details.items() if value != need[name]}
    desk.register(db, no, staff, at, changed)


def _make_person(db: Db, person: Mapping[str, str], details: Mapping[str, Any], at: datetime) -> int:
    number = int(db.execute("INSERT INTO persons (created_at, updated_at) VALUES (?, ?)", [stamp(at), stamp(at)]).lastrowid or 0)
    about = {name: person.get(name, "") for name in PERSON} | {name: details.get(name, "") for name in ("street", "industry")}
    for name, value in about.items():
        if value.strip():
            set_profile(db, number, name, value, at)
    return number


def _person(db: Db, person_id: int) -> dict[str, Any]:
    return row(db, "SELECT company, uscc, contact, phone, street, industry FROM persons WHERE id = ?", person_id) or {}


def _days_make_sense(details: Mapping[str, Any], at: datetime) -> None:
    received = details.get("received_at", at.date().isoformat())
    if received > at.date().isoformat():
        raise BadInput(f"收到日期 {received} 还没有到，请核对。")
    if details.get("visited_on", received) < received:
        raise BadInput(f"走访日期 {details['visited_on']} 早于收到日期 {received}，请核对。")
