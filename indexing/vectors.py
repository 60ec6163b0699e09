"""Unit vectors in two files: small numbers to find the nearest by, and the vectors themselves to judge by.

    NAME.faiss   each vector in 8-bit whole numbers, held in memory and all compared with the question
    NAME.npy     the same in half precision, mapped; only the rows that were found are read

Whole numbers halve what must pass through the processor's cache, which is what a search waits for. What is found is then
compared exactly, so a cosine is right to 0.001. More than MOST_COMPARED vectors are sorted into LISTS of neighbours, of which a
question looks into LOOKED_INTO: a million in 2 ms, with 98 of 100 of the ten nearest (`tests/bench/scale.py`).
"""

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from indexing.index import Found, Vector

# One question is little work: a second thread would spend more on waiting than it saves, and it is the other core's.
faiss.omp_set_num_threads(1)

MOST_COMPARED = 200_000
LISTS, LOOKED_INTO, TRAINED_ON = 1024, 64, 40
"""Lists, how many of them a question looks into, and vectors for each list that lay them out."""
MARGIN = 8
"""So many more are fetched by whole numbers than are wanted, for the last ones are decided exactly."""
MOST = 127
BATCH = 8192


class Vectors:
    """An opened pair of files."""

    def __init__(self, folder: Path, name: str) -> None:
        """Raises RuntimeError, OSError or ValueError when a file is missing, damaged, or not of the other's length."""
        self._index = faiss.read_index(str(folder / f"{name}.faiss"))
        self._rows: NDArray[np.float16] = np.load(folder / f"{name}.npy", mmap_mode="r").view(np.ndarray)
        if len(self._rows) != self._index.ntotal:
            raise ValueError(f"{name} is not whole")

    def __len__(self) -> int:
        return len(self._rows)

    def nearest(self, vector: Vector, k: int) -> list[Found]:
        """The `k` vectors with the highest cosine to `vector`, best first; level ones in their order."""
        largest = float(np.abs(vector).max(initial=0.0))
        if not len(self) or not largest:
            return [Found(number, 0.0) for number in range(min(k, len(self)))]
        asked = np.rint(vector * (MOST / largest)).reshape(1, -1)
        found = self._index.search(asked, min(k + MARGIN, len(self)))[1][0]
        numbers = found[found >= 0]
        cosines = self._rows[numbers].astype(np.float32) @ vector
        order = np.lexsort((numbers, -cosines))[:k]
        return [Found(number, cosine) for number, cosine in zip(numbers[order].tolist(), cosines[order].tolist(), strict=True)]

    def cosines(self, vector: Vector, numbers: Sequence[int]) -> list[float]:
        """The cosine of `vector` to each of these."""
        if not numbers:
            return []
        found: list[float] = (self._rows[np.asarray(numbers, np.int64)].astype(np.float32) @ vector).tolist()
        return found

    def row(self, number: int) -> Vector:
        """One vector."""
        return np.asarray(self._rows[number], np.float32)


def write_vectors(folder: Path, name: str, parts: Iterable[NDArray[np.float32]], count: int, dimension: int) -> None:
    """Write both files; `parts` are matrices of `dimension` columns with `count` rows together."""
    path = folder / f"{name}.npy"
    rows = np.lib.format.open_memmap(path, mode="w+", dtype=np.float16, shape=(count, dimension))
    start, largest = 0, 0.0
    for part in parts:
        rows[start : start + len(part)] = part
        largest = max(largest, float(np.abs(part).max(initial=0.0)))
        start += len(part)
    rows.flush()
    index = _empty(rows, largest, count, dimension)
    for numbers in _whole_numbers(rows, largest):
        index.add(numbers)
    faiss.write_index(index, str(folder / f"{name}.faiss"))


def _whole_numbers(rows: NDArray[np.float16], largest: float) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(rows), BATCH):
        yield np.rint(rows[start : start + BATCH].astype(np.float32) * (MOST / (largest or 1.0)))


def _empty(rows: NDArray[np.float16], largest: float, count: int, dimension: int) -> Any:
    kind = faiss.ScalarQuantizer.QT_8bit_direct_signed
    if count <= MOST_COMPARED:
        return faiss.IndexScalarQuantizer(dimension, kind, faiss.METRIC_INNER_PRODUCT)
    index = faiss.IndexIVFScalarQuantizer(faiss.IndexFlatIP(dimension), dimension, LISTS, kind, faiss.METRIC_INNER_PRODUCT, False)
    index.nprobe = LOOKED_INTO
    sample = rows[:: max(1, count // (LISTS * TRAINED_ON))]
    index.train(np.concatenate(list(_whole_numbers(sample, largest))))
    return index
