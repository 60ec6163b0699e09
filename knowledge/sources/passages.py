"""A policy document cut where its authors cut it: by 第X条, else by headings and 一、, else by a handful of paragraphs.

Each piece is a passage: the original words, and where they stand. What a document says twice over (some press texts
repeat themselves whole) is kept once.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from knowledge.entry import Entry
from knowledge.errors import Unreadable
from knowledge.numerals import NUMERALS
from knowledge.sources.documents import Document, Paragraph
from knowledge.sources.fields import Found
from knowledge.statutes import article_number

PASSAGE_LENGTH = 400
LONGEST_PARAGRAPH = 800
SHORT_TAIL = 100
SHORTEST_PASSAGE = 20

_ARTICLE = re.compile(rf"第[{NUMERALS}]+条(?:之[{NUMERALS}]+)?(?=\s|[^第款项、，：:的之至和规])")
_CHAPTER = re.compile(rf"第[{NUMERALS}]+([编章节])\s*\S{{0,30}}$")
_SECTION = re.compile(rf"[{NUMERALS}]+、\s*\S")
_SUBSECTION = re.compile(rf"[（(][{NUMERALS}]+[)）]\s*\S")
_ATTACHMENT = re.compile(r"附件?\s*[\d一二三四五六七八九十]*\s*[：:]?$")
_SENTENCE = re.compile(r"[^。！？；]*(?:[。！？；][”’）」]*|$)")
_DAY = re.compile(r"(\d{4})\s*[年.-]\s*(\d{1,2})\s*[月.-]\s*(\d{1,2})(?!\d)")
_SETS_A_TERM = re.compile(r"施行|实施|有效期|截止|之前|前[，。]?$")


@dataclass
class _Section:
    label: str
    path: str
    paragraphs: list[str] = field(default_factory=list)


def passages(path: Path, document: Document) -> Iterator[Found]:
    """The passages of one document, ids `file-stem:第三条` or `file-stem:3`. Raises Unreadable if it has no text."""
    paragraphs = _once(document.paragraphs)
    title = _title(document, paragraphs) or path.stem
    day = document.date or _document_date(path.stem, paragraphs)
    seen: dict[str, int] = {}
    pieces = list(_pieces(paragraphs, title))
    if not pieces:
        raise Unreadable("文字太少，没有可以收入的段落")
    for number, (section, text) in enumerate(pieces, start=1):
        label = section.label or str(number)
        seen[label] = seen.get(label, 0) + 1
        if seen[label] > 1:
            label = f"{label}-{seen[label]}"
        where = section.label or section.path or f"第{number}段"
        entry = Entry(
            id=f"{path.stem}:{label}",
            question=" ".join(filter(None, (title, section.path, section.label, _beginning(text, section.label)))),
            answer=text,
            kind="passage",
            place=f"《{title}》{where}",
            document_date=day,
        )
        yield Found(entry, path, None)


def _pieces(paragraphs: Sequence[Paragraph], title: str) -> Iterator[tuple[_Section, str]]:
    texts = set()
    for section in _sections([p for p in paragraphs if p.text != title]):
        for text in ["\n".join(section.paragraphs)] if section.label else _groups(section.paragraphs):
            if text not in texts:
                texts.add(text)
                yield section, text


def _once(paragraphs: Sequence[Paragraph]) -> tuple[Paragraph, ...]:
    """Without stretches (three paragraphs, 200 characters) that stood there before."""
    first: dict[str, int] = {}
    for at, paragraph in enumerate(paragraphs):
        first.setdefault(paragraph.text, at)
    kept: list[Paragraph] = []
    stretch: list[Paragraph] = []
    shift = 0
    for at, paragraph in enumerate(paragraphs):
        back = at - first[paragraph.text]
        if back != shift:
            kept += [] if _is_repeat(stretch, shift) else stretch
            stretch, shift = [], back
        stretch.append(paragraph)
    return tuple(kept if _is_repeat(stretch, shift) else kept + stretch)


def _is_repeat(stretch: Sequence[Paragraph], shift: int) -> bool:
    return shift > 0 and len(stretch) >= 3 and sum(len(p.text) for p in stretch) >= 200


def _sections(paragraphs: Sequence[Paragraph]) -> Iterator[_Section]:
    by_article = sum(bool(_ARTICLE.match(p.text)) for p in paragraphs) > 1
    begins = None if by_article else _section_mark(paragraphs)
    headings: dict[int, str] = {}
    section = _Section("", "")
    for paragraph in paragraphs:
        article = _ARTICLE.match(paragraph.text) if by_article else None
        depth = None if article else _depth(paragraph, begins)
        if article or depth is not None:
            yield section
        if article:
            section = _Section(article_number(article[0]), " ".join(headings.values()), [paragraph.text])
        elif depth is not None:
            is_heading = paragraph.level is not None or _is_short(paragraph.text)
            headings = {d: h for d, h in headings.items() if d < depth} | ({depth: paragraph.text} if is_heading else {})
            section = _Section("", " ".join(headings.values()), [] if is_heading else [paragraph.text])
        else:
            section.paragraphs.append(paragraph.text)
    yield section


def _section_mark(paragraphs: Sequence[Paragraph]) -> re.Pattern[str] | None:
    if sum(bool(_SECTION.match(p.text)) for p in paragraphs) > 1:
        return _SECTION
    if any(p.level for p in paragraphs):
        return None
    return _SUBSECTION if sum(bool(_SUBSECTION.match(p.text)) for p in paragraphs) > 1 else None


def _depth(paragraph: Paragraph, begins: re.Pattern[str] | None) -> int | None:
    """How deep a heading or section begins here; None for running text."""
    chapter = _CHAPTER.match(paragraph.text)
    if _ATTACHMENT.match(paragraph.text):
        return 0
    if chapter:
        return 10 + "编章节".index(chapter[1])
    if paragraph.level is not None:
        return paragraph.level
    return 20 if begins and begins.match(paragraph.text) else None


def _is_short(text: str) -> bool:
    return len(text) <= 40 and not text.endswith(("。", "；", "，", "："))


def _groups(paragraphs: Sequence[str]) -> Iterator[str]:
    """Paragraphs in groups of about PASSAGE_LENGTH characters; what is too short to say anything is left out."""
    groups: list[list[str]] = []
    for text in (piece for paragraph in paragraphs for piece in _cut(paragraph)):
        is_full = groups and sum(map(len, groups[-1])) + len(text) > PASSAGE_LENGTH * 1.25
        if not groups or (is_full and not _breaks_off(groups[-1][-1])):
            groups.append([])
        groups[-1].append(text)
    if len(groups) > 1 and sum(map(len, groups[-1])) < SHORT_TAIL:
        tail = groups.pop()
        groups[-1] += tail
    yield from (text for text in map("\n".join, groups) if len(text) >= SHORTEST_PASSAGE)


def _breaks_off(text: str) -> bool:
    """A page ended here in the middle of a sentence."""
    return len(text) > SHORTEST_PASSAGE * 1.5 and bool(re.search(r"[\w，、,]$", text))


def _cut(paragraph: str) -> Iterator[str]:
    if len(paragraph) <= LONGEST_PARAGRAPH:
        yield paragraph
        return
    piece = ""
    for sentence in _SENTENCE.findall(paragraph):
        if piece and len(piece) + len(sentence) > PASSAGE_LENGTH:
            yield piece
            piece = ""
        piece += sentence
    yield piece


def _title(document: Document, paragraphs: Sequence[Paragraph]) -> str | None:
    if document.title:
        return document.title
    named = next((p.text for p in paragraphs if p.level == 1), None)
    first = paragraphs[0].text if paragraphs else ""
    is_title = 4 < len(first) <= 60 and _is_short(first[-40:]) and not _ARTICLE.match(first) and not _SECTION.match(first)
    return named or (first if is_title else None)


def _document_date(stem: str, paragraphs: Sequence[Paragraph]) -> str | None:
    """The date in the file's name, else on a short line at the end or the beginning that sets no term."""
    lines = [p.text for p in (*reversed(paragraphs[-5:]), *paragraphs[:8]) if len(p.text) <= 60]
    for text in (stem, *(line for line in lines if not _SETS_A_TERM.search(line))):
        for year, month, day in _DAY.findall(text):
            if 1949 <= int(year) <= 2100 and 1 <= int(month) <= 12 and 1 <= int(day) <= 31:
                return f"{year}-{int(month):02}-{int(day):02}"
    return None


def _beginning(text: str, label: str) -> str:
    return re.split(r"[。；\n]", text.removeprefix(label).strip(), maxsplit=1)[0][:30]
