"""A question in, entries or articles out, best first.

Two searches run over the same units: vectors find what means the same in other words, BM25 finds what shares rare
words. Their results are fused (cosine plus a share of normalised BM25; DESIGN section 4 has the measurements) and grouped
by key, so that an entry is found by its best wording.
"""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from indexing.encoder import Encoder
from indexing.index import SearchIndex, Vector
from indexing.words import clean
from indexing.words import terms as split_terms
from knowledge.thesaurus import Expansion, Thesaurus

DEPTH = 60
"""Units fetched by each of the two searches when entries are wanted."""
LEXICAL_SHARE = 0.1
"""Weight of BM25 (divided by its best for this question) beside the cosine, for entries."""


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


@dataclass(frozen=True)
class Query:
    """A question as it is searched: the first of `vectors` and `terms` hold what was said, the second and `added` what it means besides."""

    text: str
    vectors: tuple[Vector, ...]
    terms: tuple[str, ...]
    added: tuple[str, ...]
    expansions: tuple[Expansion, ...]


class Fused(NamedTuple):
    """A unit found by either search: its cosine, its BM25 as a share of the best for this question, and what it is ranked by."""

    unit: int
    cosine: float
    lexical: float
    score: float


def understand(encoder: Encoder, question: str, thesaurus: Thesaurus | None = None) -> Query:
    """What is searched for a question: itself, and what its colloquial terms mean besides."""
    found = tuple(thesaurus.expansions(clean(question))) if thesaurus else ()
    terms = tuple(split_terms(question))
    if not found:
        return Query(question, (encoder.encode([question])[0],), terms, (), ())
    meant = " ".join(expansion.meant for expansion in found)
    asked, added = encoder.encode([question, meant])
    mixed = asked + EXPANSION_SHARE * added
    length = float(np.linalg.norm(mixed)) or 1.0
    added_terms = tuple(term for term in split_terms(meant) if term not in terms)
    return Query(question, (asked, mixed / np.float32(length)), terms, added_terms, found)


def fuse(index: SearchIndex, query: Query, depth: int, share: float = LEXICAL_SHARE) -> list[Fused]:
    """The `depth` best units of each of the two searches, together, best first; BM25 counts `share` beside the cosine.

    A unit's cosine is that of the vector nearest to it: what the thesaurus adds can bring a unit nearer and never takes one away.
    """
    cosine: dict[int, float] = {}
    for vector in query.vectors:
        for found in index.nearest(vector, depth):
            cosine[found.unit] = max(found.score, cosine.get(found.unit, -1.0))
    lexical = _lexical(index, query, depth)
    only_lexical = [unit for unit in lexical if unit not in cosine]
    for vector in query.vectors:
        for unit, near in zip(only_lexical, index.cosines(vector, only_lexical), strict=True):
            cosine[unit] = max(near, cosine.get(unit, -1.0))
    fused = [Fused(unit, near, lexical.get(unit, 0.0), near + share * lexical.get(unit, 0.0)) for unit, near in cosine.items()]
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
    vocabulary = index.vocabulary([key for key, _ in ranked])
    return [_hit(key, units[group[0].unit].text, group, rarity, vocabulary.get(key, frozenset())) for key, group in ranked]


def _hit(key: str, wording: str, group: list[Fused], rarity: dict[str, float], vocabulary: frozenset[str]) -> Hit:
    best = group[0]
    second = group[1].cosine if len(group) > 1 else best.cosine * 0.8
    wording_terms = set(split_terms(wording))
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
    )
