"""What a table of word vectors is worth: how often a question finds its entry, and its articles, beside BM25."""

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer

from indexing.laws import ASKED_SHARE
from indexing.local import SHARPNESS
from indexing.paraphrases import held_out, load_own_questions, load_validation
from indexing.training_corpus import Corpus, encodings
from indexing.words import bigrams
from knowledge.entry import BEGINNING

Matrix = NDArray[np.float32]


class Matching:
    """BM25 over bigrams (k1 1.2, b 0.75), to compare with and to fuse with."""

    def __init__(self, texts: Sequence[str]) -> None:
        counted = [Counter(bigrams(text)) for text in texts]
        lengths = np.array([sum(counts.values()) for counts in counted])
        damping = 1.2 * (0.25 + 0.75 * lengths / lengths.mean())
        found: dict[str, list[tuple[int, float]]] = defaultdict(list)
        for number, counts in enumerate(counted):
            for term, n in counts.items():
                found[term].append((number, 2.2 * n / (n + damping[number])))
        self._size = len(texts)
        self._postings = {term: (np.array([n for n, _ in rows]), self._gains(rows)) for term, rows in found.items()}

    def _gains(self, rows: Sequence[tuple[int, float]]) -> Matrix:
        rarity = math.log(1 + (self._size - len(rows) + 0.5) / (len(rows) + 0.5))
        return np.array([gain * rarity for _, gain in rows], np.float32)

    def __call__(self, question: str) -> Matrix:
        """A score for every text, divided by the best."""
        scores = np.zeros(self._size, np.float32)
        for term in set(bigrams(question)) & self._postings.keys():
            numbers, gains = self._postings[term]
            scores[numbers] += gains
        best: Matrix = scores / max(float(scores.max()), 1e-9)
        return best


def encode(tokenizer: Tokenizer, vectors: Matrix, texts: Sequence[str]) -> Matrix:
    """Unit vectors of texts, as the shipped model will give them."""
    sums = np.array([vectors[encoding.ids].sum(axis=0) for encoding in encodings(tokenizer, texts)], np.float32)
    units: Matrix = sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-9)
    return units


def measure(tokenizer: Tokenizer, corpus: Corpus, vectors: Matrix) -> dict[str, Any]:
    """All figures of one table of word vectors, each on lines it was not trained on."""
    beginnings = {q.id: " ".join((q.question, q.keywords, q.answer[:BEGINNING])) for q in corpus.questions}
    lecoqa = [(str(q.id), text) for q in corpus.questions for text in (q.question, beginnings[q.id])]
    own = [(entry.id, text) for entry in corpus.entries for text in entry.searchable_texts()]
    said = [(entry, text) for entry, texts in corpus.paraphrases.items() for text in texts if held_out(text)]
    unseen = [(line.entry, line.text) for line in load_validation()]
    asked = [(line.entry, line.text) for line in load_own_questions()] + [line for line in said if not line[0].isdigit()]
    return {
        "LeCoQA questions never trained on": measure_questions(tokenizer, vectors, lecoqa, unseen),
        "LeCoQA questions trained on, lines never seen": measure_questions(tokenizer, vectors, lecoqa, [x for x in said if x[0].isdigit()]),
        "our entries, lines never seen": measure_questions(tokenizer, vectors, own, asked),
        "cited articles": measure_statutes(tokenizer, vectors, corpus),
    }


def measure_questions(
    tokenizer: Tokenizer, vectors: Matrix, units: Sequence[tuple[str, str]], asked: Sequence[tuple[str, str]]
) -> dict[str, Any]:
    """How often what was asked finds its entry in the first 1, 3, 10; both hold (entry id, text), an entry may own many units.

    `hits` maps the way of searching (vectors, BM25, cosine plus a share of BM25) to those three rates.
    """
    units = sorted(units)
    entries, starts = np.unique([entry for entry, _ in units], return_index=True)
    texts = [text for _, text in units]
    cosine = encode(tokenizer, vectors, [text for _, text in asked]) @ encode(tokenizer, vectors, texts).T
    matching = Matching(texts)
    lexical = np.array([matching(text) for _, text in asked])
    wanted = np.searchsorted(entries, [entry for entry, _ in asked])
    ways = {"model": cosine, "bm25": lexical, **{f"model + {share} bm25": cosine + share * lexical for share in (0.1, 0.2)}}
    hits = {way: _hits(np.maximum.reduceat(scores, starts, axis=1), wanted) for way, scores in ways.items()}
    return {"questions": len(asked), "among": len(entries), "hits": hits}


def _hits(scores: Matrix, wanted: NDArray[np.int64]) -> dict[str, float]:
    # Level with the right one counts as before it: a question that matches nothing has found nothing.
    ranks = (scores >= scores[np.arange(len(wanted)), wanted][:, None]).sum(axis=1) - 1
    return {f"hit@{k}": round(float((ranks < k).mean()), 3) for k in (1, 3, 10)}


def asked_vectors(corpus: Corpus, tokenizer: Tokenizer, vectors: Matrix) -> dict[tuple[str, str], Matrix]:
    """For each (law, article) the unit vectors of questions it answers, one a row; nothing of what validates is among them.

    Of a LeCoQA question it is the mean of all ways to ask it.
    """
    found: dict[tuple[str, str], list[Matrix]] = defaultdict(list)
    for asked in corpus.asked:
        found[asked.law, asked.article].append(encode(tokenizer, vectors, asked.questions))
    for question in corpus.questions:
        if not question.validates:
            mean = encode(tokenizer, vectors, [question.question, *corpus.trained_on(str(question.id))]).mean(axis=0, keepdims=True)
            for cited in question.articles:
                found[cited].append(mean / np.linalg.norm(mean))
    return {key: np.concatenate(rows) for key, rows in found.items()}


def measure_statutes(tokenizer: Tokenizer, vectors: Matrix, corpus: Corpus) -> dict[str, Any]:
    """Recall@100 and MRR of the cited articles of LeCoQA's validation questions among all articles in force.

    "asked" adds how like the question is to those that an article is known to answer (`indexing.asked`), as `indexing.laws` does.
    """
    row = {(article.law, article.number): i for i, article in enumerate(corpus.articles)}
    cited = {q.question: [row[c] for c in q.articles if c in row] for q in corpus.questions if q.validates}
    asked = {question: rows for question, rows in cited.items() if rows}
    texts = [article.searched for article in corpus.articles]
    cosine = encode(tokenizer, vectors, list(asked)) @ encode(tokenizer, vectors, texts).T
    matching = Matching(texts)
    lexical = np.array([matching(question) for question in asked])
    like = np.zeros_like(cosine)
    questions = encode(tokenizer, vectors, list(asked))
    for key, known in asked_vectors(corpus, tokenizer, vectors).items():
        if key in row:
            like[:, row[key]] = np.log(np.exp(SHARPNESS * questions @ known.T).sum(axis=1)) / SHARPNESS
    both = cosine + 0.2 * lexical
    ways = {
        "model": cosine,
        "bm25": lexical,
        "model + 0.2 bm25": both,
        f"model + 0.2 bm25 + {ASKED_SHARE} asked": both + ASKED_SHARE * like,
    }
    figures = {way: _found(scores, list(asked.values())) for way, scores in ways.items()}
    return {"questions": len(asked), "among": len(texts), "found": figures}


def _found(scores: Matrix, wanted: Sequence[Sequence[int]]) -> dict[str, float]:
    ranks = [[int((row >= row[number]).sum()) - 1 for number in numbers] for row, numbers in zip(scores, wanted, strict=True)]
    return {
        "recall@100": round(float(np.mean([np.mean([rank < 100 for rank in found]) for found in ranks])), 3),
        "mrr": round(float(np.mean([1 / (1 + min(found)) for found in ranks])), 3),
    }
