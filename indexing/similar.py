"""Which needs ask the same: proposed here by meaning, decided by staff, written down by the ledger.

A cosine alone says little: some questions are near to everything, and opposite ones are nearest of all. So two questions
count as alike by how much nearer they are to each other than each is to the crowd (`CROWD` street questions, the nearest
`NEAREST` of them), and never when `polarity.compare` forbids it in either direction (可以/不可以, 原告/被告, 15日/30日). From
which likeness on a pair is proposed is not written down but found, for the encoder in use, on questions of which it is known
which ask the same (`paraphrases`: own, natural, validation; none is trained on). At the same precision this finds half as many
pairs again as the cosine does.

`python -m indexing.similar` finds the limits on the questions of one half of the entries and measures them on the other half, so
that nothing is judged by what it was chosen on; then it does both on all, which is what runs. With the shipped model:

                            pairs   right   of all right pairs   groups, right members   mistaken for another
    halves, to staff          620    0.56          0.40               133, 0.59                60 of 229
    halves, to askers         320    0.72          0.27               128, 0.74                39 of 229
    all 1,340, to staff       815    0.60          0.23               236, 0.61                36 of 229
    all 1,340, to askers      350    0.75          0.12               163, 0.74                13 of 229

The last column is of questions written to be mistaken for another: what sets them apart is said in too many words for
`polarity`. That is why staff confirm every group and an asker reads what they join.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from indexing.encoder import Encoder, load_encoder
from indexing.paraphrases import Paraphrase, load_own_questions, load_pairs, load_paraphrases, load_validation
from indexing.polarity import compare

CROWD, NEAREST = 2000, 13
PROPOSED_PRECISION = 0.6
"""Share of proposed pairs that should be right. Staff look at each and untick; a pair that is not proposed they never see."""
OFFERED_PRECISION = 0.75
"""The same for what an asker is offered, who has only the one sentence to go by."""
LOOKED_AT = 12
"""The likest others of a need that are compared word by word; groups still grow larger, around a central question."""
BLOCK = 512
MOST_KEPT = 20_000
"""Questions whose vectors are kept in memory; when there are more, all are made again."""

Matrix = NDArray[np.float32]


@dataclass(frozen=True)
class Waiting:
    """A need that might go with others. An answered one can lead others to its answer, but joins nobody; so can a group's lead."""

    no: str
    text: str
    answered: bool = False
    leads: bool = False


@dataclass(frozen=True)
class Proposal:
    """A central question and the needs that seem to ask the same, the likest first, each with its likeness."""

    lead: str
    members: tuple[tuple[str, float], ...]


class Similar:
    """Compares questions with one encoder; may be used from several threads."""

    def __init__(self, encoder: Encoder, known: Sequence[Paraphrase] = ()) -> None:
        """`known` are the questions on which the limits are found, all that are shipped where none are given."""
        self.encoder = encoder
        self._kept: dict[str, tuple[Matrix, float]] = {}
        self._last: tuple[tuple[tuple[Waiting, ...], frozenset[tuple[str, str]]], tuple[Proposal, ...]] | None = None
        lines = sorted((line.text for line in load_paraphrases()), key=_digest)[:CROWD]
        self._crowd = encoder.encode(lines)
        self.proposed_from, self.offered_from = self._limits(known or known_questions())

    def propose(self, needs: Sequence[Waiting], unlike: Set[tuple[str, str]] = frozenset()) -> list[Proposal]:
        """Groups of needs that seem to ask the same, the largest first; a need is in one at most.

        `unlike` are pairs of which staff said that they do not. Every member is like the central question itself, so that no
        chain of small steps leads from one matter to another. What was asked for last is remembered.
        """
        asked = (tuple(needs), frozenset(unlike))
        last = self._last
        if last is None or last[0] != asked:
            last = self._last = (asked, tuple(self._proposals(needs, unlike)))
        return list(last[1])

    def _proposals(self, needs: Sequence[Waiting], unlike: Set[tuple[str, str]]) -> list[Proposal]:
        near = self._near(needs, unlike)
        found: list[Proposal] = []

        def weight(place: int) -> tuple[bool, int, float, int]:
            joining = [like for other, like in near[place].items() if not needs[other].answered]
            return bool(joining) and needs[place].leads, len(joining), sum(joining), -place

        while near:
            centre = max(near, key=weight)
            around = {place: like for place, like in near[centre].items() if not needs[place].answered}
            if not around:
                break
            ordered = sorted(around.items(), key=lambda item: -item[1])
            found.append(Proposal(needs[centre].no, tuple((needs[place].no, like) for place, like in ordered)))
            _take_out(near, (centre, *around))
        return sorted(found, key=lambda proposal: -len(proposal.members))

    def nearest(self, question: str, groups: Mapping[str, Sequence[str]]) -> str | None:
        """The group that asks what `question` asks, or None; `groups` maps each lead to its questions, the lead's own first."""
        wordings = [(lead, text) for lead, texts in groups.items() for text in texts]
        if not wordings:
            return None
        vectors, crowding = self._placed([question, *(text for _, text in wordings)])
        likeness = vectors[1:] @ vectors[0] - (crowding[1:] + crowding[0]) / 2
        for place in np.argsort(-likeness):
            lead, text = wordings[int(place)]
            if likeness[place] < self.offered_from:
                break
            if not _apart(question, text) and not _apart(question, groups[lead][0]):
                return lead
        return None

    def _near(self, needs: Sequence[Waiting], unlike: Set[tuple[str, str]]) -> dict[int, dict[int, float]]:
        """For each need, by its place, those that may go with it and how like they are."""
        vectors, crowding = self._placed([need.text for need in needs])
        near: dict[int, dict[int, float]] = {}
        looked_at: set[tuple[int, int]] = set()
        for start in range(0, len(needs), BLOCK):
            part = vectors[start : start + BLOCK] @ vectors.T - (crowding[start : start + BLOCK, None] + crowding) / 2
            part[np.arange(len(part)), start + np.arange(len(part))] = -1.0
            # A ledger full of one matter must not compare everybody with everybody.
            nearest = np.argsort(-part, axis=1, kind="stable")[:, :LOOKED_AT].tolist()
            for one, other in ((start + place, other) for place, others in enumerate(nearest) for other in others):
                like = float(part[one - start, other])
                if like < self.proposed_from or (min(one, other), max(one, other)) in looked_at:
                    continue
                looked_at.add((min(one, other), max(one, other)))
                if _may_go(needs[one], needs[other], unlike):
                    near.setdefault(one, {})[other] = near.setdefault(other, {})[one] = like
        return near

    def _placed(self, texts: Sequence[str]) -> tuple[Matrix, Matrix]:
        """The vectors of these texts, and how near the crowd is to each."""
        if len(self._kept) > MOST_KEPT:
            self._kept = {}
        # Another thread may start `_kept` anew meanwhile; this one goes on with what it has.
        kept = self._kept
        new = [text for text in dict.fromkeys(texts) if text not in kept]
        if new:
            vectors = self.encoder.encode(new)
            kept.update(zip(new, zip(vectors, self._crowding(vectors).tolist(), strict=True), strict=True))
        placed = [kept[text] for text in texts]
        empty = np.zeros((0, self.encoder.dimension), np.float32)
        return np.stack([vector for vector, _ in placed]) if placed else empty, np.array([near for _, near in placed], np.float32)

    def _crowding(self, vectors: Matrix) -> Matrix:
        parts = []
        for start in range(0, len(vectors), BLOCK):
            cosines = vectors[start : start + BLOCK] @ self._crowd.T
            parts.append(np.partition(cosines, -NEAREST, axis=1)[:, -NEAREST:].mean(axis=1))
        crowding: Matrix = np.concatenate(parts)
        # Without a single known word a question is like nothing.
        crowding[~vectors.any(axis=1)] = 2.0
        return crowding

    def _limits(self, known: Sequence[Paraphrase]) -> tuple[float, float]:
        """The least likeness from which on the shares of pairs are right that PROPOSED_PRECISION and OFFERED_PRECISION want."""
        vectors, crowding = self._placed([line.text for line in known])
        first, second = np.triu_indices(len(known), 1)
        likeness = (vectors @ vectors.T - (crowding[:, None] + crowding) / 2)[first, second]
        order = np.argsort(-likeness)
        right = _asks_the_same(known)[first, second][order]
        share = np.cumsum(right) / np.arange(1, len(right) + 1)
        enough = [np.flatnonzero(share >= wanted) for wanted in (PROPOSED_PRECISION, OFFERED_PRECISION)]
        proposed, offered = (float(likeness[order[places[-1]]]) if len(places) else 2.0 for places in enough)
        return proposed, offered


_made: list[Similar] = []


def similar_by(encoder: Encoder) -> Similar:
    """The one that compares with this encoder; made when it is first asked for (half a second with the shipped model), then kept."""
    if not _made or _made[0].encoder is not encoder:
        _made[:] = [Similar(encoder)]
    return _made[0]


def known_questions() -> list[Paraphrase]:
    """Questions of which it is known which ask the same, and on which nothing was trained."""
    return [*load_own_questions(), *load_validation()]


def _take_out(near: dict[int, dict[int, float]], places: Iterable[int]) -> None:
    """These are decided; whoever has nobody left near goes as well."""
    for place in places:
        for other in near.pop(place, {}):
            row = near.get(other, {})
            row.pop(place, None)
            if not row:
                near.pop(other, None)


def _may_go(one: Waiting, other: Waiting, unlike: Set[tuple[str, str]]) -> bool:
    if one.answered and other.answered:
        return False
    if (one.no, other.no) in unlike or (other.no, one.no) in unlike:
        return False
    return not _apart(one.text, other.text)


@lru_cache(maxsize=65_536)
def _apart(one: str, other: str) -> bool:
    """Whether two questions take two sides of a matter, name other numbers, or say yes and no, seen from either."""
    return bool(compare(one, other, other).forbidding or compare(other, one, one).forbidding)


def _asks_the_same(known: Sequence[Paraphrase]) -> NDArray[np.bool_]:
    keys = sorted({key for line in known for key in line.right})
    answered = np.zeros((len(known), len(keys)), np.float32)
    for place, line in enumerate(known):
        answered[place, [keys.index(key) for key in line.right]] = 1
    return answered @ answered.T > 0


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def main() -> None:
    """Print what the module's opening quotes."""
    encoder, known = load_encoder(), known_questions()
    halves = [[line for line in known if _digest(line.entry)[0] % 2 == half] for half in (0, 1)]
    _print_measured("halves", Similar(encoder, halves[0]), halves[1])
    _print_measured("all", Similar(encoder), known)


def _print_measured(name: str, similar: Similar, lines: Sequence[Paraphrase]) -> None:
    needs = [Waiting(str(place), line.text) for place, line in enumerate(lines)]
    right = _asks_the_same(lines)
    of_all = int(np.triu(right, 1).sum())
    for reader, limit in (("staff", similar.proposed_from), ("askers", similar.offered_from)):
        similar.proposed_from, similar._last = limit, None
        pairs = [bool(right[one, other]) for one, row in similar._near(needs, frozenset()).items() for other in row if one < other]
        groups = similar.propose(needs)
        members = [bool(right[int(group.lead), int(no)]) for group in groups for no, _ in group.members]
        print(f"{name}, {len(lines)} questions, to {reader}, from {limit:.3f}")
        print(f"    {len(pairs)} pairs, {sum(pairs) / len(pairs):.2f} right, {sum(pairs) / of_all:.2f} of all right pairs")
        print(f"    {len(groups)} groups, {sum(members) / len(members):.2f} of their {len(members)} members right")
        print(f"    mistaken for another: {_mistaken(similar)}")


def _mistaken(similar: Similar) -> str:
    """How many questions are proposed with one whose answer would mislead them, of how many."""
    by_entry = {line.entry: line.text for line in load_own_questions()}
    turned = [(pair.text, by_entry[key]) for pair in load_pairs() for key in pair.wrong if key in by_entry]
    proposed = sum(bool(similar.propose([Waiting("1", text), Waiting("2", other)])) for text, other in turned)
    return f"{proposed} of {len(turned)}"


if __name__ == "__main__":
    main()
