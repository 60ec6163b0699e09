"""Which messages must not be searched: a linear classifier over words and meaning.

Trigger words alone refuse honest questions (跳槽, 炸鸡) and miss what is said without them (后事都交代好了). So the classifier sees
both: hashed character 1- to 3-grams, and the shipped model's vector. It is a multinomial logistic regression, trained by
`python -m indexing.screening` on the committed examples of `indexing/examples`, and small enough to read in a millisecond. A long
message is judged in overlapping windows, so that a cry for help in the middle of a story is not averaged away.
"""

import hashlib
import json
import zlib
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from indexing.encoder import SHIPPED, Encoder, load_encoder
from indexing.words import clean

EXAMPLES = Path(__file__).parent / "examples"
WEIGHTS = SHIPPED / "screening.npz"
NONE = "none"
BUCKETS = 1 << 15
MEANING = 4.0
"""How much the vector counts beside the n-grams, whose length is 1."""
WINDOW, STEP = 120, 60
MOST_WINDOWS = 40


class Screen:
    """The trained classifier."""

    def __init__(self, kinds: Sequence[str], weights: NDArray[np.float32], intercepts: NDArray[np.float32], encoder: Encoder) -> None:
        self.kinds = tuple(kinds)
        self._weights, self._intercepts, self._encoder = weights, intercepts, encoder

    def probabilities(self, text: str) -> dict[str, float]:
        """For each kind (`none`, `R5`, …) its highest probability over the windows of the message; `none` gets its lowest."""
        windows = _windows(clean(text))
        scores = np.stack([self._score(window, vector) for window, vector in zip(windows, self._encoder.encode(windows), strict=True)])
        exponentials = np.exp(scores - scores.max(axis=1, keepdims=True))
        shares = exponentials / exponentials.sum(axis=1, keepdims=True)
        found = {kind: float(shares[:, i].max()) for i, kind in enumerate(self.kinds)}
        return found | {NONE: float(shares[:, self.kinds.index(NONE)].min())}

    def _score(self, window: str, vector: NDArray[np.float32]) -> NDArray[np.float32]:
        numbers, values = _grams(window)
        scores: NDArray[np.float32] = (
            self._weights[:, numbers] @ values + self._weights[:, BUCKETS:] @ (MEANING * vector) + self._intercepts
        )
        return scores


@cache
def load_screen() -> Screen:
    """The shipped classifier; it always uses the shipped model, whatever EMBEDDING_MODEL says."""
    with np.load(WEIGHTS) as stored:
        return Screen(
            json.loads(str(stored["kinds"])), stored["weights"].astype(np.float32), stored["intercepts"].astype(np.float32), load_encoder()
        )


def _windows(text: str) -> list[str]:
    if len(text) <= WINDOW:
        return [text]
    starts = list(range(0, len(text) - WINDOW + STEP, STEP))
    # A flood of text is sampled evenly; it is bounded work, whatever is sent.
    spread = max(1, -(-len(starts) // MOST_WINDOWS))
    return [text[start : start + WINDOW] for start in starts[::spread]]


def _grams(text: str) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Buckets of the 1- to 3-grams of a text, with damped counts of unit length."""
    marked = f"^{text}$"
    counts: dict[int, int] = {}
    for length in (1, 2, 3):
        for i in range(len(marked) - length + 1):
            bucket = zlib.crc32(marked[i : i + length].encode()) % BUCKETS
            counts[bucket] = counts.get(bucket, 0) + 1
    values = np.log1p(np.fromiter(counts.values(), np.float32))
    return np.fromiter(counts.keys(), np.int64), values / max(float(np.linalg.norm(values)), 1e-9)


def load_examples() -> list[tuple[str, str]]:
    """(message, kind) of every example file; null means `none`."""
    found: dict[str, str] = {}
    for path in sorted(EXAMPLES.glob("*.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            fields = json.loads(line)
            found[fields["text"]] = fields["rule"] or NONE
    return list(found.items())


def train(examples: Sequence[tuple[str, str]], innocent: Iterable[str], encoder: Encoder, strength: float = 20.0) -> Screen:
    """Fit the classifier; `innocent` are further messages of kind `none`."""
    from scipy.sparse import csr_matrix, hstack
    from sklearn.linear_model import LogisticRegression

    labelled = [*examples, *((text, NONE) for text in innocent)]
    texts = [clean(text)[:WINDOW] for text, _ in labelled]
    grams = [_grams(text) for text in texts]
    rows = np.concatenate([np.full(len(numbers), i) for i, (numbers, _) in enumerate(grams)])
    columns = np.concatenate([numbers for numbers, _ in grams])
    values = np.concatenate([value for _, value in grams])
    features = hstack([csr_matrix((values, (rows, columns)), (len(texts), BUCKETS)), csr_matrix(MEANING * encoder.encode(texts))]).tocsr()
    model = LogisticRegression(C=strength, max_iter=400).fit(features, [kind for _, kind in labelled])
    return Screen(list(model.classes_), model.coef_.astype(np.float32), model.intercept_.astype(np.float32), encoder)


@click.command()
@click.option("--out", type=click.Path(path_type=Path), default=WEIGHTS, help="where to write the weights")
@click.option("--folds", default=5, help="folds of the cross-validation that is printed first")
def main(out: Path, folds: int) -> None:
    """Train on all examples, after printing what cross-validation says."""
    from indexing.calibration import own_library

    encoder, examples = load_encoder(), load_examples()
    innocent = [wording for wordings in own_library().values() for wording in wordings]
    caught: dict[str, list[float]] = {}
    for fold in range(folds):
        screen = train([e for e in examples if _fold(e[0], folds) != fold], [t for t in innocent if _fold(t, folds) != fold], encoder)
        for text, kind in [*examples, *((t, NONE) for t in innocent)]:
            if _fold(text, folds) == fold:
                found = screen.probabilities(text)
                caught.setdefault(kind, []).append(found["R5"] if kind == "R5" else 1 - found[NONE])
    for kind, shares in sorted(caught.items()):
        click.echo(
            f"{kind:<10} {len(shares):>5}  " + "  ".join(f">{t}: {np.mean(np.array(shares) > t):.3f}" for t in (0.1, 0.2, 0.3, 0.5, 0.7))
        )
    screen = train(examples, innocent, encoder)
    np.savez_compressed(
        out,
        kinds=json.dumps(screen.kinds),
        weights=screen._weights.astype(np.float16),
        intercepts=screen._intercepts.astype(np.float16),
    )
    click.echo(f"{len(examples)} examples, {len(innocent)} innocent wordings, {out.stat().st_size // 1000} KB")


def _fold(text: str, folds: int) -> int:
    return hashlib.sha256(text.encode()).digest()[1] % folds


if __name__ == "__main__":
    main()
