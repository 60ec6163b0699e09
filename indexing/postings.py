"""Which units hold a term, and what that is worth: BM25 worked out when the index is built, added up when a question comes.

Two arrays lie one after another for every term: the units that hold it, and each one's gain. A question adds the gains of its
terms and takes the best; nothing is parsed or decoded, so 80,000 units take less than a millisecond. The arrays are mapped from
their files: only what questions touch is ever read. Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework".
"""

import math
from array import array
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from knowledge.errors import IndexUnusable

FILES = ("units.npy", "gains.npy")
K1, B = 1.2, 0.75
"""How soon a repeated term counts no more, and how much a long text pays for its length."""


class Postings:
    """The two arrays of an index folder, opened for reading."""

    def __init__(self, folder: Path, size: int) -> None:
        """`size` is how many units the index holds. Raises IndexUnusable when a file is damaged."""
        try:
            # As plain arrays: every slice of a memmap object costs more than what is read.
            self._units, self._gains = (np.load(folder / name, mmap_mode="r").view(np.ndarray) for name in FILES)
        except (OSError, ValueError, EOFError) as error:
            raise IndexUnusable(f"索引文件 {folder.name} 损坏。请运行：python -m bot reindex") from error
        self._size = size

    def best(self, spans: Iterable[tuple[int, int]], k: int) -> list[tuple[int, float]]:
        """The `k` units with the highest sum of gains over `spans` (each the first row of a term and how many it has), best first."""
        scores = np.zeros(self._size, np.float32)
        for start, count in spans:
            scores[self._units[start : start + count]] += self._gains[start : start + count]
        candidates = np.flatnonzero(scores)
        if k < len(candidates):
            least = np.partition(scores[candidates], -k)[-k]
            candidates = candidates[scores[candidates] >= least]
        # Level scores keep the order of the units, so that the same question always gets the same answer.
        ordered = candidates[np.lexsort((candidates, -scores[candidates]))][:k]
        return [(int(unit), float(scores[unit])) for unit in ordered]


class PostingsWriter:
    """Takes the terms of one unit after another, then writes the arrays."""

    def __init__(self) -> None:
        self._numbers: dict[str, int] = {}
        self._terms, self._units, self._counts, self._lengths = array("I"), array("I"), array("H"), array("I")

    def add(self, terms: Sequence[str]) -> None:
        """The terms of the next unit, in any order, repeated as they occur."""
        unit = len(self._lengths)
        self._lengths.append(len(terms))
        for term, count in Counter(terms).items():
            self._terms.append(self._numbers.setdefault(term, len(self._numbers)))
            self._units.append(unit)
            self._counts.append(min(count, 65_535))

    def write(self, folder: Path) -> list[tuple[str, int, int]]:
        """Write the files; returns each term with the first row it has and how many."""
        terms, units = _as_numpy(self._terms, np.uint32), _as_numpy(self._units, np.uint32)
        counts = _as_numpy(self._counts, np.uint16).astype(np.float32)
        lengths = _as_numpy(self._lengths, np.uint32).astype(np.float32)
        order = np.argsort(terms, kind="stable")
        holding = np.bincount(terms, minlength=len(self._numbers)) if len(terms) else np.zeros(0, np.int64)
        rarity = np.log1p((len(lengths) - holding + 0.5) / (holding + 0.5)).astype(np.float32)
        mean = float(lengths.mean()) if len(lengths) else 1.0
        damping = K1 * (1 - B + B * lengths / max(mean, 1e-9))
        gains = rarity[terms] * counts * (K1 + 1) / (counts + damping[units])
        np.save(folder / FILES[0], units[order])
        np.save(folder / FILES[1], gains[order].astype(np.float16))
        starts = np.concatenate([[0], np.cumsum(holding)[:-1]]) if len(holding) else holding
        return [(term, int(starts[number]), int(holding[number])) for term, number in self._numbers.items()]


def inverse_frequency(holding: int, units: int) -> float:
    """How rare a term is that `holding` of `units` units have; the highest for a term of none."""
    return math.log(1 + (units - holding + 0.5) / (holding + 0.5))


def _as_numpy(values: "array[int]", kind: type[np.generic]) -> NDArray[np.generic]:
    return np.frombuffer(values, kind) if len(values) else np.zeros(0, kind)
