"""The shipped content: complete, within its own rules, and its law checked against the texts."""

from collections import Counter
from datetime import date
from pathlib import Path

import pytest

from indexing.building import SHIPPED_CONTENT
from knowledge.citations import check, load_register, read_by_title
from knowledge.court import load_topics
from knowledge.entry import Entry
from knowledge.sources import read_sources

DAY = date(2026, 11, 22)
RETIREMENT = "全国人民代表大会常务委员会关于实施渐进式延迟法定退休年龄的决定"


@pytest.fixture(scope="module")
def entries() -> list[Entry]:
    reading = read_sources([SHIPPED_CONTENT / "faq", SHIPPED_CONTENT / "guides"], load_topics())
    assert not reading.refused, [str(item) for item in reading.refused]
    return list(reading.entries)


def test_there_is_enough_and_it_is_spread(entries: list[Entry]) -> None:
    kinds = Counter(entry.kind for entry in entries)
    assert kinds["faq"] >= 300 and kinds["guide"] >= 40
    topics = load_topics()
    assert len(topics) == 100
    questions = Counter(entry.topic for entry in entries if entry.kind == "faq")
    assert [code for code, topic in topics.items() if questions[code] < topic.floor] == []


def test_no_answer_names_a_calculator_and_none_promises(entries: list[Entry]) -> None:
    """There is no calculator yet; what a court will do is not ours to promise."""
    for entry in entries:
        text = "\n".join(filter(None, (entry.answer, entry.deadline, *entry.steps, entry.mistake)))
        assert "计算器" not in text and "我院" not in text and "本院承诺" not in text, entry.id


def test_no_entry_stands_alone_in_its_leaf_and_every_link_leads_somewhere(entries: list[Entry]) -> None:
    """Entries of one leaf differ by party, stage or number: a link joins each with a neighbour."""
    related = {entry.id: set(entry.related) for entry in entries}
    assert set().union(*related.values()) <= set(related)
    siblings: dict[str, set[str]] = {}
    for entry in entries:
        if entry.kind == "faq":
            siblings.setdefault(str(entry.topic), set()).add(entry.id)
    alone = [
        key for ids in siblings.values() for key in ids if not any(key in related[other] or other in related[key] for other in ids - {key})
    ]
    assert alone == []


def test_every_entry_is_complete(entries: list[Entry]) -> None:
    ids = {entry.id for entry in entries}
    for entry in entries:
        assert entry.topic and entry.basis and len(entry.wordings) >= 6, entry.id
        assert set(entry.related) <= ids - {entry.id}, entry.id
        if entry.kind == "faq":
            assert 120 <= len(entry.answer) <= 420 and entry.steps and entry.elsewhere, entry.id


def test_every_citation_exists_is_in_force_and_holds_the_numbers_of_its_answer(entries: list[Entry], data_folder: Path) -> None:
    problems = check(entries, read_by_title([data_folder / "laws"]), DAY)
    assert [str(problem) for problem in problems if problem.kind != "unknown"] == []
    # The source gives these no status at all: the articles exist, and no answer calls them in force.
    unknown = {problem.text.split("《")[1].split("》")[0] for problem in problems}
    assert all(title.startswith(("山东省", "青岛市")) or title == RETIREMENT for title in unknown)


def test_laws_csv_alone_judges_the_citations_alike(entries: list[Entry], data_folder: Path) -> None:
    with_texts = {str(p) for p in check(entries, read_by_title([data_folder / "laws"]), DAY) if p.kind != "number"}
    assert {str(problem) for problem in check(entries, None, DAY)} == with_texts


def test_laws_csv_says_what_the_texts_say(data_folder: Path) -> None:
    texts = read_by_title([data_folder / "laws"])
    for title, versions in load_register().items():
        known = {law.version: law for law in texts[title]}
        for facts in versions:
            if facts.articles:
                law = known[facts.version]
                assert (facts.published, facts.effective, facts.status) == (law.published, law.effective, law.status), title
                assert all(facts.has(article.number) for article in law.articles), title
                assert not facts.has("第九千条")
            else:
                # Announced, and not in the data yet.
                assert facts.version and facts.version > DAY.isoformat(), title
