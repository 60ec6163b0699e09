"""The ledger as a file: every column as it stands, nothing that runs, nothing personal unless somebody said why."""

import csv
import io
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Literal

import openpyxl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot import access
from bot.access import Staff
from bot.desk import Desk
from bot.outbox import Mail
from bot.settings import Settings
from bot.sheets import cells
from bot.sheets.columns import COLUMNS, column_of
from bot.sheets.ledger_out import Export, registered, write_ledger
from bot.sheets.lines import Privacy
from bot.sheets.tables import Table, read_table
from bot.startup import Opened
from knowledge.database import Db, row, rows
from knowledge.ledger import history
from knowledge.ledger.needs import Asking, open_need, record_asking, set_text
from tests.command_line import command, refusal
from tests.office import MONDAY, Clerk, Office

CONTENT = "供货逾期 148 日未付 86 万，想了解催收途径，电话 13812345678"
NASTY = (
    "=1+1",
    "+86",
    "-5",
    "@SUM(A1)",
    "\t=cmd|' /C calc'!A0",
    "'=x",
    "''-",
    "＝1",
    "0532",
    "913702127180000188",
    "_x000D_",
    "#N/A",
    '甲\n乙,"丙"',
)
SOFFICE = shutil.which("soffice")
HEADINGS = (
    *("序号", "登记日期", "企业名称", "统一社会信用代码", "所属街道/园区", "行业", "联系人", "电话", "来源渠道", "需求类别", "需求内容"),
    *("紧急程度", "承办部门", "承办人", "办理期限", "办理进展", "走访日期", "走访人", "答复内容", "办结日期", "企业满意度", "备注"),
)
"""Copied from DOMAIN 3.1."""


@dataclass
class Ledger:
    """A data folder with one member of staff in every role, and the files made of its ledger."""

    opened: Opened
    me: Staff
    folder: Path

    @property
    def desk(self) -> Desk:
        return Desk(self.opened.court, self.opened.rules, self.opened.topics)

    def does(self, operation: Callable[[Db], Any]) -> Any:
        return self.opened.database.write(operation).result()

    def need(self, content: str = CONTENT, at: datetime = MONDAY, details: dict[str, Any] | None = None, **person: str) -> str:
        """A need in the ledger, registered."""

        def make(db: Db) -> str:
            names = list(person)
            known = "".join(f", {name}" for name in names)
            found = db.execute(
                f"INSERT INTO persons (created_at, updated_at{known}) VALUES ('', ''{', ?' * len(names)})", list(person.values())
            )
            asking = record_asking(db, Asking(content, "need"), at, person_id=found.lastrowid)
            no = open_need(db, asking, "走访", at, self.opened.rules)
            self.desk.register(db, no, self.me, at, details)
            return no

        return str(self.does(make))

    def text(self, no: str, field: str, text: str) -> None:
        self.does(lambda db: set_text(db, no, field, text, self.me.actor, self.me.roles, MONDAY, self.opened.rules))

    def step(self, no: str, action: str, text: str = "", at: datetime = MONDAY, **details: Any) -> None:
        self.does(lambda db: self.desk.step(db, Mail(db, at), no, action, self.me, at, text, details))

    def reply(self, no: str, text: str) -> None:
        self.does(lambda db: self.desk.reply(db, Mail(db, MONDAY), no, self.me, text, MONDAY))

    def line(self, no: str) -> dict[str, Any]:
        return dict(self.does(lambda db: row(db, "SELECT * FROM needs WHERE no = ?", no)))

    def export(
        self,
        kind: Literal["xlsx", "csv"] = "xlsx",
        privacy: Privacy = Privacy.FULL,
        numbers: Sequence[str] | None = None,
        visible: tuple[str, Sequence[Any]] = ("1", ()),
    ) -> Path:
        """The file of all the ledger, or of these needs."""
        out = io.BytesIO()
        wanted = Export(kind, privacy, "王敏", MONDAY, "台账")
        read = self.opened.database.read
        read(lambda db: write_ledger(db, registered(db) if numbers is None else numbers, out, self.desk, visible, wanted)).result()
        path = self.folder / f"out.{kind}"
        path.write_bytes(out.getvalue())
        return path


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    opened = Opened(Settings(data_dir=tmp_path / "data", database_synchronous="NORMAL"), clock=lambda: MONDAY)
    roles = ["registrar", "assigner", "handler", "reviewer", "admin"]
    opened.database.write(lambda db: access.add_staff(db, "王敏", roles, MONDAY)).result()
    yield Ledger(opened, Staff(1, "王敏", frozenset(roles)), tmp_path)
    opened.close()


def full_need(ledger: Ledger) -> str:
    """A need whose every column says something."""
    about = {"company": "青岛样例精密机械有限公司", "uscc": "91370212MA00000A9L", "contact": "张三丰", "phone": "13800138000"}
    record = {
        "street": "中韩街道",
        "industry": "制造业",
        "urgency": "较急",
        "topic": "B01",
        "visited_on": "2026-11-16",
    }
    no = ledger.need(CONTENT, MONDAY, record, **about)
    ledger.text(no, "visitors", "王五、赵六")
    ledger.text(no, "remark", "无特别说明")
    ledger.step(no, "note", "电话释法并推送支付令指南")
    ledger.does(lambda db: ledger.desk.assign(db, Mail(db, MONDAY), no, ledger.me, MONDAY, "commercial", ledger.me.id))
    ledger.step(no, "accept")
    ledger.reply(no, "书面答复 1 份，联系 13912345678")
    ledger.step(no, "close", at=MONDAY + timedelta(days=2), satisfaction="满意")
    return no


def in_csv(path: Path) -> list[list[str]]:
    return list(csv.reader(io.StringIO(path.read_bytes().decode("utf-8-sig"), newline="")))


def by_heading(sheet: Any, number: int = 2) -> dict[str, Any]:
    return {head.value: cell for head, cell in zip(sheet[1], sheet[number], strict=True)}


def test_columns_are_the_courts_with_number_and_state_at_the_end() -> None:
    assert [column.heading for column in COLUMNS] == [*HEADINGS, "编号", "状态"]
    for name in ("企 业 名 称", "★企业名称", "单位名称", "企业名称（必填）"):
        assert (column_of(name) or COLUMNS[0]).key == "company"
    assert column_of("温度") is None


def test_workbook_of_one_need_says_everything(ledger: Ledger) -> None:
    no = full_need(ledger)
    book = openpyxl.load_workbook(ledger.export())
    sheet = book["台账"]
    found = by_heading(sheet)
    assert {heading: cell.value for heading, cell in found.items()} == {
        "序号": 1,
        "登记日期": datetime(2026, 11, 16),
        "企业名称": "青岛样例精密机械有限公司",
        "统一社会信用代码": "91370212MA00000A9L",
        "所属街道/园区": "中韩街道",
        "行业": "制造业",
        "联系人": "张三丰",
        "电话": "13800138000",
        "来源渠道": "走访",
        "需求类别": f"B01 {ledger.opened.topics['B01'].name}",
        "需求内容": CONTENT,
        "紧急程度": "较急",
        "承办部门": "商事审判庭（示例）",
        "承办人": "王敏",
        "办理期限": datetime(2026, 11, 19),
        "办理进展": "2026-11-16 电话释法并推送支付令指南",
        "走访日期": datetime(2026, 11, 16),
        "走访人": "王五、赵六",
        "答复内容": "书面答复 1 份，联系 13912345678",
        "办结日期": datetime(2026, 11, 18),
        "企业满意度": "满意",
        "备注": "无特别说明",
        "编号": no,
        "状态": "已办结",
    }
    assert {found[name].number_format for name in ("登记日期", "办理期限", "办结日期")} == {"yyyy-mm-dd"}
    assert {found[name].number_format for name in ("电话", "统一社会信用代码", "需求内容")} == {"@"}
    assert found["需求内容"].alignment.wrap_text
    assert (sheet.freeze_panes, sheet.auto_filter.ref) == ("A2", "A1:X2")
    header: Any = sheet.oddHeader
    assert header.center.text == ledger.opened.court.watermark == "演示，非法院正式服务"


def test_drop_downs_offer_what_the_import_takes(ledger: Ledger) -> None:
    full_need(ledger)
    book = openpyxl.load_workbook(ledger.export())
    sheet, choices = book["台账"], book["选项"]
    assert choices.sheet_state == "hidden"
    offered = {}
    for rule in sheet.data_validations.dataValidation:
        heading = sheet[f"{str(rule.sqref)[0]}1"].value
        name, area = rule.formula1.split("!")
        assert name == "'选项'"
        offered[heading] = [cells[0].value for cells in choices[area.replace("$", "")]]
        assert by_heading(sheet)[heading].coordinate in rule.sqref
    court = ledger.opened.court
    assert offered["承办部门"] == list(court.divisions.values())
    assert offered["所属街道/园区"][: len(court.streets)] == list(court.streets)
    assert offered["紧急程度"] == ["一般", "较急", "紧急", "特急"]
    assert offered["企业满意度"] == ["非常满意", "满意", "基本满意", "不满意"]
    assert len(offered["需求类别"]) == len(ledger.opened.topics) + 4
    assert set(offered) == {"所属街道/园区", "行业", "来源渠道", "需求类别", "紧急程度", "承办部门", "企业满意度"}


def test_notes_sheet_says_who_when_what_and_how_far_the_chain_went(ledger: Ledger) -> None:
    full_need(ledger)
    book = openpyxl.load_workbook(ledger.export(privacy=Privacy.MASKED))
    notes = {str(label.value): str(text.value) for label, text in book["说明"].iter_rows()}
    assert notes["导出人"] == "王敏"
    assert notes["导出时间"] == "2026-11-16 09:00"
    assert notes["筛选"] == "台账"
    assert "已遮盖" in notes["个人信息"]
    assert notes["历史链头"] == ledger.does(history.head)
    assert "演示" in notes["名称"] and "演示" in str(book.properties.description)


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_masked_and_outside_show_nothing_personal(ledger: Ledger, kind: Literal["xlsx", "csv"]) -> None:
    no = full_need(ledger)
    ledger.need("会计拿了钱", company="李小四", contact="李小四", phone="办公室转")
    for privacy, contact in ((Privacy.MASKED, "张××"), (Privacy.OUTSIDE, "")):
        table = read_table(ledger.export(kind, privacy))
        first, second = table.rows
        assert (first.text("contact"), first.text("phone"), first.text("no")) == (contact, "138****8000", no)
        assert first.text("company") == "青岛样例精密机械有限公司"
        assert "138****5678" in first.text("content") and "139****5678" in first.text("reply")
        assert (second.text("company"), second.text("phone")) == ("李××", "****")
        shown = "".join(str(cell) for item in table.rows for cell in item.cells.values())
        for private in ("张三丰", "李小四", "13800138000", "13912345678", "13812345678", "办公室转"):
            assert private not in shown


def test_restricted_needs_are_for_those_who_may_see_them_and_never_for_outside(ledger: Ledger) -> None:
    secret, plain = ledger.need("我们要去上访", details={"visibility": "专班"}), ledger.need()
    numbers = [secret, plain]

    def exported(privacy: Privacy, visible: tuple[str, Sequence[Any]]) -> list[str]:
        return [item.text("no") for item in read_table(ledger.export("csv", privacy, numbers, visible)).rows]

    assert exported(Privacy.FULL, ("1", ())) == [secret, plain]
    assert exported(Privacy.OUTSIDE, ("1", ())) == [plain]
    assert exported(Privacy.MASKED, ledger.desk.visible(Staff(1, "王敏", frozenset({"registrar", "handler", "admin"})))) == [plain]


def test_order_is_the_one_asked_for_and_numbers_run_without_gaps(ledger: Ledger) -> None:
    first, second = ledger.need(), ledger.need()
    lines = in_csv(ledger.export("csv", numbers=[second, first]))
    assert [(line[0], line[-2]) for line in lines[1:]] == [("1", second), ("2", first)]
    assert ledger.export("csv").read_bytes().startswith(b"\xef\xbb\xbf")
    assert b"\r\n" in ledger.export("csv").read_bytes()


def test_nothing_in_a_sheet_runs(ledger: Ledger) -> None:
    for text in NASTY:
        ledger.need(text, company=text.strip()[:100])
    sheet = openpyxl.load_workbook(ledger.export())["台账"]
    for number, text in enumerate(NASTY, 2):
        cell = by_heading(sheet, number)["需求内容"]
        assert cell.data_type == "s"
        assert cell.quotePrefix == (text.strip()[0] in "=+-@＝")
    for line in in_csv(ledger.export("csv"))[1:]:
        for cell in line:
            assert cell[:1] not in tuple("=+-@\t\r＝")
            assert not (cell.isdigit() and len(cell) > 11)


@pytest.mark.parametrize("kind", ["xlsx", "csv"])
def test_nasty_texts_come_back_as_they_were(ledger: Ledger, kind: Literal["xlsx", "csv"]) -> None:
    for text in NASTY:
        ledger.need(text)
    assert [item.text("content") for item in read_table(ledger.export(kind)).rows] == [cells.clean(text) for text in NASTY]


@settings(max_examples=60, deadline=None)
@example(["_x0041_x0042_", "\ud83d", "😀" * 3, "a\x00b\x0b\r\nc\rd", "\u2028\x85甲"])
@given(st.lists(st.text(st.characters(exclude_categories=()), min_size=1, max_size=40), min_size=1, max_size=5))
def test_any_text_survives_both_kinds_of_file(texts: list[str]) -> None:
    for text in texts:
        clean = cells.clean(text)
        assert cells.clean(clean) == clean
        assert cells.unguard(cells.guard(clean)) == clean
        assert cells.guard(clean)[:1] not in tuple("=+-@\t\r") or not clean
        assert cells.unescape(cells.escape(clean)) == clean
    book = openpyxl.Workbook()
    for number, text in enumerate(texts, 1):
        cell: Any = book.worksheets[0].cell(number, 1, "")
        cell.value, cell.data_type = cells.escape(cells.clean(text)), "s"
    out = io.BytesIO()
    book.save(out)
    back = openpyxl.load_workbook(out).worksheets[0]
    found = [cells.unescape(str(back.cell(number, 1).value or "")) for number in range(1, len(texts) + 1)]
    assert found == [cells.clean(text) for text in texts]


def test_text_over_excels_limit_is_cut_and_says_so(ledger: Ledger) -> None:
    ledger.need("长" * 33_000)
    ledger.need("😀" * 16_000)
    ledger.need("😀" * 17_000)
    for kind in ("xlsx", "csv"):
        first, fits, third = (item.text("content") for item in read_table(ledger.export(kind)).rows)
        assert first.endswith(cells.CUT) and third.endswith(cells.CUT) and fits == "😀" * 16_000
        assert max(len(text.encode("utf-16-le")) // 2 for text in (first, fits, third)) <= 32_767
        assert third.removesuffix(cells.CUT).strip("😀") == ""


def test_erased_text_is_said_to_be(ledger: Ledger) -> None:
    no = full_need(ledger)
    ledger.does(lambda db: db.execute("UPDATE texts SET body = NULL, salt = '', erased_at = 'x'"))
    (line,) = read_table(ledger.export()).rows
    assert (line.text("no"), line.text("content"), line.text("reply")) == (no, "（文字已删除）", "（文字已删除）")


@pytest.mark.skipif(SOFFICE is None, reason="no LibreOffice here")
def test_libreoffice_reads_the_workbook_and_finds_the_same_cells(ledger: Ledger, tmp_path: Path) -> None:
    full_need(ledger)
    # What looks like an escape sequence LibreOffice reads well and writes badly.
    for text in (text for text in NASTY if text != "_x000D_"):
        ledger.need(text, company="青岛样例精密机械有限公司", phone="053288881234")
    path = ledger.export()
    office = [str(SOFFICE), f"-env:UserInstallation={(tmp_path / 'office').as_uri()}", "--headless"]
    # Comma, double quote, UTF-8, from line 1; cells as shown on the screen.
    as_csv = "csv:Text - txt - csv (StarCalc):44,34,76,1,,0,false,true"
    for target in (as_csv, "xlsx"):
        asked = [*office, "--convert-to", target, "--outdir", str(tmp_path / "lo"), str(path)]
        subprocess.run(asked, check=True, capture_output=True, timeout=120)
    back = list(csv.reader(io.StringIO((tmp_path / "lo" / "out.csv").read_text(encoding="utf-8"), newline="")))
    expected = [list(line.cells.items()) for line in read_table(path).rows]
    assert back[0] == [column.heading for column in COLUMNS]
    for line, cells_ in zip(back[1:], expected, strict=True):
        shown = dict(zip((column.key for column in COLUMNS), line, strict=True))
        assert {key: cells.clean(shown[key]) for key, _ in cells_} == {key: str(cell) for key, cell in cells_}
    # Saved again by LibreOffice it still says the same, formulas included: there are none.
    again = read_table(tmp_path / "lo" / "out.xlsx")
    assert [dict(line.cells) for line in again.rows] == [dict(cells_) for cells_ in expected]
    assert again.chain_head == ledger.does(history.head)


def test_command_line_exports_masked_and_asks_why_otherwise(ledger: Ledger, tmp_path: Path) -> None:
    full_need(ledger)
    ledger.need("我们要去上访", details={"visibility": "专班"})
    data = tmp_path / "data"
    done = command(data, "needs", "export", tmp_path / "a.xlsx")
    assert (done.exit_code, "已导出 1 件" in done.stdout) == (0, True)
    (line,) = read_table(tmp_path / "a.xlsx").rows
    assert line.text("contact") == "张××"
    for wrong in (("a.ods",), ("b.csv", "--unmasked"), ("b.csv", "--unmasked", "--why", "想"), ("none/b.csv",)):
        refusal(command(data, "needs", "export", tmp_path / wrong[0], *wrong[1:]))
    assert command(data, "needs", "export", tmp_path / "b.csv", "--unmasked", "--why", "核对电话号码").exit_code == 0
    (line,) = read_table(tmp_path / "b.csv").rows
    assert (line.text("contact"), line.text("phone")) == ("张三丰", "13800138000")
    notes = ledger.does(lambda db: rows(db, "SELECT * FROM audit WHERE action = 'export_ledger' AND note <> ''"))
    assert [(item["actor"], item["action"], item["subject"], item["note"]) for item in notes] == [
        ("cli", "export_ledger", "1 行 csv full", "核对电话号码")
    ]


async def downloads(clerk: Clerk, folder: Path, path: str, **typed: str) -> tuple[int, Table | str]:
    """What the clerk gets for the form on the export page: the table, or the page that says why not."""
    seen = await clerk.opens(path)
    async with clerk.session.post(clerk.root + path, data=seen.fields | typed) as response:
        content = await response.read()
        if "attachment" not in response.headers.get("Content-Disposition", ""):
            return response.status, content.decode()
    target = folder / "downloaded"
    target.write_bytes(content)
    return response.status, read_table(target)


def register_all(office: Office) -> None:
    desk = Desk(office.opened.court, office.opened.rules, office.opened.topics)
    staff = Staff(1, "登记", frozenset({"registrar"}))
    for need in office.does(lambda db: rows(db, "SELECT no FROM needs WHERE state = 'submitted' ORDER BY seq")):
        office.does(partial(desk.register, no=need["no"], staff=staff, at=office.at))


async def test_console_exports_exactly_the_list(office: Office, tmp_path: Path) -> None:
    clerk = await office.clerk("登记", "registrar")
    profile = {"company": "青岛样例机械有限公司", "contact": "张三丰", "phone": "13800138000"}
    numbers = [office.need(f"拖欠货款的问题 {number}", chat_id=number + 7, **profile) for number in range(3)]
    register_all(office)
    waiting = office.need("还没有登记的问题", chat_id=99)
    page = await clerk.opens("/console/export?tab=all&q=问题")
    assert "<b>3</b> 件" in page.text and "另有 1 件还没有登记" in page.text and "含“问题”" in page.text
    status, table = await downloads(clerk, tmp_path, "/console/export?tab=all&q=问题&order=newest", kind="xlsx", privacy="masked")
    assert status == 200 and isinstance(table, Table)
    assert [line.text("no") for line in table.rows] == numbers[::-1]
    assert {line.text("contact") for line in table.rows} == {"张××"}
    status, table = await downloads(clerk, tmp_path, "/console/export?tab=intake", kind="csv", privacy="masked")
    assert isinstance(table, Table) and [line.text("no") for line in table.rows] == [waiting]
    status, text = await downloads(clerk, tmp_path, "/console/export?q=没有这样的字", kind="csv", privacy="masked")
    assert (status, "没有可以导出的" in str(text)) == (400, True)
    status, text = await downloads(clerk, tmp_path, "/console/export?tab=all", kind="pdf", privacy="masked")
    assert (status, "请选文件格式" in str(text)) == (400, True)
    audit = office.does(lambda db: rows(db, "SELECT subject, note FROM audit WHERE action = 'export_ledger' ORDER BY id"))
    assert [item["subject"] for item in audit] == ["3 行 xlsx masked", "1 行 csv masked"]
    assert audit[0]["note"] == "全部；含“问题”"


async def test_contacts_leave_only_by_role_and_with_a_reason(office: Office, tmp_path: Path) -> None:
    clerk, watcher = await office.clerk("登记", "registrar"), await office.clerk("监督", "auditor", "assigner")
    office.need(contact="张三丰", phone="13800138000", company="青岛样例机械有限公司")
    register_all(office)
    path = "/console/export?tab=all"
    assert "完整的联系人" not in (await watcher.opens(path)).text
    status, text = await downloads(watcher, tmp_path, path, kind="csv", privacy="full", why="就是想看看")
    assert (status, "您的角色不能导出" in str(text)) == (409, True)
    for why in ("", " 想 ", "长" * 501):
        status, text = await downloads(clerk, tmp_path, path, kind="csv", privacy="full", why=why)
        assert (status, "理由" in str(text)) == (400, True)
    assert office.does(lambda db: rows(db, "SELECT 1 FROM audit WHERE action = 'export_ledger'")) == []
    status, table = await downloads(clerk, tmp_path, path, kind="csv", privacy="full", why="电话回访")
    assert isinstance(table, Table) and table.rows[0].text("phone") == "13800138000"
    (audit,) = office.does(lambda db: rows(db, "SELECT * FROM audit WHERE action = 'export_ledger'"))
    assert (audit["actor"], audit["subject"], audit["note"]) == ("staff:1", "1 行 csv full", "全部；电话回访")


async def test_restricted_needs_are_not_in_anybodys_file(office: Office, tmp_path: Path) -> None:
    clerk, watcher = await office.clerk("登记", "registrar"), await office.clerk("监督", "supervisor")
    no = office.need()
    register_all(office)
    desk = Desk(office.opened.court, office.opened.rules, office.opened.topics)
    boss = Staff(2, "监督", frozenset({"supervisor"}))
    office.does(lambda db: desk.step(db, Mail(db, office.at), no, "restrict", boss, office.at, "群体", {"visibility": "专班"}))
    status, _ = await downloads(clerk, tmp_path, "/console/export?tab=all", kind="csv", privacy="masked")
    assert status == 400
    _, table = await downloads(watcher, tmp_path, "/console/export?tab=all", kind="csv", privacy="masked")
    assert isinstance(table, Table) and [line.text("no") for line in table.rows] == [no]


def test_dates_in_files_are_read_however_they_are_written() -> None:
    day = date(2026, 11, 8)
    written = (
        "2026-11-08",
        "2026/11/8",
        "2026.11.8",
        "2026年11月8日",
        "20261108",
        "２０２６－１１－０８",
        "2026-11-08 09:30:00",
        46334,
        datetime(2026, 11, 8, 9),
    )
    assert {cells.day_in(value) for value in written} == {day}
    assert cells.day_in("—") is None and cells.day_in(None) is None
    for wrong in ("2026-13-01", "昨天", "11-08", 5, "2026-02-30", "2026-11-08 左右"):
        with pytest.raises(ValueError, match="不是日期"):
            cells.day_in(wrong)
