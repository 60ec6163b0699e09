"""Fits `confidence`: how sure may we be of a candidate, judging by features that carry over?

    python -m indexing.calibration --data ../shared/data

Evidence comes from two libraries, our own entries and the questions of `lecoqa_train.jsonl`, and from street paraphrases that
the model has never been trained on. Each such question is asked twice: with its entry in the library, and with its whole leaf left
out, when the right thing is not to answer. Questions that no entry answers are asked as well, and minimal pairs
(`paraphrases.load_pairs`), which teach it what one word can turn round. The weights are a logistic regression over the first three
candidates; the threshold for a direct answer is the lowest whose precision, by cross-validation over entries, has a 95 % lower
bound of the promised value (Wilson).
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import numpy as np
from numpy.typing import NDArray

from indexing import local
from indexing.confidence import FEATURES, JUDGED_AMONG, features
from indexing.encoder import SHIPPED, Encoder, load_encoder
from indexing.evaluation import Share
from indexing.index import Unit
from indexing.paraphrases import (
    Pair,
    Paraphrase,
    held_out,
    load_own_questions,
    load_pairs,
    load_paraphrases,
    load_unanswerable,
    load_validation,
)
from indexing.polarity import conflicts
from indexing.search import search, understand
from knowledge.entry import Entry
from knowledge.errors import BadInput
from knowledge.sources import read_sources
from knowledge.thesaurus import Thesaurus, load_thesaurus

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

FOLDS = 5
JUDGED = 3
PROMISED = 0.85
"""Precision of direct answers that the 95 % lower bound must reach on this evidence, where two questions of three have no right
answer at all; where most questions have one, more of the direct answers are right."""
OFFER_FROM = 0.1
CONTENT = Path(__file__).parent.parent / "knowledge" / "content"


@dataclass(frozen=True)
class Sample:
    """One candidate of one question: its features, whether it is right, and whether polarity speaks against it."""

    group: str
    first: bool
    values: list[float]
    right: bool
    conflict: bool


def collect(
    encoder: Encoder, library: dict[str, Entry], questions: Sequence[Paraphrase], pairs: Iterable[Pair], nothing: Iterable[str]
) -> list[Sample]:
    """Samples from one library: every question with its leaf present and left out, the minimal pairs, and the unanswerable."""
    samples: list[Sample] = []
    with tempfile.TemporaryDirectory() as scratch:
        whole = _index(Path(scratch) / "whole", library, encoder)
        for question in questions:
            samples += _judge(whole, encoder, library, question.text, question.right, leaf(library, question.entry))
        for pair in pairs:
            samples += _judge(whole, encoder, library, pair.text, frozenset(pair.may), leaf(library, next(iter((*pair.wrong, *pair.may)))))
        for text in nothing:
            samples += _judge(whole, encoder, library, text, frozenset(), text)
        for fold in range(FOLDS):
            kept = {key: entry for key, entry in library.items() if _fold(leaf(library, key)) != fold}
            index = _index(Path(scratch) / f"fold-{fold}", kept, encoder)
            for question in questions:
                if _fold(leaf(library, question.entry)) == fold:
                    samples += _judge(index, encoder, library, question.text, question.right, leaf(library, question.entry))
    return samples


def fit(samples: Sequence[Sample]) -> dict[str, Any]:
    """Weights, thresholds and the evidence for them. Raises BadInput when all samples are of one kind."""
    x = np.array([sample.values for sample in samples])
    y = np.array([sample.right for sample in samples])
    if y.all() or not y.any():
        raise BadInput("校准数据只有一种结果（全对或全错），不能校准。请补充另一种。")
    folds = np.array([_fold(sample.group) for sample in samples])
    predicted = np.zeros(len(samples))
    for fold in range(FOLDS):
        here = folds == fold
        predicted[here] = _regression(x[~here], y[~here]).predict_proba(x[here])[:, 1]
    model = _regression(x, y)
    first = np.array([sample.first and not sample.conflict for sample in samples])
    threshold, precision = _threshold(predicted[first], y[first])
    return {
        "weights": dict(zip(FEATURES, map(float, model.coef_[0]), strict=True)),
        "intercept": float(model.intercept_[0]),
        "answer_from": threshold,
        "offer_from": OFFER_FROM,
        "evidence": {
            "samples": len(samples),
            "questions": int(sum(sample.first for sample in samples)),
            "promised": PROMISED,
            "precision": str(precision),
            "answered": str(Share(precision.total, int(first.sum()))),
            "brier": float(np.mean((predicted - y) ** 2)),
        },
    }


def _regression(x: NDArray[np.float64], y: NDArray[np.bool_]) -> "LogisticRegression":
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=10.0, max_iter=2000).fit(x, y)


def _threshold(predicted: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[float, Share]:
    """The lowest probability from which the promise holds on all that is above it; infinity when it never holds."""
    order = np.argsort(-predicted)
    best: tuple[float, Share] = (math.inf, Share(0, 0))
    hits = 0
    for total, i in enumerate(order, 1):
        hits += int(right[i])
        share = Share(hits, total)
        if total >= 30 and share.interval[0] >= PROMISED:
            best = (float(predicted[i]), share)
    return best


def _judge(
    index: local.LocalIndex, encoder: Encoder, library: dict[str, Entry], text: str, right: frozenset[str], group: str
) -> list[Sample]:
    query = understand(encoder, text, _shipped_thesaurus())
    hits = search(index, query, JUDGED_AMONG)
    return [
        Sample(
            group,
            i == 0,
            features(hits, i, len(query.terms)),
            hits[i].key in right,
            bool(_conflicts(text, library[hits[i].key], hits[i].wording)),
        )
        for i in range(min(JUDGED, len(hits)))
        if hits[i].key in right or not _unjudged(library[hits[i].key], [library[key] for key in right if key in library])
    ]


def _unjudged(found: Entry, right: Sequence[Entry]) -> bool:
    """Whether `found` may well answer too, and nobody has judged it: it is linked from another leaf, or rests on the same article.

    Such candidates are no evidence either way. Within a leaf of ours readers have judged; LeCoQA's questions know no links, and many
    of them are twins.
    """
    linked = any(found.id in entry.related or entry.id in found.related for entry in right if entry.topic != found.topic)
    return linked or (found.topic is None and any(set(found.basis) & set(entry.basis) for entry in right))


@cache
def _shipped_thesaurus() -> Thesaurus:
    return load_thesaurus()[0]


def _conflicts(text: str, entry: Entry, found_by: str) -> list[str]:
    return conflicts(text, entry.closest(found_by), entry.question)


def _index(folder: Path, library: dict[str, Entry], encoder: Encoder) -> local.LocalIndex:
    units = [Unit(key, wording) for key, entry in library.items() for wording in entry.searchable_texts()]
    documents = {key: entry.full_text() for key, entry in library.items()}
    return local.build(folder, units, encoder, {"kind": "calibration"}, documents=documents)


def leaf(library: Mapping[str, Entry], key: str) -> str:
    """What is left out together: all entries of a topic, for neighbours may answer too; without a topic the entry alone."""
    return library[key].topic or key


def _fold(key: str) -> int:
    return hashlib.sha256(key.encode()).digest()[0] % FOLDS


def own_library() -> dict[str, Entry]:
    """Our own entries by id."""
    return {entry.id: entry for entry in read_sources([CONTENT / "faq", CONTENT / "guides"]).entries}


def lecoqa_library(data: Path) -> dict[str, Entry]:
    """The questions of lecoqa_train by their number: a library with one wording an entry."""
    entries = read_sources([data / "legal_qa" / "lecoqa_train.jsonl"]).entries
    return {entry.id.partition(":")[2]: entry for entry in entries}


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="shared data folder")
@click.option("--out", type=click.Path(path_type=Path), default=SHIPPED / "calibration.json", help="where to write the calibration")
def main(data: Path, out: Path) -> None:
    """Calibrate the shipped model and print the evidence."""
    encoder = load_encoder()
    street = [line for line in load_paraphrases() if held_out(line.text)]
    about_lecoqa = [line for line in street if line.entry.isdigit()] + load_validation()
    samples = collect(encoder, own_library(), load_own_questions(), load_pairs(), load_unanswerable())
    samples += collect(encoder, lecoqa_library(data), about_lecoqa, [], [])
    calibration = {"model": encoder.fingerprint} | fit(samples)
    out.write_text(json.dumps(calibration, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    click.echo(json.dumps(calibration, ensure_ascii=False, indent=1))


if __name__ == "__main__":
    main()
