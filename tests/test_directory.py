"""The directory: tables as people really send them, what a line means on which day, and the two steps of an import."""

import io
import os
import re
import time
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import openpyxl
import pytest
from aiohttp import FormData

from bot import access
from bot.console import directory, held_files
from bot.console.gate import Upload
from bot.settings import Settings
from knowledge.court import Court, load_court
from knowledge.database import Database, rows
from knowledge.errors import BadInput, Conflict, Unreadable
from knowledge.ledger.directory import Report, commit, compare, copies_for, key_enterprise, label_of, lookup, outside_bodies
from knowledge.ledger.directory_sheet import KINDS, Sheet, empty_sheet, read_sheet
from tests.office import MONDAY, Clerk, Office, Page, serving

HEADER = ("类别", "名称", "代号", "负责人或联络员", "电话", "对接专班", "备注")
TABLE = (
    HEADER,
    ("庭室", "民事审判庭", "civil", "甲庭长", "0532-00000001", "", ""),
    ("街道", "中韩街道", "", "乙庭长", "", "", ""),
    ("重点企业", "青岛样例（集团）有限公司", "", "丙院长", "", "专班一", ""),
    ("部门", "样例局", "", "丁联络员", "053200000002", "", "欠薪"),
    ("调解组织", "样例调解中心", "", "", "", "", ""),
)
TODAY = MONDAY.date()


def csv_text(table: Sequence[Sequence[str]] = TABLE) -> str:
    return "\n".join(",".join(line) for line in table) + "\n"


def workbook(**sheets: Sequence[Sequence[Any]]) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.worksheets[0])
    for title, table in sheets.items():
        sheet = book.create_sheet(title)
        for line in table:
            sheet.append(list(line))
    stream = io.BytesIO()
    book.save(stream)
    return stream.getvalue()


def read(tmp_path: Path, content: bytes | str) -> Sheet:
    path = tmp_path / "table"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sheet(path)


@pytest.fixture
def court(tmp_path: Path) -> Court:
    return load_court(tmp_path)


@pytest.fixture
def database(tmp_path: Path) -> Any:
    opened = Database(tmp_path / "ledger.db", "NORMAL")
    opened.write(lambda db: db.execute("INSERT INTO staff (name, roles, created_at) VALUES ('管理员', '[\"admin\"]', '')")).result()
    yield opened
    opened.close()


def takes(database: Database, sheet: Sheet, court: Court, at: datetime = MONDAY, complete: bool = False) -> Report:
    """Look, then commit, as the console does."""
    seen = database.read(lambda db: compare(db, sheet, court, at.date())).result().fingerprint
    return database.write(lambda db: commit(db, sheet, court, at, 1, seen, complete)).result()


def people(database: Database, day: date) -> dict[str, str]:
    """Who is named for what on a day."""
    return {body.name: body.person for body in database.read(lambda db: lookup(db, day)).result()}


# --- tables ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
def test_csv_in_every_encoding(tmp_path: Path, encoding: str) -> None:
    sheet = read(tmp_path, csv_text().encode(encoding))
    assert [row.cells["name"] for row in sheet.rows] == [line[1] for line in TABLE[1:]]
    assert sheet.rows[0].cells == {
        "kind": "庭室", "name": "民事审判庭", "code": "civil", "person": "甲庭长", "phone": "0532-00000001", "team": "", "note": "",
    }  # fmt: skip
    assert (sheet.bad, sheet.unused) == ((), ())


def test_excel_says_the_same_as_csv(tmp_path: Path) -> None:
    assert read(tmp_path, workbook(通讯录=TABLE)) == read(tmp_path, csv_text())


def test_columns_in_any_order_under_other_names_below_a_title(tmp_path: Path) -> None:
    table = [("区一站式通讯录",), ("联络员", "邮编", "分类", "单位名称"), ("丁", "266000", "部门", "样例局")]
    (row,) = (sheet := read(tmp_path, workbook(表=table))).rows
    assert row.place == "第 3 行"
    assert row.cells == {"person": "丁", "kind": "部门", "name": "样例局"}
    assert sheet.unused == ("邮编",)


def test_numbers_blanks_and_several_sheets(tmp_path: Path) -> None:
    one = [HEADER, ("部门", "样例局", None, None, 88880000.0), (None,) * 7, ("部门", "  样例\n委 ", None, None, 53200000002)]
    sheet = read(tmp_path, workbook(部门=one, 别的=[("随便", "写写")], 街道=[HEADER, ("街道", "中韩街道")]))
    assert [(row.place, row.cells["name"], row.cells["phone"]) for row in sheet.rows] == [
        ("“部门”第 2 行", "样例局", "88880000"),
        ("“部门”第 4 行", "样例 委", "53200000002"),
        ("“街道”第 2 行", "中韩街道", ""),
    ]


def test_a_formula_is_never_evaluated_and_its_row_is_left_out(tmp_path: Path) -> None:
    sheet = read(tmp_path, workbook(表=[HEADER, ("部门", "=1+1"), ("部门", "样例局")]))
    assert [row.cells["name"] for row in sheet.rows] == ["样例局"]
    assert [(bad.place, "“名称”是公式" in bad.reason) for bad in sheet.bad] == [("第 2 行", True)]
    # In a CSV there are no formulas, only text that looks like one.
    assert read(tmp_path, csv_text([HEADER, ("部门", "=1+1")])).rows[0].cells["name"] == "=1+1"


def test_a_text_cell_that_begins_like_a_formula_is_text(tmp_path: Path) -> None:
    book = openpyxl.Workbook()
    sheet = book.worksheets[0]
    sheet.append(list(HEADER))
    sheet.append(["部门", "样例局", "", "", "", "", ""])
    sheet["G2"].value = "=SUM(A1)"
    sheet["G2"].data_type = "s"
    book.save(tmp_path / "t.xlsx")
    (row,) = read_sheet(tmp_path / "t.xlsx").rows
    assert row.cells["note"] == "=SUM(A1)"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "空的"),
        (b"\xd0\xcf\x11\xe0 old excel", ".xls"),
        (b"PK\x03\x04 broken", "损坏"),
        (bytes(range(256)) * 20, "编码"),
        ("名称,电话\n样例局,1\n", "没有找到表头"),
        ("类别,名称,负责人,联络员\n部门,样例局,甲,乙\n", "“负责人”和“联络员”都是负责人或联络员"),
        ("类别,名称\n" + "部门,样例局\n" * 5001, "超过 5000 行"),
    ],
)
def test_a_file_that_is_no_table_is_refused_with_the_reason(tmp_path: Path, content: bytes | str, reason: str) -> None:
    with pytest.raises(Unreadable, match=re.escape(reason)):
        read(tmp_path, content)


def test_bad_rows_are_named_and_the_others_stay(tmp_path: Path, database: Database, court: Court) -> None:
    lines = (
        ("部门", "样例局", "", "", "待定", "", ""),
        ("街道", "没有街道", "", "", "", "", ""),
        ("庭室", "民庭", "mingting", "", "", "", ""),
        ("庭室", "无代号庭", "", "", "", "", ""),
        ("邻居", "某某", "", "", "", "", ""),
        ("部门", "", "", "", "", "", "只有备注"),
        ("部门", "样例委", "", "", "", "", "长" * 100_000),
        ("部门", "样例办", "", "", "", "", ""),
        ("部门", "样 例 办", "", "", "", "", ""),
    )
    sheet = read(tmp_path, csv_text((HEADER, *lines)))
    report = database.read(lambda db: compare(db, sheet, court, TODAY)).result()
    assert [body.name for body in report.new] == ["样例办"]
    expected = (
        "“待定”不像电话",
        "没有“没有街道”这个街道",
        "代号“mingting”不是承办部门",
        "没有填庭室代号",
        "类别“邻居”不认识",
        "没有填名称",
        "备注有 100000 字，最多 500 字",
        "与第 9 行重复",
    )
    assert [bad.place for bad in report.bad] == [f"第 {number} 行" for number in (2, 3, 4, 5, 6, 7, 8, 10)]
    for bad, said in zip(report.bad, expected, strict=True):
        assert said in bad.reason


def test_a_cell_too_long_for_csv_ends_the_reading_and_says_so(tmp_path: Path) -> None:
    sheet = read(tmp_path, csv_text((HEADER, ("部门", "样例局"), ("部门", "长" * 200_000), ("部门", "样例委"))))
    assert [row.cells["name"] for row in sheet.rows] == ["样例局"]
    assert [bad.place for bad in sheet.bad] == ["第 3 行"]


def test_the_empty_table_names_nobody_and_comes_back_empty(tmp_path: Path, database: Database, court: Court) -> None:
    content = empty_sheet(court)
    sheet = read(tmp_path, content)
    assert (sheet.rows, sheet.bad, sheet.unused) == ((), (), ())
    book = openpyxl.load_workbook(io.BytesIO(content))
    assert [tuple(cell.value for cell in row) for row in book["通讯录"].iter_rows(max_row=1)] == [HEADER]
    assert str(book["通讯录"]["A2"].value).startswith("说明：")
    assert book["通讯录"].max_row == 2
    assert {cell.value for cell in book["可以填什么"]["A"]} >= set(KINDS)
    # Filled in, it is read.
    book["通讯录"].append(["街道", "中韩街道", None, "乙庭长"])
    book.save(tmp_path / "filled.xlsx")
    assert [row.cells["person"] for row in read_sheet(tmp_path / "filled.xlsx").rows] == ["乙庭长"]


# --- history --------------------------------------------------------------------------------------------------------------


def test_the_same_table_again_changes_nothing(tmp_path: Path, database: Database, court: Court) -> None:
    sheet = read(tmp_path, csv_text())
    first = takes(database, sheet, court)
    again = takes(database, sheet, court, MONDAY + timedelta(days=1), complete=True)
    assert (len(first.new), first.same, len(first.bad)) == (5, 0, 0)
    assert (again.new, again.changed, again.same, again.gone) == ((), (), 5, ())
    assert len(database.read(lambda db: rows(db, "SELECT id FROM directory")).result()) == 5


def test_every_past_day_can_be_read(tmp_path: Path, database: Database, court: Court) -> None:
    takes(database, read(tmp_path, csv_text()), court)
    before = database.read(lambda db: rows(db, "SELECT * FROM directory WHERE name = '中韩街道'")).result()
    later = MONDAY + timedelta(days=10)
    changed = takes(database, read(tmp_path, csv_text((HEADER, ("街道", "中韩街道", "", "新庭长", "", "", "")))), court, later)
    assert [item.differences for item in changed.changed] == [[("负责人或联络员", "乙庭长", "新庭长")]]
    assert changed.gone == ()
    assert "中韩街道" not in people(database, TODAY - timedelta(days=1))
    assert people(database, TODAY)["中韩街道"] == people(database, later.date() - timedelta(days=1))["中韩街道"] == "乙庭长"
    assert people(database, later.date())["中韩街道"] == "新庭长"
    after = database.read(lambda db: rows(db, "SELECT * FROM directory WHERE id = ?", before[0]["id"])).result()
    assert after == [before[0] | {"valid_until": "2026-11-25"}]
    # What a need was sent to says whom it meant then.
    assert database.read(lambda db: label_of(db, [f"directory:{before[0]['id']}", "住建部门联络员", "directory:999"])).result() == [
        "中韩街道包联庭长 乙庭长",
        "住建部门联络员",
        "directory:999",
    ]


def test_two_imports_on_one_day_leave_one_line_in_force(tmp_path: Path, database: Database, court: Court) -> None:
    for person in ("甲", "乙", "丙"):
        takes(database, read(tmp_path, csv_text((HEADER, ("部门", "样例局", "", person, "", "", "")))), court)
    for day in (TODAY, TODAY + timedelta(days=99)):
        assert people(database, day) == {"样例局": "丙"}


def test_what_the_table_lacks_ends_only_when_it_is_said_to_be_complete(tmp_path: Path, database: Database, court: Court) -> None:
    takes(database, read(tmp_path, csv_text()), court)
    sheet = read(tmp_path, csv_text((HEADER, ("部门", "样例委", "", "", "", "", ""))))
    seen = database.read(lambda db: compare(db, sheet, court, TODAY)).result()
    assert [body.name for body in seen.gone] == ["样例局"]
    tomorrow = MONDAY + timedelta(days=1)
    assert takes(database, sheet, court, tomorrow).gone == ()
    assert "样例局" in people(database, tomorrow.date())
    assert [body.name for body in takes(database, sheet, court, tomorrow, complete=True).gone] == ["样例局"]
    # Other kinds are not touched: the table says nothing of them.
    assert set(people(database, tomorrow.date())) == {"民事审判庭", "中韩街道", "青岛样例（集团）有限公司", "样例委", "样例调解中心"}
    assert "样例局" in people(database, TODAY)


def test_complete_is_refused_while_rows_are_bad(tmp_path: Path, database: Database, court: Court) -> None:
    takes(database, read(tmp_path, csv_text()), court)
    sheet = read(tmp_path, csv_text((HEADER, ("部门", "样例委", "", "", "", "", ""), ("部门", "样例局", "", "", "待定", "", ""))))
    with pytest.raises(BadInput, match="有问题"):
        takes(database, sheet, court, complete=True)
    assert "样例委" not in people(database, TODAY)


def test_a_column_the_table_lacks_keeps_what_the_directory_says(tmp_path: Path, database: Database, court: Court) -> None:
    takes(database, read(tmp_path, csv_text()), court)
    report = takes(database, read(tmp_path, "类别,名称,联络员\n部门,样例局,新联络员\n庭室,民事审判庭（示例）,戊\n"), court)
    (body,) = database.read(lambda db: lookup(db, TODAY, "部门")).result()
    assert (body.person, body.phone, body.note) == ("新联络员", "053200000002", "欠薪")
    # A division called as in court.yaml needs no code in the table.
    assert [(body.name, body.code) for body in report.new] == [("民事审判庭（示例）", "civil")]


def test_a_report_that_is_no_longer_true_is_not_committed(tmp_path: Path, database: Database, court: Court) -> None:
    sheet = read(tmp_path, csv_text())
    seen = database.read(lambda db: compare(db, sheet, court, TODAY)).result().fingerprint
    takes(database, read(tmp_path, csv_text((HEADER, ("部门", "样例局", "", "别人", "", "", "")))), court)
    with pytest.raises(Conflict, match="没有导入"):
        database.write(lambda db: commit(db, sheet, court, MONDAY, 1, seen, False)).result()
    assert people(database, TODAY) == {"样例局": "别人"}


def test_copies_follow_street_and_key_enterprise(tmp_path: Path, database: Database, court: Court) -> None:
    takes(database, read(tmp_path, csv_text((*TABLE, ("街道", "北宅街道", "", "", "", "", "")))), court)

    def copies(street: str | None, *companies: str, day: date = TODAY) -> list[str]:
        found = database.read(lambda db: copies_for(db, day, street, companies)).result()
        assert database.read(lambda db: label_of(db, [token for token, _ in found])).result() == [label for _, label in found]
        return [label for _, label in found]

    both = copies("中韩街道", "青岛样例(集团) 有限公司", "别家")
    assert both == [
        "中韩街道包联庭长 乙庭长",
        "包联领导 丙院长（青岛样例（集团）有限公司）",
    ]
    assert copies(None) == copies("北宅街道") == copies("中韩街道", day=TODAY - timedelta(days=1)) == []
    found = database.read(lambda db: key_enterprise(db, TODAY, "青岛样例(集团)有限公司")).result()
    assert found and found.team == "专班一"
    outside = database.read(lambda db: outside_bodies(db, TODAY)).result()
    assert [label for _, label in outside] == ["样例局（丁联络员）", "样例调解中心"]
    assert all(re.fullmatch("directory:[0-9]+", token) for token, _ in outside)


# --- held files -----------------------------------------------------------------------------------------------------------


def test_a_held_file_comes_back_byte_for_byte_and_only_under_its_token(tmp_path: Path) -> None:
    folder = tmp_path / "imports"
    content = workbook(表=TABLE)
    token = held_files.hold(folder, Upload("../../通讯录.xlsx", content))
    assert held_files.find(folder, token).read_bytes() == content
    assert folder.stat().st_mode & 0o777 == 0o700
    assert (folder / token).stat().st_mode & 0o777 == 0o600
    (tmp_path / "secret.csv").write_text("秘密", encoding="utf-8")
    for wrong in (
        "",
        "x",
        f"../{token}",
        "../secret.csv",
        token.upper(),
        token + "\n",
        token.replace("-", "_"),
        f"{'0' * 32}-{'0' * 64}.csv",
    ):
        with pytest.raises(Conflict, match="重新上传"):
            held_files.find(folder, wrong)
    (folder / token).write_bytes(content + b"x")
    with pytest.raises(Conflict):
        held_files.find(folder, token)
    held_files.release(folder, token)
    held_files.release(folder, token)
    held_files.release(folder, "../secret.csv")
    assert list(folder.iterdir()) == []
    assert (tmp_path / "secret.csv").exists()


def test_a_file_nobody_came_back_for_goes_with_the_next(tmp_path: Path) -> None:
    old, young = (held_files.hold(tmp_path, Upload("a.csv", content)) for content in (b"one", b"two"))
    yesterday = time.time() - held_files.KEPT_SECONDS - 60
    os.utime(tmp_path / old, (yesterday, yesterday))
    held_files.hold(tmp_path, Upload("b.csv", b"three"))
    assert not (tmp_path / old).exists()
    assert held_files.find(tmp_path, young).read_bytes() == b"two"


@pytest.mark.parametrize("upload", [None, Upload("a.csv", b""), Upload("a.csv", b" \n")])
def test_no_file_is_a_clear_sentence(tmp_path: Path, upload: Upload | None) -> None:
    with pytest.raises(BadInput, match="没有选文件"):
        held_files.hold(tmp_path, upload)


# --- pages ----------------------------------------------------------------------------------------------------------------


async def uploads(clerk: Clerk, content: bytes | str, name: str = "通讯录.csv") -> Page:
    """Step one of an import."""
    csrf = (await clerk.opens("/console/directory")).fields["csrf"]
    form = FormData()
    form.add_field("csrf", csrf)
    data = io.BytesIO(content if isinstance(content, bytes) else content.encode())
    form.add_field("file", data, filename=name, content_type="text/csv")
    return await clerk.opens("/console/directory", "POST", data=form)


def stored(office: Office) -> list[dict[str, Any]]:
    return list(office.does(lambda db: rows(db, "SELECT * FROM directory ORDER BY id")))


async def test_import_in_two_steps(office: Office, tmp_path: Path) -> None:
    clerk = await office.clerk("周平", "admin")
    empty = await clerk.opens("/console/directory")
    assert "通讯录还是空的" in empty.text
    looked = await uploads(clerk, workbook(表=(*TABLE, ("街道", "没有街道"))), "通讯录.xlsx")
    assert looked.status == 200
    for expected in ("新增 <b>5</b>", "有问题 <b>1</b>", "没有“没有街道”这个街道", "甲庭长", "什么都没有改动"):
        assert expected in looked.text
    assert stored(office) == []
    done = await clerk.sends("/console/directory/commit", looked)
    assert done.status == 303
    page = await clerk.opens(done.headers["Location"])
    for expected in ("新增 5 行，变更 0 行，停用 0 行", "乙庭长", "0532-00000001", "民事审判庭（示例）"):
        assert expected in page.text
    assert [item["added_by"] for item in stored(office)] == [1] * 5
    (audit,) = office.does(lambda db: rows(db, "SELECT * FROM audit WHERE action = 'import_directory'"))
    assert (audit["actor"], audit["action"], audit["note"][:4]) == ("staff:1", "import_directory", "新增 5")
    assert "甲庭长" not in audit["note"]
    assert list((tmp_path / "imports").iterdir()) == []
    # Sent twice: nothing more happens, and the second says why.
    again = await clerk.sends("/console/directory/commit", looked)
    assert (again.status, "已经导入过" in again.text) == (409, True)
    assert len(stored(office)) == 5
    same = await uploads(clerk, csv_text())
    assert "完全一样" in same.text and "不变 <b>5</b>" in same.text
    assert list((tmp_path / "imports").iterdir()) == []


async def test_killed_between_the_steps_nothing_is_changed_and_the_second_still_works(tmp_path: Path) -> None:
    async with serving(Office, Settings(data_dir=tmp_path)) as office:
        looked = await uploads(await office.clerk("周平", "admin"), csv_text())
    async with serving(Office, Settings(data_dir=tmp_path)) as office:
        await commits_after_a_restart(office, looked)


async def commits_after_a_restart(office: Office, looked: Page) -> None:
    assert stored(office) == []
    clerk = office.browser()
    token = office.does(lambda db: access.make_link(db, "周平", office.at))
    await clerk.sends("/console/enter", token=token)
    csrf = (await clerk.opens("/console/directory")).fields["csrf"]
    done = await clerk.sends("/console/directory/commit", looked, csrf=csrf)
    assert done.status == 303
    assert len(stored(office)) == 5


async def test_complete_is_asked_for_and_days_can_be_looked_at(office: Office) -> None:
    clerk = await office.clerk("周平", "assigner")
    await clerk.sends("/console/directory/commit", await uploads(clerk, csv_text()))
    office.at += timedelta(days=3)
    clerk = await office.clerk("吴敏", "assigner")
    looked = await uploads(clerk, csv_text((HEADER, ("部门", "样例委", "", "", "", "", ""))))
    assert "这份表是完整的，表里没有的停用" in looked.text
    await clerk.sends("/console/directory/commit", looked, complete="1")
    now, then = await clerk.opens("/console/directory"), await clerk.opens("/console/directory?day=2026-11-16")
    assert ("样例局" in now.text, "样例委" in now.text) == (False, True)
    assert ("样例局" in then.text, "样例委" in then.text, "2026-11-16 当天的样子" in then.text) == (True, False, True)
    for odd in ("day=x", "day=9999-99-99", "day=2026-1-1", "day="):
        assert "样例委" in (await clerk.opens(f"/console/directory?{odd}")).text


async def test_wrong_tokens_reports_and_files_change_nothing(office: Office, tmp_path: Path) -> None:
    clerk = await office.clerk("周平", "admin")
    looked = await uploads(clerk, csv_text())
    for wrong in ({"token": "../yuanqitong.db"}, {"token": ""}, {"seen": "x"}):
        page = await clerk.sends("/console/directory/commit", looked, **wrong)
        assert (page.status, "重新上传" in page.text) == (409, True)
    for content, said in ((b"", "没有选文件"), ("没有,表头\n1,2\n", "没有找到表头"), (b"PK\x03\x04xx", "已损坏")):
        page = await uploads(clerk, content)
        assert (page.status, said in page.text) == (400, True), said
    csrf = (await clerk.opens("/console/directory")).fields["csrf"]
    assert (await clerk.sends("/console/directory", csrf=csrf)).status == 400
    assert (await uploads(clerk, b"x" * (directory.TABLE_BYTES + 100_000))).status == 413
    assert stored(office) == []
    assert len(list((tmp_path / "imports").iterdir())) == 1


async def test_who_imports_who_reads_and_who_sees_phones(office: Office) -> None:
    admin = await office.clerk("周平", "admin")
    looked = await uploads(admin, csv_text())
    await admin.sends("/console/directory/commit", looked)
    for role in ("registrar", "assigner", "handler", "reviewer", "supervisor", "auditor"):
        clerk = await office.clerk(f"某{role}", role)
        page = await clerk.opens("/console/directory")
        assert page.status == 200
        assert ("0532-00000001" in page.text) == (role != "auditor"), role
        assert ("上传并核对" in page.text) == (role == "assigner")
        async with clerk.session.get(f"{office.root}/console/directory/empty") as response:
            assert response.status == (200 if role == "assigner" else 403)
        assert (await clerk.sends("/console/directory/commit", page)).status == (409 if role == "assigner" else 403)
        assert (await clerk.sends("/console/directory", page)).status == (400 if role == "assigner" else 403)
    assert (await office.browser().opens("/console/directory")).status == 403


async def test_upload_without_csrf_is_not_read(office: Office) -> None:
    clerk = await office.clerk("周平", "admin")
    form = FormData()
    form.add_field("file", csv_text().encode(), filename="a.csv")
    assert (await clerk.opens("/console/directory", "POST", data=form)).status == 403


async def test_cells_are_shown_as_text(office: Office) -> None:
    clerk = await office.clerk("周平", "admin")
    looked = await uploads(
        clerk, csv_text((HEADER, ("部门", "<script>x</script>", "", "<b>甲</b>", "", "", ""), ("<i>", "x", "", "", "", "", "")))
    )
    await clerk.sends("/console/directory/commit", looked)
    for page in (looked, await clerk.opens("/console/directory")):
        assert "&lt;script&gt;x" in page.text
        assert not re.search(r"<script|<b>甲|“<i>|\sstyle=|https?://", page.text)


async def test_the_empty_table_can_be_downloaded(office: Office) -> None:
    clerk = await office.clerk("周平", "admin")
    async with clerk.session.get(f"{office.root}/console/directory/empty") as response:
        assert response.content_type == directory.EXCEL
        assert response.headers["Content-Disposition"].startswith("attachment")
        book = openpyxl.load_workbook(io.BytesIO(await response.read()))
    assert book.sheetnames == ["通讯录", "可以填什么"]
