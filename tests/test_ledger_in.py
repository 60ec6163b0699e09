"""Old ledgers and review sheets back in: looked at first, then taken in, row by row, as often as anybody likes."""

import csv
import io
import zipfile
from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from aiohttp import FormData
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bot import access
from bot.access import Staff
from bot.settings import Settings
from bot.sheets.ledger_in import KINDS, Verdict, bring_in, mark_repeats, repeated
from bot.sheets.lines import Privacy
from bot.sheets.tables import MOST_ROWS, Table, read_table
from bot.startup import Opened
from knowledge.database import row, rows
from knowledge.errors import Unreadable
from knowledge.ledger.history import verify
from tests.office import MONDAY, Clerk, Office, Page
from tests.test_ledger_out import Ledger, full_need, ledger

__all__ = ["ledger"]

HEADER = (
    *("序号", "登记日期", "企业名称", "统一社会信用代码", "所属街道/园区", "行业", "联系人", "电话", "来源渠道", "需求类别", "需求内容"),
    *("紧急程度", "承办部门", "承办人", "办理期限", "办理进展", "走访日期", "走访人", "答复内容", "办结日期", "企业满意度", "备注"),
)
SAMPLE = (
    *("1", "2026-11-18", "青岛样例精密机械有限公司", "91370212MA00000A9L", "中韩街道", "制造业", "张××", "138****8000", "走访"),
    *("B01 大企业拖欠货款", "供货逾期 148 日未付 86 万，想了解催收途径", "较急", "民二庭(示例)", "李××", "2026-11-23"),
    *("11-19 电话释法并推送支付令指南", "2026-11-18", "王××、赵××", "书面答复 1 份", "2026-11-20", "满意", "—"),
)
"""The sample row of DOMAIN 3.1; only the company has a whole name."""
SHORT = ("登记日期", "企业名称", "需求内容")
AT = MONDAY + timedelta(days=14)


def workbook(*sheets: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for number, table in enumerate(sheets, 1):
        sheet = book.create_sheet(f"第{number}页")
        for line in table:
            sheet.append(list(line))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(ledger: Ledger, content: bytes | str) -> Table:
    path = ledger.folder / "given"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_table(path)


def rows_of(*table: Sequence[Any]) -> bytes:
    return workbook(table)


def go_through(ledger: Ledger, table: Table, commit: bool = True) -> list[Verdict]:
    """What becomes of every row, as the console does it, in one piece."""
    repeats = mark_repeats(table.rows)
    part = [item for position, item in enumerate(table.rows) if position not in repeats]
    run = ledger.opened.database.write if commit else ledger.opened.database.read
    done = iter(run(lambda db: bring_in(db, part, table.chain_head, ledger.desk, ledger.me, AT)).result())
    return [repeated(item, repeats[position]) if position in repeats else next(done) for position, item in enumerate(table.rows)]


def take(ledger: Ledger, *table: Sequence[Any]) -> list[Verdict]:
    return go_through(ledger, read(ledger, rows_of(*table)))


def kinds(verdicts: Sequence[Verdict]) -> list[str]:
    return [verdict.kind for verdict in verdicts]


def problems(verdict: Verdict) -> list[tuple[str, str]]:
    return [(problem.column, problem.text) for problem in verdict.problems]


def counts(ledger: Ledger) -> dict[str, int]:
    """How many rows every table that an import could touch has."""
    tables = ("needs", "askings", "persons", "enterprises", "need_history", "texts", "imported_rows", "outbox", "audit")
    counted = " UNION ALL ".join(f"SELECT '{name}' AS name, count(*) AS n FROM {name}" for name in tables)
    return {item["name"]: item["n"] for item in ledger.does(lambda db: rows(db, counted))}


def fill_in(path: Path, **cells: str) -> None:
    """Write into the cells of a workbook, as somebody would in WPS: `B2="…"`."""
    book = openpyxl.load_workbook(path)
    for place, text in cells.items():
        book["台账"][place] = text
    book.save(path)


COLUMN = dict(zip((*HEADER, "编号", "状态"), "ABCDEFGHIJKLMNOPQRSTUVWX", strict=True))


@pytest.fixture
def sample_court(tmp_path: Path) -> Iterator[Ledger]:
    """A court whose divisions are called as in the sample row."""
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "court.yaml").write_text("divisions: {civil: 民二庭（示例）}\n", encoding="utf-8")
    opened = Opened(Settings(data_dir=tmp_path / "data"), clock=lambda: AT)
    opened.database.write(lambda db: access.add_staff(db, "王敏", ["registrar"], MONDAY)).result()
    yield Ledger(opened, Staff(1, "王敏", frozenset({"registrar"})), tmp_path)
    opened.close()


def test_sample_row_of_the_court_becomes_a_closed_need_and_comes_out_again(sample_court: Ledger) -> None:
    (verdict,) = take(sample_court, HEADER, SAMPLE)
    assert (verdict.kind, problems(verdict)) == ("new", [])
    assert [note.partition("是")[0] for note in verdict.notes if "遮盖" in note] == ["联系人", "电话"]
    need = sample_court.line(verdict.no)
    expected = {
        "state": "closed",
        "registered_on": "2026-11-18",
        "received_at": "2026-11-18",
        "street": "中韩街道",
        "industry": "制造业",
        "source": "走访",
        "topic": "B01",
        "urgency": "较急",
        "division": "civil",
        "handler": None,
        "due_on": "2026-11-23",
        "visited_on": "2026-11-18",
        "closed_on": "2026-11-20",
        "satisfaction": "满意",
    }
    assert {name: need[name] for name in expected} == expected
    (out,) = read_table(sample_court.export()).rows
    same = dict(zip(HEADER, SAMPLE, strict=True)) | {"备注": "", "联系人": "", "电话": "", "承办人": "", "承办部门": "民二庭（示例）"}
    same["办理进展"] += "\n承办人：李××"
    same["需求类别"] = f"B01 {sample_court.opened.topics['B01'].name}"
    written = openpyxl.load_workbook(sample_court.folder / "out.xlsx")["台账"]
    found = {head.value: cell.value for head, cell in zip(written[1], written[2], strict=True)}
    shown = {name: str(found[name] or "").removesuffix(" 00:00:00") for name in HEADER}
    assert shown == same
    assert out.text("state") == "已办结"


def test_history_of_an_import_is_honest_and_whole(ledger: Ledger) -> None:
    (verdict,) = take(ledger, (*SHORT, "答复内容", "办结日期"), ("2024-03-01", "甲公司", "货款", "已答复", "2024-03-05"))
    steps = ledger.does(lambda db: rows(db, "SELECT at, actor, action FROM need_history WHERE need_no = ? ORDER BY id", verdict.no))
    assert [step["action"] for step in steps] == ["submit", "register", "reply", "close"]
    assert {(step["actor"], step["at"][:10]) for step in steps} == {("staff:1", AT.date().isoformat())}
    found = ledger.does(lambda db: verify(db, ledger.opened.rules))
    assert found.first_break is None
    assert verdict.no.startswith("XQ-2026-")


@pytest.mark.parametrize(
    ("extra", "state"),
    [
        ({}, "registered"),
        ({"承办人": "王敏"}, "assigned"),
        ({"答复内容": "已答复"}, "replied"),
        ({"答复内容": "已答复", "承办人": "王敏"}, "replied"),
        ({"办结日期": "2026-11-20"}, "closed"),
        ({"答复内容": "已答复", "承办人": "王敏", "办结日期": "2026-11-20", "企业满意度": "未评价"}, "closed"),
    ],
)
def test_a_row_goes_as_far_as_it_says(ledger: Ledger, extra: dict[str, str], state: str) -> None:
    (verdict,) = take(ledger, (*SHORT, *extra), ("2026-11-18", "甲公司", "货款", *extra.values()))
    need = ledger.line(verdict.no)
    assert (need["state"], need["handler"]) == (state, 1 if "承办人" in extra else None)
    assert need["satisfaction"] is None
    assert ledger.does(lambda db: rows(db, "SELECT * FROM outbox")) == []


def test_what_has_no_field_is_kept_in_the_progress(ledger: Ledger) -> None:
    header = (*SHORT, "承办人", "编号", "办理进展")
    (verdict,) = take(ledger, header, ("2026-11-18", "甲公司", "货款", "老王", "旧-17", "电话联系"))
    (line,) = read_table(ledger.export()).rows
    assert line.text("progress") == "电话联系\n承办人：老王\n原编号：旧-17"
    assert any("老王" in note for note in verdict.notes)


def test_enterprises_of_several_rows_are_one(ledger: Ledger) -> None:
    header = (*SHORT, "统一社会信用代码", "联系人", "电话")
    take(
        ledger,
        header,
        ("2026-11-18", "甲公司", "货款", "91370212MA00000A9L", "张三", 13800138000.0),
        ("2026-11-19", "甲公司", "工资", "", "", ""),
    )
    people = ledger.does(lambda db: rows(db, "SELECT * FROM persons ORDER BY id"))
    assert [person["company"] for person in people] == ["甲公司", "甲公司"]
    assert (people[0]["phone"], people[0]["consented_at"]) == ("13800138000", None)
    assert len({person["enterprise_id"] for person in people}) == 1


def test_sensitive_rows_are_restricted(ledger: Ledger) -> None:
    (verdict,) = take(ledger, SHORT, ("2026-11-18", "甲公司", "工人准备拉横幅讨薪"))
    assert ledger.line(verdict.no)["visibility"] == "专班"


def test_headings_may_come_in_any_order_under_other_names_below_a_title(ledger: Ledger) -> None:
    table = read(
        ledger,
        rows_of(
            ("崂山区院企需求台账（2024 年）",),
            (),
            ("反映 问题", "单位名称", "天气", "★登记时间", "联系电话"),
            ("货款", "甲公司", "晴", "2024/3/1", "0532-88881234"),
        ),
    )
    assert table.ignored == ["天气"]
    assert [(item.number, item.text("content"), item.text("registered_on")) for item in table.rows] == [(4, "货款", "2024-03-01")]
    assert kinds(go_through(ledger, table)) == ["new"]


def test_several_sheets_are_read_and_named(ledger: Ledger) -> None:
    table = read(
        ledger, workbook((SHORT, ("2024-01-02", "甲公司", "货款")), (("随便",), ("写写",)), (SHORT, ("2025-01-02", "乙公司", "工资")))
    )
    assert [(item.sheet, item.number) for item in table.rows] == [("第1页", 2), ("第3页", 2)]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (rows_of(("日期", "名称"), ("2024-01-02", "甲公司")), "缺少：企业名称、需求内容"),
        (rows_of(("企业名称", "单位名称", "需求内容", "登记日期"), ("甲", "乙", "丙", "2024-01-02")), "有几列都是“企业名称”"),
        (rows_of(SHORT), "表头下面没有内容"),
        (b"PK\x03\x04 no workbook", "损坏"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1 old", ".xls"),
        (b"\x00\x01\x02\x03" * 9, "不是文字"),
        ('登记日期,企业名称,需求内容\n2024-01-02,甲公司,"' + "长" * 200_000, "第 2 行"),
        ("登记日期,企业名称,需求内容\n" + "2024-01-02,甲公司,货款\n" * (MOST_ROWS + 1), "超过 20000 行"),
    ],
)
def test_a_file_that_is_no_ledger_is_one_clear_sentence(ledger: Ledger, content: bytes | str, said: str) -> None:
    with pytest.raises(Unreadable, match=r".") as error:
        read(ledger, content)
    assert said in str(error.value)


def test_an_archive_that_unfolds_is_not_opened(ledger: Ledger) -> None:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xl/worksheets/sheet1.xml", b"0" * 150_000_000)
    with pytest.raises(Unreadable, match="过大"):
        read(ledger, stream.getvalue())


@pytest.mark.parametrize(
    ("heading", "value", "column", "said"),
    [
        ("承办部门", "没有这个庭", "承办部门", "可选"),
        ("需求类别", "Z99 没有", "需求类别", "没有“Z99 没有”"),
        ("所属街道/园区", "火星街道", "所属街道/园区", "没有“火星街道”"),
        ("来源渠道", "做梦", "来源渠道", "请选"),
        ("紧急程度", "十万火急", "紧急程度", "请选"),
        ("企业满意度", "还行", "企业满意度", "请选"),
        ("办结日期", "2026-11-17", "办结日期", "早于登记日期"),
        ("办结日期", "2027-01-01", "办结日期", "还没有到"),
        ("收到日期", "2026-11-19", "登记日期", "早于收到日期"),
        ("收到日期", "2027-01-01", "收到日期", "还没有到"),
        ("走访日期", "前天", "走访日期", "不是日期"),
        ("备注", "长" * 30_000, "备注", "控制在"),
        ("统一社会信用代码", 913702127180000188, "统一社会信用代码", "当成了数字"),
        ("备注", "=1+1", "备注", "公式"),
        ("联系人", "长" * 200, "联系人", "控制在"),
    ],
)
def test_a_bad_row_names_column_and_remedy_and_changes_nothing(ledger: Ledger, heading: str, value: Any, column: str, said: str) -> None:
    before = counts(ledger)
    verdicts = take(ledger, (*SHORT, heading), ("2026-11-18", "甲公司", "货款", value))
    assert kinds(verdicts) == ["bad"]
    found, text = problems(verdicts[0])[0]
    assert (found, said in text) == (column, True)
    assert counts(ledger) == before


def test_every_fault_of_a_row_is_named_at_once_and_good_rows_go_on(ledger: Ledger) -> None:
    verdicts = take(
        ledger,
        (*SHORT, "紧急程度", "承办部门"),
        ("", "", "", "急", "某庭"),
        ("2026-11-18", "青岛××公司", "货款", "", ""),
        ("2026-11-18", "乙公司", "货款", "", ""),
    )
    assert kinds(verdicts) == ["bad", "bad", "new"]
    assert [column for column, _ in problems(verdicts[0])] == ["登记日期", "企业名称", "需求内容", "紧急程度", "承办部门"]
    assert problems(verdicts[1]) == [("企业名称", "是遮盖过的，请填企业全称。")]


def test_a_cell_of_a_hundred_thousand_characters_is_a_bad_row(ledger: Ledger) -> None:
    table = read(ledger, "登记日期,企业名称,需求内容\n2026-11-18,甲公司," + "长" * 100_000 + "\n2026-11-18,乙公司,货款\n")
    verdicts = go_through(ledger, table)
    assert kinds(verdicts) == ["bad", "new"]
    assert "100000 字" in verdicts[0].problems[0].text


def test_two_codes_for_one_name_are_asked_about(ledger: Ledger) -> None:
    header = (*SHORT, "统一社会信用代码")
    verdicts = take(
        ledger, header, ("2026-11-18", "甲公司", "货款", "91370212MA00000A9L"), ("2026-11-18", "甲公司", "工资", "91370212MA3TEXT0XF")
    )
    assert kinds(verdicts) == ["new", "bad"]
    assert "统一社会信用代码不同" in verdicts[1].problems[0].text


def test_looking_changes_nothing_and_says_what_taking_in_does(ledger: Ledger) -> None:
    table = read(ledger, rows_of((*SHORT, "承办部门"), ("2026-11-18", "甲公司", "货款", ""), ("2026-11-18", "乙公司", "货款", "某庭")))
    before = counts(ledger)
    looked = go_through(ledger, table, commit=False)
    assert counts(ledger) == before
    done = go_through(ledger, table)
    assert [(verdict.kind, verdict.problems) for verdict in looked] == [(verdict.kind, verdict.problems) for verdict in done]


def test_importing_twice_changes_nothing_the_second_time(ledger: Ledger) -> None:
    table = (
        (*SHORT, "备注"),
        ("2026-11-18", "甲公司", "货款", ""),
        ("2026-11-18", " 甲 公司", "货款 ", "又写了一遍"),
        ("2026-11-18", "乙公司", "货款", ""),
    )
    assert kinds(take(ledger, *table)) == ["new", "same", "new"]
    before = counts(ledger)
    again = take(ledger, *table)
    assert kinds(again) == ["same"] * 3
    assert counts(ledger) == before
    # Filled in further since: still the same matter, and not a second need.
    assert kinds(take(ledger, (*SHORT, "答复内容"), ("2026-11-18", "甲公司", "货款", "现在答复了"))) == ["same"]
    assert counts(ledger) == before


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
@pytest.mark.parametrize("privacy", list(Privacy))
def test_an_untouched_export_changes_nothing(ledger: Ledger, kind: Any, privacy: Privacy) -> None:
    full_need(ledger)
    ledger.need("李小四的电话 13812345678 打不通", company="李小四", contact="李小四", phone="13812345678")
    before = counts(ledger)
    verdicts = go_through(ledger, read_table(ledger.export(kind, privacy)))
    assert (kinds(verdicts), [verdict.notes for verdict in verdicts]) == (["same", "same"], [[], []])
    assert counts(ledger) == before


def test_review_sheet_writes_back_what_may_be_changed(ledger: Ledger) -> None:
    no = full_need(ledger)
    path = ledger.export(privacy=Privacy.MASKED)
    new = {
        "需求类别": "A01",
        "紧急程度": "一般",
        "所属街道/园区": "北宅街道",
        "行业": "建筑业",
        "备注": "复核过",
        "走访日期": "2026-11-17",
        "走访人": "钱七",
        "企业满意度": "非常满意",
    }
    fill_in(path, **{f"{COLUMN[heading]}2": text for heading, text in new.items()})
    table = read_table(path)
    (looked,) = go_through(ledger, table, commit=False)
    assert looked.kind == "update"
    assert {heading: after for heading, _, after in looked.changes} == new
    assert ("紧急程度", "较急", "一般") in looked.changes
    (done,) = go_through(ledger, table)
    assert done.changes == looked.changes
    need = ledger.line(no)
    values = (need["topic"], need["urgency"], need["street"], need["industry"], need["visited_on"], need["satisfaction"])
    assert values == ("A01", "一般", "北宅街道", "建筑业", "2026-11-17", "非常满意")
    (line,) = read_table(ledger.export()).rows
    assert (line.text("remark"), line.text("visitors"), line.text("state")) == ("复核过", "钱七", "已办结")
    assert kinds(go_through(ledger, table)) == ["same"]
    assert ledger.does(lambda db: verify(db, ledger.opened.rules)).first_break is None


@pytest.mark.parametrize("heading", ["答复内容", "状态", "企业名称", "办结日期", "联系人", "承办部门"])
def test_columns_that_are_not_for_sheets_are_a_conflict(ledger: Ledger, heading: str) -> None:
    full_need(ledger)
    path = ledger.export()
    fill_in(path, **{f"{COLUMN[heading]}2": "2026-11-17" if heading == "办结日期" else "改了", f"{COLUMN['备注']}2": "也改了"})
    before = counts(ledger)
    (verdict,) = go_through(ledger, read_table(path))
    assert (verdict.kind, verdict.problems[0].column) == ("conflict", heading)
    assert counts(ledger) == before


def test_what_went_on_since_the_export_is_not_overwritten(ledger: Ledger) -> None:
    no, other = full_need(ledger), ledger.need("另一件")
    path = ledger.export()
    ledger.text(no, "remark", "系统里刚改的")
    fill_in(path, **{f"{COLUMN['走访人']}2": "钱七", f"{COLUMN['走访人']}3": "孙八"})
    verdicts = go_through(ledger, read_table(path))
    assert kinds(verdicts) == ["conflict", "update"]
    assert "导出以后系统里有新的进展" in verdicts[0].problems[0].text
    remark = "SELECT t.body FROM needs n JOIN texts t ON t.id = n.remark_id WHERE n.no = ?"
    assert ledger.does(lambda db: row(db, remark, no))["body"] == "系统里刚改的"
    assert verdicts[1].no == other


def test_masked_and_empty_cells_are_never_written_back(ledger: Ledger) -> None:
    no = full_need(ledger)
    ledger.text(no, "remark", "电话 13812345678")
    path = ledger.export(privacy=Privacy.MASKED)
    assert "138****5678" in read_table(path).rows[0].text("remark")
    fill_in(path, **{f"{COLUMN['备注']}2": "电话 138****5678，已核实", f"{COLUMN['走访人']}2": "", f"{COLUMN['企业满意度']}2": "—"})
    before = counts(ledger)
    (verdict,) = go_through(ledger, read_table(path))
    assert (verdict.kind, verdict.notes) == ("same", ["备注含遮盖或截断的内容，没有写回。"])
    assert counts(ledger) == before


def test_numbers_that_are_unknown_twice_there_or_not_for_this_person(ledger: Ledger) -> None:
    no, secret = ledger.need(), ledger.need("我们要去上访", details={"visibility": "专班"})
    ledger.me = Staff(1, "王敏", frozenset({"registrar"}))
    verdicts = take(ledger, ("编号", "备注"), (no, "一"), (no.lower(), "二"), ("XQ-2031-0001", "三"), (secret, "四"))
    assert kinds(verdicts) == ["update", "bad", "bad", "bad"]
    assert [verdict.problems[0].text[:8] for verdict in verdicts[1:]] == ["与第 2 行的编", "系统里没有这个编", "系统里没有这个编"]


def test_a_review_row_with_a_wrong_value_changes_nothing_of_its_need(ledger: Ledger) -> None:
    no = ledger.need()
    before = counts(ledger)
    verdicts = take(ledger, ("编号", "备注", "紧急程度", "走访日期"), (no, "一", "急", ""), (ledger.need("另一件"), "二", "", "2020-01-01"))
    assert kinds(verdicts) == ["bad", "bad"]
    assert problems(verdicts[0])[0][0] == "紧急程度"
    assert "早于收到日期" in problems(verdicts[1])[0][1]
    assert counts(ledger)["need_history"] == before["need_history"] + 2


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.text(max_size=30), st.text(max_size=30), st.text(max_size=60)), min_size=1, max_size=4))
def test_whatever_stands_in_a_sheet_ends_in_verdicts_and_comes_out_again(ledger: Ledger, told: list[tuple[str, str, str]]) -> None:
    """Random texts in a CSV: never an exception, and what was taken in is unchanged when the export is read back."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerows(
        [("登记日期", "企业名称", "需求内容", "备注"), *(("2026-11-18", company, content, remark) for company, content, remark in told)]
    )
    try:
        table = read(ledger, b"\xef\xbb\xbf" + out.getvalue().encode("utf-8", "replace"))
    except Unreadable:
        return
    assert set(kinds(go_through(ledger, table))) <= set(KINDS)
    ledger.need("至少有一件")
    files = (ledger.export("xlsx"), ledger.export("csv"))
    assert [set(kinds(go_through(ledger, read_table(path)))) for path in files] == [{"same"}, {"same"}]
    assert ledger.does(lambda db: verify(db, ledger.opened.rules)).first_break is None


async def uploads(clerk: Clerk, content: bytes, name: str = "旧台账.xlsx") -> Page:
    page = await clerk.opens("/console/import")
    form = FormData()
    form.add_field("csrf", page.fields["csrf"])
    form.add_field("file", content, filename=name)
    return await clerk.opens("/console/import", "POST", data=form)


def needs_in(office: Office) -> int:
    return int(office.does(lambda db: row(db, "SELECT count(*) AS n FROM needs"))["n"])


async def test_console_looks_then_takes_in_then_says_so(office: Office, tmp_path: Path) -> None:
    office.at = AT
    clerk = await office.clerk("登记", "registrar")
    table = [(*SHORT, "天气", "承办部门"), *((date(2026, 11, 18), f"第{n}公司", f"货款 {n}", "晴", "") for n in range(120))]
    content = rows_of(*table, ("2026-11-18", "甲公司", "货款", "", "某庭"))
    looked = await uploads(clerk, content)
    assert looked.status == 200
    for said in ("新增 <b>120</b>", "有问题 <b>1</b>", "天气", "第 122 行", "承办部门没有“某庭”", "什么都没有改动"):
        assert said in looked.text
    assert needs_in(office) == 0
    done = await clerk.sends("/console/import/commit", looked)
    assert (done.status, "新增 120 件" in done.text) == (200, True)
    assert needs_in(office) == 120
    assert list((tmp_path / "imports").iterdir()) == []
    again = await clerk.sends("/console/import/commit", looked)
    assert (again.status, "已经导入过" in again.text) == (409, True)
    once_more = await uploads(clerk, content)
    assert "没有变化 <b>120</b>" in once_more.text and "没有可以导入的行" in once_more.text
    notes = [item["note"] for item in office.does(lambda db: rows(db, "SELECT note FROM audit WHERE action = 'import_ledger' ORDER BY id"))]
    assert notes == ["开始导入 121 行", "导入完成：新增 120，修改 0，没有变化 0，有冲突 0，有问题 1"]
    assert office.outbox() == []


async def test_console_refuses_what_is_no_ledger_and_who_is_no_registrar(office: Office) -> None:
    clerk, other = await office.clerk("登记", "registrar"), await office.clerk("承办", "handler", "reviewer")
    for content in (rows_of(("甲", "乙"), ("1", "2")), b"", b"PK\x03\x04"):
        page = await uploads(clerk, content)
        assert page.status == 400
        assert 'role="alert"' in page.text
    assert (await other.opens("/console/import")).status == 403
    forged = await clerk.sends("/console/import/commit", await clerk.opens("/console/import"), token="../../etc/passwd")
    assert forged.status == 409
    assert needs_in(office) == 0


async def test_empty_sheet_can_be_filled_in_and_uploaded(office: Office) -> None:
    office.at = AT
    clerk = await office.clerk("登记", "registrar")
    async with clerk.session.get(office.root + "/console/import/empty") as response:
        book = openpyxl.load_workbook(io.BytesIO(await response.read()))
    sheet = book["台账"]
    assert sheet.max_row == 1
    for heading, text in {"登记日期": "2026-11-18", "企业名称": "甲公司", "需求内容": "货款", "紧急程度": "较急"}.items():
        sheet[f"{COLUMN[heading]}2"] = text
    out = io.BytesIO()
    book.save(out)
    looked = await uploads(clerk, out.getvalue())
    assert "新增 <b>1</b>" in looked.text
    assert (await clerk.sends("/console/import/commit", looked)).status == 200
    assert needs_in(office) == 1
