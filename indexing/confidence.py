"""How sure we are that an entry answers the question: a small calibrated logistic model, and three bands.

Its features carry over from one library to another: cosines, margins between candidates, shares of rare words, never a
raw score of one corpus. The weights are fitted by `indexing/calibration.py` on questions whose entry is known, each
entry also once left out of the library, so that "nothing here answers this" is learned as well. The file beside the
shipped model says which model it was fitted for; with any other model nothing is answered directly.
"""

import json
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations_with_replacement
from pathlib import Path

from indexing.polarity import UNKNOWN, Differences, compare
from indexing.search import Hit
from knowledge.entry import Entry
from knowledge.errors import Unreadable

log = logging.getLogger(__name__)

JUDGED_AMONG = 8
"""A hit is judged against the first so many hits of its question."""
FEATURES = (
    "cosine", "support", "margin", "lexical_margin", "lexical", "coverage", "precision", "standing_out", "length", "known",
    "against", "standard", "sibling_margin", "other_margin", "stances", "numbers", "denied",
)  # fmt: skip
_MULTIPLIED = ("support", "margin", "known", "standard", "against")
PRODUCTS = tuple(combinations_with_replacement((FEATURES.index(name) for name in _MULTIPLIED), 2))
"""Pairs of features whose product counts too: being near means more for a question whose words the entry knows, and so on."""
WEIGHED = (*FEATURES, *(f"{FEATURES[a]} x {FEATURES[b]}" for a, b in PRODUCTS))
"""What each weight of a calibration is for."""
UNOPPOSED = -0.25
"""What `against` is where no counter-example is known: about what it is for an entry that has some and answers the question."""
FARTHEST = 0.5
"""Margins beyond this say no more."""


@dataclass(frozen=True)
class Judged:
    """A hit with what is known of its entry: its leaf of the taxonomy (else its own id), and how the question differs from it."""

    hit: Hit
    leaf: str
    differences: Differences

    @property
    def key(self) -> str:
        """The entry's id."""
        return self.hit.key


@dataclass(frozen=True)
class Calibration:
    """Weights of the features and of PRODUCTS, intercept, and the probabilities from which we answer or offer."""

    model: str
    weights: tuple[float, ...]
    intercept: float
    answer_from: float
    offer_from: float

    @property
    def knows_the_model(self) -> bool:
        """Whether there is evidence for this model at all; without it nothing is answered directly."""
        return math.isfinite(self.answer_from)

    def confidences(self, judged: Sequence[Judged], terms: int) -> list[float]:
        """The probability (0..1) of each hit to be the right entry; `terms` is how many terms the question has."""
        return [self._probability(features(judged, i, terms)) for i in range(len(judged))]

    def _probability(self, values: Sequence[float]) -> float:
        total = self.intercept + sum(w * v for w, v in zip(self.weights, values, strict=True))
        return 1 / (1 + math.exp(-max(-30.0, min(30.0, total))))


def judge(question: str, entry: Entry, hit: Hit) -> Judged:
    """A hit with what `features` must know; a comparison that fails forbids a direct answer."""
    try:
        differences = compare(question, entry.question, entry.closest(hit.wording))
    except Exception:
        log.exception("polarity check failed")
        differences = UNKNOWN
    return Judged(hit, entry.topic or entry.id, differences)


def features(judged: Sequence[Judged], i: int, terms: int) -> list[float]:
    """The values of FEATURES, then of PRODUCTS, for hit `i` among all hits of one question."""
    this = judged[i]
    hit = this.hit
    # Always among the same number, so that how many candidates somebody asks to see changes no judgment.
    rivals = [other for j, other in enumerate(judged[:JUDGED_AMONG]) if j != i]
    others = [rival.hit for rival in rivals]
    lexical_rival = max((other.lexical for other in others), default=0.0)
    usual = sum(other.cosine for other in others) / len(others) if others else hit.cosine - 0.3
    values = [
        hit.cosine,
        hit.support,
        _margin(hit, others),
        hit.lexical - lexical_rival,
        hit.lexical,
        hit.coverage,
        hit.precision,
        hit.cosine - usual,
        math.log1p(terms),
        hit.known,
        UNOPPOSED if hit.against is None else hit.against - hit.cosine,
        hit.standard,
        _margin(hit, [rival.hit for rival in rivals if rival.leaf == this.leaf]),
        _margin(hit, [rival.hit for rival in rivals if rival.leaf != this.leaf]),
        float(len(this.differences.stances)),
        float(bool(this.differences.numbers)),
        float(min(len(this.differences.denied), 2)),
    ]
    return values + [values[a] * values[b] for a, b in PRODUCTS]


def _margin(hit: Hit, others: Sequence[Hit]) -> float:
    """How far a hit is ahead of the best of the others (negative: behind)."""
    rival = max((other.score for other in others), default=-math.inf)
    return max(-FARTHEST, min(FARTHEST, hit.score - rival))


def load_calibration(path: Path, fingerprint: str) -> Calibration:
    """The calibration in `path` if it was made for the model `fingerprint`, else one that never answers directly.

    Raises Unreadable when the file is damaged.
    """
    if not path.exists():
        return _cautious(fingerprint)
    try:
        fields = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(fields["model"], str):
            raise TypeError("a model's fingerprint is wanted")
        if fields["model"] != fingerprint:
            return _cautious(fingerprint)
        weights = tuple(_number(fields["weights"][name]) for name in WEIGHED)
        return Calibration(fingerprint, weights, *(_number(fields[name]) for name in ("intercept", "answer_from", "offer_from")))
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError) as error:
        raise Unreadable(f"校准文件 {path} 读不出。请删除它，恢复自带校准。") from error


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise TypeError("a number is wanted")
    if not math.isfinite(value):
        raise ValueError("a finite number is wanted")
    return float(value)


def _cautious(fingerprint: str) -> Calibration:
    """For a model without evidence: an order by cosine and margin, offers only, no direct answers."""
    weights = {"cosine": 4.0, "margin": 4.0, "coverage": 2.0}
    return Calibration(fingerprint, tuple(weights.get(name, 0.0) for name in WEIGHED), -3.5, math.inf, 0.25)
