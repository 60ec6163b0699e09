"""The shipped content: complete, within its own rules, and its law checked against the texts."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from indexing.building import SHIPPED_CONTENT
from knowledge.court import load_topics
from knowledge.entry import Entry
from knowledge.sources import read_sources
from knowledge.statutes import UNKNOWN_STANDING, citation_problems

DAY = date(2026, 11, 22)


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    reading = read_sources([SHIPPED_CONTENT / "faq", SHIPPED_CONTENT / "guides"], load_topics())
    assert not reading.refused, [str(item) for item in reading.refused]
    return list(reading.entries)


def test_there_is_enough_and_it_is_spread(entries: list[Entry]) -> None:
    kinds = Counter(entry.kind for entry in entries)
    assert kinds["faq"] >= 60 and kinds["guide"] >= 15
    topics = load_topics()
    assert len(topics) == 100
    assert {entry.topic for entry in entries if entry.kind == "faq"} == set(topics)


def test_every_entry_is_complete(entries: list[Entry]) -> None:
    ids = {entry.id for entry in entries}
    for entry in entries:
        assert entry.basis and len(entry.wordings) >= 6, entry.id
        assert set(entry.related) <= ids - {entry.id}, entry.id
        if entry.kind == "faq":
            assert 120 <= len(entry.answer) <= 420 and entry.steps and entry.elsewhere, entry.id


def test_every_citation_exists_and_is_in_force(entries: list[Entry], data_folder: Path) -> None:
    problems = citation_problems(entries, [data_folder / "laws"], DAY)
    wrong = [problem for problem in problems if not problem.endswith(UNKNOWN_STANDING)]
    assert wrong == []
    # The source gives these no status at all: the articles exist, and no answer calls them in force.
    unknown = {problem.split("《")[1].split("》")[0] for problem in problems}
    assert unknown <= {
        "全国人民代表大会常务委员会关于实施渐进式延迟法定退休年龄的决定",
        "山东省劳动合同条例",
        "山东省公共法律服务条例",
        "青岛市优化营商环境条例",
        "青岛市国有土地上房屋征收与补偿条例",
    }
