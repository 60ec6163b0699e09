"""What people ask when an article of a law is what they need: vectors learned beside the model, one or more for an article.

A question and a statute share few words, but a question resembles other questions. `training` writes the vectors of street
questions that an article answers (`paraphrases/articles.jsonl`, and for LeCoQA's training questions the mean of all ways to ask
one). An article is known by a digest of its text, so that a new version with other words inherits nothing. They belong to the
shipped model; with any other model there are none.
"""

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from indexing.encoder import SHIPPED, Encoder
from indexing.index import Vector

FILE = SHIPPED / "asked.npz"
_SCALE = 127


def digest(text: str) -> int:
    """What an article is known by: 64 bits of the SHA-256 of its text."""
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big")


def write_asked(vectors: Mapping[str, NDArray[np.float32]], fingerprint: str, path: Path = FILE) -> None:
    """Keep the unit vectors of the questions (rows) that each article's text answers, for the model `fingerprint`."""
    texts = sorted(vectors)
    np.savez_compressed(
        path,
        model=np.array(fingerprint),
        articles=np.array([digest(text) for text in texts for _ in vectors[text]], np.uint64),
        vectors=np.round(np.concatenate([vectors[text] for text in texts]) * _SCALE).astype(np.int8),
    )


def read_asked(encoder: Encoder, path: Path = FILE) -> dict[int, list[Vector]]:
    """For each article's digest the vectors of its questions; empty when they were made for another model or are not there."""
    if not path.exists():
        return {}
    with np.load(path) as kept:
        if str(kept["model"]) != encoder.fingerprint:
            return {}
        articles, vectors = kept["articles"], kept["vectors"].astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    found: dict[int, list[Vector]] = {}
    for article, vector in zip(articles.tolist(), vectors, strict=True):
        found.setdefault(article, []).append(vector)
    return found
