"""A search index in one folder: vectors, postings for terms, SQLite for texts.

    vectors.faiss, vectors.npy   every unit's vector (`vectors`)
    units.npy, gains.npy         which units hold a term and its BM25 gain there (`postings`)
    asked.faiss, asked.npy       vectors of questions known beforehand; answered.npy names the unit that answers each
    against.npy                  vectors of the questions that a key is known not to answer
    text.sqlite                  units, where each term's postings lie, terms of whole documents
    manifest.json                what it was made from, with the SHA-256 of the other files

The folder is written once under a temporary name and renamed when complete, so a half-written index has never the name
of a whole one. Terms are split by `words.terms`, the same for units and questions.
"""

import hashlib
import json
import math
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from indexing.encoder import Encoder
from indexing.index import Found, Unit, Vector
from indexing.postings import FILES as POSTINGS
from indexing.postings import Postings, PostingsWriter, inverse_frequency
from indexing.vectors import Vectors, write_vectors
from indexing.words import terms as split_terms
from knowledge.errors import IndexUnusable

FORMAT = 5
BATCH = 2048
MOST_POSTINGS = 200_000
"""How many (term, unit) pairs a question may touch: its rarest terms up to here, at least LEAST_TERMS. A small index is searched whole."""
LEAST_TERMS = 8
FILES = ("vectors.faiss", "vectors.npy", *POSTINGS, "asked.faiss", "asked.npy", "answered.npy", "against.npy", "text.sqlite")
SHARPNESS = 10.0
"""How much more the nearest known question says than all the others that the same unit answers."""
MOST_VOCABULARIES = 1_000
"""Documents whose terms are held in memory."""

Progress = Callable[[str, int, int], None]


class LocalIndex:
    """An opened index folder. One per thread of use is not needed: FAISS is only read, SQLite opens one connection per thread."""

    def __init__(self, folder: Path, fingerprint: str | None = None) -> None:
        """Open `folder`; with `fingerprint`, refuse an index made by another model. Raises IndexUnusable."""
        self.folder = folder
        self.manifest = read_manifest(folder)
        if fingerprint is not None and self.manifest["model"] != fingerprint:
            raise IndexUnusable("索引是用另一个向量模型建的，不能用。请运行：python -m bot reindex")
        try:
            self._vectors, self._asked = Vectors(folder, "vectors"), Vectors(folder, "asked")
            self._answered_by = np.load(folder / "answered.npy")
            self._against = np.load(folder / "against.npy", mmap_mode="r").view(np.ndarray)
        except (RuntimeError, OSError, ValueError, EOFError) as error:
            raise IndexUnusable(f"索引文件 {folder.name} 损坏。请运行：python -m bot reindex") from error
        if len(self._vectors) != self.manifest["units"]:
            raise IndexUnusable(f"索引文件 {folder.name} 不完整。请运行：python -m bot reindex")
        self._postings = Postings(folder, self.size)
        self._local = threading.local()
        self._vocabulary: dict[str, frozenset[str]] = {}
        self._last_spans: tuple[tuple[str, ...], dict[str, tuple[int, int]]] = ((), {})

    @property
    def size(self) -> int:
        return len(self._vectors)

    def nearest(self, vector: Vector, k: int) -> list[Found]:
        return self._vectors.nearest(vector, k)

    def matching(self, terms: Sequence[str], k: int) -> list[Found]:
        return [Found(unit, score) for unit, score in self._postings.best(self._worth_looking_up(terms), k)]

    def _worth_looking_up(self, terms: Sequence[str]) -> list[tuple[int, int]]:
        """Where the terms lie that occur at all, rarest first, until MOST_POSTINGS are reached: the rest hardly moves the best hits."""
        chosen: list[tuple[int, int]] = []
        postings = 0
        for start, units in sorted(self._spans(terms).values(), key=lambda span: span[1]):
            postings += units
            if postings > MOST_POSTINGS and len(chosen) >= LEAST_TERMS:
                break
            chosen.append((start, units))
        return chosen

    def _spans(self, terms: Sequence[str]) -> dict[str, tuple[int, int]]:
        """For each term that occurs: its first row in the postings, and in how many units it occurs."""
        wanted = tuple(dict.fromkeys(terms))
        # A question's terms are looked up twice, to match and to weigh them.
        last, spans = self._last_spans
        if wanted != last:
            found = self.sql(f"SELECT term, start, units FROM terms WHERE term IN ({','.join('?' * len(wanted))})", *wanted)
            spans = {term: (start, units) for term, start, units in found}
            self._last_spans = wanted, spans
        return spans

    def cosines(self, vector: Vector, units: Sequence[int]) -> list[float]:
        return self._vectors.cosines(vector, units)

    def asked(self, vector: Vector, k: int) -> list[Found]:
        near = self._asked.nearest(vector, k)
        if not near:
            return []
        weights = np.exp(SHARPNESS * np.array([found.score for found in near])).tolist()
        # The smooth maximum (log of the sum of exponentials) over the questions of each unit.
        evidence: dict[int, float] = {}
        for unit, weight in zip(self._answered_by[[found.unit for found in near]].tolist(), weights, strict=True):
            evidence[unit] = evidence.get(unit, 0.0) + weight
        found = (Found(unit, math.log(weight) / SHARPNESS) for unit, weight in evidence.items())
        return sorted(found, key=lambda item: (-item.score, item.unit))

    def firsts(self, vector: Vector, keys: Sequence[str]) -> dict[str, float]:
        found = self.sql(f"SELECT key, MIN(number) FROM units WHERE key IN ({','.join('?' * len(keys))}) GROUP BY key", *keys)
        return dict(zip((key for key, _ in found), self.cosines(vector, [number for _, number in found]), strict=True))

    def against(self, vector: Vector, keys: Sequence[str]) -> dict[str, float]:
        found = self.sql(f"SELECT key, start, count FROM against WHERE key IN ({','.join('?' * len(keys))})", *keys)
        return {key: float((self._against[start : start + count].astype(np.float32) @ vector).max()) for key, start, count in found}

    def units(self, numbers: Sequence[int]) -> dict[int, Unit]:
        marks = ",".join("?" * len(numbers))
        found = self.sql(f"SELECT number, key, text FROM units WHERE number IN ({marks})", *numbers)
        return {number: Unit(key, text) for number, key, text in found}

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        known = self._spans(terms)
        return {term: inverse_frequency(known.get(term, (0, 0))[1], self.size) for term in dict.fromkeys(terms)}

    def vocabulary(self, keys: Sequence[str]) -> dict[str, frozenset[str]]:
        missing = [key for key in keys if key not in self._vocabulary]
        if missing:
            found = self.sql(f"SELECT key, terms FROM documents WHERE key IN ({','.join('?' * len(missing))})", *missing)
            if len(self._vocabulary) > MOST_VOCABULARIES:
                self._vocabulary.clear()
            # Most terms stand in many documents: interned, each is held once.
            self._vocabulary |= {key: frozenset(map(sys.intern, terms.split(" "))) for key, terms in found}
        return {key: self._vocabulary[key] for key in keys if key in self._vocabulary}

    def sql(self, query: str, *args: Any) -> list[Any]:
        """Rows of a read-only query on this thread's connection."""
        connection = getattr(self._local, "connection", None)
        if connection is None:
            path = (self.folder / "text.sqlite").resolve()
            connection = sqlite3.connect(f"{path.as_uri()}?mode=ro&immutable=1", uri=True, check_same_thread=False)
            self._local.connection = connection
        try:
            return list(connection.execute(query, args).fetchall())
        except sqlite3.DatabaseError as error:
            raise IndexUnusable(f"索引文件 {self.folder.name} 损坏（{error}）。请运行：python -m bot reindex") from error

    def known_vectors(self) -> dict[str, Vector]:
        """The vector of every text in the index, to spare encoding what has not changed."""
        return {text: self._vectors.row(number) for number, text in self.sql("SELECT number, text FROM units")}

    def check(self) -> None:
        """Compare the files with the manifest's SHA-256. Raises IndexUnusable."""
        for name, expected in self.manifest["files"].items():
            if _sha256(self.folder / name) != expected:
                raise IndexUnusable(f"索引文件 {self.folder.name}/{name} 与清单不符，已损坏。请运行：python -m bot reindex")


def build(
    folder: Path,
    units: Sequence[Unit],
    encoder: Encoder,
    manifest: dict[str, Any],
    known: dict[str, Vector] | None = None,
    documents: Mapping[str, str] | None = None,
    extra: Callable[[sqlite3.Connection], None] | None = None,
    asked: Mapping[int, Sequence[Vector]] | None = None,
    against: Mapping[str, Sequence[str]] | None = None,
    progress: Progress | None = None,
) -> LocalIndex:
    """Write an index over `units` into `folder` and open it.

    `known` holds vectors of texts that need no encoding; `documents` the whole text behind each key, for `vocabulary`; `extra`
    may add tables of its own to `text.sqlite`; `asked` holds vectors of questions that a unit (by its number) is known to answer,
    `against` questions that a key is known not to answer; `progress(what, done, total)` is called now and then. `folder` appears
    only when everything in it is complete.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    # One builder at a time: what lies here was left by one that was killed.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    write_vectors(partial, "vectors", _batches(units, encoder, known or {}, progress), len(units), encoder.dimension)
    _write_asked(partial, asked or {}, encoder.dimension)
    _write_against(partial / "against.npy", against or {}, encoder)
    terms = _write_postings(partial, units, progress)
    _write_text(partial / "text.sqlite", units, terms, documents or {}, against or {}, extra)
    files = {name: _sha256(partial / name) for name in FILES}
    complete = manifest | {"format": FORMAT, "model": encoder.fingerprint, "model_name": encoder.name, "units": len(units), "files": files}
    (partial / "manifest.json").write_text(json.dumps(complete, ensure_ascii=False, indent=1), encoding="utf-8")
    _sync(partial)
    partial.rename(folder)
    return LocalIndex(folder, encoder.fingerprint)


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of an index folder. Raises IndexUnusable when there is none or it is of another format."""
    try:
        manifest: dict[str, Any] = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IndexUnusable(f"索引 {folder.name} 不存在或读不出。请运行：python -m bot reindex") from error
    if manifest.get("format") != FORMAT:
        raise IndexUnusable(f"索引 {folder.name} 是另一个版本建的。请运行：python -m bot reindex")
    return manifest


def _batches(
    units: Sequence[Unit], encoder: Encoder, known: Mapping[str, Vector], progress: Progress | None
) -> Iterator[NDArray[np.float32]]:
    for start in range(0, len(units), BATCH):
        yield _encoded([unit.text for unit in units[start : start + BATCH]], encoder, known)
        if progress:
            progress("计算向量", min(start + BATCH, len(units)), len(units))


def _write_asked(folder: Path, asked: Mapping[int, Sequence[Vector]], dimension: int) -> None:
    vectors = [vector for known in asked.values() for vector in known]
    write_vectors(folder, "asked", [np.stack(vectors)] if vectors else [], len(vectors), dimension)
    np.save(folder / "answered.npy", np.array([unit for unit, known in asked.items() for _ in known], np.uint32))


def _write_against(path: Path, against: Mapping[str, Sequence[str]], encoder: Encoder) -> None:
    np.save(path, encoder.encode([text for texts in against.values() for text in texts]).astype(np.float16))


def _encoded(texts: Sequence[str], encoder: Encoder, known: Mapping[str, Vector]) -> NDArray[np.float32]:
    """The vectors of texts, shape (len(texts), dimension); those that are known already are not computed again."""
    new = [text for text in texts if text not in known]
    vectors = dict(zip(new, encoder.encode(new), strict=True)) if new else {}
    rows = [vectors[text] if text in vectors else known[text] for text in texts]
    return np.stack(rows) if rows else np.zeros((0, encoder.dimension), np.float32)


def _write_postings(folder: Path, units: Sequence[Unit], progress: Progress | None) -> list[tuple[str, int, int]]:
    writer = PostingsWriter()
    for number, unit in enumerate(units, 1):
        writer.add(split_terms(unit.text))
        if progress and (number % BATCH == 0 or number == len(units)):
            progress("建词面索引", number, len(units))
    return writer.write(folder)


def _write_text(
    path: Path,
    units: Sequence[Unit],
    terms: Sequence[tuple[str, int, int]],
    documents: Mapping[str, str],
    against: Mapping[str, Sequence[str]],
    extra: Callable[[sqlite3.Connection], None] | None,
) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE units (number INTEGER PRIMARY KEY, key TEXT NOT NULL, text TEXT NOT NULL)")
    connection.executemany("INSERT INTO units VALUES (?, ?, ?)", ((n, unit.key, unit.text) for n, unit in enumerate(units)))
    connection.execute("CREATE INDEX units_key ON units (key)")
    connection.execute("CREATE TABLE terms (term TEXT PRIMARY KEY, start INTEGER NOT NULL, units INTEGER NOT NULL) WITHOUT ROWID")
    connection.executemany("INSERT INTO terms VALUES (?, ?, ?)", sorted(terms))
    connection.execute("CREATE TABLE documents (key TEXT PRIMARY KEY, terms TEXT NOT NULL) WITHOUT ROWID")
    connection.executemany(
        "INSERT INTO documents VALUES (?, ?)", ((k, " ".join(sorted(set(split_terms(d))))) for k, d in documents.items())
    )
    connection.execute("CREATE TABLE against (key TEXT PRIMARY KEY, start INTEGER NOT NULL, count INTEGER NOT NULL) WITHOUT ROWID")
    starts = accumulate((len(texts) for texts in against.values()), initial=0)
    connection.executemany(
        "INSERT INTO against VALUES (?, ?, ?)", ((k, start, len(against[k])) for k, start in zip(against, starts, strict=False))
    )
    if extra:
        extra(connection)
    connection.execute("COMMIT")
    connection.close()


def _sha256(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise IndexUnusable(f"索引文件 {path.name} 读不出。请运行：python -m bot reindex") from error


def _sync(folder: Path) -> None:
    for path in folder.iterdir():
        with path.open("rb") as file:
            os.fsync(file.fileno())
