"""The turning point: a question becomes an answer, a choice, a need, or a refusal. It knows no channel.

    danger -> other red lines -> small talk -> search -> polarity -> confidence -> band

Everything decided here is in the `Verdict`, with its reasons, so that the chat, the command line and the staff see the same.
An answer is one published entry, word for word; if any check cannot be made there is no direct answer.
"""

import re
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from bot.red_lines import framing, refusal
from bot.small_talk import small_talk
from indexing.building import Opened
from indexing.confidence import JUDGED_AMONG, Calibration, Judged, judge
from indexing.encoder import Encoder
from indexing.laws import ArticleHit
from indexing.polarity import Differences
from indexing.search import Hit, Query, search, understand
from indexing.spelling import Spelling
from indexing.words import clean
from knowledge.database import Database, open_reader
from knowledge.ledger.needs import Asking
from knowledge.library import Published, Shelf
from knowledge.thesaurus import Thesaurus

Band = Literal["answer", "offer", "need", "conversation", "refused"]
OFFERED = 3
RELATED_ARTICLES = 3
WORD_FOR_WORD = 0.99
"""How sure a question is that stands, word for word, in one entry a reviewer of the court has published, and in no other."""
LONGEST_QUESTION = 500
"""Characters that are searched; what a long message says first decides, and all of it is kept in the need."""

_LEANS = re.compile(
    r"^(那|那么|这个|这种|这样|它|他们?|她|如果|要是|假如|然后|还有|另外|具体|怎么办理|需要|要带|多久|多少钱|在哪|去哪)|(呢|吗)[?？]?$"
)


@dataclass(frozen=True)
class Candidate:
    """An entry that may be meant: the wording it was found by, how sure we are, and what sets the question apart from it."""

    published: Published
    wording: str
    confidence: float
    differences: Differences
    hit: Hit


@dataclass(frozen=True)
class Verdict:
    """What to do with one message, and why.

    `kind` is the red line (R5) for band refused, the sort of small talk for conversation, else None. `query` holds the text
    that was searched (with the question before it, when this one leans on it), its slips put right, and what the thesaurus added.
    """

    question: str
    query: Query
    band: Band
    kind: str | None
    candidates: tuple[Candidate, ...]
    articles: tuple[ArticleHit, ...]
    frames: tuple[str, ...]
    reasons: tuple[str, ...]
    milliseconds: float

    @property
    def offers(self) -> tuple[Candidate, ...]:
        """The candidates worth showing as choices: the best, and what is not far behind it."""
        best = self.candidates[0].confidence if self.candidates else 0.0
        return tuple(c for c in self.candidates[:OFFERED] if c.confidence >= best / 4)

    @property
    def answer(self) -> Candidate | None:
        """The one entry that answers, in band answer."""
        return self.candidates[0] if self.band == "answer" else None

    def as_asking(self) -> Asking:
        """What is written down about this question."""
        best = self.answer
        return Asking(
            self.question,
            self.band,
            best.published.entry.id if best else None,
            best.published.hash if best else None,
            self.candidates[0].confidence if self.candidates else 0.0,
            tuple(c.published.entry.id for c in self.offers),
            self.reasons,
        )

    def as_json(self) -> dict[str, Any]:
        """The command line's form (DESIGN section 8)."""
        best = self.answer
        cited = [(c.law, c.article) for c in best.published.entry.basis] if best else [(a.law, a.article) for a in self.articles]
        return {
            "q": self.question,
            "band": self.band,
            "entry": best.published.entry.id if best else None,
            "confidence": round(self.candidates[0].confidence, 4) if self.candidates else 0.0,
            "candidates": [
                {"entry": c.published.entry.id, "question": c.published.entry.question, "confidence": round(c.confidence, 4)}
                for c in self.candidates
            ],
            "articles": [{"law": law, "article": article} for law, article in cited],
            "reasons": list(self.reasons),
            "ms": round(self.milliseconds, 2),
        }


class Answering:
    """Answers from the index generation it was last given; safe to use from one thread at a time."""

    def __init__(
        self,
        database: Database,
        encoder: Encoder,
        calibration: Calibration,
        opened: Opened,
        clock: Callable[[], datetime],
        thesaurus: Thesaurus,
        spelling: Spelling,
        only_reviewed: bool = False,
    ) -> None:
        self._encoder, self._calibration, self._clock = encoder, calibration, clock
        self._thesaurus, self._spelling = thesaurus, spelling
        # Its own connection: a question never waits behind what others are writing.
        self._shelf = Shelf(open_reader(database.path))
        self._only_reviewed = only_reviewed
        self.opened = opened

    def serve(self, opened: Opened) -> None:
        """Answer from another generation from now on; a question being answered finishes with the one it began with."""
        self.opened = opened

    def reply_to(self, question: str, before: str | None = None, k: int = OFFERED) -> Verdict:
        """Decide about one message; `before` is the question before it in the same conversation.

        Outcomes: answer (one sure entry), offer (up to three to choose from), need (nothing sure), conversation (small talk), refused.
        """
        began = time.perf_counter()
        opened = self.opened
        query = self._understand(opened, question[:LONGEST_QUESTION])
        # Who types in distress slips, too.
        rule = refusal(question) or (refusal(query.text) if query.corrections else None)
        talk = None if rule else small_talk(query.text)
        said = query.text
        leaning = before if before and not rule and not talk and _leans(said) else None
        if leaning:
            query = self._understand(opened, f"{leaning} {question}"[-LONGEST_QUESTION:])
        candidates = self._candidates(opened, query, said, k)
        band, reasons = self._band(rule, talk, candidates)
        articles = self._articles(opened, query) if band in ("offer", "need") else ()
        if leaning:
            reasons = ("接着上一个问题一起搜索", *reasons)
        spent = (time.perf_counter() - began) * 1000
        return Verdict(question, query, band, rule or talk, candidates, articles, framing(question), reasons, spent)

    def statutes(self, text: str, k: int) -> list[ArticleHit]:
        """Ranked articles in force today for a question; empty without imported laws."""
        opened = self.opened
        if opened.laws is None:
            return []
        query = self._understand(opened, text[:LONGEST_QUESTION])
        return opened.laws.search(query, self._clock().date(), k)

    def judged(self, question: str) -> tuple[list[Judged], Query]:
        """What `features` needs to know of the hits of a question, and how it was understood."""
        query = self._understand(self.opened, question[:LONGEST_QUESTION])
        hits, found = self._allowed_hits(self.opened, query, JUDGED_AMONG)
        return [judge(query.text, found[hit.key].entry, hit) for hit in hits], query

    def topics_of(self, ids: Sequence[str]) -> dict[str, str]:
        """The topic of each of these entries that may answer today; an entry without one has none (an empty string)."""
        return {key: item.entry.topic or "" for key, item in self._published(list(dict.fromkeys(ids))).items()}

    def may_answer(self, item: Published) -> bool:
        """Whether this entry may be shown: with `only_reviewed`, only what a reviewer of the court published."""
        return bool(item.reviewed_by) or not self._only_reviewed

    def _understand(self, opened: Opened, text: str) -> Query:
        return understand(self._encoder, text, self._thesaurus, self._spelling, opened.entries.rarity)

    def _candidates(self, opened: Opened, query: Query, said: str, k: int) -> tuple[Candidate, ...]:
        hits, found = self._allowed_hits(opened, query, max(k, JUDGED_AMONG))
        judged = [judge(said, found[hit.key].entry, hit) for hit in hits]
        confidences = self._calibration.confidences(judged, len(query.terms))
        asked = clean(said)
        asked_alike = [item.hit.key for item in judged if _says(found[item.hit.key], asked)]
        if len(asked_alike) == 1:
            confidences = [
                max(confidence, WORD_FOR_WORD) if item.hit.key in asked_alike else confidence
                for item, confidence in zip(judged, confidences, strict=True)
            ]
        candidates = [
            Candidate(found[item.hit.key], item.hit.wording, confidence, item.differences, item.hit)
            for item, confidence in zip(judged, confidences, strict=True)
        ]
        return tuple(sorted(candidates, key=lambda c: -c.confidence)[:k])

    def _allowed_hits(self, opened: Opened, query: Query, wanted: int) -> tuple[list[Hit], dict[str, Published]]:
        """The best hits that may answer today: what was withdrawn, ran out or awaits review since the index was built is passed over."""
        fetched = wanted
        while True:
            hits = search(opened.entries, query, fetched)
            found = self._published([hit.key for hit in hits])
            allowed = [hit for hit in hits if hit.key in found]
            if len(allowed) >= wanted or len(hits) < fetched:
                return allowed[:wanted], found
            fetched *= 4

    def _published(self, keys: Sequence[str]) -> dict[str, Published]:
        found = self._shelf.take(keys, self._clock().date())
        return {key: item for key, item in found.items() if self.may_answer(item)}

    def _band(self, rule: str | None, talk: str | None, candidates: tuple[Candidate, ...]) -> tuple[Band, tuple[str, ...]]:
        if rule:
            return "refused", (f"触发红线 {rule}",)
        if talk:
            return "conversation", (f"寒暄或无法当作问题（{talk}）",)
        if not candidates:
            return "need", ("没有可用的条目",)
        best = candidates[0]
        sure = best.confidence >= self._calibration.answer_from
        forbidding = best.differences.forbidding
        if sure and not forbidding:
            return "answer", (f"把握 {best.confidence:.2f}，达到直接答复的标准",)
        reasons = forbidding if sure else (f"最像的条目把握 {best.confidence:.2f}，不够直接答复", *best.differences.reasons)
        if best.confidence >= self._calibration.offer_from:
            return "offer", reasons
        return "need", reasons

    def _articles(self, opened: Opened, query: Query) -> tuple[ArticleHit, ...]:
        if opened.laws is None:
            return ()
        hits = opened.laws.search(query, self._clock().date(), 10 * RELATED_ARTICLES)
        return tuple(hit for hit in hits if hit.in_force)[:RELATED_ARTICLES]


def _says(item: Published, asked: str) -> bool:
    """Whether a reviewer of the court has signed that this very question is answered by this entry."""
    return bool(item.reviewed_by) and any(clean(text) == asked for text in (item.entry.question, *item.entry.wordings))


def _leans(question: str) -> bool:
    """Whether a question can hardly be understood without the one before it."""
    text = clean(question)
    return len(text) <= 5 or (len(text) <= 12 and bool(_LEANS.search(text)))
