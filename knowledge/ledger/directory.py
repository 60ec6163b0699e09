"""The court's directory (通讯录): divisions, streets with the judge who looks after each, key enterprises with their leader,
departments, governance units, mediation and partner bodies.

It comes from a table the court fills in; nothing in it is made up here. A line is never changed: one that says something
new ends the old one and begins another, so that the directory of any past day can be read, and `directory:12`, which the
ledger keeps in place of people's names, means the same person for ever.
"""

import hashlib
import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from knowledge.court import Court
from knowledge.database import Db, rows
from knowledge.errors import BadInput, Conflict
from knowledge.ledger.directory_sheet import COLUMNS, DIVISION, KEY_ENTERPRISE, KINDS, OUTSIDE, STREET, BadRow, Sheet, SheetRow

_LONGEST = {"name": 100, "code": 50, "person": 50, "phone": 50, "team": 100, "note": 500}
_PHONE = re.compile(r"[0-9+\-() /、,;转分机]{3,50}")
_TOKEN = re.compile(r"directory:([0-9]{1,9})")


@dataclass(frozen=True)
class Body:
    """One line of the directory: an office, a street, an enterprise, a body, and whom to turn to there."""

    kind: str
    name: str
    code: str = ""
    person: str = ""
    phone: str = ""
    team: str = ""
    note: str = ""
    id: int = 0
    valid_from: str = ""

    @property
    def token(self) -> str:
        """How the ledger names this line."""
        return f"directory:{self.id}"

    @property
    def label(self) -> str:
        """How people read it."""
        if self.kind == STREET and self.person:
            return f"{self.name}包联庭长 {self.person}"
        if self.kind == KEY_ENTERPRISE and self.person:
            return f"包联领导 {self.person}（{self.name}）"
        return f"{self.name}（{self.person}）" if self.person else self.name


@dataclass(frozen=True)
class Changed:
    """A line that will say something else, and the columns in which it does."""

    old: Body
    new: Body

    @property
    def differences(self) -> list[tuple[str, str, str]]:
        """What each column that differs is called, said, and will say."""
        compared = [(label, getattr(self.old, name), getattr(self.new, name)) for name, label in COLUMNS.items()]
        return [item for item in compared if item[1] != item[2]]


@dataclass(frozen=True)
class Report:
    """What a table would change; `gone` are the lines in force of its kinds that it does not have."""

    new: tuple[Body, ...]
    changed: tuple[Changed, ...]
    same: int
    gone: tuple[Body, ...]
    bad: tuple[BadRow, ...]
    unused: tuple[str, ...]

    @property
    def fingerprint(self) -> str:
        """Differs as soon as anything in the report does."""
        return hashlib.sha256(repr(self).encode()).hexdigest()


def lookup(db: Db, day: date, kind: str | None = None) -> list[Body]:
    """The directory as it was on `day`, all of it or one kind, in the order of KINDS and then by name."""
    found = rows(
        db,
        "SELECT id, kind, name, code, person, phone, team, note, valid_from FROM directory"
        " WHERE valid_from <= ?1 AND (valid_until IS NULL OR valid_until >= ?1) AND (?2 IS NULL OR kind = ?2)",
        day.isoformat(),
        kind,
    )
    bodies = [replace(_of({name: item[name] or "" for name in COLUMNS}), id=item["id"], valid_from=item["valid_from"]) for item in found]
    return sorted(bodies, key=lambda body: (KINDS.index(body.kind), body.name, body.id))


def key_enterprise(db: Db, day: date, company: str) -> Body | None:
    """The directory's line of a key enterprise of this name (spaces and width of characters do not matter), or None."""
    wanted = _plain(company)
    return next((body for body in lookup(db, day, KEY_ENTERPRISE) if _plain(body.name) == wanted), None)


def copies_for(db: Db, day: date, street: str | None, company_names: Iterable[str]) -> list[tuple[str, str]]:
    """Who gets a copy of a need (DOMAIN 3.3, rule 4), as token and label.

    That is who looks after its street, and who looks after each of its enterprises that is a key one.
    """
    wanted = {_plain(name) for name in company_names if name}
    streets = [body for body in lookup(db, day, STREET) if body.name == street]
    enterprises = [body for body in lookup(db, day, KEY_ENTERPRISE) if _plain(body.name) in wanted]
    return [(body.token, body.label) for body in (*streets, *enterprises) if body.person]


def outside_bodies(db: Db, day: date) -> list[tuple[str, str]]:
    """Token and label of everybody outside the court a need can be passed on to or worked on with."""
    return [(body.token, body.label) for body in lookup(db, day) if body.kind in OUTSIDE]


def label_of(db: Db, tokens: Sequence[str]) -> list[str]:
    """What to call these on screen, in their order: lines of the directory, also ended ones; anything else stays as it is."""
    numbers = {token: int(found[1]) for token in tokens if (found := _TOKEN.fullmatch(token))}
    marks = ",".join("?" * len(numbers))
    found_rows = rows(db, f"SELECT id, kind, name, person FROM directory WHERE id IN ({marks})", *numbers.values())
    labels = {item["id"]: Body(item["kind"], item["name"], person=item["person"] or "").label for item in found_rows}
    return [labels.get(numbers.get(token, 0), token) for token in tokens]


def compare(db: Db, sheet: Sheet, court: Court, day: date) -> Report:
    """What this table would change in the directory of `day`; changes nothing.

    A column the table does not have keeps what the directory says. Rows that cannot be used are in `bad` with what to do.
    """
    known = {_key(body): body for body in lookup(db, day)}
    seen: dict[tuple[str, str], str] = {}
    new, changed, same, bad = [], [], 0, list(sheet.bad)
    for row in sheet.rows:
        body = _body(row, court)
        reason = _what_is_wrong(body, court)
        if not reason and (first := seen.get(_key(body))):
            reason = f"与{first}重复：{body.kind}“{body.name}”只能有一行"
        if reason:
            bad.append(BadRow(row.place, reason))
            continue
        seen[_key(body)] = row.place
        old = known.get(_key(body))
        if old is None:
            new.append(body)
            continue
        kept = {name: getattr(old, name) for name in COLUMNS if name not in row.cells}
        body = replace(body, id=old.id, valid_from=old.valid_from, **kept)
        if body == old:
            same += 1
        else:
            changed.append(Changed(old, body))
    kinds = {kind for kind, _ in seen}
    gone = [body for key, body in known.items() if body.kind in kinds and key not in seen]
    return Report(tuple(new), tuple(changed), same, tuple(gone), tuple(bad), sheet.unused)


def commit(db: Db, sheet: Sheet, court: Court, at: datetime, staff_id: int, seen: str, complete: bool) -> Report:
    """Take the table into the directory from today on; with `complete`, what it does not have of its kinds ends.

    Returns what was done: `gone` is what really ended. Raises Conflict when the report is no longer the one whose
    fingerprint is `seen`; BadInput for `complete` with bad rows, because a line on a bad row would end by mistake.
    """
    report = compare(db, sheet, court, at.date())
    if report.fingerprint != seen:
        raise Conflict("您核对之后，通讯录又有了变动，所以没有导入。请重新上传，看过新的核对结果再导入。")
    if complete and report.bad:
        raise BadInput(f"表里有 {len(report.bad)} 行有问题，这时不能停用表里没有的。请改好这些行重新上传，或不勾选这一项。")
    gone = report.gone if complete else ()
    for body in (*(item.old for item in report.changed), *gone):
        db.execute("UPDATE directory SET valid_until = ? WHERE id = ?", [(at.date() - timedelta(days=1)).isoformat(), body.id])
    for body in (*report.new, *(item.new for item in report.changed)):
        _add(db, body, at.date(), staff_id)
    return replace(report, gone=gone)


def _add(db: Db, body: Body, day: date, staff_id: int) -> None:
    names = tuple(COLUMNS)
    db.execute(
        f"INSERT INTO directory ({', '.join(names)}, valid_from, added_by) VALUES ({', '.join('?' * len(names))}, ?, ?)",
        [*(getattr(body, name) or None for name in names), day.isoformat(), staff_id],
    )


def _body(row: SheetRow, court: Court) -> Body:
    """What a row says, with ordinary digits in the phone number and the code of a division that is called as in court.yaml."""
    body = _of(row.cells)
    body = replace(body, phone=unicodedata.normalize("NFKC", body.phone))
    if body.kind != DIVISION or body.code:
        return body
    return replace(body, code=next((code for code, called in court.divisions.items() if _plain(called) == _plain(body.name)), ""))


def _what_is_wrong(body: Body, court: Court) -> str | None:
    """Why this line cannot be used and what to do, or None."""
    if body.kind not in KINDS:
        return f"类别“{body.kind[:20]}”不认识。请填：{'、'.join(KINDS)}"
    if not body.name:
        return "没有填名称"
    for field, longest in _LONGEST.items():
        if (length := len(getattr(body, field))) > longest:
            return f"{COLUMNS[field]}有 {length} 字，最多 {longest} 字。请缩短"
    if body.kind == STREET and body.name not in court.streets:
        return f"没有“{body.name}”这个街道或园区。请填：{'、'.join(court.streets)}；名单在 court.yaml 里配置"
    if body.kind == DIVISION and body.code not in court.divisions:
        said = f"代号“{body.code}”不是承办部门" if body.code else "没有填庭室代号"
        return f"{said}。请填：{'、'.join(court.divisions)}；部门在 court.yaml 里配置"
    if body.phone and not (_PHONE.fullmatch(body.phone) and any(sign.isdigit() for sign in body.phone)):
        return f"电话“{body.phone}”不像电话号码。还没有的请留空"
    return None


def _of(cells: Mapping[str, str]) -> Body:
    """The line that these columns make; one that is not there is empty."""
    kind, name, code, person, phone, team, note = (cells.get(column, "") for column in COLUMNS)
    return Body(kind, name, code, person, phone, team, note)


def _key(body: Body) -> tuple[str, str]:
    return body.kind, _plain(body.name)


def _plain(name: str) -> str:
    return "".join(unicodedata.normalize("NFKC", name).split())
