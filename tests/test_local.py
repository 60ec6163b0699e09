"""A large index sorts its vectors into lists; what is promised of a small one still holds."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from indexing import local, vectors
from indexing.encoder import shipped_encoder
from indexing.index import Unit

GOODS = ("货款", "工资", "租金", "押金", "利息", "股权", "商标", "专利", "保险", "工程款")
DEEDS = ("拖欠", "退还", "转让", "抵押", "查封", "起诉", "调解", "解除", "赔偿", "担保")


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[local.LocalIndex]:
    for name, value in (("MOST_COMPARED", 500), ("LISTS", 16), ("LOOKED_INTO", 8)):
        monkeypatch.setattr(vectors, name, value)
    texts = [f"{a}{b}{c}{d}" for a in GOODS for b in DEEDS for c in GOODS for d in DEEDS[:2]]
    units = [Unit(str(number), text) for number, text in enumerate(texts)]
    built = local.build(tmp_path / "large", units, shipped_encoder(), {"kind": "test"})
    yield local.LocalIndex(built.folder)


def test_it_finds_nearly_what_comparing_all_would_find(large: local.LocalIndex) -> None:
    known = large.known_vectors()
    texts, matrix = list(known), np.stack(list(known.values()))
    assert len(texts) == large.size == 2000
    found = 0
    for row in range(0, len(texts), 40):
        exact = set(np.argsort(-(matrix @ matrix[row]), kind="stable")[:10].tolist())
        least = float(np.sort(matrix @ matrix[row])[-10])
        near = large.nearest(matrix[row], 10)
        # Several units may be level at the tenth place; any of them counts.
        found += sum(item.unit in exact or item.score >= least - 1e-3 for item in near)
    assert found >= 0.95 * 10 * len(range(0, len(texts), 40))


def test_vectors_can_be_asked_for_by_number(large: local.LocalIndex) -> None:
    vector = shipped_encoder().encode([large.units([1234])[1234].text])[0]
    assert large.cosines(vector, [1234]) == [pytest.approx(1, abs=2e-3)]
    assert large.nearest(vector, 1)[0].score == pytest.approx(1, abs=2e-3)
    large.check()
