"""Files to entries: what a court has in its drawers becomes what the search can find.

Question tables and the project's own YAML give one entry per row; policy documents give one passage per article or
section, word for word. Whatever cannot be used (a file, a row, a wording that already belongs to another entry) is
left out and reported with its place, and never stops the rest.
"""

import unicodedata
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from knowledge.citations import load_register, without_nonexistent
from knowledge.entry import Entry
from knowledge.errors import Unreadable
from knowledge.files import Refused, front_matter, read_text
from knowledge.sources.documents import DOCUMENTS, markdown
from knowledge.sources.fields import Found, content_file, from_content, from_row
from knowledge.sources.passages import passages
from knowledge.sources.tables import TABLES

__all__ = ["Reading", "Refused", "read_source", "read_sources"]

# Below this length the same sentence may rightly stand in two documents ("本办法自发布之日起施行。").
SAME_PASSAGE_FROM = 100

_OLD_OFFICE = {".doc": ".docx", ".xls": ".xlsx", ".wps": ".docx", ".et": ".xlsx"}


@dataclass(frozen=True)
class Reading:
    """What files gave: the entries that can be used, and what was left out and why."""

    entries: tuple[Entry, ...]
    refused: tuple[Refused, ...]


def read_source(path: Path, topics: Collection[str] | None = None) -> Reading:
    """The entries of one file; the same as `read_sources([path], topics)`."""
    return read_sources([path], topics)


def read_sources(paths: Iterable[Path], topics: Collection[str] | None = None) -> Reading:
    """The entries of files and folders (with all below them, by path; hidden files left out).

    `topics` are the known topic codes; None accepts any. Nothing is raised for a bad file or row: it is in `refused`,
    as is each later entry with an id seen before, each wording or long passage that belongs to an earlier entry, and
    each cited article that `content/laws.csv` knows not to exist.
    """
    found: list[Found] = []
    refused: list[Refused] = []
    for path in _files(paths):
        for item in _items(path, topics):
            if isinstance(item, Found):
                entry, notes = without_nonexistent(item.entry, load_register())
                refused += [Refused(item.path, item.row, note) for note in notes]
                found.append(replace(item, entry=entry))
            else:
                refused.append(item)
    unique = list(_without_repeats(found, refused))
    return Reading(tuple(_without_shared_wordings(unique, refused)), tuple(refused))


def _files(paths: Iterable[Path]) -> Iterator[Path]:
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        for below in sorted(path.rglob("*")):
            hidden = any(part.startswith((".", "~$")) for part in below.relative_to(path).parts)
            if below.is_file() and not hidden:
                yield below


def _items(path: Path, topics: Collection[str] | None) -> Iterator[Found | Refused]:
    try:
        yield from _read(path, topics)
    except Unreadable as error:
        yield Refused(path, None, str(error))


def _read(path: Path, topics: Collection[str] | None) -> Iterator[Found | Refused]:
    suffix = path.suffix.lower()
    if not path.is_file():
        raise Unreadable("没有这个文件")
    if suffix in (".yaml", ".yml"):
        return content_file(path, topics)
    if suffix in (".md", ".markdown"):
        return _markdown(path, topics)
    if suffix in TABLES:
        return _table(path, topics)
    if suffix in DOCUMENTS:
        return passages(path, DOCUMENTS[suffix](path))
    if suffix in _OLD_OFFICE:
        raise Unreadable(f"旧格式 {suffix} 不能直接读取，请另存为 {_OLD_OFFICE[suffix]}")
    raise Unreadable(f"不支持的文件类型 {suffix or '（无扩展名）'}，可用：YAML、MD、JSONL、CSV、XLSX、DOCX、PDF、TXT、HTML")


def _markdown(path: Path, topics: Collection[str] | None) -> Iterator[Found | Refused]:
    fields, body = front_matter(read_text(path))
    if "id" not in fields:
        yield from passages(path, markdown(fields, body))
        return
    if "answer" in fields:
        raise Unreadable("指南的答复写在正文里，开头不要再写 answer")
    entry, notes = from_content({**fields, "answer": body.strip()}, topics, "guide")
    yield Found(entry, path, None)
    yield from (Refused(path, None, note) for note in notes)


def _table(path: Path, topics: Collection[str] | None) -> Iterator[Found | Refused]:
    for row in TABLES[path.suffix.lower()](path):
        if isinstance(row, Refused):
            yield row
            continue
        try:
            entry, notes = from_row(row.fields, path.stem, topics)
        except Unreadable as error:
            yield Refused(path, row.number, str(error))
            continue
        yield Found(entry, path, row.number)
        yield from (Refused(path, row.number, note) for note in notes)


def _without_repeats(found: Iterable[Found], refused: list[Refused]) -> Iterator[Found]:
    ids: dict[str, Found] = {}
    texts: dict[str, Found] = {}
    for item in found:
        entry = item.entry
        if entry.id in ids:
            refused.append(Refused(item.path, item.row, f"编号“{entry.id}”与 {ids[entry.id].place} 重复，只保留先出现的一条"))
            continue
        if entry.kind == "passage" and len(entry.answer) >= SAME_PASSAGE_FROM:
            if entry.answer in texts:
                refused.append(Refused(item.path, item.row, f"{entry.place}与 {texts[entry.answer].place} 的原文相同，只保留一份"))
                continue
            texts[entry.answer] = item
        ids[entry.id] = item
        yield item


def _without_shared_wordings(found: list[Found], refused: list[Refused]) -> Iterator[Entry]:
    owners = {_spoken(item.entry.question): item for item in reversed(found)}
    for item in found:
        kept = []
        for wording in item.entry.wordings:
            owner = owners.setdefault(_spoken(wording), item)
            if owner.entry.id == item.entry.id:
                kept.append(wording)
            else:
                refused.append(Refused(item.path, item.row, f"问法“{wording}”已属于“{owner.entry.id}”（{owner.place}），已略去，条目保留"))
        yield replace(item.entry, wordings=_distinct(kept, item.entry.question))


def _distinct(wordings: Iterable[str], question: str) -> tuple[str, ...]:
    by_sound = {_spoken(wording): wording for wording in reversed(list(wordings)) if _spoken(wording) != _spoken(question)}
    return tuple(reversed(by_sound.values()))


def _spoken(wording: str) -> str:
    """A wording as it sounds: without spaces, case, width and the mark at its end."""
    return "".join(unicodedata.normalize("NFKC", wording).casefold().split()).rstrip("?!.,。、;")
