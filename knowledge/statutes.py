"""Laws as the official databases publish them: one file is one version of one law, cut into articles.

A title usually has several versions. Which of them counts on a day follows from dates alone: the latest one that
had begun by then, unless it is repealed. The status printed in a file is as old as its download, so it only tells
what dates cannot: repealed (已废止), or unknown (未知), and an unknown law is never called in force.

Documents without 第X条 are cut at their own top numbering (一、, else 1., else （一）), or kept whole.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Literal, Protocol, TypeVar

from knowledge.errors import Unreadable
from knowledge.files import Refused, front_matter, read_text
from knowledge.numerals import NUMERALS, chinese_number, number_value

Standing = Literal["in_force", "superseded", "repealed", "not_yet", "unknown"]

STATUSES = ("有效", "已修改", "已废止", "尚未生效", "未知")

_NUMERAL = f"[{NUMERALS}]+"
_ARTICLE = re.compile(rf"(?:- )?(?:\*\*)?(第{_NUMERAL}条(?:之{_NUMERAL})?)(?:\*\*)?(?:\s+(.*)|)$")
# Where the space after the number was lost, 第五条 may also be a reference; these words tell it apart.
_GLUED_ARTICLE = re.compile(
    rf"\s{{0,2}}(第{_NUMERAL})\s*(条(?:之{_NUMERAL})?)"
    r"(?![第款项、，：:的之至和]|修改|增加|中[的“]|改为|规定|以及|删去)\s*(.+)$"
)
_HEADING = re.compile(r"#{2,6}\s*(\S.*)$")
_HEADING_WITH_ARTICLE = re.compile(rf"(#{{2,6}}\s*.*?)(第{_NUMERAL}条(?:之{_NUMERAL})?\s+\S.*)$")
_UNIT = re.compile(rf"(第{_NUMERAL}(分编|编|章|节))\s*(.*)$")
_RANKS = {"编": 1, "分编": 2, "章": 3, "节": 4}
_CONTENTS = re.compile(r"#*\s*\**目\s*录\**$")
_ATTACHMENT = re.compile(r"附(?:件|录|表|：|:|[一二三四五六七八九十\d])")
_CHAPTER_LINE = re.compile(rf"({_NUMERAL}、\s*[^。；：，]{{2,25}})$")
_CHINESE_NUMBER = re.compile(rf"(?:- |#+ *)?\**({_NUMERAL})\**、\s*(.*)$")
_ARABIC_NUMBER = re.compile(r"(?:#+ *)?(\d{1,3})[.．、](?!\d)\s*(.*)$")
_BRACKET_NUMBER = re.compile(rf"（({_NUMERAL})）\s*(.*)$")
_TABLE_RULE = re.compile(r"\|[\s|:-]*$")
_ISO_DATE = re.compile(r"\d{4}-\d{2}-\d{2}$")
_DATE_IN_NAME = re.compile(r"[(（](\d{4}-\d{2}-\d{2})[)）]$")
_ASKED_NUMBER = re.compile(rf"第?({_NUMERAL}|\d{{1,4}})条?(?:之({_NUMERAL}|\d{{1,2}}))?条?$")


@dataclass(frozen=True)
class Article:
    """One article: its number, the headings above it, and its text without markup, one paragraph per line.

    The number is 第九条, or 一 where the document only counts 一、二、 or 1. 2., or empty for a document kept whole.
    """

    number: str
    heading: str
    text: str


@dataclass(frozen=True)
class Law:
    """One version of one law. `version` is its effective date, else its publication date (ISO); it names the version."""

    title: str
    version: str | None
    published: str | None
    effective: str | None
    status: str
    articles: tuple[Article, ...]
    source: str

    def article(self, number: str) -> Article | None:
        """The article with this number, however it is written (`577`, `第五百七十七条`, `一`); None if there is none.

        Where an attachment counts from 第一条 again, the main text is meant.
        """
        try:
            wanted = _bare(article_number(number))
        except Unreadable:
            return None
        return next((a for a in self.articles if _bare(a.number) == wanted), None)

    def has(self, article: str) -> bool:
        """Whether there is an article of this number."""
        return self.article(article) is not None


class Version(Protocol):
    """What the rules about time need to know of a law."""

    @property
    def version(self) -> str | None:
        """Effective date, else publication date (ISO)."""

    @property
    def status(self) -> str:
        """One of STATUSES, as of the day the file was downloaded."""


V = TypeVar("V", bound=Version)


def read_laws(root: Path) -> Iterator[Law | Refused]:
    """Every law below `root` (or the one file `root`), by path; what cannot be read comes as Refused and stops nothing.

    Folders named `cases` hold court cases, not laws, and are left out. Raises Unreadable if `root` does not exist.
    """
    if not root.exists():
        raise Unreadable(f"没有这个文件夹：{root}")
    folder = root if root.is_dir() else root.parent
    for path in [root] if root.is_file() else sorted(root.rglob("*.md")):
        if "cases" in path.relative_to(folder).parts or path.name.startswith("."):
            continue
        try:
            yield _read(path, folder)
        except Unreadable as error:
            yield Refused(path, None, str(error))


def read_law(path: Path, root: Path) -> Law:
    """The law in one Markdown file of either dialect (national or Shandong); `source` is its path below `root`.

    Raises Unreadable, naming the file, if it cannot be read or is not a law.
    """
    try:
        return _read(path, root)
    except Unreadable as error:
        raise Unreadable(str(Refused(path, None, str(error)))) from error


def in_force(versions: Iterable[V], day: date) -> V | None:
    """Of all versions of one title, the one in force on `day`; None if none is, or it is not known (未知)."""
    known = tuple(versions)
    return next((v for v, s in zip(known, standings(known, day), strict=True) if s == "in_force"), None)


def standings(versions: Sequence[Version], day: date) -> tuple[Standing, ...]:
    """How each version of one title stands on `day`, in the order given; at most one is `in_force`.

    `not_yet`: begins later. `superseded`: a later version had begun. The latest that had begun is `repealed`,
    `unknown` or `in_force`; a version without any date is `unknown`.
    """
    latest = _latest_begun(versions, day)
    return tuple(_standing(version, latest, day) for version in versions)


def article_number(text: str) -> str:
    """The Chinese form of an article number: `577`, `第577条` and `第五百七十七条` all give 第五百七十七条.

    A bare Chinese numeral (一) stays bare, since documents that count 一、二、 are cited so; empty stays empty.
    Raises Unreadable if it is not a number.
    """
    asked = re.sub(r"\s", "", unicodedata.normalize("NFKC", text))
    if not asked:
        return ""
    found = _ASKED_NUMBER.match(asked)
    if found is None:
        raise Unreadable(f"看不懂的条号“{text[:20]}”，请写成 第五百七十七条 或 577")
    number, branch = _canonical(found[1]), f"之{_canonical(found[2])}" if found[2] else ""
    bare = not found[1].isdigit() and "第" not in asked and "条" not in asked
    return number + branch if bare else f"第{number}条{branch}"


def _latest_begun(versions: Sequence[Version], day: date) -> Version | None:
    begun = [v for v in versions if v.version and v.version <= day.isoformat()]
    return max(begun, key=lambda v: (v.version, v.status == "有效"), default=None)


def _standing(version: Version, latest: Version | None, day: date) -> Standing:
    if version.version is None:
        return "unknown"
    if version.version > day.isoformat():
        return "not_yet"
    if version is not latest:
        return "superseded"
    if version.status == "已废止":
        return "repealed"
    return "unknown" if version.status == "未知" else "in_force"


def _bare(number: str) -> str:
    return number.replace("第", "").replace("条", "")


def _canonical(numeral: str) -> str:
    return chinese_number(int(numeral) if numeral.isdigit() else number_value(numeral))


def _read(path: Path, root: Path) -> Law:
    fields, body = front_matter(read_text(path))
    if fields:
        title, published, effective = (_text(fields, name) for name in ("title", "publication_date", "effective_date"))
        status = _text(fields, "status") or "未知"
    else:
        title, body = _shandong(body)
        dated = _DATE_IN_NAME.search(path.stem)
        published, effective, status = dated[1] if dated else None, None, "未知"
    if not title:
        raise Unreadable("文件开头没有法规名称（title）")
    if status not in STATUSES:
        raise Unreadable(f"不认识的效力状态“{status[:20]}”，应是{'、'.join(STATUSES)}之一")
    for day in filter(None, (published, effective)):
        if not _ISO_DATE.match(day):
            raise Unreadable(f"日期“{day[:20]}”应写成 2021-01-01 的样子")
    articles = _articles(body, title)
    return Law(title, effective or published, published, effective, status, articles, path.relative_to(root).as_posix())


def _text(fields: dict[str, object], name: str) -> str | None:
    return str(fields.get(name) or "").strip() or None


def _shandong(text: str) -> tuple[str, str]:
    head, mark, body = text.partition("<!-- INFO END -->")
    title = next((line.lstrip("#").strip() for line in head.splitlines() if line.startswith("# ")), "")
    if not mark:
        if not re.search(r"^\W*第一条", text, re.MULTILINE):
            raise Unreadable("不像法规：开头没有 --- 信息，也没有 <!-- INFO END -->")
        body = text
    return title, body


@dataclass
class _Draft:
    number: str
    heading: str
    paragraphs: list[str] = field(default_factory=list)

    def article(self) -> Article:
        return Article(self.number, self.heading, "\n".join(filter(None, map(_plain, self.paragraphs))))


class _Headings:
    """The headings above the current line, outermost first."""

    def __init__(self) -> None:
        self._open: list[tuple[int | None, int, str]] = []

    def enter(self, line: str) -> None:
        text = _plain(line)
        unit = _UNIT.match(text)
        rank = _RANKS[unit[2]] if unit else None
        depth = 1 if _ATTACHMENT.match(text) else len(line) - len(line.lstrip("#")) or 7
        name = f"{unit[1]} {_unspaced(unit[3])}" if unit else _unspaced(text)
        self._open = [above for above in self._open if self._stays(above, rank, depth)] + [(rank, depth, name.strip("：: "))]

    @staticmethod
    def _stays(above: tuple[int | None, int, str], rank: int | None, depth: int) -> bool:
        # 章 and 节 may stand at the same Markdown depth, so their names decide; 附则 has no rank, so its depth does.
        if rank is not None and above[0] is not None:
            return above[0] < rank
        return above[1] < depth

    def __str__(self) -> str:
        return " ".join(name for _, _, name in self._open)


_Start = Callable[[str], tuple[str, str] | None]


def _articles(body: str, title: str) -> tuple[Article, ...]:
    lines = [line for line in _lines(body) if _plain(line) != title]
    found = _by_article(lines) or _by_number(lines)
    if found:
        return found
    whole = _Draft("", "", lines).article()
    if not whole.text:
        raise Unreadable("没有正文")
    return (whole,)


def _lines(body: str) -> Iterator[str]:
    """The lines that matter: no blank ones, no table of contents, a heading and an article never on one line."""
    in_contents = False
    for line in map(str.rstrip, body.splitlines()):
        if not line:
            continue
        if _CONTENTS.match(line):
            in_contents = True
            continue
        in_contents = in_contents and not (line == "---" or line.startswith("#") or _ARTICLE.match(line))
        if in_contents:
            continue
        both = _HEADING_WITH_ARTICLE.match(line)
        yield from both.groups() if both else (line,)


def _by_article(lines: Sequence[str]) -> tuple[Article, ...]:
    found = _collect(lines, _ArticleStart(), _CHAPTER_LINE)
    numbers = [number_value(re.findall(_NUMERAL, a.number)[0]) for a in found]
    # A document that only quotes articles of another law has no run of its own.
    counts = numbers[:1] == [1] or (len(numbers) > 2 and [n - numbers[0] for n in numbers[:3]] == [0, 1, 2])
    return found if counts else ()


class _ArticleStart:
    """Tells where an article begins; a number without a space after it must be the one that is due."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self, line: str) -> tuple[str, str] | None:
        found = _ARTICLE.match(line)
        if found:
            number, text = found[1], found[2] or ""
        else:
            glued = _GLUED_ARTICLE.match(line)
            if glued is None or number_value(glued[1][1:]) != self._last + 1:
                return None
            number, text = glued[1] + glued[2], glued[3]
        self._last = number_value(re.findall(_NUMERAL, number)[0])
        return article_number(number), text


def _by_number(lines: Sequence[str]) -> tuple[Article, ...]:
    arabic = _collect(lines, _numbered(_ARABIC_NUMBER), _CHINESE_NUMBER)
    if _runs_through(arabic):
        return arabic
    for pattern in (_CHINESE_NUMBER, _ARABIC_NUMBER, _BRACKET_NUMBER):
        found = _collect(lines, _numbered(pattern), None)
        if len(found) > 1 and found[0].number == "一":
            return found
    return ()


def _runs_through(articles: Sequence[Article]) -> bool:
    """Whether 1., 2., 3. go on counting under 一、二、三、, as in the enforcement rules of 1998."""
    numbers = [number_value(a.number) for a in articles]
    return len(numbers) > 2 and numbers == list(range(1, len(numbers) + 1)) and len({a.heading for a in articles}) > 1


def _numbered(pattern: re.Pattern[str]) -> _Start:
    def start(line: str) -> tuple[str, str] | None:
        found = pattern.match(line)
        return (_canonical(found[1]), found[2]) if found else None

    return start


def _collect(lines: Sequence[str], start: _Start, chapter_line: re.Pattern[str] | None) -> tuple[Article, ...]:
    drafts: list[_Draft] = []
    headings = _Headings()
    is_open = False
    for line in lines:
        begun = start(line)
        heading = None if begun else _HEADING.match(line) or (chapter_line and chapter_line.match(line))
        if begun:
            drafts.append(_Draft(begun[0], str(headings), [begun[1]]))
            is_open = True
        elif heading:
            headings.enter(line)
            is_open = False
        elif line == "---" or _ATTACHMENT.match(line):
            is_open = False
        elif is_open:
            drafts[-1].paragraphs.append(line)
    return tuple(draft.article() for draft in drafts)


def _plain(line: str) -> str:
    """A line without Markdown: list marks, quotes, bold; a table row becomes its cells with spaces between."""
    text = line.strip()
    if text == "---" or _TABLE_RULE.match(text):
        return ""
    if text.startswith("|"):
        text = "　".join(filter(None, (cell.strip() for cell in text.strip("|").split("|"))))
    text = re.sub(r"^(?:[->]\s+|#{1,6}\s+)+", "", text).replace("**", "").strip()
    return re.sub(r"\\([*_#|<>])", r"\1", text)


def _unspaced(text: str) -> str:
    return re.sub(r"\s+", "", text)
