"""The whole ledger into one file, for the command line."""

import io
from pathlib import Path

from bot.audit import note_audit
from bot.desk import Desk
from bot.sheets.ledger_out import Export, registered, write_ledger
from bot.sheets.lines import Privacy
from bot.startup import Opened
from knowledge.errors import BadInput, Unreadable
from knowledge.ledger.sensitive import visible_to
from knowledge.texts import must_be_reason

WHO = "命令行"


def export_ledger(opened: Opened, path: Path, unmasked: bool, why: str) -> str:
    """Write every need of the ledger but those for named persons only; returns what was done, for a person.

    Raises BadInput for a name that ends neither in .xlsx nor in .csv, unmasked without a reason, or a file that cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in (".xlsx", ".csv"):
        raise BadInput(f"{path.name} 请以 .xlsx 或 .csv 结尾。")
    reason = must_be_reason(why, "导出完整的联系方式") if unmasked else ""
    opened.follow_rules()
    at, court = opened.clock(), opened.court
    desk = Desk(court, opened.rules, opened.topics)
    visible = visible_to(0, frozenset(), "", court)
    export = Export("csv" if kind == ".csv" else "xlsx", Privacy.FULL if unmasked else Privacy.MASKED, WHO, at, "全部台账")
    out = io.BytesIO()
    count = opened.database.read(lambda db: write_ledger(db, registered(db), out, desk, visible, export)).result()
    subject = f"{count} 行 {export.kind} {export.privacy.value}"
    opened.database.write(lambda db: note_audit(db, at, "cli", "export_ledger", subject, reason)).result()
    try:
        path.write_bytes(out.getvalue())
    except OSError as error:
        raise Unreadable(f"写不进 {path}：{error.strerror}。请换一个文件夹，或先关掉打开着它的程序。") from error
    return f"已导出 {count} 件到 {path}。" + ("含完整的联系方式，用完请删除。" if unmasked else "")
