"""A question in, entries or articles out, best first.

Two searches run over the same units: vectors find what means the same in other words, BM25 finds what shares rare
words. Their results are fused (cosine plus a share of normalised BM25; DESIGN section 4 has the measurements) and grouped
by key, so that an entry is found by its best wording.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from indexing.encoder import Encoder
from indexing.index import SearchIndex, Vector
from indexing.spelling import Correction, Rarity, Spelling
from indexing.words import clean
from indexing.words import terms as split_terms
from knowledge.thesaurus import Expansion, Thesaurus

DEPTH = 60
"""Units fetched by each of the two searches when entries are wanted."""
LEXICAL_SHARE = 0.1
"""Weight of BM25 (divided by its best for this question) beside the cosine, for entries."""


ASKED_DEPTH = 200
"""Known questions that are compared with this one."""
EXPANSION_SHARE = 0.2
"""Weight of what the thesaurus adds beside what was said."""


@dataclass(frozen=True)
class Hit:
    """One key found, with what `confidence` needs to judge it; scores compare only within one question."""

    key: str
    wording: str
    score: float
    cosine: float
    lexical: float
    support: float
    coverage: float
    precision: float
    known: float
    """Share of the question's terms, by rarity, that occur anywhere in the document behind the key."""
    standard: float
    """Cosine to the key's first unit, an entry's standard question."""
    against: float | None
    """Highest cosine to a question that the key is known not to answer; None where none is known."""


@dataclass(frozen=True)
class Query:
    """A question as it is searched.

    `text` is what it says once slips are put right (`corrections`), and the first of `vectors` and `terms` hold that; the other
    vectors and `added` hold what it means besides (`expansions` of the thesaurus), and what was typed.
    """

    text: str
    vectors: tuple[Vector, ...]
    terms: tuple[str, ...]
    added: tuple[str, ...]
    expansions: tuple[Expansion, ...]
    corrections: tuple[Correction, ...]


class Fused(NamedTuple):
    """A unit found by either search: its cosine, its BM25 as a share of the best for this question, and what it is ranked by."""

    unit: int
    cosine: float
    lexical: float
    score: float


def understand(
    encoder: Encoder, question: str, thesaurus: Thesaurus | None = None, spelling: Spelling | None = None, rarity: Rarity | None = None
) -> Query:
    """What is searched for a question: itself, its slips put right by what the library says (`rarity`), and what its terms mean besides."""
    text, corrections = spelling.corrected(question, rarity) if spelling and rarity else (question, ())
    found = tuple(thesaurus.expansions(clean(text))) if thesaurus else ()
    terms = tuple(split_terms(text))
    meant = " ".join(expansion.meant for expansion in found)
    said, *others = encoder.encode([text, *([meant] if found else []), *([question] if corrections else [])])
    vectors = [said]
    if found:
        mixed = said + EXPANSION_SHARE * others[0]
        vectors.append(mixed / np.float32(float(np.linalg.norm(mixed)) or 1.0))
    if corrections:
        vectors.append(others[-1])
    added_terms = tuple(term for term in split_terms(meant) if term not in terms)
    return Query(text, tuple(vectors), terms, added_terms, found, corrections)


def fuse(index: SearchIndex, query: Query, depth: int, share: float = LEXICAL_SHARE, asked_share: float = 0.0) -> list[Fused]:
    """The `depth` best units of each of the searches, together, best first; BM25 counts `share` beside the cosine.

    Where questions are known that units answer, being like one of them counts `asked_share`.

    A unit's cosine is that of the vector nearest to it: what the thesaurus adds can bring a unit nearer and never takes one away.
    """
    cosine: dict[int, float] = {}
    for vector in query.vectors:
        for found in index.nearest(vector, depth):
            cosine[found.unit] = max(found.score, cosine.get(found.unit, -1.0))
    lexical = _lexical(index, query, depth)
    asked = {found.unit: found.score for found in index.asked(query.vectors[0], ASKED_DEPTH)} if asked_share else {}
    others = [unit for unit in dict.fromkeys((*lexical, *asked)) if unit not in cosine]
    for vector in query.vectors:
        for unit, near in zip(others, index.cosines(vector, others), strict=True):
            cosine[unit] = max(near, cosine.get(unit, -1.0))
    fused = [
        Fused(unit, near, lexical.get(unit, 0.0), near + share * lexical.get(unit, 0.0) + asked_share * asked.get(unit, 0.0))
        for unit, near in cosine.items()
    ]
    return sorted(fused, key=lambda item: -item.score)


def _lexical(index: SearchIndex, query: Query, depth: int) -> dict[int, float]:
    """BM25 of the `depth` best units, as a share of the best; the words of the thesaurus count EXPANSION_SHARE."""
    scores = {found.unit: found.score for found in index.matching(query.terms, depth)}
    if query.added:
        for found in index.matching(query.added, depth):
            scores[found.unit] = scores.get(found.unit, 0.0) + EXPANSION_SHARE * found.score
    best = max(scores.values(), default=0.0) or 1.0
    return {unit: score / best for unit, score in scores.items()}


def search(index: SearchIndex, query: Query, k: int, depth: int = DEPTH) -> list[Hit]:
    """The `k` best keys of `index`, best first; an empty list when nothing is near in either way. Each search looks at `depth` units."""
    fused = fuse(index, query, depth)
    units = index.units([item.unit for item in fused])
    groups: dict[str, list[Fused]] = {}
    for item in fused:
        groups.setdefault(units[item.unit].key, []).append(item)
    if len(groups) < k and depth < index.size:
        # A few entries with many wordings each filled the depth: look further.
        return search(index, query, k, depth * 4)
    ranked = sorted(groups.items(), key=lambda group: -group[1][0].score)[:k]
    rarity = index.rarity(query.terms)
    keys = [key for key, _ in ranked]
    vocabulary = index.vocabulary(keys)
    standard, against = index.firsts(query.vectors[0], keys), index.against(query.vectors[0], keys)
    return [
        _hit(key, units[group[0].unit].text, group, rarity, vocabulary.get(key, frozenset()), standard[key], against.get(key))
        for key, group in ranked
    ]


def _hit(
    key: str, wording: str, group: list[Fused], rarity: dict[str, float], vocabulary: frozenset[str], standard: float, against: float | None
) -> Hit:
    best = group[0]
    second = group[1].cosine if len(group) > 1 else best.cosine * 0.8
    wording_terms = _terms_of(wording)
    shared = sum(rarity[term] for term in rarity if term in wording_terms)
    asked = sum(rarity.values()) or 1.0
    # A wording's own terms are not looked up again for their rarity: the mean rarity of the question stands in.
    unshared = len(wording_terms - rarity.keys()) * asked / max(len(rarity), 1)
    return Hit(
        key=key,
        wording=wording,
        score=best.score,
        cosine=best.cosine,
        lexical=max(item.lexical for item in group),
        support=(best.cosine + second) / 2,
        coverage=shared / asked,
        precision=shared / (shared + unshared) if shared else 0.0,
        known=sum(value for term, value in rarity.items() if term in vocabulary) / asked,
        standard=standard,
        against=against,
    )


@lru_cache(maxsize=8192)
def _terms_of(wording: str) -> frozenset[str]:
    """The same wordings are found again and again, so they are split once."""
    return frozenset(split_terms(wording))
