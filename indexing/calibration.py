"""Fits `confidence`: how sure may we be of a candidate, judging by features that carry over?

    python -m indexing.calibration --data ../shared/data

Evidence comes from two libraries, our own entries and the questions of `lecoqa_train.jsonl`, and from street paraphrases that
the model has never been trained on. Each such question is asked twice: with its entry in the library, and with its whole leaf left
out, when the right thing is not to answer. Questions that no entry answers are asked as well, and minimal pairs
(`paraphrases.load_pairs`), which teach it what one word can turn round. The weights are a logistic regression over the first three
candidates (Newton's method, a small ridge); the threshold for a direct answer is the lowest whose precision, by cross-validation
over leaves, has a 95 % lower bound of the promised value (Wilson).

A court sharpens it for its own library with `python -m bot calibrate` (`sharpened`): with few questions only the scale and the
threshold are fitted, with many the weights too.
"""

import hashlib
import json
import math
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from indexing import local
from indexing.confidence import JUDGED_AMONG, WEIGHED, Calibration, features, judge
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
from indexing.search import search, understand
from knowledge.entry import Entry
from knowledge.errors import BadInput
from knowledge.sources import read_sources
from knowledge.thesaurus import Thesaurus, load_thesaurus

FOLDS = 5
JUDGED = 3
PROMISED = 0.87
"""Precision of direct answers that the 95 % lower bound must reach on this evidence, where two questions of three have no right
answer at all; where most questions have one, more of the direct answers are right."""
OFFER_FROM = 0.1
LEAST_ANSWERS = 30
"""Direct answers without which no threshold promises anything."""
ENOUGH = 400
"""Questions from which a library's own weights are better than the shipped ones on another scale."""
RIDGE = 0.1
EMPHASIS = {"pairs": 3.0, "nothing": 3.0}
"""How much more some evidence counts: what must not be answered is rare in it and costs most."""
CONTENT = Path(__file__).parent.parent / "knowledge" / "content"


@dataclass(frozen=True)
class Sample:
    """One candidate of one question: its features, whether it is right, and whether polarity forbids a direct answer.

    `kind` says what sort of evidence it is (KINDS); `group` is what folds never divide.
    """

    kind: str
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
            samples += _judge("answerable", whole, encoder, library, question.text, question.right, leaf(library, question.entry))
        for pair in pairs:
            group = leaf(library, next(iter((*pair.wrong, *pair.may))))
            samples += _judge("pairs", whole, encoder, library, pair.text, frozenset(pair.may), group)
        for text in nothing:
            samples += _judge("nothing", whole, encoder, library, text, frozenset(), text)
        for fold in range(FOLDS):
            kept = {key: entry for key, entry in library.items() if _fold(leaf(library, key)) != fold}
            index = _index(Path(scratch) / f"fold-{fold}", kept, encoder)
            for question in questions:
                if _fold(leaf(library, question.entry)) == fold:
                    group = leaf(library, question.entry)
                    samples += _judge("left out", index, encoder, library, question.text, question.right, group)
    return samples


def fit(samples: Sequence[Sample], promised: float = PROMISED) -> dict[str, Any]:
    """Weights, thresholds and the evidence for them. Raises BadInput when all samples are of one kind."""
    x, y = _matrix(samples)
    weight = np.array([EMPHASIS.get(sample.kind, 1.0) for sample in samples])
    predicted = crossed(x, y, [sample.group for sample in samples], weight)
    weights = _regression(x, y, weight)
    first = np.array([sample.first and not sample.conflict for sample in samples])
    threshold, precision = _threshold(predicted[first], y[first], promised)
    kinds = dict.fromkeys(sample.kind for sample in samples)
    direct = first & (predicted >= threshold)
    return {
        "weights": dict(zip(WEIGHED, map(float, weights[1:]), strict=True)),
        "intercept": float(weights[0]),
        "answer_from": threshold,
        "offer_from": OFFER_FROM,
        "evidence": {
            "samples": len(samples),
            "questions": int(sum(sample.first for sample in samples)),
            "promised": promised,
            "precision": str(precision),
            "answered": str(Share(precision.total, int(first.sum()))),
            "brier": float(np.mean((predicted - y) ** 2)),
            "by kind": {kind: _counts([sample.kind == kind for sample in samples], direct, y, samples) for kind in kinds},
            "reliability": reliability(predicted, y),
        },
    }


def _counts(here: Sequence[bool], direct: NDArray[np.bool_], right: NDArray[np.bool_], samples: Sequence[Sample]) -> dict[str, int]:
    """Of one kind of evidence: questions, those answered directly, and those of them answered rightly."""
    chosen = np.array(here)
    questions = int(sum(sample.first for sample, mine in zip(samples, here, strict=True) if mine))
    return {"questions": questions, "answered": int((chosen & direct).sum()), "right": int((chosen & direct & right).sum())}


def reliability(predicted: NDArray[np.float64], right: NDArray[np.bool_]) -> list[tuple[float, float, int]]:
    """For each tenth of the scale that has samples: what was predicted on average, what share was right, how many there were."""
    tenths = np.minimum((predicted * 10).astype(int), 9)
    found = [(tenths == tenth) for tenth in range(10)]
    return [(round(float(predicted[m].mean()), 4), round(float(right[m].mean()), 4), int(m.sum())) for m in found if m.any()]


def reliability_plot(bins: Sequence[Sequence[float]]) -> str:
    """An SVG of `reliability`: what was right against what was promised; a calibrated judge lies on the diagonal."""
    side, margin = 300, 40

    def place(predicted: float, right: float) -> tuple[float, float]:
        return margin + side * predicted, margin + side * (1 - right)

    dots = "".join(
        '<circle cx="{:.1f}" cy="{:.1f}" r="{:.1f}" fill="#1f6feb" fill-opacity=".6"/>'.format(*place(p, r), 2 + math.log10(n) * 2)
        for p, r, n in bins
    )
    (left, low), (right, high), whole = place(0, 0), place(1, 1), side + 2 * margin
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole}" height="{whole}" font-size="12" font-family="sans-serif">',
            '<rect width="100%" height="100%" fill="#fff"/>',
            f'<path d="M{left} {high}V{low}H{right}" fill="none" stroke="#333"/>',
            f'<path d="M{left} {low}L{right} {high}" stroke="#999" stroke-dasharray="4"/>{dots}',
            f'<text x="{left}" y="{high - 12}">答对的比例（点越大，问题越多）</text>',
            f'<text x="{right - 60}" y="{low + 28}">给出的把握</text></svg>\n',
        )
    )


def crossed(
    x: NDArray[np.float64], y: NDArray[np.bool_], groups: Sequence[str], weight: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """For each sample the probability given by the samples of other groups only; `weight` is how much each sample counts."""
    folds = np.array([_fold(group) for group in groups])
    counts = np.ones(len(y)) if weight is None else weight
    predicted = np.zeros(len(y))
    for fold in range(FOLDS):
        here = folds == fold
        if here.any():
            predicted[here] = _probabilities(x[here], _regression(x[~here], y[~here], counts[~here]))
    return predicted


def _matrix(samples: Sequence[Sample]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    y = np.array([sample.right for sample in samples], bool)
    if not len(y) or y.all() or not y.any():
        raise BadInput("校准数据只有一种结果（全对或全错），不能校准。请补充另一种：该答的问题和不该答的问题都要有。")
    return np.array([sample.values for sample in samples]), y


def _regression(x: NDArray[np.float64], y: NDArray[np.bool_], weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Intercept and weights of a logistic regression with a ridge of RIDGE on the weights, by Newton's method."""
    design = np.hstack([np.ones((len(x), 1)), x])
    penalty = np.diag([1e-9, *[RIDGE] * x.shape[1]])
    found = np.zeros(design.shape[1])
    for _ in range(50):
        p = _sigmoid(design @ found)
        gradient = design.T @ (weight * (p - y)) + penalty @ found
        step = np.linalg.solve((design.T * (weight * p * (1 - p))) @ design + penalty, gradient)
        found -= step
        if float(np.abs(step).max()) < 1e-8:
            break
    return found


def _probabilities(x: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    return _sigmoid(weights[0] + x @ weights[1:])


def _sigmoid(total: NDArray[np.float64]) -> NDArray[np.float64]:
    values: NDArray[np.float64] = 1 / (1 + np.exp(-np.clip(total, -30, 30)))
    return values


def _threshold(predicted: NDArray[np.float64], right: NDArray[np.bool_], promised: float) -> tuple[float, Share]:
    """The lowest probability from which the promise holds on all that is above it; infinity when it never holds."""
    order = np.argsort(-predicted, kind="stable")
    best: tuple[float, Share] = (math.inf, Share(0, 0))
    hits = 0
    for total, i in enumerate(order, 1):
        hits += int(right[i])
        share = Share(hits, total)
        # A threshold cannot tell apart what is level, so it lies only below all of them.
        last = total == len(order) or predicted[order[total]] < predicted[i]
        if last and total >= LEAST_ANSWERS and share.interval[0] >= promised:
            best = (float(predicted[i]), share)
    return best


@dataclass(frozen=True)
class Sharpened:
    """What `calibrate` gives: the file's content, and in Chinese what it rests on."""

    content: dict[str, Any]
    lines: tuple[str, ...]


def sharpened(shipped: Calibration, samples: Sequence[Sample], promised: float) -> Sharpened:
    """A calibration for one library from its own labelled questions, promising `promised` as a lower bound, not as a hope.

    With ENOUGH questions the weights are fitted anew; with fewer the shipped weights stay and only scale and offset follow. Raises
    BadInput when the questions cannot carry the promise: then the calibration in use stays.
    """
    x, y = _matrix(samples)
    questions = sum(sample.first for sample in samples)
    anew = questions >= ENOUGH or not shipped.knows_the_model
    columns = x if anew else (shipped.intercept + x @ np.array(shipped.weights))[:, None]
    predicted = crossed(columns, y, [sample.group for sample in samples])
    first = np.array([sample.first and not sample.conflict for sample in samples])
    threshold, precision = _threshold(predicted[first], y[first], promised)
    if math.isinf(threshold):
        raise BadInput(
            f"这 {questions} 个问题还不够支持“直接答复至少 {promised:.0%} 正确”的保证（至少要有 {LEAST_ANSWERS} 个直接答复，"
            "并且 95% 区间的下限达到它）。没有改动。请补充带答案的问题，或用 --promise 降低保证。"
        )
    found = _regression(columns, y, np.ones(len(y)))
    intercept, weights = (found[0], found[1:]) if anew else (found[0] + found[1] * shipped.intercept, found[1] * np.array(shipped.weights))
    content = {
        "model": shipped.model,
        "weights": dict(zip(WEIGHED, map(float, weights), strict=True)),
        "intercept": float(intercept),
        "answer_from": threshold,
        "offer_from": min(OFFER_FROM, threshold),
        "evidence": {"questions": questions, "promised": promised, "precision": str(precision), "reliability": reliability(predicted, y)},
    }
    return Sharpened(
        content,
        (
            f"依据 {questions} 个带答案的问题，{'重新估计了全部权重' if anew else '沿用自带权重，只调整刻度'}。",
            f"直接答复的正确率（交叉验证）：{precision}",
            f"可直接答复：{Share(precision.total, int(questions))}",
        ),
    )


def _judge(
    kind: str, index: local.LocalIndex, encoder: Encoder, library: dict[str, Entry], text: str, right: frozenset[str], group: str
) -> list[Sample]:
    query = understand(encoder, text, _shipped_thesaurus())
    hits = search(index, query, JUDGED_AMONG)
    judged = [judge(text, library[hit.key], hit) for hit in hits]
    return [
        Sample(
            kind,
            group,
            i == 0,
            features(judged, i, len(query.terms)),
            hits[i].key in right,
            bool(judged[i].differences.forbidding),
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


def _index(folder: Path, library: dict[str, Entry], encoder: Encoder) -> local.LocalIndex:
    units = [Unit(key, wording) for key, entry in library.items() for wording in entry.searchable_texts()]
    documents = {key: entry.full_text() for key, entry in library.items()}
    against = {key: entry.not_for for key, entry in library.items() if entry.not_for}
    return local.build(folder, units, encoder, {"kind": "calibration"}, documents=documents, against=against)


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
    ours = collect(encoder, own_library(), load_own_questions(), load_pairs(), load_unanswerable())
    theirs = collect(encoder, lecoqa_library(data), about_lecoqa, [], [])
    calibration = {"model": encoder.fingerprint} | fit(
        [*ours, *(replace(sample, kind=f"another library, {sample.kind}") for sample in theirs)]
    )
    calibration["evidence"]["carried over"] = carried_over(ours, theirs)
    out.write_text(json.dumps(calibration, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    out.with_name("reliability.svg").write_text(reliability_plot(calibration["evidence"]["reliability"]), encoding="utf-8")
    click.echo(json.dumps(calibration, ensure_ascii=False, indent=1))


def carried_over(ours: Sequence[Sample], theirs: Sequence[Sample]) -> dict[str, str]:
    """What a calibration from one library alone is worth on another that it has never seen: its direct answers there."""
    fitted = fit(ours)
    x, y = _matrix(theirs)
    predicted = _probabilities(x, np.array([fitted["intercept"], *fitted["weights"].values()]))
    first = np.array([sample.first and not sample.conflict for sample in theirs])
    direct = first & (predicted >= fitted["answer_from"])
    asked = np.array([sample.kind == "answerable" for sample in theirs])
    questions = sum(sample.first and sample.kind == "answerable" for sample in theirs)
    return {
        "of the answerable questions answered directly": str(Share(int((direct & asked).sum()), questions)),
        "of those right": str(Share(int((direct & asked & y).sum()), int((direct & asked).sum()))),
        "with the entry left out answered directly": str(
            Share(int((direct & ~asked).sum()), sum(s.first and s.kind != "answerable" for s in theirs))
        ),
    }


if __name__ == "__main__":
    main()
