"""The command line's contract: what scripts rely on, and what a person reads when the input is wrong."""

import fcntl
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import click
import pytest
import sqlite_utils

from bot.__main__ import main
from bot.access import use_link
from bot.backup import restore_backup
from bot.settings import Settings
from bot.startup import Opened
from indexing import building
from indexing.encoder import ShippedEncoder
from knowledge import library
from knowledge.clock import now
from knowledge.court import load_court
from knowledge.database import Database, Db, rows
from knowledge.entry import Citation, Entry
from knowledge.errors import BadInput, Unreadable
from knowledge.ledger.deadlines import Calendar, Rules
from knowledge.ledger.needs import Asking, move, open_need, record_asking
from knowledge.migrations import steps
from tests.command_line import ROOT, command, faq, in_json, json_lines, law, refusal, small_content, small_laws, tamper

KNOWN = "客户一直拖着货款不给，怎么办"
UNKNOWN = "捡到一只走失的鸽子脚上有环，送回去能要点饲料钱吗"
KEYS = ["id", "q", "band", "entry", "confidence", "candidates", "articles", "reasons", "ms"]
# A greeting, gibberish, refusals, and texts no word of which the model knows: candidates are due in every band.
EVERY_BAND = [
    KNOWN,
    UNKNOWN,
    "你好",
    "asdfghjkl",
    "能不能帮我跟法官打个招呼",
    "工人爬上塔吊说不给工资就跳下来",
    "？？",
    "\u200b!",
    "𠮷𠮷𠮷",
    "zzqx",
]


@pytest.fixture(scope="module", autouse=True)
def model_read_once() -> Iterator[None]:
    """The shipped model is read by the first command only; otherwise half the time of these tests is spent on that."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("indexing.encoder.ShippedEncoder", cache(ShippedEncoder))
        yield


@pytest.fixture(scope="module")
def shared(built: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ready data folder for tests that change nothing."""
    return Path(shutil.copytree(built, tmp_path_factory.mktemp("shared") / "data"))


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A new data folder, and shipped content of three entries, so that reindexing takes no time."""
    monkeypatch.setattr(building, "SHIPPED_CONTENT", small_content(tmp_path / "content"))
    return tmp_path / "data"


@pytest.fixture(scope="module")
def with_laws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A data folder with three entries and the small laws."""
    folder = tmp_path_factory.mktemp("with_laws")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(building, "SHIPPED_CONTENT", small_content(folder / "content"))
        report = in_json(folder / "data", "reindex", "--laws", small_laws(folder / "laws"))
        assert report["articles"] == 9 and [Path(item["file"]).name for item in report["refused"]] == ["不是法规.md"]
        yield folder / "data"


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """A data folder with two needs, one of them answered and added to."""
    folder = tmp_path / "data"
    database = Database(folder / "yuanqitong.db")
    rules = Rules.of(load_court(folder), Calendar())

    def fill(db: Any) -> None:
        for text in ("第一个问题，电话 13800138000", "第二个问题"):
            open_need(db, record_asking(db, Asking(text, "need"), now()), "命令行", now(), rules, actor="cli")
        move(db, f"XQ-{now().year}-0002", "register", "staff:1", frozenset({"registrar"}), now(), rules)
        move(db, f"XQ-{now().year}-0002", "reply", "staff:1", frozenset({"registrar"}), now(), rules, "这是答复")
        move(db, f"XQ-{now().year}-0002", "add", "asker", frozenset({"asker"}), now(), rules, "补充一句")

    database.write(fill).result()
    database.close()
    return folder


def every_command(group: click.Group, path: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    yield path
    for name, item in group.commands.items():
        if isinstance(item, click.Group):
            yield from every_command(item, (*path, name))
        else:
            yield (*path, name)


@pytest.mark.parametrize("path", list(every_command(main)), ids=" ".join)
def test_help_of_every_command_has_an_example_of_that_command(path: tuple[str, ...], tmp_path: Path) -> None:
    result = command(tmp_path / "data", *path, "--help")
    example = next(line for line in result.stdout.splitlines() if line.strip().startswith("例："))
    words = example.split("python -m bot ", 1)[1].split()
    assert result.exit_code == 0 and tuple(words[: len(path)]) == path
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "args",
    [
        ("nonsense",),
        ("ask",),
        ("ask", "问题", "--nonsense"),
        ("ask", "问题", "-k", "0"),
        ("ask", "--batch", "/nowhere.jsonl"),
        ("run", "--port", "99999"),
        ("restore", "/nowhere.zip"),
        ("staff", "add", "张三"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_exit_two_and_changes_nothing(args: tuple[str, ...], tmp_path: Path) -> None:
    result = command(tmp_path / "data", *args)
    assert result.exit_code == 2 and result.stdout == "" and result.stderr
    assert not (tmp_path / "data" / "yuanqitong.db").exists()


def test_a_wrong_setting_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WEB_PORT", "acht")
    assert "WEB_PORT" in refusal(command(tmp_path, "needs", "list"))


def test_our_own_fault_is_exit_one_and_one_line(tmp_path: Path) -> None:
    (tmp_path / "yuanqitong.db").write_bytes(b"this is no database, whatever its name says" * 100)
    result = command(tmp_path, "needs", "list")
    assert result.exit_code == 1 and len(result.stderr.splitlines()) == 1 and "Traceback" not in result.output


# --- ask ------------------------------------------------------------------------------------------------------------------


def test_ask_json_has_exactly_the_contracts_keys(shared: Path) -> None:
    found = in_json(shared, "ask", KNOWN)
    assert list(found) == KEYS
    assert found["id"] is None and found["q"] == KNOWN and found["band"] == "answer" and found["ms"] > 0
    assert found["entry"] == found["candidates"][0]["entry"] and found["confidence"] == found["candidates"][0]["confidence"]
    assert all(list(candidate) == ["entry", "question", "confidence"] for candidate in found["candidates"])
    assert found["articles"] and all(list(article) == ["law", "article"] for article in found["articles"])
    assert found["reasons"] and all(isinstance(reason, str) for reason in found["reasons"])


@pytest.mark.parametrize("k", [1, 3, 60])
def test_candidates_are_best_first_and_as_many_as_asked_in_every_band(shared: Path, tmp_path: Path, k: int) -> None:
    file = json_lines(tmp_path / "q.jsonl", ({"id": i, "q": q} for i, q in enumerate(EVERY_BAND)))
    result = command(shared, "ask", "--batch", file, "--json", "-k", str(k))
    assert result.exit_code == 0, result.output
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert [item["id"] for item in found] == list(range(len(EVERY_BAND)))
    assert {item["band"] for item in found} >= {"answer", "need", "conversation", "refused"}
    for item in found:
        confidences = [candidate["confidence"] for candidate in item["candidates"]]
        assert len(confidences) == len({candidate["entry"] for candidate in item["candidates"]}) == k, item["q"]
        assert confidences == sorted(confidences, reverse=True) and all(0 <= c <= 1 for c in confidences)
        assert item["entry"] == (item["candidates"][0]["entry"] if item["band"] == "answer" else None)
        assert item["confidence"] == confidences[0]


def test_no_more_candidates_than_entries(with_laws: Path) -> None:
    for question in ("货款", "你好", "？？"):
        assert len(in_json(with_laws, "ask", question, "-k", "50")["candidates"]) == 3


def test_ask_for_people_says_why(shared: Path) -> None:
    result = command(shared, "ask", KNOWN, "--why")
    assert result.exit_code == 0 and result.stdout.startswith("【直接答复】")
    assert "期限提示：" in result.stdout and "依据：《" in result.stdout and "由这句找到：" in result.stdout and "毫秒" in result.stdout
    assert "由这句找到" not in command(shared, "ask", KNOWN).stdout


def test_ask_records_nothing_unless_told(data_dir: Path) -> None:
    for question in (KNOWN, UNKNOWN, "你好", "工人爬上塔吊说不给工资就跳下来"):
        assert "need" not in in_json(data_dir, "ask", question)
    assert in_json(data_dir, "needs", "list") == []
    recorded = {q: in_json(data_dir, "ask", q, "--record") for q in (KNOWN, UNKNOWN, "你好", "工人爬上塔吊说不给工资就跳下来")}
    assert all(list(found) == [*KEYS, "need"] for found in recorded.values())
    assert [found["need"] for found in recorded.values()] == [None, f"XQ-{now().year}-0001", None, None]
    (need,) = in_json(data_dir, "needs", "list")
    assert (need["no"], need["question"], need["source"]) == (f"XQ-{now().year}-0001", UNKNOWN, "命令行")
    assert command(data_dir, "ledger", "verify").exit_code == 0


def test_an_empty_question_is_refused(shared: Path) -> None:
    assert "空" in refusal(command(shared, "ask", " \t"))
    assert "两者选一" in refusal(command(shared, "ask"))


def test_batch_keeps_order_and_ids_and_answers_what_it_can(shared: Path, tmp_path: Path) -> None:
    lines: list[Mapping[str, object] | str] = [
        {"id": "a", "q": KNOWN},
        "{broken",
        {"id": 2},
        {"id": {"x": [1]}, "q": "你好", "more": 1},
        "[1]",
        {"id": None, "q": ""},
        {"id": 7, "q": 8},
        {"q": UNKNOWN},
    ]
    result = command(shared, "ask", "--batch", json_lines(tmp_path / "q.jsonl", lines), "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 2 and len(found) == len(lines)
    good, bad = [0, 3, 7], [1, 2, 4, 5, 6]
    assert [found[i]["id"] for i in good] == ["a", {"x": [1]}, None] and all(list(found[i]) == KEYS for i in good)
    assert [list(found[i].items())[:2] for i in bad] == [[("id", None), ("line", i + 1)] for i in bad]
    assert all(list(found[i]) == ["id", "line", "error"] and found[i]["error"] for i in bad)


@pytest.mark.parametrize(
    ("line", "is_good"),
    [
        ('{"id": 1, "q": "货款\u2028拖着不给\x85怎么办"}', True),
        ('{"id": "\\ud800", "q": "客户不付货款"}', True),
        ('{"id": 1, "q": "客户不付\\ud83d货款"}', True),
        ("[" * 100_000, False),
        ('{"id": 1, "q": ' + "9" * 10_000 + "}", False),
    ],
    ids=["line separators inside", "half a surrogate as id", "half a surrogate inside", "deep nesting", "huge number"],
)
@pytest.mark.parametrize("name", ["ask", "statutes"])
def test_a_strange_line_of_a_batch_harms_no_other(with_laws: Path, tmp_path: Path, name: str, line: str, is_good: bool) -> None:
    file = json_lines(tmp_path / "q.jsonl", [{"id": "before", "q": "货款"}, line, {"id": "after", "q": "货款"}])
    result = command(with_laws, name, "--batch", file, "--json")
    found = [json.loads(item) for item in result.stdout.splitlines()]
    assert len(found) == 3, (result.exit_code, result.stderr)
    assert (found[0]["id"], found[2]["id"]) == ("before", "after")
    assert ("error" not in found[1]) == is_good and result.exit_code == (0 if is_good else 2)


def test_a_batch_file_that_is_no_text_is_refused(shared: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").write_text("")
    (tmp_path / "binary").write_bytes(bytes(range(256)) * 50)
    for name in ("empty", "binary"):
        assert refusal(command(shared, "ask", "--batch", tmp_path / name, "--json"))


def test_first_use_of_an_empty_folder_builds_and_prints_json_alone(small: Path) -> None:
    result = command(small, "ask", "客户拖欠货款不给怎么办？", "--json")
    assert result.exit_code == 0 and json.loads(result.stdout)["candidates"][0]["entry"] == "A1"
    assert "计算向量" in result.stderr
    again = command(small, "ask", "客户拖欠货款不给怎么办？", "--json")
    assert again.stderr == "" and json.loads(again.stdout)["candidates"] == json.loads(result.stdout)["candidates"]


# --- statutes -------------------------------------------------------------------------------------------------------------


def test_statutes_without_laws_names_the_command(shared: Path, tmp_path: Path) -> None:
    assert "python -m bot reindex --laws" in refusal(command(shared, "statutes", "逾期利息"))
    file = json_lines(tmp_path / "q.jsonl", [{"id": 1, "q": "逾期利息"}])
    assert "python -m bot reindex --laws" in refusal(command(shared, "statutes", "--batch", file))


def test_statutes_are_those_in_force_of_both_dialects(with_laws: Path) -> None:
    found = in_json(with_laws, "statutes", "逾期付款的利息怎么算")
    assert list(found) == ["id", "q", "articles"] and found["q"] == "逾期付款的利息怎么算"
    assert all(list(article) == ["law", "article", "version", "score"] for article in found["articles"])
    scores = [article["score"] for article in found["articles"]]
    assert scores == sorted(scores, reverse=True)
    versions = {(article["law"], article["version"]) for article in found["articles"]}
    # Nobody knows of the unknown one and of local ones whether they are in force: searchable, see the test below.
    assert versions == {("货款试验法", "2021-01-01"), ("未知试验条例", "2015-01-01"), ("青岛市试验条例", "2019-01-01")}
    numbers = [article["article"] for article in found["articles"] if article["law"] == "货款试验法"]
    assert sorted(numbers) == ["第一条", "第一条之一", "第二条"]
    assert len(in_json(with_laws, "statutes", "逾期付款的利息怎么算", "-k", "2")["articles"]) == 2


def test_an_article_of_unknown_standing_is_not_shown_to_people_as_one_in_force(with_laws: Path) -> None:
    lines = command(with_laws, "statutes", "逾期付款的利息怎么算").stdout.splitlines()
    unknown = next(line for line in lines if "未知试验条例" in line)
    known = next(line for line in lines if "货款试验法" in line)
    assert unknown.split("》")[1] != known.split("》")[1] and "不明" in unknown


def test_a_law_takes_over_on_its_day(with_laws: Path) -> None:
    def laws_on(days: int) -> set[str]:
        opened = Opened(Settings(data_dir=with_laws), clock=lambda: now() + timedelta(days=days))
        found = {hit.law for hit in opened.answering.statutes("逾期付款利息", 50)}
        opened.close()
        return found

    assert "未来试验法" not in laws_on(29) and "未来试验法" in laws_on(31)


def test_unknown_laws_do_not_push_out_related_articles_in_force(small: Path, tmp_path: Path) -> None:
    for number in range(3):
        law(tmp_path / "laws", f"信鸽条例{number}", "2015-01-01", "未知", "- **第一条**　　捡到走失的鸽子送回去的，饲料钱由鸽主出。\n")
    law(tmp_path / "laws", "养鸽法", "2015-01-01", "有效", "- **第一条**　　捡到走失的鸽子应当送回。\n")
    command(small, "reindex", "--laws", tmp_path / "laws")
    found = in_json(small, "ask", UNKNOWN)
    assert found["band"] == "need" and found["articles"] == [{"law": "养鸽法", "article": "第一条"}]


def test_statutes_batch_is_json_in_order_with_bad_lines_in_place(with_laws: Path, tmp_path: Path) -> None:
    file = json_lines(tmp_path / "q.jsonl", [{"id": "x", "q": "逾期利息"}, "no", {"id": "y", "q": "地方规定"}])
    result = command(with_laws, "statutes", "--batch", file, "-k", "1")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == 2 and [item["id"] for item in found] == ["x", None, "y"] and found[1]["line"] == 2
    assert found[2]["articles"][0]["law"] == "青岛市试验条例" and len(found[0]["articles"]) == 1


# --- reindex --------------------------------------------------------------------------------------------------------------


def state(data_dir: Path) -> object:
    """All that a refused command must leave alone: which generation serves, and every entry."""
    connection = sqlite3.connect(data_dir / "yuanqitong.db")
    entries = connection.execute("SELECT id, origin, hash, state FROM entries ORDER BY id").fetchall()
    memory = connection.execute("SELECT key, value FROM memory ORDER BY key").fetchall()
    connection.close()
    return (data_dir / "index" / "current").read_bytes(), entries, memory


def test_reindex_replaces_remembers_and_reports(small: Path, tmp_path: Path) -> None:
    one, two, three = faq(1, "停车费怎么收？", "按表收。"), faq(2, "食堂几点开？", "十一点。"), faq(3, "门卡丢了怎么办？", "补办。")
    table = json_lines(tmp_path / "own.jsonl", [one, two, "{broken", {"id": 4, "question": "没有答复"}])
    report = in_json(small, "reindex", "--knowledge", table)
    assert report["generation"] == 1 and report["entries"] == 5 and report["articles"] == 0
    assert report["changes"]["shipped"] == {"new": 3, "changed": 0, "same": 0, "withdrawn": 0, "kept_ours": 0}
    assert report["changes"]["files"] == {"new": 2, "changed": 0, "same": 0, "withdrawn": 0, "kept_ours": 0}
    assert [(Path(item["file"]).name, item["row"]) for item in report["refused"]] == [("own.jsonl", 3), ("own.jsonl", 4)]
    assert all(item["reason"] for item in report["refused"])

    json_lines(table, [one | {"answer": "免费。"}, three])
    report = in_json(small, "reindex")
    assert report["changes"]["files"] == {"new": 1, "changed": 1, "same": 0, "withdrawn": 1, "kept_ours": 0} and report["refused"] == []
    assert report["changes"]["shipped"]["same"] == 3
    assert "免费。" in command(small, "ask", "停车费怎么收？").stdout or in_json(small, "ask", "停车费怎么收？")["band"] == "offer"

    other = json_lines(tmp_path / "other.jsonl", [faq(1, "会议室怎么订？", "打电话。")])
    text = command(small, "reindex", "--knowledge", other)
    assert text.exit_code == 0 and "导入资料：新增 1，变动 0，不变 0，撤下 2" in text.stdout

    removed = in_json(small, "reindex", "--knowledge", "none")["changes"]["files"]
    assert removed == {"new": 0, "changed": 0, "same": 0, "withdrawn": 1, "kept_ours": 0}
    found = in_json(small, "ask", "会议室怎么订？", "-k", "20")
    assert {candidate["entry"] for candidate in found["candidates"]} == {"A1", "B1", "C1"}


def test_each_part_is_replaced_alone(small: Path, tmp_path: Path) -> None:
    table = json_lines(tmp_path / "own.jsonl", [faq(1, "停车费怎么收？", "按表收。")])
    report = in_json(small, "reindex", "--knowledge", table, "--laws", small_laws(tmp_path / "laws"))
    assert (report["entries"], report["articles"]) == (4, 9)
    assert in_json(small, "reindex", "--knowledge", "none") | {"changes": 0, "refused": 0, "generation": 0} == {
        "generation": 0,
        "entries": 3,
        "articles": 9,
        "changes": 0,
        "refused": 0,
    }
    report = in_json(small, "reindex", "--laws", "none", "--knowledge", table)
    assert (report["entries"], report["articles"]) == (4, 0)
    assert command(small, "statutes", "利息").exit_code == 2


def test_refused_law_files_are_reported_again_by_the_next_reindex(small: Path, tmp_path: Path) -> None:
    first = in_json(small, "reindex", "--laws", small_laws(tmp_path / "laws"))["refused"]
    assert [Path(item["file"]).name for item in first] == ["不是法规.md"]
    assert in_json(small, "reindex")["refused"] == first


def test_sources_without_anything_usable_change_nothing(small: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "rubbish.jsonl").write_text("{\n")
    (tmp_path / "rubbish.md").write_bytes(b"\xff\xfe\x00\xd8\x00\x00" * 9)
    table = json_lines(tmp_path / "own.jsonl", [faq(1, "停车费怎么收？", "按表收。")])
    assert command(small, "reindex", "--knowledge", table).exit_code == 0
    before = state(small)
    for option in ("--knowledge", "--laws"):
        for name in ("nowhere", "empty", "rubbish.jsonl", "rubbish.md"):
            assert refusal(command(small, "reindex", option, tmp_path / name, "--json")), (option, name)
            assert state(small) == before, (option, name)


def test_a_laws_folder_that_became_empty_cannot_break_what_serves(small: Path, tmp_path: Path) -> None:
    folder = small_laws(tmp_path / "laws")
    assert command(small, "reindex", "--laws", folder).exit_code == 0
    for path in folder.iterdir():
        path.unlink()
    command(small, "reindex")
    assert refusal(command(small, "reindex", "--laws", folder))
    assert command(small, "ask", "货款").exit_code == 0


def test_rollback_gives_back_entries_and_answers(small: Path, tmp_path: Path) -> None:
    def asked() -> dict[str, Any]:
        found: dict[str, Any] = in_json(small, "ask", "停车费怎么收？")
        return found | {"ms": 0}

    table = json_lines(tmp_path / "own.jsonl", [faq(1, "停车费怎么收？", "按表收。"), faq(2, "食堂几点开？", "十一点。")])
    command(small, "reindex", "--knowledge", table, "--laws", small_laws(tmp_path / "laws"))
    before = asked()
    assert before["candidates"][0]["entry"] == "own:1"
    json_lines(table, [faq(1, "停车费怎么收？", "每小时一百元。"), faq(3, "电梯坏了？", "报修。")])
    command(small, "reindex", "--laws", "none")
    assert asked() != before
    result = command(small, "reindex", "--rollback")
    assert result.exit_code == 0 and "第 1 代" in result.stdout
    assert asked() == before
    connection = sqlite3.connect(small / "yuanqitong.db")
    found = dict(connection.execute("SELECT id, state FROM entries WHERE origin = 'files'").fetchall())
    body = connection.execute("SELECT body FROM entries WHERE id = 'own:1'").fetchone()[0]
    connection.close()
    assert found == {"own:1": "published", "own:2": "published", "own:3": "withdrawn"} and "按表收。" in body
    assert command(small, "statutes", "利息").exit_code == 0
    assert "没有更早的索引" in refusal(command(small, "reindex", "--rollback"))
    assert in_json(small, "reindex", "--knowledge", table)["generation"] == 3


def test_reindex_waits_for_nobody(small: Path) -> None:
    command(small, "ask", "货款")
    with (small / "index" / "building.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        before = state(small)
        for args in ((), ("--rollback",)):
            assert "重建" in refusal(command(small, "reindex", *args))
        assert state(small) == before


# --- evaluate -------------------------------------------------------------------------------------------------------------


def test_evaluate_counts_and_names_bad_lines(with_laws: Path, tmp_path: Path) -> None:
    good = [{"q": "客户拖欠货款不给怎么办？", "expect": ["A1"]}, {"q": "你好", "expect": []}, {"q": "商标被抢注", "expect": ["B1"]}]
    report = in_json(with_laws, "evaluate", json_lines(tmp_path / "good.jsonl", good))
    first = report["figures"]["可答问题 第一候选正确"]
    assert (first["hits"], first["total"]) == (1, 2) and report["ms"]["p50"] <= report["ms"]["p99"]
    assert any("商标被抢注" in miss for miss in report["misses"])
    text = command(with_laws, "evaluate", tmp_path / "good.jsonl").stdout
    assert "0.500（1/2，95% 区间 0.095 到 0.905）" in text and "商标被抢注" in text


@pytest.mark.parametrize("bad", ["{", "[]", '{"q": "货款"}', '{"q": "货款", "expect": "A1"}', '{"q": "货款", "expect": 5}'])
def test_evaluate_refuses_a_line_without_labels(with_laws: Path, tmp_path: Path, bad: str) -> None:
    file = json_lines(tmp_path / "bad.jsonl", [{"q": "货款", "expect": ["A1"]}, bad])
    assert "第 2 行" in refusal(command(with_laws, "evaluate", file, "--json"))


# --- staff ----------------------------------------------------------------------------------------------------------------


def test_staff_get_a_link_that_works_once(tmp_path: Path) -> None:
    added = command(tmp_path, "staff", "add", " 张三 ", "--role", "registrar", "--role", "reviewer", "--telegram-id", "77")
    assert added.exit_code == 0
    linked = command(tmp_path, "staff", "link", "张三")
    tokens = [result.stdout.splitlines()[-1].split("/console/enter?token=")[1] for result in (added, linked)]
    assert len({*tokens}) == 2 and all(len(token) >= 30 for token in tokens)
    database = Database(tmp_path / "yuanqitong.db")
    for token in tokens:
        use = partial(use_link, token=token, at=now())
        person = database.write(use).result()
        assert person.name == "张三" and person.roles == {"registrar", "reviewer"}
        with pytest.raises(BadInput, match="已用过或已过期"):
            database.write(use).result()
    kept = database.read(lambda db: db.execute("SELECT token_hash FROM staff_links").fetchall()).result()
    database.close()
    assert not {*tokens} & {row[0] for row in kept}
    assert command(tmp_path, "staff", "list").stdout == "张三　登记员、审核人　在职　telegram\n"


def test_staff_mistakes_change_nothing(tmp_path: Path) -> None:
    assert "registrar" in refusal(command(tmp_path, "staff", "add", "张三", "--role", "judge"))
    assert refusal(command(tmp_path, "staff", "add", "  ", "--role", "admin"))
    assert "staff add" in refusal(command(tmp_path, "staff", "link", "李四"))
    assert command(tmp_path, "staff", "list").stdout == ""
    command(tmp_path, "staff", "add", "张三", "--role", "admin")
    assert "staff link 张三" in refusal(command(tmp_path, "staff", "add", "张三", "--role", "auditor"))
    assert command(tmp_path, "staff", "list").stdout.startswith("张三　管理员")


@pytest.mark.parametrize("url", ["https://yqt.example.cn", "https://yqt.example.cn/"])
def test_the_link_leads_to_where_staff_reach_the_console(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("CONSOLE_URL", url)
    link = command(tmp_path, "staff", "add", "张三", "--role", "admin").stdout.splitlines()[-1]
    assert link.startswith("https://yqt.example.cn/console/enter?token=")


# --- needs, ledger, reconcile ---------------------------------------------------------------------------------------------


def test_needs_are_listed_masked_newest_first(ledger: Path) -> None:
    found = in_json(ledger, "needs", "list")
    assert [(need["no"][-4:], need["state"], need["state_name"]) for need in found] == [
        ("0002", "replied", "已答复"),
        ("0001", "submitted", "待登记"),
    ]
    assert found[1]["question"] == "第一个问题，电话 138****8000"
    text = command(ledger, "needs", "list").stdout.splitlines()
    assert text[0].startswith(found[0]["no"]) and "138****8000" in text[1]
    story = command(ledger, "needs", "show", found[0]["no"].lower()).stdout
    assert [word for word in ("提交", "登记", "答复", "补充") if word in story] == ["提交", "登记", "答复", "补充"]
    assert story.index("这是答复") < story.index("补充一句")
    assert "13800138000" not in command(ledger, "needs", "show", found[1]["no"]).output


def test_a_need_that_is_not_there(tmp_path: Path) -> None:
    assert command(tmp_path, "needs", "list").stdout == "台账里还没有需求。\n"
    assert in_json(tmp_path, "needs", "list") == []
    assert "XQ-2020-0001" in refusal(command(tmp_path, "needs", "show", "xq-2020-0001"))


def test_ledger_verify_prints_the_head(ledger: Path) -> None:
    result = command(ledger, "ledger", "verify")
    connection = sqlite3.connect(ledger / "yuanqitong.db")
    head = connection.execute("SELECT link FROM need_history ORDER BY id DESC LIMIT 1").fetchone()[0]
    connection.close()
    assert result.exit_code == 0 and "5 条" in result.stdout and head in result.stdout


SECOND = f"'XQ-{now().year}-0002'"
ANSWER_TEXT = "(SELECT text_id FROM need_history WHERE action = 'reply')"


@pytest.mark.parametrize(
    "statements",
    [
        ("UPDATE texts SET body = '别的答复' WHERE body = '这是答复'",),
        ("UPDATE texts SET body = '别的问题' WHERE body = '第二个问题'",),
        ("UPDATE texts SET body = '别的答复', erased_at = '2026-01-01' WHERE body = '这是答复'",),
        ("INSERT INTO texts (id, salt, body) VALUES (99, 'x', '别的')", f"UPDATE needs SET text_id = 99 WHERE no = {SECOND}"),
        ("INSERT INTO texts (id, salt, body) VALUES (99, 'x', '别的')", "UPDATE need_history SET text_id = 99 WHERE action = 'reply'"),
        ("UPDATE need_history SET text_id = NULL WHERE action = 'reply'",),
        ("UPDATE need_history SET actor = 'staff:9' WHERE action = 'reply'",),
        ("UPDATE need_history SET at = '2020-01-01T00:00:00+08:00' WHERE id = 1",),
        ("UPDATE need_history SET link = previous WHERE id = 2",),
        ("DELETE FROM need_history WHERE id = 3",),
        ("DELETE FROM need_history WHERE id > 3",),
        ("DELETE FROM need_history",),
        ("UPDATE need_history SET id = 100 WHERE id = 1",),
        (f"UPDATE needs SET state = 'closed' WHERE no = {SECOND}",),
        (f"UPDATE needs SET received_at = '2030-01-01T00:00:00+08:00' WHERE no = {SECOND}",),
    ],
    ids=[
        "an answer's text",
        "a question's text",
        "a text called erased",
        "a need points to another text",
        "history points to another text",
        "history points to no text",
        "who did it",
        "when it was done",
        "a link",
        "a row in the middle",
        "the last rows",
        "all rows",
        "the order",
        "a need's state",
        "when a need came in",
    ],
)
def test_ledger_verify_finds_tampering(ledger: Path, statements: tuple[str, ...]) -> None:
    tamper(ledger, *statements)
    result = command(ledger, "ledger", "verify")
    assert result.exit_code == 1 and result.stdout == ""
    assert "断在" in result.stderr and "XQ-" in result.stderr


def test_the_database_itself_refuses_to_rewrite_history(ledger: Path) -> None:
    connection = sqlite3.connect(ledger / "yuanqitong.db")
    for statement in ("UPDATE need_history SET actor = 'x'", "DELETE FROM need_history", "DELETE FROM needs"):
        with pytest.raises(sqlite3.IntegrityError):
            connection.execute(statement)
    connection.close()


def incoming(data_dir: Path, *rows: tuple[str | None, bool]) -> None:
    """Messages on record, each with its outcome and whether it is done."""
    Database(data_dir / "yuanqitong.db").close()
    connection = sqlite3.connect(data_dir / "yuanqitong.db")
    for key, (outcome, done) in enumerate(rows):
        connection.execute(
            "INSERT INTO inbox (channel, update_key, chat_id, payload, received_at, outcome, done_at) VALUES ('web', ?, 1, '{}', ?, ?, ?)",
            [str(key), "2026-03-04T10:00:00+08:00", outcome, "2026-03-04T10:00:01+08:00" if done else None],
        )
    connection.commit()
    connection.close()


@pytest.mark.parametrize(
    ("rows", "is_balanced"),
    [
        ((), True),
        ((("answered", True), ("conversation", True), ("refused", True), ("offered", True), (None, False)), True),
        (((None, False),), True),
        ((("answered", True), (None, True)), False),
        (((None, True),), False),
        ((("lost", True),), False),
        ((("need", True),), False),
    ],
    ids=["nothing", "all kinds", "only open ones", "a gap", "only a gap", "an outcome nobody knows", "a need without number"],
)
def test_reconcile(tmp_path: Path, rows: tuple[tuple[str | None, bool], ...], is_balanced: bool) -> None:
    incoming(tmp_path, *rows)
    result, text = command(tmp_path, "reconcile", "--json"), command(tmp_path, "reconcile")
    assert (result.exit_code, text.exit_code) == ((0, 0) if is_balanced else (1, 1)), result.stderr
    found = json.loads(result.stdout)
    assert found["balanced"] == is_balanced and sum(day["received"] for day in found["days"]) == len(rows)
    assert ("✘" in text.stdout) != is_balanced


# --- backup and restore ---------------------------------------------------------------------------------------------------


@pytest.fixture
def saved(ledger: Path) -> Path:
    """A backup of the ledger with a configuration and a document."""
    (ledger / "court.yaml").write_text("office_hours: 全天\n", encoding="utf-8")
    (ledger / "documents").mkdir()
    (ledger / "documents" / "办法.txt").write_text("第一条 办法。", encoding="utf-8")
    result = command(ledger, "backup", ledger.parent / "b.zip")
    assert result.exit_code == 0 and "2 件" in result.stdout
    return ledger.parent / "b.zip"


def test_backup_and_restore_round_trip(ledger: Path, saved: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "SHIPPED_CONTENT", small_content(ledger.parent / "content"))
    needs, head = in_json(ledger, "needs", "list"), command(ledger, "ledger", "verify").stdout
    assert saved.stat().st_mode & 0o077 == 0
    checked = command(ledger, "restore", saved, "--check")
    assert checked.exit_code == 0 and head.split("链头 ")[1].strip() in checked.stdout
    open_more = command(ledger, "ask", UNKNOWN, "--record")
    assert open_more.exit_code == 0 and len(in_json(ledger, "needs", "list")) == 3
    assert command(ledger, "restore", saved).exit_code == 0
    assert in_json(ledger, "needs", "list") == needs and command(ledger, "ledger", "verify").stdout == head
    assert (ledger / "documents" / "办法.txt").read_text(encoding="utf-8") == "第一条 办法。" and (ledger / "court.yaml").exists()
    (kept,) = ledger.parent.glob("data.before-*")
    assert len(in_json(kept, "needs", "list")) == 3
    assert in_json(ledger, "ask", "客户拖欠货款不给怎么办？")["candidates"][0]["entry"] == "A1"


def test_restore_to_a_new_machine_names_no_folder_that_is_not_there(saved: Path, tmp_path: Path) -> None:
    result = command(tmp_path / "new", "restore", saved)
    assert result.exit_code == 0 and len(in_json(tmp_path / "new", "needs", "list")) == 2
    assert ".before-" not in result.stdout


def test_restore_where_the_imported_files_are_not(small: Path, tmp_path: Path) -> None:
    table = json_lines(tmp_path / "usb" / "own.jsonl", [faq(1, "停车费怎么收？", "按表收。")])
    command(small, "reindex", "--knowledge", table, "--laws", small_laws(tmp_path / "usb" / "laws"))
    command(small, "backup", tmp_path / "b.zip")
    shutil.rmtree(tmp_path / "usb")
    assert command(tmp_path / "new", "restore", tmp_path / "b.zip").exit_code == 0
    found = command(tmp_path / "new", "ask", "停车费怎么收？", "--json")
    assert found.exit_code == 0, found.stderr
    assert json.loads(found.stdout)["candidates"][0]["entry"] == "own:1"


def test_the_command_line_shows_nothing_of_a_restricted_need(ledger: Path) -> None:
    no, opened = f"XQ-{now().year}-0001", Opened(Settings(data_dir=ledger))
    roles, hidden = frozenset({"supervisor"}), {"visibility": "专班", "sensitive": "信访"}
    opened.database.write(lambda db: move(db, no, "restrict", "staff:1", roles, now(), opened.rules, "秘密的理由", hidden)).result()
    opened.close()
    for shown in (("needs", "list"), ("needs", "list", "--json"), ("needs", "show", no)):
        result = command(ledger, *shown)
        assert result.exit_code == 0 and no in result.stdout, shown
        assert "第一个问题" not in result.stdout and "秘密" not in result.stdout, shown
        assert "专班办理" in result.stdout


def test_a_backup_never_overwrites(ledger: Path, saved: Path) -> None:
    before = saved.read_bytes()
    assert "已经存在" in refusal(command(ledger, "backup", saved))
    assert saved.read_bytes() == before
    assert "不存在" in refusal(command(ledger, "backup", ledger.parent / "no" / "b.zip"))
    assert sorted(path.name for path in ledger.parent.iterdir()) == ["b.zip", "data"]


def flipped(saved: Path, at: int) -> Path:
    """The same archive with four bytes changed."""
    content = saved.read_bytes()
    path = saved.with_name("damaged.zip")
    path.write_bytes(content[:at] + bytes(b ^ 0x5A for b in content[at : at + 4]) + content[at + 4 :])
    return path


def places(saved: Path, part: str) -> list[int]:
    """Where to damage each file of the archive: its content at three places, or what the directory says of it."""
    with zipfile.ZipFile(saved) as archive:
        files, entry = archive.infolist(), archive.start_dir
    found = []
    for file in files:
        name = len(file.filename.encode())
        if part == "content":
            begins = file.header_offset + 30 + name
            found += [begins + file.compress_size * quarter // 4 for quarter in range(3)]
        else:
            found += [entry + {"checksum": 16, "place": 42, "name": 46}[part]]
            entry += 46 + name
    return found


def test_a_backup_of_an_earlier_version_is_judged_and_restored(tmp_path: Path) -> None:
    old = sqlite_utils.Database(tmp_path / "yuanqitong.db")
    steps.apply(old, stop_before="m005_whole_ledger")
    old.close()
    content = (tmp_path / "yuanqitong.db").read_bytes()
    counts = dict.fromkeys(("inbox", "outbox", "askings", "needs", "need_history", "entries", "staff"), 0)
    facts = {"made_at": "2026-11-01T09:00:00+08:00", "counts": counts, "chain_head": "0" * 64, "chain_whole": True}
    manifest = facts | {"files": {"yuanqitong.db": hashlib.sha256(content).hexdigest()}}
    with zipfile.ZipFile(tmp_path / "old.zip", "w") as archive:
        archive.writestr("yuanqitong.db", content)
        archive.writestr("manifest.json", json.dumps(manifest))
    assert "备份完好" in restore_backup(tmp_path / "data", tmp_path / "old.zip", check=True)
    restore_backup(tmp_path / "data", tmp_path / "old.zip", check=False)
    # As it was: the next start brings it to the newest schema.
    assert (tmp_path / "data" / "yuanqitong.db").read_bytes() == content
    assert "完整" in command(tmp_path / "data", "ledger", "verify").stdout


@pytest.mark.parametrize("how", ["empty", "cut short", "content", "checksum", "place", "name"])
def test_a_damaged_backup_changes_nothing(ledger: Path, saved: Path, how: str) -> None:
    before = (ledger / "yuanqitong.db").read_bytes()
    if how in ("empty", "cut short"):
        path = saved.with_name("damaged.zip")
        path.write_bytes(saved.read_bytes()[: saved.stat().st_size // 2] if how == "cut short" else b"")
        broken: Iterable[Path] = [path]
    else:
        broken = (flipped(saved, at) for at in places(saved, how))
    for damaged in broken:
        for check in (["--check"], []):
            assert refusal(command(ledger, "restore", damaged, *check))
    assert (ledger / "yuanqitong.db").read_bytes() == before and not list(ledger.parent.glob("data.before-*"))


def test_wherever_a_backup_is_damaged_nothing_wrong_is_restored(saved: Path, tmp_path: Path) -> None:
    """Some bytes of a ZIP say nothing about its content (dates, copies of what the directory says): those may differ."""

    def restored(path: Path, folder: Path) -> dict[str, bytes]:
        restore_backup(folder, path, check=False)
        return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}

    whole, refused = restored(saved, tmp_path / "whole"), 0
    tried = range(0, saved.stat().st_size - 4, 41)
    for at in tried:
        try:
            assert restored(flipped(saved, at), tmp_path / str(at)) == whole, at
        except Unreadable:
            refused += 1
    assert refused > len(tried) * 0.9


def repacked(saved: Path, **changes: Any) -> Path:
    """The same archive with another manifest; what it lists more is put in."""
    path = saved.with_name("repacked.zip")
    with zipfile.ZipFile(saved) as old, zipfile.ZipFile(path, "w") as new:
        manifest = json.loads(old.read("manifest.json"))
        for name in manifest["files"]:
            new.writestr(name, old.read(name))
        for name, content in changes.pop("files", {}).items():
            new.writestr(name, content)
            manifest["files"][name] = hashlib.sha256(content).hexdigest()
        manifest = {name: value for name, value in (manifest | changes).items() if value is not None}
        new.writestr("manifest.json", json.dumps(changes.get("whole", manifest)))
    return path


@pytest.mark.parametrize("name", ["../evil.txt", "documents/../../evil.txt", "/tmp/yuanqitong-evil.txt"])
def test_a_backup_cannot_write_outside(ledger: Path, saved: Path, name: str) -> None:
    assert "路径" in refusal(command(ledger, "restore", repacked(saved, files={name: b"evil"})))
    assert not list(ledger.parent.rglob("*evil*")) and not Path("/tmp/yuanqitong-evil.txt").exists()
    assert not list(ledger.parent.glob("data.before-*"))


@pytest.mark.parametrize(
    "changes",
    [{"counts": {"needs": 9}}, {"counts": None}, {"chain_head": "0" * 64}, {"made_at": None}, {"whole": []}, {"whole": {"files": []}}],
    ids=["other counts", "no counts", "other head", "no date", "a list", "files as a list"],
)
def test_a_backup_that_does_not_match_its_manifest_is_refused(ledger: Path, saved: Path, changes: dict[str, Any]) -> None:
    assert refusal(command(ledger, "restore", repacked(saved, **changes), "--check"))


def test_restore_beside_a_running_bot_is_refused_and_other_commands_work(ledger: Path, saved: Path) -> None:
    with (ledger / "run.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "正在" in refusal(command(ledger, "restore", saved))
        assert command(ledger, "restore", saved, "--check").exit_code == 0
        assert len(in_json(ledger, "needs", "list")) == 2
        assert command(ledger, "ledger", "verify").exit_code == command(ledger, "staff", "list").exit_code == 0
    assert not list(ledger.parent.glob("data.before-*"))


# --- bad content ----------------------------------------------------------------------------------------------------------

BAD_CONTENT = """\
- id: Q-1
  topic: B01
  question: 好的一条怎么写？
  answer: 这样写就可以。
  wordings: [这句话两条都想要]
- id: Q-2
  topic: B01
  question: 没有答复的一条
- id: Q-3
  topic: Z99
  question: 主题不存在的一条
  answer: 答。
- id: Q-4
  topic: B01
  question: 引用了不存在的法条
  answer: 答。
  basis:
    - {law: 中华人民共和国民法典, article: 第一千三百条, version: '2021-01-01'}
    - {law: 中华人民共和国民法典, article: 第五百七十七条, version: '2021-01-01'}
- id: Q-1
  topic: B01
  question: 编号重复的一条
  answer: 答。
- id: Q-5
  topic: B01
  question: 问法重复的一条
  answer: 答。
  wordings: [这句话两条都想要, 这句话是自己的]
"""


def test_each_mistake_in_content_is_named_with_file_and_line_and_the_rest_loads(data_dir: Path, tmp_path: Path) -> None:
    (tmp_path / "court").mkdir()
    (tmp_path / "court" / "本院.yaml").write_text(BAD_CONTENT, encoding="utf-8")
    result = command(data_dir, "reindex", "--knowledge", tmp_path / "court")
    assert result.exit_code == 0
    for said in (
        "本院.yaml 第 6 行：缺少 answer",
        "本院.yaml 第 9 行：不认识的主题“Z99”，已略去，条目保留",
        "本院.yaml 第 13 行：《中华人民共和国民法典》没有第一千三百条，已略去这处依据，条目保留",
        "本院.yaml 第 20 行：编号“Q-1”与 本院.yaml 第 1 行 重复，只保留先出现的一条",
        "本院.yaml 第 24 行：问法“这句话两条都想要”已属于“Q-1”（本院.yaml 第 1 行），已略去，条目保留",
    ):
        assert said in result.stdout, result.stdout
    items = look(data_dir, "SELECT body FROM entries WHERE origin = 'files' AND state = 'published' ORDER BY id")
    kept = {entry.id: entry for entry in (Entry.from_json(item["body"]) for item in items)}
    assert sorted(kept) == ["Q-1", "Q-3", "Q-4", "Q-5"] and kept["Q-3"].topic is None
    assert [citation.article for citation in kept["Q-4"].basis] == ["第五百七十七条"] and kept["Q-5"].wordings == ("这句话是自己的",)


def look(data_dir: Path, query: str) -> list[dict[str, Any]]:
    opened = Opened(Settings(data_dir=data_dir))
    found = opened.database.read(lambda db: rows(db, query)).result()
    opened.close()
    return found


# --- library stats and citations -------------------------------------------------------------------------------------------


def test_library_stats_count_what_is_published(shared: Path) -> None:
    stats = in_json(shared, "library", "stats")
    assert stats["states"] == {"published": sum(topic["questions"] + topic["guides"] for topic in stats["topics"])}
    assert len(stats["topics"]) == 100 and stats["below_floor"] == [] and stats["outdated"] == []
    assert stats["reviewed"] == 0 and stats["oldest"] == stats["newest"]
    text = command(shared, "library", "stats").stdout
    assert "B 账款回收" in text and f"问法 {stats['wordings']} 句" in text


def test_library_stats_name_thin_topics_and_outdated_law(data_dir: Path) -> None:
    opened = Opened(Settings(data_dir=data_dir))

    def spoil(db: Db) -> None:
        old = Citation("中华人民共和国反不正当竞争法", "第九条", "2019-04-23")
        item = next(item for item in library.all_published(db) if item.entry.id == "G04-1")
        library.put_entry(db, "console", replace(item.entry, basis=(old,)), opened.clock())
        library.set_state(db, "A01-1", "withdrawn", opened.clock(), "王审核")
        library.set_state(db, "A01-2", "withdrawn", opened.clock(), "王审核")
        library.set_state(db, "A01-3", "withdrawn", opened.clock(), "王审核")

    opened.database.write(spoil).result()
    opened.close()
    text = command(data_dir, "library", "stats").stdout
    assert "A01 微信口头下单算合同吗（缺 2）" in text
    assert "依据要更新：G04-1：《中华人民共和国反不正当竞争法》2019-04-23在" in text and "已被新的版本取代" in text
    doctor = command(data_dir, "doctor").stdout
    assert "1 个主题的问答不足" in doctor and "依据要更新：G04-1" in doctor


def test_check_citations_without_texts_uses_the_register(shared: Path) -> None:
    result = command(shared, "check-citations")
    assert result.exit_code == 0 and "有错 0 处" in result.stdout and "数字没有核对" in result.stdout
    refused = command(shared, "check-citations", "--write", "x.csv")
    assert refused.exit_code == 2 and "同时给出 --laws" in refused.stderr


def test_the_courts_thesaurus_is_used_and_its_bad_rows_are_named(data_dir: Path) -> None:
    (data_dir / "thesaurus.csv").write_text("colloquial,legal,direction,topic\n石老人话,拖欠货款,→,B01\n坏,行,x,\n", encoding="utf-8")
    why = command(data_dir, "ask", "--why", "客户跟我讲石老人话，怎么办").stdout
    assert "同义词表补充：石老人话 → 拖欠货款" in why
    doctor = command(data_dir, "doctor").stdout
    assert "含本院自己的" in doctor and "thesaurus.csv 第 3 行" in doctor


# --- doctor ---------------------------------------------------------------------------------------------------------------


def test_doctor_of_a_new_installation_names_what_to_do(shared: Path) -> None:
    result = command(shared, "doctor")
    assert result.exit_code == 0
    for fix in ("court_name", "reindex --laws", "staff add", "calendar.csv"):
        assert any(line.startswith("！") and fix in line.split("→")[1] for line in result.stdout.splitlines() if "→" in line), fix


def test_doctor_before_the_first_index(tmp_path: Path) -> None:
    result = command(tmp_path / "data", "doctor")
    assert result.exit_code == 0 and "→ python -m bot reindex" in result.stdout


def spoil_vectors(data_dir: Path) -> None:
    file = next((data_dir / "index").glob("entries-*/vectors.faiss"))
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)


def write_court(text: bytes, name: str = "court.yaml") -> Any:
    def write(data_dir: Path) -> None:
        (data_dir / name).write_bytes(text)

    return write


def break_ledger(data_dir: Path) -> None:
    command(data_dir, "ask", UNKNOWN, "--record")
    tamper(data_dir, "UPDATE needs SET state = 'closed'")


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (spoil_vectors, ["python -m bot reindex"]),
        (lambda data_dir: (data_dir / "index" / "current").write_text("{"), ["python -m bot reindex"]),
        (break_ledger, ["restore"]),
        (write_court(b"court_nam: x\n"), ["court.yaml", "court_nam"]),
        (write_court("court_name: 法院\n".encode("gb18030")), ["court.yaml"]),
        (write_court(b"answer_working_days: 7\n"), ["court.yaml"]),
        (write_court(b"{", "calibration.json"), ["calibration.json", "删除"]),
        (write_court(b"2027-01-01,feast\n", "calendar.csv"), ["calendar.csv", "第 1 行"]),
        (write_court("2027-01-01,holiday\n# 元旦".encode("gb18030"), "calendar.csv"), ["calendar.csv"]),
    ],
    ids=["vectors", "pointer", "ledger", "unknown key", "encoding", "form", "calibration", "calendar", "calendar encoding"],
)
def test_doctor_finds_what_is_broken_and_names_the_fix(data_dir: Path, spoil: Any, said: list[str]) -> None:
    spoil(data_dir)
    result = command(data_dir, "doctor")
    broken = [line for line in result.stdout.splitlines() if line.startswith("✘")]
    assert result.exit_code == 1 and broken, result.output
    assert all(word in " ".join(broken) for word in said), broken


@pytest.mark.parametrize(
    ("name", "value", "said", "code"),
    [
        ("WEB_HOST", "0.0.0.0", "反向代理", 0),
        ("ANSWER_ONLY_REVIEWED", "true", "ANSWER_ONLY_REVIEWED", 0),
        ("TELEGRAM_BOT_TOKEN", "1:abc", "境外", 0),
        ("EMBEDDING_MODEL", "/nowhere/model", "EMBEDDING_MODEL", 1),
    ],
)
def test_doctor_speaks_of_settings(shared: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: str, said: str, code: int) -> None:
    assert command(shared, "doctor").exit_code == 0
    monkeypatch.setenv(name, value)
    result = command(shared, "doctor")
    assert result.exit_code == code and said in result.stdout


def test_doctor_sees_entries_that_are_not_indexed(data_dir: Path) -> None:
    database = Database(data_dir / "yuanqitong.db")
    database.write(lambda db: library.set_state(db, "B01-2", "withdrawn", now(), "王审核")).result()
    database.close()
    assert "还没进索引" in command(data_dir, "doctor").stdout


def test_doctor_names_a_calibration_that_is_another_models(data_dir: Path) -> None:
    """The court's own file outlives an upgrade that brings another model; it must not silence the bot unexplained."""
    shipped = json.loads((ROOT / "indexing" / "model" / "calibration.json").read_text(encoding="utf-8"))
    (data_dir / "calibration.json").write_text(json.dumps(shipped | {"model": "0" * 64}), encoding="utf-8")
    line = next(line for line in command(data_dir, "doctor").stdout.splitlines() if "没有校准过" in line)
    assert line.startswith("！") and "calibration.json" in line.split("→")[1]


# --- processes ------------------------------------------------------------------------------------------------------------


def test_a_running_bot_keeps_its_folder_and_shares_it(data_dir: Path, tmp_path: Path) -> None:
    """Started from another current folder with a relative path; every other command works beside it."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": "1"}
    bot = [sys.executable, "-m", "bot", "--data-dir", "data"]
    running = subprocess.Popen([*bot, "run", "--port", "0"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True)
    try:
        assert running.stdout is not None and "院企通已启动：http://127.0.0.1:" in running.stdout.readline()
        assert "已经有一个院企通在运行" in refusal(command(data_dir, "run", "--port", "0"))
        asked = subprocess.run([*bot, "ask", KNOWN, "--json"], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert asked.returncode == 0 and asked.stderr == "" and json.loads(asked.stdout)["candidates"][0]["entry"] == "B01-2"
        assert command(data_dir, "staff", "add", "张三", "--role", "admin").exit_code == 0
        assert command(data_dir, "reconcile").exit_code == 0 and command(data_dir, "doctor").exit_code == 0
        assert command(data_dir, "backup", tmp_path / "b.zip").exit_code == 0
        assert "停掉" in refusal(command(data_dir, "restore", tmp_path / "b.zip"))
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    finally:
        running.kill()
        running.communicate()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["b.zip", "data"]


def test_data_dir_of_the_environment_is_beside_the_project_never_the_current_folder(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DATA_DIR", "somewhere")
    assert Settings().data_dir == ROOT / "somewhere"
    monkeypatch.delenv("DATA_DIR")
    assert Settings.model_fields["data_dir"].default == ROOT / "data"
