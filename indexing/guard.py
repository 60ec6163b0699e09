"""A rebuilt index of the same sources must not find less than the one before it.

Questions whose entry is known are asked of both; they count only where the entry is in both, so an entry that was taken out is no
loss. Only the nearest text decides: that is what a change of texts or of the model moves, and it costs a fraction of a second. The
difference is compared with what chance gives (McNemar 1947: of the questions that changed sides, half would go either way).
"""

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from indexing.encoder import Encoder
from indexing.index import SearchIndex, Vector

LEAST = 5
"""Questions lost that are always noise."""


@dataclass(frozen=True)
class Comparison:
    """Of `asked` questions so many found their entry first `before` and `after`; `lost` and `gained` changed sides."""

    asked: int
    before: int
    after: int
    lost: int
    gained: int

    @property
    def worse(self) -> bool:
        """Whether more was lost than noise explains (95 %)."""
        net = self.lost - self.gained
        return net >= LEAST and net > 1.96 * math.sqrt(self.lost + self.gained)

    def __str__(self) -> str:
        return f"{self.asked} 个检验题里，第一个找对的从 {self.before} 个变成 {self.after} 个（变差 {self.lost}，变好 {self.gained}）"


def compare(
    before: SearchIndex,
    after: SearchIndex,
    encoder: Encoder,
    questions: Sequence[tuple[str, Collection[str]]],
    shared: Collection[str],
) -> Comparison:
    """Ask both indexes of the same model; each question comes with the entries that are right, `shared` are the entries both hold."""
    counted = [(question, right) for question, answers in questions if (right := set(answers) & set(shared))]
    vectors = encoder.encode([question for question, _ in counted])
    old, new = ([_first(index, vector) in right for vector, (_, right) in zip(vectors, counted, strict=True)] for index in (before, after))
    lost, gained = (sum(a and not b for a, b in zip(one, other, strict=True)) for one, other in ((old, new), (new, old)))
    return Comparison(len(counted), sum(old), sum(new), lost, gained)


def _first(index: SearchIndex, vector: Vector) -> str | None:
    near = index.nearest(vector, 1)
    return index.units([near[0].unit])[near[0].unit].key if near else None
