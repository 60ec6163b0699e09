"""What a search index promises, whatever keeps it.

A corpus is a list of units: short texts, each belonging to a key (an entry id, an article of a law). An index over a
corpus finds the units nearest to a vector and the units that share terms with a question. It is immutable: a change
makes another one. This protocol is the one seam of the product; `local.py` keeps it with FAISS and SQLite.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class Unit:
    """One searchable text and the key it belongs to."""

    key: str
    text: str


class Found(NamedTuple):
    """A unit by its number in the index, and its score: cosine in -1..1, or BM25 from 0 up."""

    unit: int
    score: float


class SearchIndex(Protocol):
    """An opened, immutable index over one corpus."""

    @property
    def size(self) -> int:
        """How many units it holds."""

    def nearest(self, vector: Vector, k: int) -> list[Found]:
        """The `k` units with the highest cosine to `vector` (shape (dimension,), unit length), best first."""

    def matching(self, terms: Sequence[str], k: int) -> list[Found]:
        """The `k` units with the highest BM25 for `terms`, best first."""

    def cosines(self, vector: Vector, units: Sequence[int]) -> list[float]:
        """The cosine of `vector` to each of `units`."""

    def asked(self, vector: Vector, k: int) -> list[Found]:
        """Units that answer questions like this one, best first, by the `k` questions nearest to `vector`; empty where none are known.

        The score grows with how near they are, and with how many they are.
        """

    def firsts(self, vector: Vector, keys: Sequence[str]) -> dict[str, float]:
        """For each of the keys, the cosine of `vector` to the first of its units (an entry's standard question)."""

    def against(self, vector: Vector, keys: Sequence[str]) -> dict[str, float]:
        """For each key of which counter-examples are known: the highest cosine of `vector` to one of them."""

    def units(self, numbers: Sequence[int]) -> dict[int, Unit]:
        """The units with these numbers."""

    def vocabulary(self, keys: Sequence[str]) -> dict[str, frozenset[str]]:
        """Every term of the whole document behind each key (its answer too, not only what is searched)."""

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        """BM25's inverse document frequency of each term; a term of no unit has the highest."""
