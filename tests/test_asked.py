"""Questions that articles are known to answer, and questions that entries are known not to: kept, read back, weighed."""

import math
from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from indexing.asked import digest, read_asked, write_asked
from indexing.confidence import FEATURES, UNOPPOSED, features, judge
from indexing.encoder import Encoder, load_encoder
from indexing.index import Unit, Vector
from indexing.laws import LawCorpus, write_laws
from indexing.local import SHARPNESS, LocalIndex, build
from indexing.search import search, understand
from knowledge.entry import Entry
from tests.command_line import law

ARTICLE = "当事人可以约定一方违约时应当根据违约情况支付违约金。"
QUESTION = "牌子被隔壁抄走了找谁评理"
"""Far from every article here, so that only knowing it can lead anywhere."""


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return load_encoder()


def turned(angle: float, dimension: int, axis: int = 1) -> Vector:
    """A unit vector whose cosine to the first axis is that of `angle`; the rest of it lies along `axis`."""
    vector = np.zeros(dimension, np.float32)
    vector[0], vector[axis] = math.cos(angle), math.sin(angle)
    return vector


def index_of(folder: Path, encoder: Encoder, asked: Mapping[int, Sequence[Vector]], units: int = 4) -> LocalIndex:
    return build(folder, [Unit(str(i), f"第{i}条") for i in range(units)], encoder, {"kind": "laws"}, asked=asked)


# --- the file -------------------------------------------------------------------------------------------------------------


def test_what_is_written_is_read_back(encoder: Encoder, tmp_path: Path) -> None:
    questions = {ARTICLE: encoder.encode(["违约金能要多少", "合同里没写违约金怎么办"]), "乙": encoder.encode(["商标被抢注"])}
    write_asked(questions, encoder.fingerprint, tmp_path / "asked.npz")
    found = read_asked(encoder, tmp_path / "asked.npz")
    assert found.keys() == {digest(ARTICLE), digest("乙")}
    for text, vectors in questions.items():
        kept = np.stack(found[digest(text)])
        assert kept.shape == vectors.shape and kept.dtype == np.float32
        assert np.linalg.norm(kept, axis=1) == pytest.approx(1, abs=1e-5)
        # A byte a number: still the same question, and in the same order.
        assert np.sum(kept * vectors, axis=1).min() > 0.99


def test_what_belongs_to_another_model_is_left_alone(encoder: Encoder, tmp_path: Path) -> None:
    write_asked({ARTICLE: encoder.encode(["违约金能要多少"])}, "0" * 64, tmp_path / "asked.npz")
    assert read_asked(encoder, tmp_path / "asked.npz") == {} == read_asked(encoder, tmp_path / "none.npz")


def test_a_digest_is_of_the_words_and_fits_its_column() -> None:
    texts = [ARTICLE, f"{ARTICLE} ", ARTICLE.replace("可以", "不得"), ""]
    assert len({digest(text) for text in texts}) == len(texts)
    # The first 64 bits of SHA-256: a file that was written long ago must still be understood.
    assert digest("") == 0xE3B0C44298FC1C14 and all(0 <= digest(text) < 2**64 for text in texts)


# --- articles -------------------------------------------------------------------------------------------------------------


def corpus(tmp_path: Path, encoder: Encoder, name: str, *articles: str) -> LocalIndex:
    """The corpus of one law with these articles, in force."""
    text = "\n\n".join(f"- **第{number}条**　　{article}" for number, article in zip("一二三", articles, strict=False))
    law(tmp_path / f"{name}-law", "试验法", "2021-01-01", "有效", f"{text}\n")
    write_laws(tmp_path / name, [tmp_path / f"{name}-law"], encoder, date(2026, 1, 1), None)
    return LocalIndex(tmp_path / name, encoder.fingerprint)


def test_an_article_is_found_by_what_it_is_known_to_answer_and_a_new_text_inherits_nothing(
    encoder: Encoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "asked.npz"
    write_asked({ARTICLE: encoder.encode([QUESTION])}, encoder.fingerprint, kept)
    monkeypatch.setattr("indexing.laws.read_asked", partial(read_asked, path=kept))
    others = ("商标注册人享有商标专用权，受法律保护。", "本法自公布之日起施行。")
    query = understand(encoder, QUESTION)
    same = corpus(tmp_path, encoder, "same", *others, ARTICLE)
    assert [found.unit for found in same.asked(query.vectors[0], 9)] == [2]
    assert LawCorpus(same).search(query, date(2026, 1, 1), 3)[0].article == "第三条"
    changed = corpus(tmp_path, encoder, "changed", *others, ARTICLE.replace("可以", "应当"))
    assert changed.asked(query.vectors[0], 9) == []
    assert LawCorpus(changed).search(query, date(2026, 1, 1), 3)[0].article != "第三条"


def test_a_unit_known_for_more_and_for_nearer_questions_comes_first(encoder: Encoder, tmp_path: Path) -> None:
    at = partial(turned, dimension=encoder.dimension)
    asked = {3: [at(0.9)], 1: [at(0.5)], 0: [at(0.5), at(0.5, axis=2)], 2: [at(0.2)]}
    found = index_of(tmp_path / "i", encoder, asked).asked(at(0.0), 9)
    assert [item.unit for item in found] == [2, 0, 1, 3]
    assert all(one.score > other.score for one, other in pairwise(found))
    expected = {unit: math.log(sum(math.exp(SHARPNESS * float(v[0])) for v in vectors)) / SHARPNESS for unit, vectors in asked.items()}
    assert {item.unit: item.score for item in found} == pytest.approx(expected, abs=1e-3)


def test_only_the_nearest_questions_are_heard(encoder: Encoder, tmp_path: Path) -> None:
    at = partial(turned, dimension=encoder.dimension)
    index = index_of(tmp_path / "i", encoder, {0: [at(0.3)], 1: [at(0.1), at(0.9)], 2: [at(0.6)]})
    assert [[item.unit for item in index.asked(at(0.0), k)] for k in (1, 2, 3)] == [[1], [1, 0], [1, 0, 2]]
    assert index.asked(at(0.0), 1)[0].score == pytest.approx(math.cos(0.1), abs=1e-3)


def test_level_units_keep_their_order(encoder: Encoder, tmp_path: Path) -> None:
    at = partial(turned, dimension=encoder.dimension)
    index = index_of(tmp_path / "i", encoder, {2: [at(0.3)], 0: [at(0.3)], 1: [at(0.3)]})
    assert [item.unit for item in index.asked(at(0.0), 9)] == [0, 1, 2]


def test_nothing_known_says_nothing(encoder: Encoder, tmp_path: Path) -> None:
    assert index_of(tmp_path / "i", encoder, {}).asked(turned(0.0, encoder.dimension), 9) == []


# --- what an entry does not answer ----------------------------------------------------------------------------------------

FITTING = Entry("fit", "货款拖欠怎么办", "先对账。", not_for=("货款付清了要发票", "货款多付了怎么退"))
PLAIN = Entry("plain", "商标被抢注怎么办", "提异议。")


@pytest.fixture(scope="module")
def opposed(encoder: Encoder, tmp_path_factory: pytest.TempPathFactory) -> LocalIndex:
    """Two entries, one of which is known not to answer two questions."""
    units = [Unit(entry.id, entry.question) for entry in (FITTING, PLAIN)]
    return build(tmp_path_factory.mktemp("against") / "i", units, encoder, {"kind": "entries"}, against={FITTING.id: FITTING.not_for})


def test_the_nearest_counter_example_speaks_for_its_entry_alone(opposed: LocalIndex, encoder: Encoder) -> None:
    for question in (*FITTING.not_for, "货款拖欠怎么办", "商标"):
        vector = encoder.encode([question])[0]
        expected = max(float(vector @ other) for other in encoder.encode(FITTING.not_for))
        assert opposed.against(vector, ["plain", "fit", "nobody"]) == {"fit": pytest.approx(expected, abs=2e-3)}
    assert opposed.against(encoder.encode(["货款"])[0], []) == {}


def test_a_question_like_a_counter_example_weighs_against_its_entry(opposed: LocalIndex, encoder: Encoder) -> None:
    def against(question: str) -> dict[str, float]:
        hits = search(opposed, understand(encoder, question), 2)
        judged = [judge(question, FITTING if hit.key == "fit" else PLAIN, hit) for hit in hits]
        return {hit.key: features(judged, i, 4)[FEATURES.index("against")] for i, hit in enumerate(hits)}

    near, far = against("货款多付了怎么退"), against("货款拖欠怎么办")
    assert near["fit"] > 0 > far["fit"] and near["plain"] == far["plain"] == UNOPPOSED


def test_counter_examples_survive_being_reopened(opposed: LocalIndex, encoder: Encoder) -> None:
    vector = encoder.encode(["货款多付了怎么退"])[0]
    assert LocalIndex(opposed.folder, encoder.fingerprint).against(vector, ["fit"]) == opposed.against(vector, ["fit"])
    opposed.check()
