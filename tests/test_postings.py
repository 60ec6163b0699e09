"""BM25 that is worked out beforehand: it is the textbook's, level scores keep their order, and damage names the command that mends it."""

import math
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexing.encoder import load_encoder
from indexing.index import Unit
from indexing.local import LocalIndex, build
from indexing.postings import FILES, K1, B, Postings, PostingsWriter, inverse_frequency
from knowledge.errors import IndexUnusable

Corpus = list[list[str]]
Spans = dict[str, tuple[int, int]]

TERMS = st.sampled_from(["货款", "工资", "合同", "商标", "租金", "a"])
CORPORA = st.lists(st.lists(TERMS, max_size=9), max_size=12)


def written(folder: Path, corpus: Corpus) -> tuple[Postings, Spans]:
    """The postings of a corpus, and where each of its terms lies."""
    writer = PostingsWriter()
    for terms in corpus:
        writer.add(terms)
    spans = {term: (start, count) for term, start, count in writer.write(folder)}
    return Postings(folder, len(corpus)), spans


def best(corpus: Corpus, question: Sequence[str], k: int) -> list[tuple[int, float]]:
    """What is found in a corpus for the terms of a question."""
    with TemporaryDirectory() as folder:
        postings, spans = written(Path(folder), corpus)
        return postings.best([spans[term] for term in dict.fromkeys(question) if term in spans], k)


def bm25(corpus: Corpus, question: Sequence[str]) -> dict[int, float]:
    """Robertson and Zaragoza's formula, unit by unit, with the inverse frequency that is never negative."""
    mean = sum(map(len, corpus)) / len(corpus) if corpus else 0.0
    scores: dict[int, float] = {}
    for unit, terms in enumerate(corpus):
        counts = Counter(terms)
        for term in set(question) & set(terms):
            holding = sum(term in other for other in corpus)
            rarity = math.log(1 + (len(corpus) - holding + 0.5) / (holding + 0.5))
            damped = counts[term] + K1 * (1 - B + B * len(terms) / mean)
            scores[unit] = scores.get(unit, 0.0) + rarity * counts[term] * (K1 + 1) / damped
    return scores


@given(CORPORA, st.lists(TERMS, max_size=4))
@example([], ["a"])
@example([[], []], ["a"])
@example([["a"] * 9, ["a"], []], ["a", "a"])
def test_scores_are_those_of_the_formula(corpus: Corpus, question: list[str]) -> None:
    found = best(corpus, question, len(corpus) + 1)
    # Gains are kept in half precision.
    assert dict(found) == pytest.approx(bm25(corpus, question), rel=2e-3)
    assert found == sorted(found, key=lambda item: (-item[1], item[0]))


@given(CORPORA, st.lists(TERMS, max_size=4), st.integers(1, 5))
def test_no_more_than_k_are_found_and_they_are_the_best(corpus: Corpus, question: list[str], k: int) -> None:
    scores = [score for _, score in best(corpus, question, len(corpus) + 1)]
    assert [score for _, score in best(corpus, question, k)] == scores[:k]


@given(CORPORA)
def test_terms_are_told_where_they_lie(corpus: Corpus) -> None:
    with TemporaryDirectory() as folder:
        _, spans = written(Path(folder), corpus)
        units = np.load(Path(folder) / FILES[0])
        assert {term: count for term, (_, count) in spans.items()} == Counter(term for terms in corpus for term in set(terms))
        for term, (start, count) in spans.items():
            assert units[start : start + count].tolist() == [unit for unit, terms in enumerate(corpus) if term in terms]


def test_level_scores_keep_the_order_of_the_units() -> None:
    assert [unit for unit, _ in best([["a", "b"]] * 10, ["a"], 10)] == list(range(10))


def test_level_scores_at_the_cut_are_the_first_units() -> None:
    assert [unit for unit, _ in best([["a", "b"]] * 10, ["a"], 3)] == [0, 1, 2]


def test_terms_that_no_unit_holds_find_nothing(tmp_path: Path) -> None:
    index = build(tmp_path / "i", [Unit("a", "货款拖欠")], load_encoder(), {"kind": "entries"})
    assert index.matching(["彩虹", "飞船"], 5) == []
    assert index.matching(["彩虹", "货款"], 5) == index.matching(["货款"], 5) != []


def test_an_empty_index_has_postings(tmp_path: Path) -> None:
    postings, spans = written(tmp_path, [])
    assert spans == {} and postings.best([], 5) == []


def test_a_rarer_term_is_worth_more_and_an_unknown_one_most() -> None:
    values = [inverse_frequency(holding, 100) for holding in range(101)]
    assert values == sorted(values, reverse=True) and len(set(values)) == 101 and values[-1] > 0


def test_a_term_said_more_often_than_the_counter_holds(tmp_path: Path) -> None:
    """65,535 is the most that is counted; more must not begin again at nothing."""
    postings, spans = written(tmp_path, [["a"] * 70_000, ["b"]])
    ((_, score),) = postings.best([spans["a"]], 2)
    assert score == pytest.approx(bm25([["a"] * 65_535, ["b"]], ["a"])[0], rel=1e-2)


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-8])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _garble(path: Path) -> None:
    path.write_bytes(b"no array at all")


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("damage", [_cut, _empty, _garble, Path.unlink], ids=["cut", "empty", "garbled", "gone"])
def test_a_damaged_file_names_the_command_that_mends_it(tmp_path: Path, name: str, damage: Callable[[Path], None]) -> None:
    folder = build(tmp_path / "i", [Unit("a", "客户拖欠货款不给怎么办")], load_encoder(), {"kind": "entries"}).folder
    assert LocalIndex(folder).matching(["货款"], 1)
    damage(folder / name)
    with pytest.raises(IndexUnusable, match="python -m bot reindex"):
        LocalIndex(folder)
