"""How sure we are that an entry answers the question: a small calibrated logistic model, and three bands.

Its features carry over from one library to another: cosines, margins between candidates, shares of rare words, never a
raw score of one corpus. The weights are fitted by `indexing/calibration.py` on questions whose entry is known, each
entry also once left out of the library, so that "nothing here answers this" is learned as well. The file beside the
shipped model says which model it was fitted for; with any other model nothing is answered directly.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from indexing.search import Hit
from knowledge.errors import Unreadable

JUDGED_AMONG = 8
"""A hit is judged against the first so many hits of its question."""
FEATURES = ("cosine", "support", "margin", "lexical_margin", "lexical", "coverage", "precision", "standing_out", "length", "known")


@dataclass(frozen=True)
class Calibration:
    """Weights per feature, intercept, and the probabilities from which we answer or offer."""

    model: str
    weights: tuple[float, ...]
    intercept: float
    answer_from: float
    offer_from: float

    def confidences(self, hits: Sequence[Hit], terms: int) -> list[float]:
        """The probability (0..1) of each hit to be the right entry; `terms` is how many terms the question has."""
        return [self._probability(features(hits, i, terms)) for i in range(len(hits))]

    def _probability(self, values: Sequence[float]) -> float:
        total = self.intercept + sum(w * v for w, v in zip(self.weights, values, strict=True))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def features(hits: Sequence[Hit], i: int, terms: int) -> list[float]:
    """The values of FEATURES for hit `i` among all hits of one question."""
    hit = hits[i]
    # Always among the same number, so that how many candidates somebody asks to see changes no judgment.
    others = [other for j, other in enumerate(hits[:JUDGED_AMONG]) if j != i]
    rival = max((other.score for other in others), default=hit.score - 0.5)
    lexical_rival = max((other.lexical for other in others), default=0.0)
    usual = sum(other.cosine for other in others) / len(others) if others else hit.cosine - 0.3
    return [
        hit.cosine,
        hit.support,
        max(-0.5, min(0.5, hit.score - rival)),
        hit.lexical - lexical_rival,
        hit.lexical,
        hit.coverage,
        hit.precision,
        hit.cosine - usual,
        math.log1p(terms),
        hit.known,
    ]


def load_calibration(path: Path, fingerprint: str) -> Calibration:
    """The calibration in `path` if it was made for the model `fingerprint`, else one that never answers directly.

    Raises Unreadable when the file is damaged.
    """
    if not path.exists():
        return _cautious(fingerprint)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        loaded = Calibration(
            fields["model"],
            tuple(fields["weights"][name] for name in FEATURES),
            fields["intercept"],
            fields["answer_from"],
            fields["offer_from"],
        )
    except (ValueError, KeyError, TypeError) as error:
        raise Unreadable(f"校准文件 {path} 读不出。请删除它恢复出厂校准，或重新校准。") from error
    return loaded if loaded.model == fingerprint else _cautious(fingerprint)


def _cautious(fingerprint: str) -> Calibration:
    """For a model without evidence: an order by cosine and margin, offers only, no direct answers."""
    weights = {"cosine": 4.0, "margin": 4.0, "coverage": 2.0}
    return Calibration(fingerprint, tuple(weights.get(name, 0.0) for name in FEATURES), -3.5, math.inf, 0.25)
