"""Judicial interpretations quote the article numbers of their own day; here the present number is put beside them.

The interpretation of the Civil Procedure Law (2022) speaks of its article 246; since 2024 that is article 250. The version
meant is the one that was in force when the interpretation was published and began; where those two days fall on different versions
nothing is said, for an interpretation published just before a new law may quote either. The article is looked for in today's
version: where the same number still holds much the same text nothing is said, otherwise the article with the likest text is meant.
"""

import re
from collections.abc import Iterable
from datetime import date
from functools import lru_cache

from knowledge.numerals import NUMERALS
from knowledge.statutes import Law, in_force

SAME_FROM = 0.5
"""Articles are the same when they share so many of their character pairs (Dice coefficient)."""

_NUMBER = rf"第[{NUMERALS}]+条(?:之[{NUMERALS}]+)?"
_PART = rf"(?:第[{NUMERALS}]+款)?(?:第[{NUMERALS}]+项)?"
_PART = rf"(?:第[{NUMERALS}]+款)?(?:第[{NUMERALS}]+项)?"
_LAW = r"(?:《(?P<full>[^《》]{2,40}法)》|(?P<short>[\u4e00-\u9fff]{2,20}法))"
_REFERENCE = re.compile(rf"{_LAW}(?P<numbers>{_NUMBER}(?:{_PART}[、和及与或]+{_NUMBER})*)")
_PREFIX = "中华人民共和国"


class Renumbering:
    """Present article numbers, for all laws that have more than one version."""

    def __init__(self, laws: Iterable[Law], day: date) -> None:
        self._day = day
        self._versions: dict[str, list[Law]] = {}
        for law in laws:
            self._versions.setdefault(law.title.removeprefix(_PREFIX), []).append(law)
        self._present = lru_cache(maxsize=None)(self._find_present)

    def annotated(self, law: Law, text: str) -> str:
        """The text of one of `law`'s articles, 〔现为第二百五十条〕 after each number that has changed since `law` was published."""
        days = tuple(sorted({day for day in (law.published, law.effective) if day}))
        if not days or ("法第" not in text and "法》第" not in text):
            return text
        return _REFERENCE.sub(lambda found: self._with_present(found, law.title, days), text)

    def _with_present(self, found: re.Match[str], own_title: str, days: tuple[str, ...]) -> str:
        title = self._title(found["full"] or found["short"])
        if title is None or title == own_title.removeprefix(_PREFIX):
            return found[0]

        def number(match: re.Match[str]) -> str:
            present = {self._present(title, match[0], day) for day in days}
            certain = present.pop() if len(present) == 1 else None
            return f"{match[0]}〔现为{certain}〕" if certain else match[0]

        head = found[0][: -len(found["numbers"])]
        return head + re.sub(_NUMBER, number, found["numbers"])

    def _title(self, written: str) -> str | None:
        """The known title that what stands before the number ends with: 依照民事诉讼法 names 民事诉讼法."""
        written = written.removeprefix(_PREFIX)
        starts = range(len(written) - 1)
        return next((written[i:] for i in starts if len(self._versions.get(written[i:], ())) > 1), None)

    def _find_present(self, title: str, number: str, written_on: str) -> str | None:
        versions = self._versions[title]
        now = in_force(versions, self._day)
        then = max((v for v in versions if v.version and v.version <= written_on), key=lambda v: v.version or "", default=None)
        if now is None or then is None or then.version == now.version:
            return None
        meant = then.article(number)
        if meant is None:
            return None
        same = now.article(number)
        if same and _likeness(meant.text, same.text) >= SAME_FROM:
            return None
        likest = max(now.articles, key=lambda article: _likeness(meant.text, article.text))
        return likest.number if _likeness(meant.text, likest.text) >= SAME_FROM else None


@lru_cache(maxsize=4096)
def _pairs(text: str) -> frozenset[str]:
    return frozenset(text[i : i + 2] for i in range(len(text) - 1))


def _likeness(one: str, other: str) -> float:
    a, b = _pairs(one), _pairs(other)
    return 2 * len(a & b) / (len(a) + len(b)) if a and b else 0.0
