"""The corpus of laws: every article of every version, and which of them may be shown today.

Only articles that are in force, unknown or still to come are searched; which of them count is decided on the day of the
question, so a law that begins on a known day takes over on that day without a reindex. Older versions stay readable, so that a
citation of one can be called what it is. Texts are kept with present article numbers beside old ones (`renumbering`); they are
searched as they were published.
"""

import hashlib
import re
import sqlite3
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

from indexing import local
from indexing.asked import digest, read_asked
from indexing.encoder import Encoder
from indexing.index import Unit
from indexing.local import LocalIndex, Progress
from indexing.search import Fused, Query, fuse
from knowledge.files import Refused
from knowledge.renumbering import Renumbering
from knowledge.statutes import Law, read_laws, standings

LEXICAL_SHARE = 0.2
"""Weight of BM25 beside the cosine: articles share more words with a question than answers do (`indexing/model/RESULTS.md`)."""
ASKED_SHARE = 0.6
"""Weight of being like a question that the article is known to answer."""
LONGEST = 600
"""Characters of an article that are searched in one unit; the rest of a long one is a second unit, and so on."""


_BEGINS = re.compile(rb"effective_date: *'?(\d{4}-\d\d-\d\d)")


class _Version(NamedTuple):
    id: int
    title: str
    version: str | None
    status: str


@dataclass(frozen=True)
class ArticleHit:
    """An article found; `version` is the law's effective (else publication) date."""

    law: str
    article: str
    version: str | None
    text: str
    score: float
    in_force: bool


class LawCorpus:
    """An opened corpus of laws."""

    def __init__(self, index: LocalIndex) -> None:
        self._index = index
        self._standing_on = lru_cache(maxsize=4)(self._compute_standing)

    @property
    def size(self) -> int:
        """How many articles of all versions it holds."""
        return int(self._index.manifest["articles"])

    def search(self, query: Query, day: date, k: int) -> list[ArticleHit]:
        """The `k` best articles in force on `day` (or of unknown standing, marked so), best first."""
        return self._shown(fuse(self._index, query, max(4 * k, 60), LEXICAL_SHARE, ASKED_SHARE), day, k)

    def standing(self, title: str, version: str | None, day: date) -> str | None:
        """How a version of a law stands on `day` (see `statutes.standings`); None when the corpus does not know it."""
        found = self._index.sql("SELECT id FROM laws WHERE title = ? AND (?2 IS NULL OR version = ?2)", title, version)
        standing = self._standing_on(day)
        known = [standing[number] for (number,) in found]
        return "in_force" if "in_force" in known else known[0] if known else None

    def _shown(self, found: Sequence[Fused], day: date, k: int) -> list[ArticleHit]:
        """The first `k` different articles that may be shown on `day`, from units best first."""
        standing = self._standing_on(day)
        hits: dict[int, ArticleHit] = {}
        # Most of what is found may be shown, so the texts of the rest need not be read.
        for start in range(0, len(found), step := 2 * k + 10):
            items = found[start : start + step]
            articles = self._articles([item.unit for item in items])
            for item in items:
                article, law, number, text, title, version = articles[item.unit]
                if article not in hits and standing[law] in ("in_force", "unknown"):
                    hits[article] = ArticleHit(title, number, version, text, round(item.score, 4), standing[law] == "in_force")
                    if len(hits) == k:
                        return list(hits.values())
        return list(hits.values())

    def _articles(self, units: Sequence[int]) -> dict[int, tuple[int, int, str, str, str, str | None]]:
        """For each unit: article id, law id, number, text, title, version."""
        marks = ",".join("?" * len(units))
        found = self._index.sql(
            "SELECT u.number, a.id, a.law, a.number, a.text, l.title, l.version FROM units u"
            f" JOIN articles a ON a.id = CAST(u.key AS INTEGER) JOIN laws l ON l.id = a.law WHERE u.number IN ({marks})",
            *units,
        )
        return {unit: rest for unit, *rest in found}

    def _compute_standing(self, day: date) -> dict[int, str]:
        by_title: dict[str, list[_Version]] = {}
        for fields in self._index.sql("SELECT id, title, version, status FROM laws"):
            version = _Version(*fields)
            by_title.setdefault(version.title, []).append(version)
        return {
            version.id: standing
            for versions in by_title.values()
            for version, standing in zip(versions, standings(versions, day), strict=True)
        }


def laws_fingerprint(paths: Iterable[Path], day: date) -> str:
    """A hash over names and bytes of every law file below `paths`, and over the last day up to `day` on which one of them began.

    So a corpus is made anew once a law has begun: which numbers are the present ones has changed then.
    """
    digest = hashlib.sha256()
    last = ""
    for root in paths:
        for path in [root] if root.is_file() else sorted(root.rglob("*.md")):
            content = path.read_bytes()
            digest.update(str(path.relative_to(root)).encode())
            digest.update(hashlib.sha256(content).digest())
            began = (found.decode() for found in _BEGINS.findall(content[:2000]))
            last = max([last, *(text for text in began if text <= day.isoformat())])
    return hashlib.sha256(f"{digest.hexdigest()} {last}".encode()).hexdigest()


def write_laws(folder: Path, paths: Iterable[Path], encoder: Encoder, day: date, progress: Progress | None) -> None:
    """Read all laws below `paths` and write their corpus into `folder` as of `day`; its manifest says what was refused."""
    laws: list[Law] = []
    refused: list[Refused] = []
    for root in paths:
        for item in read_laws(root):
            if isinstance(item, Refused):
                refused.append(item)
            else:
                laws.append(item)
            if progress and len(laws) % 200 == 0:
                progress("读法规", len(laws), 0)
    versions = [_Version(number, law.title, law.version, law.status) for number, law in enumerate(laws)]
    searched = _ever_shown(versions, day)
    articles = [(number, article) for number, law in enumerate(laws) for article in law.articles]
    units = [
        Unit(str(article_id), text)
        for article_id, (number, article) in enumerate(articles)
        if number in searched
        for text in _pieces(laws[number].title, article.text)
    ]

    # The first piece of an article stands for it.
    questions = read_asked(encoder)
    first = {unit.key: number for number, unit in reversed(list(enumerate(units)))}
    asked = {
        first[str(i)]: known
        for i, (_, article) in enumerate(articles)
        if str(i) in first and (known := questions.get(digest(article.text)))
    }

    renumbering = Renumbering(laws, day)

    def keep_texts(connection: sqlite3.Connection) -> None:
        connection.execute("CREATE TABLE laws (id INTEGER PRIMARY KEY, title TEXT NOT NULL, version TEXT, status TEXT NOT NULL)")
        connection.execute("CREATE TABLE articles (id INTEGER PRIMARY KEY, law INTEGER NOT NULL, number TEXT, heading TEXT, text TEXT)")
        connection.executemany("INSERT INTO laws VALUES (?, ?, ?, ?)", versions)
        connection.executemany(
            "INSERT INTO articles VALUES (?, ?, ?, ?, ?)",
            (
                (i, number, article.number, article.heading, renumbering.annotated(laws[number], article.text))
                for i, (number, article) in enumerate(articles)
            ),
        )
        connection.execute("CREATE INDEX laws_title ON laws (title)")

    turned_away = [(str(item.path), item.reason) for item in refused]
    manifest = {"kind": "laws", "laws": len(laws), "articles": len(articles), "refused": turned_away}
    local.build(folder, units, encoder, manifest, extra=keep_texts, asked=asked, progress=progress)


def _ever_shown(versions: Sequence[_Version], today: date) -> set[int]:
    """Versions that are in force or unknown today or will begin later; a version superseded today is never shown again."""
    by_title: dict[str, list[_Version]] = {}
    for version in versions:
        by_title.setdefault(version.title, []).append(version)
    return {
        version.id
        for same in by_title.values()
        for version, standing in zip(same, standings(same, today), strict=True)
        if standing in ("in_force", "unknown", "not_yet")
    }


def _pieces(title: str, text: str) -> list[str]:
    """An article as searched: with its law's name in front, in pieces of at most LONGEST characters."""
    name = title.removeprefix("中华人民共和国").removeprefix("最高人民法院关于")
    return [f"{name} {text[start : start + LONGEST]}" for start in range(0, max(len(text), 1), LONGEST)]
