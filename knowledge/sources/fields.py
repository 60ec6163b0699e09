"""Named fields to an entry: strictly for the project's own YAML and guides, generously for a court's own tables.

Our own files are checked as code is: an unknown key or topic is a mistake. A court's table brings what it has: extra
columns are passed over, and a topic or legal basis that cannot be understood is left out and said so.
"""

import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import get_args

from knowledge.entry import Citation, Entry, Kind, State
from knowledge.errors import Unreadable
from knowledge.files import Refused, load_yaml, read_text
from knowledge.numerals import NUMERALS
from knowledge.statutes import article_number

LONGEST_BASIS = 500
LAST_PARAGRAPH = 40

_TEXTS = ("id", "question", "answer", "topic", "deadline", "mistake", "elsewhere", "state")
_LISTS = ("wordings", "not_for", "steps", "materials", "related", "keywords")
_DATES = ("valid_from", "valid_until")
_REQUIRED = ("id", "question", "answer")
_KNOWN = {*_TEXTS, *_LISTS, *_DATES, "basis", "explained"}

_STATES: dict[str, State] = {state: state for state in get_args(State)}
_STATES |= {"草稿": "draft", "待审": "review", "待审核": "review", "审核中": "review", "已发布": "published", "发布": "published"}
_STATES |= {"已下架": "withdrawn", "下架": "withdrawn", "撤回": "withdrawn", "已撤回": "withdrawn"}

_ARTICLE = rf"第?(?:[{NUMERALS}]+|\d+)条(?:之(?:[{NUMERALS}]+|\d+))?"
_CITED = re.compile(rf"《?(?P<law>.*?)》?\s*(?P<articles>{_ARTICLE}(?:\s*[、,，和及与]\s*{_ARTICLE})*)")
_TITLE_ALONE = re.compile(r"《(.+)》$")


@dataclass(frozen=True)
class Found:
    """An entry and where it was found (row None: it is the whole file)."""

    entry: Entry
    path: Path
    row: int | None

    @property
    def place(self) -> str:
        """`A.yaml 第 12 行`."""
        return f"{self.path.name} 第 {self.row} 行" if self.row else self.path.name


def content_file(path: Path, topics: Collection[str] | None) -> Iterator[Found | Refused]:
    """The entries of one of our YAML lists; an item that is broken or wrong is refused with the line it begins on."""
    for line, text in _list_items(read_text(path)):
        try:
            item = load_yaml(text)
            if not (isinstance(item, list) and len(item) == 1 and isinstance(item[0], dict)):
                raise Unreadable("应是以“- id: …”开头的条目")
            entry, notes = from_content(item[0], topics, "faq")
        except Unreadable as error:
            yield Refused(path, line, str(error))
            continue
        yield Found(entry, path, line)
        yield from (Refused(path, line, note) for note in notes)


def _list_items(text: str) -> Iterator[tuple[int, str]]:
    """Each item by itself with its line: so one broken item cannot take the file with it."""
    starts = [found.start() for found in re.finditer(r"^-(?=\s)", text, re.MULTILINE)]
    before = re.sub(r"^(#.*|---.*|\s*)$", "", text[: starts[0] if starts else None], flags=re.MULTILINE)
    if not starts or before.strip():
        raise Unreadable("应是以“- ”开头的条目列表")
    line = 1 + text.count("\n", 0, starts[0])
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        yield line, text[start:end]
        line += text.count("\n", start, end)


def from_content(fields: Mapping[str, object], topics: Collection[str] | None, kind: Kind) -> tuple[Entry, list[str]]:
    """The entry of one item of our own content, and notes in Chinese on what of it was left out (an unknown topic).

    Raises Unreadable for a missing, unknown or mistyped field.
    """
    unknown = [str(name)[:30] for name in fields if name not in _KNOWN]
    if unknown:
        raise Unreadable(f"不认识的字段：{'、'.join(unknown)}")
    texts = {name: _text(fields[name], name) for name in _TEXTS if name in fields}
    _check_required(texts)
    topic, notes = _topic(texts.get("topic"), topics)
    lists = {name: _texts(fields[name], name) for name in _LISTS if name in fields}
    dates = {name: _date(fields.get(name), name) for name in _DATES}
    entry = Entry(
        id=texts["id"],
        question=texts["question"],
        answer=texts["answer"],
        kind=kind,
        topic=topic,
        wordings=lists.get("wordings", ()),
        not_for=lists.get("not_for", ()),
        deadline=texts.get("deadline"),
        steps=lists.get("steps", ()),
        materials=lists.get("materials", ()),
        mistake=texts.get("mistake"),
        basis=_basis(fields.get("basis", [])),
        related=lists.get("related", ()),
        elsewhere=texts.get("elsewhere"),
        keywords=lists.get("keywords", ()),
        explained=_explained(fields.get("explained", {})),
        valid_from=dates["valid_from"],
        valid_until=dates["valid_until"],
        state=_state(texts.get("state")),
    )
    return entry, notes


def from_row(fields: Mapping[str, object], stem: str, topics: Collection[str] | None) -> tuple[Entry, list[str]]:
    """The entry of one table row, its id `stem:id`, and notes in Chinese on what of it was left out.

    Raises Unreadable if id, question or answer is missing, or the state is unknown.
    """
    texts = {name: _cell(fields.get(name), name) for name in ("id", "question", "answer", "topic", "state")}
    _check_required(texts)
    topic, notes = _topic(texts["topic"], topics)
    basis, strange = _cited(fields.get("basis") or fields.get("articles"))
    notes += [f"依据“{text[:40]}”看不懂，已略去，条目保留；请写成《法名》第几条" for text in strange]
    entry = Entry(
        id=f"{stem}:{texts['id']}",
        question=texts["question"],
        answer=texts["answer"],
        topic=topic,
        wordings=_split(fields.get("wordings"), "wordings", r"[\n；;|]+"),
        not_for=_split(fields.get("not_for"), "not_for", r"[\n；;|]+"),
        basis=basis,
        keywords=_split(fields.get("keywords"), "keywords", r"[\n；;|、，,]+"),
        state=_state(texts["state"] or None),
    )
    return entry, notes


def _topic(named: str | None, topics: Collection[str] | None) -> tuple[str | None, list[str]]:
    if named and topics is not None and named not in topics:
        return None, [f"不认识的主题“{named[:30]}”，已略去，条目保留"]
    return named or None, []


def _check_required(texts: Mapping[str, str]) -> None:
    missing = [name for name in _REQUIRED if not texts.get(name)]
    if missing:
        raise Unreadable(f"缺少 {'、'.join(missing)}")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise Unreadable(f"{name} 应是文字（数字和日期请加引号）")
    return value.strip()


def _texts(value: object, name: str) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise Unreadable(f"{name} 应是列表")
    return tuple(_text(item, name) for item in value)


def _date(value: object, name: str) -> date | None:
    if value is None or type(value) is date:
        return value
    try:
        return date.fromisoformat(value if isinstance(value, str) else "")
    except ValueError as error:
        raise Unreadable(f"{name} 应是 2026-01-31 这样的日期") from error


def _state(name: str | None) -> State:
    if name is None:
        return "published"
    if name not in _STATES:
        raise Unreadable(f"不认识的状态“{name[:20]}”，应是{'、'.join(get_args(State))}之一")
    return _STATES[name]


def _basis(value: object) -> tuple[Citation, ...]:
    if not isinstance(value, list):
        raise Unreadable("basis 应是列表")
    return tuple(map(_citation, value))


def _citation(value: object) -> Citation:
    if not isinstance(value, dict) or not {"law", "article"} <= set(value) <= {"law", "article", "version", "paragraph"}:
        raise Unreadable("basis 的每一项应写 law、article 和 version，需要时加 paragraph（第几款）")
    paragraph = value.get("paragraph")
    if paragraph is not None and (type(paragraph) is not int or not 1 <= paragraph <= LAST_PARAGRAPH):
        raise Unreadable("paragraph 应是第几款的数字，例如 2")
    version = _date(value.get("version"), "version")
    return Citation(
        law=_text(value["law"], "law"),
        article=article_number(_text(value["article"], "article")),
        version=version.isoformat() if version else None,
        paragraph=paragraph,
    )


def _explained(value: object) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict):
        raise Unreadable("explained 应是“数字: 理由”")
    return tuple((_text(number, "explained"), _text(why, "explained")) for number, why in value.items())


def _cell(value: object, name: str) -> str:
    if value is None:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise Unreadable(f"{name} 应是文字")
    return str(value).strip()


def _split(value: object, name: str, separators: str) -> tuple[str, ...]:
    cells = [_cell(item, name) for item in value] if isinstance(value, list) else re.split(separators, _cell(value, name))
    return tuple(dict.fromkeys(filter(None, (cell.strip() for cell in cells))))


def _cited(value: object) -> tuple[tuple[Citation, ...], list[str]]:
    citations: list[Citation] = []
    strange: list[str] = []
    parts = value if isinstance(value, list) else re.split(r"[\n；;|]+", _cell(value, "basis"))
    for part in filter(None, parts):
        if isinstance(part, dict):
            citations.append(_citation(part))
            continue
        text = _cell(part, "basis")
        understood = list(_citations_in(text)) if len(text) <= LONGEST_BASIS else []
        citations += understood
        if text and not understood:
            strange.append(text)
    return tuple(dict.fromkeys(citations)), strange


def _citations_in(text: str) -> Iterator[Citation]:
    """`《民法典》第五十四条、第五十六条，公司法第3条` names three articles of two laws."""
    alone = _TITLE_ALONE.match(text)
    if alone:
        yield Citation(alone[1], "")
        return
    law = ""
    for found in _CITED.finditer(text):
        law = found["law"].strip(" 、,，和及与《》") or law
        if law:
            yield from (Citation(law, article_number(number)) for number in re.findall(_ARTICLE, found["articles"]))
