"""Is what an answer cites right: does the article exist, is it in force, do the answer's numbers stand in it?

Two sources tell. The law texts tell everything, but a court's machine may not have them; `content/laws.csv` holds the
facts alone (title, version, dates, which article numbers exist), so that a clone without the texts still knows
what is in force, and that a law changes on a known day. The CSV is written from the texts by `check-citations --write`; a row
for a version whose text is not at hand yet (announced, not published in the data) is put in by hand and kept.
"""

import csv
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Protocol

from knowledge.entry import Citation, Entry
from knowledge.errors import BadInput, Unreadable
from knowledge.figures import unsupported
from knowledge.files import read_text
from knowledge.numerals import number_value
from knowledge.statutes import Law, Standing, Version, in_force, read_laws, standings

REGISTER = Path(__file__).parent / "content" / "laws.csv"
_COLUMNS = ("title", "version", "published", "effective", "status", "articles")
_WHY_NOT: dict[Standing, str] = {
    "superseded": "已被新的版本取代",
    "repealed": "已废止",
    "not_yet": "尚未施行",
    "unknown": "是否有效不明",
}
_NUMBER = re.compile(r"(第?)(.+?)(条?)(?:之(.+))?$")
_RUNNING = re.compile(r"(n?)(\d+)")


class Citable(Version, Protocol):
    """A version of a law, as far as a citation needs it."""

    @property
    def title(self) -> str:
        """The law's exact title."""

    def has(self, article: str) -> bool:
        """Whether there is an article of this number."""


@dataclass(frozen=True)
class LawFacts:
    """A row of `laws.csv`: one version of a law without its text. `articles` is empty when they are not known yet."""

    title: str
    version: str | None
    published: str | None
    effective: str | None
    status: str
    articles: str

    def has(self, article: str) -> bool:
        """Whether there is an article of this number; True where the numbers are not known."""
        return not self.articles or _key(article) in _numbers(self.articles)


@dataclass(frozen=True)
class Problem:
    """What is wrong with one entry. Kinds: `wrong`, `unknown` (the source does not say), `number` (one that no cited article holds)."""

    entry: str
    kind: str
    text: str

    def __str__(self) -> str:
        return f"{self.entry}：{self.text}"


@cache
def load_register() -> Mapping[str, tuple[LawFacts, ...]]:
    """The shipped `laws.csv`, read once: see `read_register`."""
    return read_register(REGISTER)


def read_register(path: Path) -> Mapping[str, tuple[LawFacts, ...]]:
    """All versions of each law in a `laws.csv`, by title. Raises Unreadable, naming the line, for a row that is not of its form."""
    found: dict[str, list[LawFacts]] = {}
    reader = csv.DictReader(read_text(path).splitlines())
    if tuple(reader.fieldnames or ()) != _COLUMNS:
        raise Unreadable(f"{path.name} 的表头应是 {','.join(_COLUMNS)}")
    for row in reader:
        if None in row or None in row.values() or not row["title"]:
            raise Unreadable(f"{path.name} 第 {reader.line_num} 行应有 {len(_COLUMNS)} 列")
        dates = (row["version"] or None, row["published"] or None, row["effective"] or None)
        found.setdefault(row["title"], []).append(LawFacts(row["title"], *dates, row["status"], row["articles"]))
    return {title: tuple(versions) for title, versions in found.items()}


def write_register(path: Path, laws: Iterable[Law], cited: Iterable[str]) -> int:
    """Write every version of the `cited` titles; rows of versions that `laws` does not contain are kept. Returns the number of rows.

    Raises BadInput if the file cannot be written.
    """
    kept = {(row.title, row.version): row for rows in read_register(path).values() for row in rows} if path.exists() else {}
    wanted = set(cited)
    for law in laws:
        if law.title in wanted:
            articles = _ranges(article.number for article in law.articles)
            kept[law.title, law.version] = LawFacts(law.title, law.version, law.published, law.effective, law.status, articles)
    rows = sorted((row for row in kept.values() if row.title in wanted), key=lambda row: (row.title, row.version or ""))
    partial = path.with_name(f"{path.name}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(_COLUMNS)
            writer.writerows([getattr(row, column) or "" for column in _COLUMNS] for row in rows)
        partial.replace(path)
    except OSError as error:
        raise BadInput(f"写不了 {path}：{error.strerror}。") from error
    return len(rows)


def read_by_title(roots: Iterable[Path]) -> dict[str, tuple[Law, ...]]:
    """All versions of every law below `roots`, by title."""
    found: dict[str, list[Law]] = {}
    for item in (item for root in roots for item in read_laws(root)):
        if isinstance(item, Law):
            found.setdefault(item.title, []).append(item)
    return {title: tuple(versions) for title, versions in found.items()}


def citation_problem(citation: Citation, versions: Sequence[Citable], day: date) -> tuple[str, str] | None:
    """What is wrong with a citation on `day`, as (kind, Chinese); None if it is right.

    `versions` are all versions of the cited title. It is right if title, article and (where given) version exist
    and that version is in force on `day`. The kind is `unknown` where only the source's silence speaks against it.
    """
    if not versions:
        return "wrong", f"没有找到《{citation.law}》"
    cited = [v for v in versions if v.version == citation.version] if citation.version else list(versions)
    if not cited:
        return "wrong", f"《{citation.law}》没有 {citation.version} 的版本"
    current = in_force(versions, day)
    if current is None or current.version not in {v.version for v in cited}:
        standing = _standing(cited, versions, day)
        kind = "unknown" if standing == "unknown" else "wrong"
        return kind, f"《{citation.law}》{citation.version or ''}在 {day} {_WHY_NOT.get(standing, '没有施行')}"
    if citation.article and not current.has(citation.article):
        return "wrong", f"《{citation.law}》（{current.version}）没有{citation.article}"
    return None


def without_nonexistent(entry: Entry, register: Mapping[str, Sequence[LawFacts]]) -> tuple[Entry, list[str]]:
    """The entry without citations of articles that no version of their law has, and a note in Chinese for each that was left out."""
    wrong = [c for c in entry.basis if c.article and not _may_exist(c, register.get(c.law, ()))]
    if not wrong:
        return entry, []
    basis = tuple(c for c in entry.basis if c not in wrong)
    return replace(entry, basis=basis), [f"《{c.law}》没有{c.article}，已略去这处依据，条目保留" for c in wrong]


def _may_exist(citation: Citation, versions: Sequence[LawFacts]) -> bool:
    """Whether some version whose articles are known (the cited one, if it is) has the article; True where none is known."""
    known = [law for law in versions if law.articles]
    cited = [law for law in known if law.version == citation.version]
    return not known or any(law.has(citation.article) for law in cited or known)


def change_notice(citation: Citation, register: Mapping[str, Sequence[LawFacts]], day: date) -> str | None:
    """What a reader must know about time: the cited version was replaced, or will be on a known day. None when all is as cited."""
    versions = register.get(citation.law, ())
    current = in_force(versions, day)
    cited = [law for law in versions if law.version == citation.version] if citation.version else [current] if current else []
    if not cited:
        return None
    standing = _standing(cited, versions, day)
    if standing in ("superseded", "repealed"):
        return "此处引用的文本" + ("已有新版，以新版为准" if standing == "superseded" else "已废止")
    later = [law.version for law in versions if law.version and law.version > max(day.isoformat(), cited[0].version or "")]
    return f"{min(later)} 起施行新的文本，条号可能变化" if later else None


def check(entries: Iterable[Entry], laws: Mapping[str, Sequence[Law]] | None, day: date) -> list[Problem]:
    """Everything wrong on `day` with what `entries` cite.

    With `laws` (all versions by title, with their texts) numbers are compared too; without, `laws.csv` alone judges.
    """
    register = load_register()
    found: list[Problem] = []
    for entry in entries:
        for citation in entry.basis:
            versions: Sequence[Citable] = register.get(citation.law, ()) if laws is None else laws.get(citation.law, ())
            problem = citation_problem(citation, versions, day) or (_paragraph_problem(citation, laws, day) if laws else None)
            found += [Problem(entry.id, *problem)] if problem else []
        if laws is not None and entry.basis and entry.kind != "passage":
            found += [
                Problem(entry.id, "number", f"“{number}”不在所引法条里")
                for number in unsupported(entry, [_cited_text(citation, laws, day) for citation in entry.basis])
            ]
    return found


def _paragraph_problem(citation: Citation, laws: Mapping[str, Sequence[Law]], day: date) -> tuple[str, str] | None:
    """Where an article has fewer lines than the cited paragraph's number, there is no such paragraph."""
    if citation.paragraph and citation.paragraph > len(_cited_text(citation, laws, day).splitlines()):
        return "wrong", f"{citation}不存在"
    return None


def _cited_text(citation: Citation, laws: Mapping[str, Sequence[Law]], day: date) -> str:
    versions = laws.get(citation.law, ())
    law = next((v for v in versions if v.version == citation.version), None) or in_force(versions, day)
    article = law.article(citation.article) if law else None
    return article.text if article else ""


def _standing(cited: Sequence[Version], versions: Sequence[Version], day: date) -> Standing:
    standing_of = dict(zip(map(id, versions), standings(versions, day), strict=True))
    return standing_of[id(max(cited, key=lambda law: law.version or ""))]


def _key(article: str) -> str:
    """How `laws.csv` writes an article's number: 577 or 133-1 for 第…条 (之一), n3 for a document that counts 一、二、三、."""
    found = _NUMBER.match(article)
    if found is None:
        return article
    try:
        number = str(number_value(found[2])) + (f"-{number_value(found[4])}" if found[4] else "")
    except KeyError:
        return article
    return number if found[1] else f"n{number}"


def _ranges(articles: Iterable[str]) -> str:
    """Article numbers, runs of them as `1..1260` or `n1..n9`."""
    runs: list[list[str]] = []
    for key in dict.fromkeys(_key(article) for article in articles if article):
        if runs and _RUNNING.fullmatch(key) and key == _next(runs[-1][-1]):
            runs[-1] = [runs[-1][0], key]
        else:
            runs.append([key])
    return " ".join("..".join(run) for run in runs)


def _next(key: str) -> str:
    found = _RUNNING.fullmatch(key)
    return f"{found[1]}{int(found[2]) + 1}" if found else ""


@cache
def _numbers(ranges: str) -> frozenset[str]:
    found: set[str] = set()
    for run in ranges.split():
        ends = [_RUNNING.fullmatch(end) for end in run.split("..")]
        if len(ends) == 2 and ends[0] and ends[1]:
            found |= {f"{ends[0][1]}{number}" for number in range(int(ends[0][2]), int(ends[1][2]) + 1)}
        else:
            found.add(run)
    return frozenset(found)
