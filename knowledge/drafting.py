"""From an answered need to a proposed entry, and every version of an entry on its way to readers.

A version is proposed, edited, handed in and reviewed while what serves under the same id goes on serving: its text lies in
`entry_versions`, and the last step in `entry_events` says which one is being worked on. Only a brand-new entry stands in
`entries` itself before it is published. Who wrote a version is whoever took its last writing step; they do not review it.

What leaves the ledger for the library is scrubbed: numbers are masked, the askers' companies and people are replaced. What
still looks personal is named to the editor, and nothing with such a remark is published unless somebody says it is none.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from knowledge import library
from knowledge.citations import LawFacts, citation_problem, load_register
from knowledge.clock import stamp
from knowledge.database import Db, row, rows
from knowledge.entry import Citation, Entry
from knowledge.errors import BadInput, Conflict, NotAllowed, NotFound, Unreadable
from knowledge.ledger.needs import find_need
from knowledge.ledger.record import RESTRICTED
from knowledge.numerals import NUMERALS, number_value
from knowledge.privacy import mask
from knowledge.statutes import article_number, in_force
from knowledge.texts import must_be_reason

ACTIONS = {
    "drafted": "起草",
    "edited": "修改",
    "merged": "并入问法",
    "submitted": "提交审核",
    "returned": "退回修改",
    "published": "发布",
    "withdrawn": "停用",
    "dropped": "不采用",
}
"""The steps of an entry and what they are called on screen."""
WRITING = frozenset({"drafted", "edited", "merged"})
OPEN = WRITING | {"submitted", "returned"}
"""After one of these steps a version is still on its way."""
OFFERED_FROM = frozenset({"replied", "closed"})
LONGEST = {"question": 200, "answer": 4000, "line": 300}
MOST_LINES = 100

_ARTICLE = rf"第?(?:[{NUMERALS}]+|\d+)条(?:之(?:[{NUMERALS}]+|\d+))?"
_CITED = re.compile(
    rf"《(?P<law>[^《》\n]{{2,60}})》(?:[（(][^（）()]{{0,20}}[)）])?\s*(?P<articles>{_ARTICLE}(?:第[{NUMERALS}\d]+款)?"
    rf"(?:\s*[、,，和及与]\s*{_ARTICLE}(?:第[{NUMERALS}\d]+款)?)*)"
)
_PLACE = re.compile(rf"(?P<article>{_ARTICLE})(?:第(?P<paragraph>[{NUMERALS}\d]+)款)?")
_LINE = re.compile(rf"《(?P<law>[^《》]{{2,60}})》\s*(?:(?P<article>{_ARTICLE})(?:第(?P<paragraph>[{NUMERALS}\d]+)款)?)?")
_REPUBLIC = "中华人民共和国"

_FORM = r"(?:股份有限公司|有限责任公司|有限公司|集团|公司|商行|合作社|事务所|经营部)"
_TOWN = r"(?:山东省|山东|青岛市|青岛|崂山区|崂山)"
SHORTEST_NAME = 4
"""Characters of a company's short name (without place and legal form) that are worth replacing; shorter ones are ordinary words."""
_LOOKS_PERSONAL = {
    "遮盖过的号码": re.compile(r"[\dA-Za-z]*\*{3,}[\dA-Za-z@.]*"),
    "统一社会信用代码": re.compile(r"(?<![0-9A-Za-z])[159Y][0-9A-HJ-NPQRTUWXY]\d{6}[0-9A-HJ-NPQRTUWXY]{10}(?![0-9A-Za-z])"),
    "号码": re.compile(r"(?<![\d.])\d{7,17}(?![\d.]|\s*[万亿元%倍])"),
    "案号": re.compile(r"[（(〔]20\d{2}[）)〕][\u4e00-\u9fff][^\s，。；（(]{1,14}?号"),
    "微信或QQ": re.compile(r"(?:微信|QQ|qq)号?[:：是]?\s*[A-Za-z0-9_-]{5,}"),
    "车牌": re.compile(r"[京津沪渝冀豫云辽黑湘皖鲁新苏浙赣鄂桂甘晋蒙陕吉闽贵粤青藏川宁琼][A-Z][·・]?[A-Z0-9]{5,6}(?![A-Za-z0-9])"),
    "住址": re.compile(r"[\u4e00-\u9fff]{2,8}(?:路|街|巷|小区|花园|大厦)\d+号"),
    "人的称呼": re.compile(
        r"[赵钱孙李周吴郑王冯陈褚卫蒋沈韩杨朱秦许何吕施张孔曹严华金魏陶姜戚谢邹潘葛范彭鲁韦马苗方俞任袁柳史唐薛雷贺倪汤滕罗毕郝安常于傅齐康伍余顾孟黄穆萧尹姚邵汪祁毛戴宋庞熊纪舒屈项祝董梁杜阮蓝闵季贾江童颜郭梅盛林钟徐邱骆高夏蔡田樊胡凌霍虞万柯卢莫房丁邓洪崔石龚程裴陆曲焦侯段宁仇祖武刘叶白蒲卓蔺池乔翟谭姬申冉边庄柴]"
        r"(?:先生|女士|小姐|老板|经理|某|总(?=[，。：:、\s说]))"
    ),
    "企业名称": re.compile(rf"{_TOWN}[\u4e00-\u9fff（）()]{{2,16}}?{_FORM}"),
}
"""What makes a person look twice; patterns, so a clean text may be remarked on and an odd name missed."""


@dataclass(frozen=True)
class Version:
    """The version of an entry that is being worked on; `state` is draft or review, `author` an actor (None: it came with a file)."""

    entry: Entry
    hash: str
    state: str
    author: str | None
    at: str


# What comes out of the ledger


def asked_texts(db: Db, no: str) -> list[str]:
    """The different texts by which a need, and those grouped with it, were asked; scrubbed, in the order they came. Raises NotFound."""
    needs = sources_of(db, no)
    names = _names_behind(db, needs)
    found = rows(
        db,
        f"SELECT t.body FROM askings a JOIN texts t ON t.id = a.text_id WHERE a.need_no IN ({_marks(needs)}) AND t.body IS NOT NULL"
        " ORDER BY a.need_no <> ?, a.id",
        *needs,
        needs[0],
    )
    return list(dict.fromkeys(text for item in found if (text := scrub(item["body"], names))))


def sources_of(db: Db, no: str) -> list[str]:
    """The need that leads the group of `no`, then its members; withdrawn and restricted ones are left out. Raises NotFound."""
    lead = find_need(db, no)["lead_no"] or no
    members = rows(
        db,
        "SELECT no FROM needs WHERE lead_no = ? AND state NOT IN ('withdrawn', 'voided', 'rejected') AND sensitive IS NULL"
        " AND visibility <> ? ORDER BY year, seq",
        lead,
        RESTRICTED,
    )
    return [lead, *(item["no"] for item in members)]


def draft_from_need(db: Db, no: str, question: str | None = None, day: date | None = None) -> Entry:
    """The entry an answered need proposes: its question in the group's central wording, the other wordings, the answer, what it cites.

    `question` is that central wording, one of `asked_texts`; without it the lead's own question stands. Laws are cited as they are
    in force on `day`. Everything is scrubbed. Nothing is written.

    Raises NotFound, and NotAllowed for a need that is not answered yet or that not everybody may see.
    """
    needs = sources_of(db, no)
    lead = find_need(db, needs[0])
    must_not_be_sensitive(db, [needs[0], no])
    if lead["state"] not in OFFERED_FROM:
        raise NotAllowed(f"{needs[0]} 还没有答复，答复以后才能起草条目。")
    names = _names_behind(db, needs)
    texts = asked_texts(db, needs[0])
    chosen = question if question in texts else next(iter(texts), "")
    answer = scrub(_last_reply(db, needs[0]), names)
    return Entry(
        id=needs[0].lower(),
        question=chosen[: LONGEST["question"]],
        answer=answer[: LONGEST["answer"]],
        topic=lead["topic"],
        wordings=tuple(text[: LONGEST["line"]] for text in texts if text != chosen)[:MOST_LINES],
        basis=citations_in(answer, day),
        state="draft",
    )


def must_not_be_sensitive(db: Db, needs: Sequence[str]) -> None:
    """Raise NotAllowed when one of these needs is restricted: it never becomes a draft."""
    found = row(
        db,
        f"SELECT no FROM needs WHERE no IN ({_marks(needs)}) AND (sensitive IS NOT NULL OR visibility = ?)",
        *needs,
        RESTRICTED,
    )
    if found:
        raise NotAllowed(f"{found['no']} 属于专人办理的敏感需求，不能写成条目。")


def scrub(text: str | None, names: Mapping[str, str]) -> str:
    """`text` on one level of spaces, personal numbers masked, and every name of `names` replaced."""
    said = mask(text or "")
    for name in sorted(names, key=len, reverse=True):
        said = said.replace(name, names[name])
    return "\n".join(" ".join(line.split()) for line in said.strip().splitlines())


def looks_personal(entry: Entry) -> list[str]:
    """What in an entry still looks like personal data, in Chinese, each thing once."""
    text = "\n".join(filter(None, (entry.full_text(), entry.elsewhere)))
    found = (f"{kind}：{hit[0]}" for kind, pattern in _LOOKS_PERSONAL.items() for hit in pattern.finditer(text))
    return list(dict.fromkeys(found))


def citations_in(text: str, day: date | None = None) -> tuple[Citation, ...]:
    """The articles a text names as 《法名》第几条, with the version in force on `day` where the register knows it."""
    found = []
    for cited in _CITED.finditer(text):
        for place in _PLACE.finditer(cited["articles"]):
            found.append(_in_force(_citation(cited["law"], place["article"], place["paragraph"]), day))
    return tuple(dict.fromkeys(found))


def citation_of(line: str, known: Iterable[Citation] = (), day: date | None = None) -> Citation:
    """The citation a person typed on one line; one of `known` that reads the same keeps its version.

    Otherwise the version in force on `day` is named, if the register knows it. Raises BadInput for what cannot be read.
    """
    same = next((citation for citation in known if str(citation) == line.strip()), None)
    if same:
        return same
    found = _LINE.fullmatch(line.strip())
    if found is None:
        raise BadInput(f"依据“{line[:40]}”看不懂，请一行写一处，例如：《中华人民共和国民法典》第五百七十九条。")
    try:
        citation = _citation(found["law"], found["article"] or "", found["paragraph"])
    except Unreadable as error:
        raise BadInput(f"依据“{line[:40]}”的条号看不懂，例如：第五百七十九条。") from error
    return _in_force(citation, day)


def citation_warnings(entry: Entry, day: date) -> list[str]:
    """What is wrong on `day` with what the entry cites, in Chinese; the register of laws decides."""
    register = load_register()
    found = []
    for citation in entry.basis:
        versions: Sequence[LawFacts] = register.get(citation.law, ())
        if not versions:
            found.append(f"《{citation.law}》不在法规目录里，请核对名称和效力")
        elif problem := citation_problem(citation, versions, day):
            found.append(problem[1])
    return found


# Versions on their way


def working(db: Db, entry_id: str) -> Version | None:
    """The version of an entry that is being worked on or waits for review; None when there is none."""
    last = row(db, "SELECT hash, action, at FROM entry_events WHERE entry_id = ? ORDER BY id DESC LIMIT 1", entry_id)
    if last is None:
        held = library.find(db, entry_id)
        waits = held is not None and held.entry.state in ("draft", "review")
        return Version(held.entry, held.hash, held.entry.state, None, held.updated_at) if held and waits else None
    if last["action"] not in OPEN:
        return None
    body = row(db, "SELECT body FROM entry_versions WHERE entry_id = ? AND hash = ?", entry_id, last["hash"]) or {}
    return Version(
        Entry.from_json(body["body"]),
        last["hash"],
        "review" if last["action"] == "submitted" else "draft",
        author_of(db, entry_id),
        last["at"],
    )


def author_of(db: Db, entry_id: str) -> str | None:
    """Who wrote the version that is being worked on: the actor of the last writing step."""
    marks = ",".join("?" * len(WRITING))
    found = row(
        db, f"SELECT actor FROM entry_events WHERE entry_id = ? AND action IN ({marks}) ORDER BY id DESC LIMIT 1", entry_id, *WRITING
    )
    return found["actor"] if found else None


def writers_of(db: Db, entry_id: str) -> set[str]:
    """Everybody who has written in an entry since it was last published."""
    marks = ",".join("?" * len(WRITING))
    found = rows(
        db,
        f"SELECT DISTINCT actor FROM entry_events WHERE entry_id = ? AND action IN ({marks})"
        " AND id > (SELECT coalesce(max(id), 0) FROM entry_events WHERE entry_id = ? AND action = 'published')",
        entry_id,
        *WRITING,
        entry_id,
    )
    return {item["actor"] for item in found}


def start(db: Db, entry: Entry, needs: Sequence[str], actor: str, at: datetime) -> None:
    """Put a new draft into the library, with the needs it comes from. Raises Conflict when there is an entry of this id."""
    if library.find(db, entry.id):
        raise Conflict(f"已经有编号为 {entry.id} 的条目，请直接打开它修改。")
    draft = replace(entry, state="draft")
    library.put_entry(db, "console", draft, at)
    note_event(db, draft.id, draft.content_hash(), at, actor, "drafted")
    link_needs(db, draft.id, needs, actor, at)


def save(db: Db, entry: Entry, seen_hash: str, actor: str, at: datetime, action: str = "edited", note: str = "") -> bool:
    """Keep a new version of an entry; what serves stays until the new one is published. False when nothing is different.

    Raises NotFound, Conflict when the entry is no longer what its editor saw, BadInput for a field that cannot be.
    """
    now_hash, now_entry = newest(db, entry.id)
    if now_hash != seen_hash:
        raise Conflict("您打开页面之后，别人改了这个条目，所以没有保存。您写的内容还在，请对照最新内容再保存。")
    draft = replace(entry, state="draft")
    if draft == replace(now_entry, state="draft"):
        return False
    check(draft)
    held = library.find(db, entry.id)
    if held and held.entry.state in ("draft", "review"):
        library.put_entry(db, "console", draft, at)
    else:
        library.keep_version(db, draft, at)
    note_event(db, draft.id, draft.content_hash(), at, actor, action, note)
    return True


def newest(db: Db, entry_id: str) -> tuple[str, Entry]:
    """Hash and content of what an editor begins with: the version being worked on, else what the library holds. Raises NotFound."""
    version, held = working(db, entry_id), library.find(db, entry_id)
    if version:
        return version.hash, version.entry
    if held is None:
        raise NotFound("没有这个条目，可能已被新的导入替换。请返回条目列表查看。")
    return held.hash, held.entry


def submit(db: Db, entry_id: str, seen_hash: str, actor: str, at: datetime) -> None:
    """Hand a version in for review.

    Raises NotFound, Conflict when it is another one or already handed in, BadInput when it lacks something.
    """
    version = must_be(db, entry_id, seen_hash)
    if version.state == "review":
        raise Conflict("这个条目已经提交审核了。")
    check(version.entry)
    _set_row_state(db, entry_id, "review", at)
    note_event(db, entry_id, version.hash, at, actor, "submitted")


def give_back(db: Db, entry_id: str, seen_hash: str, actor: str, at: datetime, why: str) -> None:
    """Send a version back to be improved, with a reason. Raises as `submit` does."""
    version = must_be(db, entry_id, seen_hash)
    if version.state != "review":
        raise Conflict("这个条目没有在等审核。请刷新后查看最新状态。")
    _set_row_state(db, entry_id, "draft", at)
    note_event(db, entry_id, version.hash, at, actor, "returned", must_be_reason(why, "退回"))


def drop(db: Db, entry_id: str, seen_hash: str, actor: str, reviewer: str | None, at: datetime, why: str = "") -> None:
    """Set a version aside that was never published; what serves under its id is not touched. Raises NotFound, Conflict."""
    version = must_be(db, entry_id, seen_hash)
    held = library.find(db, entry_id)
    if held and held.entry.state in ("draft", "review"):
        library.set_state(db, entry_id, "withdrawn", at, reviewer)
    note_event(db, entry_id, version.hash, at, actor, "dropped", why)


def add_wordings(db: Db, into: str, draft_id: str, seen_hash: str, actor: str, at: datetime) -> int:
    """Make the wordings of a draft wordings of an existing entry instead, as a new version of that one; the draft is set aside.

    The needs go along. Returns how many wordings are new there. Raises NotFound, Conflict, BadInput when there is nothing to add.
    """
    draft = must_be(db, draft_id, seen_hash)
    if into == draft_id:
        raise BadInput("不能并入自己，请选别的条目。")
    target_hash, target = newest(db, into)
    held = library.find(db, into)
    if held and held.entry.state == "withdrawn" and working(db, into) is None:
        raise BadInput("那个条目已经停用，不能并入。请选别的条目，或单独成为新条目。")
    known = {target.question, *target.wordings}
    new = [text for text in (draft.entry.question, *draft.entry.wordings) if text not in known][:MOST_LINES]
    if new:
        widened = replace(target, wordings=(*target.wordings, *new))
        save(db, widened, target_hash, actor, at, "merged", f"来自 {draft_id}")
    link_needs(db, into, [item["need_no"] for item in needs_behind(db, draft_id)], actor, at)
    drop(db, draft_id, seen_hash, actor, None, at, f"问法并入 {into}")
    return len(new)


def must_be(db: Db, entry_id: str, seen_hash: str) -> Version:
    """The version being worked on, if it is the one that was read. Raises NotFound, Conflict."""
    version = working(db, entry_id)
    if version is None:
        held = library.find(db, entry_id)
        if held is None:
            raise NotFound("没有这个条目，可能已被新的导入替换。请返回条目列表查看。")
        raise Conflict("这个条目没有待处理的草稿，这次没有改动。请刷新后查看最新状态。")
    if version.hash != seen_hash:
        raise Conflict("这个条目的内容在您审阅时变了，所以没有提交。请刷新，看过新内容再决定。")
    return version


def check(entry: Entry) -> None:
    """Raise BadInput naming the first field that cannot stand in an entry."""
    for name, label in (("question", "问题"), ("answer", "答复")):
        text = getattr(entry, name)
        if not text.strip():
            raise BadInput(f"{label}是空的，请写好再保存。")
        if len(text) > LONGEST[name]:
            raise BadInput(f"{label}有 {len(text)} 字，请控制在 {LONGEST[name]} 字以内。")
    for label, lines in (("其他问法", entry.wordings), ("步骤", entry.steps), ("材料", entry.materials), ("依据", entry.basis)):
        if len(lines) > MOST_LINES:
            raise BadInput(f"{label}有 {len(lines)} 行，请控制在 {MOST_LINES} 行以内。")
        if long := next((line for line in map(str, lines) if len(line) > LONGEST["line"]), None):
            raise BadInput(f"{label}里“{long[:20]}……”这一行有 {len(long)} 字，请控制在 {LONGEST['line']} 字以内。")
    if entry.valid_from and entry.valid_until and entry.valid_until < entry.valid_from:
        raise BadInput("失效日期早于生效日期，请核对。")


def note_event(db: Db, entry_id: str, version: str, at: datetime, actor: str, action: str, note: str = "") -> None:
    """Write one step of an entry down; `note` is the reason somebody typed."""
    db.execute(
        "INSERT INTO entry_events (entry_id, hash, at, actor, action, note) VALUES (?, ?, ?, ?, ?, ?)",
        [entry_id, version, stamp(at), actor, action, note or None],
    )


def link_needs(db: Db, entry_id: str, needs: Iterable[str], actor: str, at: datetime) -> None:
    """Remember from which needs an entry comes: those who asked them are told when it is published."""
    for no in needs:
        db.execute(
            "INSERT OR IGNORE INTO entry_sources (entry_id, need_no, linked_at, linked_by) VALUES (?, ?, ?, ?)",
            [entry_id, no, stamp(at), actor],
        )


def needs_behind(db: Db, entry_id: str) -> list[dict[str, Any]]:
    """The needs an entry comes from: need_no, linked_at, linked_by."""
    return rows(db, "SELECT need_no, linked_at, linked_by FROM entry_sources WHERE entry_id = ? ORDER BY linked_at, need_no", entry_id)


def follow_groups(db: Db, entry_id: str, actor: str, at: datetime) -> list[str]:
    """Bring the needs behind an entry up to date with their groups, and return those whose askers may be told of it.

    Who was grouped with one of them since belongs to it, who was split off no longer does; restricted needs are left out.
    """
    known = [item["need_no"] for item in needs_behind(db, entry_id)]
    # A need that led a group when its entry was proposed has given a draft its number.
    leads = [no for no in known if row(db, "SELECT 1 FROM entry_events WHERE entry_id = ?", no.lower())]
    if leads:
        wanted = list(dict.fromkeys(no for lead in leads for no in sources_of(db, lead)))
        for no in known:
            if no not in wanted:
                db.execute("DELETE FROM entry_sources WHERE entry_id = ? AND need_no = ?", [entry_id, no])
        link_needs(db, entry_id, wanted, actor, at)
        known = wanted
    open_to_all = rows(
        db, f"SELECT no FROM needs WHERE no IN ({_marks(known)}) AND sensitive IS NULL AND visibility <> ?", *known, RESTRICTED
    )
    return [item["no"] for item in open_to_all]


def new_sources(db: Db, entry_id: str) -> list[str]:
    """The needs behind an entry that were linked since it was last published; all of them if it never was."""
    last = row(db, "SELECT max(at) AS at FROM entry_events WHERE entry_id = ? AND action = 'published'", entry_id) or {"at": None}
    return [item["need_no"] for item in needs_behind(db, entry_id) if last["at"] is None or item["linked_at"] > last["at"]]


def entry_of_need(db: Db, no: str) -> str | None:
    """The entry a need has become, or is part of: the newest that was not set aside; None while there is none."""
    found = rows(db, "SELECT entry_id FROM entry_sources WHERE need_no = ? ORDER BY linked_at DESC, entry_id DESC", no)
    for item in found:
        held = library.find(db, item["entry_id"])
        if held and (held.entry.state != "withdrawn" or working(db, item["entry_id"])):
            return str(item["entry_id"])
    return None


def _set_row_state(db: Db, entry_id: str, state: str, at: datetime) -> None:
    """A brand-new entry shows its step in the library's own row too; one that serves keeps serving."""
    held = library.find(db, entry_id)
    if held and held.entry.state in ("draft", "review"):
        library.set_state(db, entry_id, state, at)


def _last_reply(db: Db, no: str) -> str | None:
    found = row(
        db,
        "SELECT t.body FROM need_history h JOIN texts t ON t.id = h.text_id"
        " WHERE h.need_no = ? AND h.action IN ('reply', 'approve', 'follow_reply') ORDER BY h.id DESC LIMIT 1",
        no,
    )
    return found["body"] if found else None


def _names_behind(db: Db, needs: Sequence[str]) -> dict[str, str]:
    """Every name by which the askers of these needs could be known, and what stands in its place."""
    found = rows(
        db,
        "SELECT DISTINCT p.company, p.contact, p.uscc, e.name FROM askings a JOIN persons p ON p.id = a.person_id"
        f" LEFT JOIN enterprises e ON e.id = p.enterprise_id WHERE a.need_no IN ({_marks(needs)})",
        *needs,
    )
    names: dict[str, str] = {}
    for item in found:
        for company in filter(None, (item["company"], item["name"])):
            names |= dict.fromkeys(_ways_to_say(company), "某企业")
        if item["uscc"]:
            names[item["uscc"]] = "（代码）"
        if item["contact"] and len(item["contact"]) > 1:
            person = item["contact"]
            names |= dict.fromkeys((person, *(person[0] + title for title in ("先生", "女士", "经理", "老板", "总"))), "某人")
    return names


def _ways_to_say(company: str) -> list[str]:
    """A company's full name, and its short ones without the place or the legal form where they are long enough to be a name."""
    company = company.strip()
    bare = re.sub(rf"^(?:{_TOWN})+", "", company)
    short = [re.sub(rf"{_FORM}$", "", company), bare, re.sub(rf"{_FORM}$", "", bare)]
    return [company] + [name for name in short if len(name) >= SHORTEST_NAME] if len(company) >= 2 else []


def _citation(law: str, article: str, paragraph: str | None) -> Citation:
    register = load_register()
    title = law.strip()
    if title not in register and _REPUBLIC + title in register:
        title = _REPUBLIC + title
    number = (int(paragraph) if paragraph.isdigit() else number_value(paragraph)) if paragraph else None
    return Citation(title, article_number(article) if article else "", paragraph=number)


def _in_force(citation: Citation, day: date | None) -> Citation:
    current = in_force(load_register().get(citation.law, ()), day) if day else None
    return replace(citation, version=current.version) if current else citation


def _marks(items: Sequence[Any]) -> str:
    return ",".join("?" * len(items))


def wordings_of(text: str) -> tuple[str, ...]:
    """The lines of a text field, each once, empty ones left out."""
    return tuple(dict.fromkeys(filter(None, (" ".join(line.split()) for line in text.splitlines()))))


def open_versions(db: Db) -> list[Version]:
    """Every version on its way that somebody here wrote, the longest waiting first; those handed in for review before the others."""
    found = rows(
        db,
        "SELECT entry_id, action FROM entry_events WHERE id IN (SELECT max(id) FROM entry_events GROUP BY entry_id)"
        f" AND action IN ({_marks(sorted(OPEN))}) ORDER BY action <> 'submitted', id LIMIT 200",
        *sorted(OPEN),
    )
    return [version for item in found if (version := working(db, item["entry_id"]))]
