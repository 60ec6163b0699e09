"""A search index in one folder: FAISS for vectors, SQLite FTS5 for terms.

    vectors.faiss   every unit vector in half precision, all compared with the question
    text.sqlite     units, the full-text index over their terms, document frequencies
    manifest.json   what it was made from, with the SHA-256 of the two files

The folder is written once under a temporary name and renamed when complete, so a half-written index has never the name
of a whole one. Terms are split by `words.terms`, the same for units and questions; FTS5 only sees them joined by spaces.
"""

import hashlib
import json
import math
import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import faiss
import numpy as np

from indexing.encoder import Encoder
from indexing.index import Found, Unit, Vector
from indexing.words import terms as split_terms
from knowledge.errors import IndexUnusable

# One question is little work: a second thread would spend more on waiting than it saves, and it is the other core's.
faiss.omp_set_num_threads(1)

FORMAT = 3
BATCH = 2048
MOST_POSTINGS = 10_000
"""How many (term, unit) pairs a question may touch: its rarest terms up to here, at least LEAST_TERMS. A small index is searched whole."""
LEAST_TERMS = 8
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
            self._faiss = faiss.read_index(str(folder / "vectors.faiss"))
        except RuntimeError as error:
            raise IndexUnusable(f"索引文件 {folder.name} 损坏。请运行：python -m bot reindex") from error
        if self._faiss.ntotal != self.manifest["units"]:
            raise IndexUnusable(f"索引文件 {folder.name} 不完整。请运行：python -m bot reindex")
        self._local = threading.local()
        self._vocabulary: dict[str, frozenset[str]] = {}

    @property
    def size(self) -> int:
        return int(self._faiss.ntotal)

    def nearest(self, vector: Vector, k: int) -> list[Found]:
        if self.size == 0:
            return []
        scores, numbers = self._faiss.search(vector.reshape(1, -1), min(k, self.size))
        return [Found(int(number), float(score)) for number, score in zip(numbers[0], scores[0], strict=True) if number >= 0]

    def matching(self, terms: Sequence[str], k: int) -> list[Found]:
        known = self._worth_looking_up(terms)
        if not known:
            return []
        query = " OR ".join(f'"{term}"' for term in known)
        found = self.sql("SELECT rowid, -rank FROM fulltext WHERE fulltext MATCH ? ORDER BY rank LIMIT ?", query, k)
        return [Found(number, score) for number, score in found]

    def _worth_looking_up(self, terms: Sequence[str]) -> list[str]:
        """The terms that occur at all, rarest first, until MOST_POSTINGS are reached: what is left out hardly moves the best hits."""
        chosen: list[str] = []
        postings = 0
        for term, units in sorted(self._frequencies(terms).items(), key=lambda item: item[1]):
            postings += units
            if postings > MOST_POSTINGS and len(chosen) >= LEAST_TERMS:
                break
            chosen.append(term)
        return chosen

    def _frequencies(self, terms: Sequence[str]) -> dict[str, int]:
        """In how many units each term occurs; terms of no unit are left out."""
        wanted = list(dict.fromkeys(terms))
        return dict(self.sql(f"SELECT term, units FROM frequency WHERE term IN ({','.join('?' * len(wanted))})", *wanted))

    def cosines(self, vector: Vector, units: Sequence[int]) -> list[float]:
        return [float(self._faiss.reconstruct(int(number)) @ vector) for number in units]

    def units(self, numbers: Sequence[int]) -> dict[int, Unit]:
        marks = ",".join("?" * len(numbers))
        found = self.sql(f"SELECT number, key, text FROM units WHERE number IN ({marks})", *numbers)
        return {number: Unit(key, text) for number, key, text in found}

    def rarity(self, terms: Sequence[str]) -> dict[str, float]:
        known = self._frequencies(terms)
        return {term: _inverse_frequency(known.get(term, 0), self.size) for term in dict.fromkeys(terms)}

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
        return {text: np.asarray(self._faiss.reconstruct(int(number))) for number, text in self.sql("SELECT number, text FROM units")}

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
    progress: Progress | None = None,
) -> LocalIndex:
    """Write an index over `units` into `folder` and open it.

    `known` holds vectors of texts that need no encoding; `documents` the whole text behind each key, for `vocabulary`; `extra`
    may add tables of its own to `text.sqlite`; `progress(what, done, total)` is called now and then. `folder` appears only
    when everything in it is complete.
    """
    partial = folder.with_name(f"{folder.name}.partial")
    # One builder at a time: what lies here was left by one that was killed.
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    _write_vectors(partial / "vectors.faiss", units, encoder, known or {}, progress)
    _write_text(partial / "text.sqlite", units, documents or {}, extra, progress)
    files = {name: _sha256(partial / name) for name in ("vectors.faiss", "text.sqlite")}
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


def _write_vectors(path: Path, units: Sequence[Unit], encoder: Encoder, known: dict[str, Vector], progress: Progress | None) -> None:
    # Half precision finds the same neighbours (as a full search of 60,000 articles showed) in half the memory and time.
    index = faiss.IndexScalarQuantizer(encoder.dimension, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    for start in range(0, len(units), BATCH):
        texts = [unit.text for unit in units[start : start + BATCH]]
        new = [text for text in texts if text not in known]
        encoded = dict(zip(new, encoder.encode(new), strict=True)) if new else {}
        index.add(np.stack([encoded[text] if text in encoded else known[text] for text in texts]))
        if progress:
            progress("计算向量", min(start + BATCH, len(units)), len(units))
    faiss.write_index(index, str(path))


def _write_text(
    path: Path,
    units: Sequence[Unit],
    documents: Mapping[str, str],
    extra: Callable[[sqlite3.Connection], None] | None,
    progress: Progress | None,
) -> None:
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = OFF")
    connection.execute("PRAGMA synchronous = OFF")
    connection.execute("BEGIN")
    connection.execute("CREATE TABLE units (number INTEGER PRIMARY KEY, key TEXT NOT NULL, text TEXT NOT NULL)")
    # remove_diacritics 0: the terms come out of `words` already folded; FTS5 shall only cut at the spaces.
    connection.execute("CREATE VIRTUAL TABLE fulltext USING fts5(terms, content='', tokenize='unicode61 remove_diacritics 0')")
    for start in range(0, len(units), BATCH):
        numbered = list(enumerate(units[start : start + BATCH], start))
        connection.executemany("INSERT INTO units VALUES (?, ?, ?)", ((n, unit.key, unit.text) for n, unit in numbered))
        connection.executemany(
            "INSERT INTO fulltext (rowid, terms) VALUES (?, ?)", ((n, " ".join(split_terms(unit.text))) for n, unit in numbered)
        )
        if progress:
            progress("建全文索引", min(start + BATCH, len(units)), len(units))
    connection.execute("INSERT INTO fulltext (fulltext) VALUES ('optimize')")
    connection.execute("CREATE INDEX units_key ON units (key)")
    connection.execute("CREATE VIRTUAL TABLE vocabulary USING fts5vocab(fulltext, 'row')")
    connection.execute("CREATE TABLE frequency (term TEXT PRIMARY KEY, units INTEGER NOT NULL) WITHOUT ROWID")
    connection.execute("INSERT INTO frequency SELECT term, doc FROM vocabulary")
    connection.execute("CREATE TABLE documents (key TEXT PRIMARY KEY, terms TEXT NOT NULL) WITHOUT ROWID")
    connection.executemany(
        "INSERT INTO documents VALUES (?, ?)", ((k, " ".join(sorted(set(split_terms(d))))) for k, d in documents.items())
    )
    if extra:
        extra(connection)
    connection.execute("COMMIT")
    connection.close()


def _inverse_frequency(units_with_term: int, units: int) -> float:
    return math.log(1 + (units - units_with_term + 0.5) / (units_with_term + 0.5))


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
