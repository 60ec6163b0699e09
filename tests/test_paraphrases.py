"""The street paraphrases: where each belongs, that none repeats, that the exam is not among them, and what a reader found."""

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from indexing.evaluation import Share
from indexing.paraphrases import FOLDER, Paraphrase, held_out, load_own_questions, load_paraphrases, load_unanswerable, load_validation
from indexing.paraphrases.report import READING, agreement, draw_sheet, measure, read_rows
from indexing.training_corpus import VALIDATION, Question, read_corpus, with_lines
from indexing.words import clean
from knowledge.entry import Entry
from knowledge.sources import read_sources
from tests.command_line import ROOT

GOLDEN = ROOT / "tests" / "golden"


@pytest.fixture(scope="module")
def entries() -> dict[str, Entry]:
    content = ROOT / "knowledge" / "content"
    return {entry.id: entry for entry in read_sources([content / "faq", content / "guides"]).entries}


def written() -> Iterator[str]:
    """Every line anybody wrote, whatever it is used for."""
    for line in (*load_paraphrases(), *load_validation(), *load_own_questions()):
        yield line.text
    yield from load_unanswerable()


def golden() -> list[str]:
    return [json.loads(line)["q"] for path in sorted(GOLDEN.glob("*.jsonl")) for line in path.read_text(encoding="utf-8").splitlines()]


def test_there_are_enough_and_they_belong_somewhere(entries: dict[str, Entry]) -> None:
    lines = load_paraphrases()
    assert len(lines) >= 6000
    ours = Counter(line.entry for line in lines if not line.entry.isdigit())
    assert set(ours) == set(entries), set(entries) ^ set(ours)
    assert {line.entry for line in load_own_questions()} <= set(entries)


def test_nothing_of_the_validation_table_is_trained_on() -> None:
    assert all(int(line.entry) % VALIDATION for line in load_paraphrases() if line.entry.isdigit())
    validation = load_validation()
    assert all(int(line.entry) % VALIDATION == 0 for line in validation)
    assert len({line.entry for line in validation}) == 235 and len(validation) >= 700


def test_no_line_is_written_twice() -> None:
    repeats = {text: n for text, n in Counter(map(clean, written())).items() if n > 1}
    assert repeats == {}


def test_the_exam_is_in_no_corpus_and_no_wording(entries: dict[str, Entry]) -> None:
    exam = {clean(text) for text in golden()}
    assert not exam & {clean(text) for text in written()}
    assert not exam & {clean(text) for entry in entries.values() for text in entry.searchable_texts()}
    assert len(exam) == len(golden())


def test_the_exam_is_large_enough_and_names_entries_that_exist(entries: dict[str, Entry]) -> None:
    def rows(name: str) -> list[dict[str, list[str]]]:
        return [json.loads(line) for line in (GOLDEN / name).read_text(encoding="utf-8").splitlines()]

    answerable, unanswerable, pairs = (rows(f"{name}.jsonl") for name in ("answerable", "unanswerable", "pairs"))
    assert (len(answerable) >= 400, len(unanswerable) >= 250, len(pairs) >= 300) == (True, True, True)
    assert all(row["expect"] and set(row["expect"]) <= set(entries) for row in answerable)
    assert not any(row["expect"] for row in unanswerable)
    assert all(row["not"] and set(row["not"]) | set(row["may"]) <= set(entries) for row in pairs)


def test_a_reader_picks_the_entry_a_line_was_written_for() -> None:
    reading = read_rows(READING)
    assert len(reading) == 300 and all(row["entry"] in row["shown"] for row in reading)
    # Two lines were shown with seven entries, for want of more of their kind among the nearest.
    assert sum(len(row["shown"]) == 10 for row in reading) >= 298
    texts = {line.text for line in (*load_paraphrases(), *load_validation())}
    assert all(row["q"] in texts for row in reading if row["picked"] == row["entry"])
    assert agreement(reading).value >= 0.9


def test_the_report_counts(entries: dict[str, Entry]) -> None:
    lines = [Paraphrase("A", "货款一直不给"), Paraphrase("A", "货款一直不给"), Paraphrase("B", "人走了钱没结，咋整")]
    report = measure(lines, {"A": "客户的货款一直拖着", "B": "离职工资"})
    assert (report.lines, report.sources, report.repeats) == (3, 2, 1)
    assert report.without_shared_run == pytest.approx(1 / 3)
    assert report.lengths[0] == 6 and report.lengths[-1] == 9
    assert 0.5 < report.distinct_bigrams < 1
    rows = [{"picked": "A", "entry": "A"}, {"picked": "B", "entry": "A"}]
    assert agreement(rows) == Share(1, 2)
    sheet = draw_sheet(load_paraphrases()[-40:], entries, 5)
    assert len(sheet) == 5 and all(row["entry"] in row["shown"] for row in sheet)


def test_the_table_in_the_readme_is_what_the_report_prints(data_folder: Path) -> None:
    from click.testing import CliRunner

    from indexing.paraphrases.report import main

    printed = CliRunner().invoke(main, ["--data", str(data_folder)]).output
    readme = (FOLDER / "README.md").read_text(encoding="utf-8")
    for line in filter(None, printed.splitlines()):
        assert line in readme


def test_the_training_corpus_leaves_out_what_it_says(data_folder: Path) -> None:
    corpus = read_corpus(data_folder)
    validating = [question for question in corpus.questions if question.validates]
    assert len(validating) == 235 and all(isinstance(question, Question) for question in validating)
    assert not {str(question.id) for question in validating} & set(corpus.paraphrases)
    few = with_lines(corpus, 500)
    assert few.lines == 500 and with_lines(corpus, 500) == few
    kept = {(key, text) for key, texts in few.paraphrases.items() for text in texts}
    assert kept < {(key, text) for key, texts in corpus.paraphrases.items() for text in texts}
    assert not any(held_out(text) for _, text in kept)
