"""The command line as a person uses it, in this process; and small files of knowledge and law to give it."""

import json
import sqlite3
from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any

from click.testing import CliRunner, Result

from bot.__main__ import main

ROOT = Path(__file__).resolve().parents[1]
APPEND_ONLY = ("need_history_never_changes", "need_history_never_shrinks", "needs_never_deleted")


def command(data_dir: Path, *args: str | Path) -> Result:
    """One command; `exit_code`, `stdout` and `stderr` are what its user gets."""
    return CliRunner().invoke(main, ["--data-dir", str(data_dir), *map(str, args)])


def in_json(data_dir: Path, *args: str | Path) -> Any:
    """What a command that succeeds prints with `--json`; fails when anything else stands on standard output."""
    result = command(data_dir, *args, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def refusal(result: Result) -> str:
    """The one line on standard error of a command whose input was wrong."""
    lines = [line for line in result.stderr.splitlines() if line.startswith("错误：")]
    assert result.exit_code == 2 and result.stdout == "" and len(lines) == 1, (result.exit_code, result.output)
    return lines[0]


def json_lines(path: Path, items: Iterable[Mapping[str, object] | str]) -> Path:
    """A file with one JSON object per line; strings are written as they are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = (item if isinstance(item, str) else json.dumps(item, ensure_ascii=False) for item in items)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def faq(number: int, question: str, answer: str, **fields: object) -> dict[str, object]:
    """A row of a court's own table."""
    return {"id": number, "question": question, "answer": answer} | fields


def small_content(folder: Path) -> Path:
    """Content of three entries in the form of the shipped one, so that an index is built in no time."""
    rows = [
        ("A1", "客户拖欠货款不给怎么办？", "先对账，再发催款函。"),
        ("B1", "员工试用期内能不能辞退？", "要能证明不符合录用条件。"),
        ("C1", "商标被别人抢先注册了怎么办？", "可以提出异议或者申请宣告无效。"),
    ]
    (folder / "guides").mkdir(parents=True)
    (folder / "faq").mkdir()
    text = "".join(f"- id: {id}\n  topic: A01\n  question: {question}\n  answer: {answer}\n" for id, question, answer in rows)
    (folder / "faq" / "A.yaml").write_text(text, encoding="utf-8")
    return folder


def law(folder: Path, title: str, effective: str, status: str, articles: str) -> Path:
    """A law file in the national dialect."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{title}_{effective}.md"
    head = f"---\ntitle: {title}\npublication_date: '2000-01-01'\neffective_date: '{effective}'\nstatus: {status}\n---\n\n**{title}**\n\n"
    path.write_text(head + articles, encoding="utf-8")
    return path


def small_laws(folder: Path) -> Path:
    """Two versions of one law, one repealed, one to come, one of unknown status, one local regulation, one file that is no law."""
    soon = (date.today() + timedelta(days=30)).isoformat()
    law(folder, "货款试验法", "2010-01-01", "已修改", "- **第一条**　　逾期付款的，利息按旧标准计算。\n")
    new = "- **第一条**　　逾期付款的，利息按新标准计算。\n\n- **第一条之一**　　逾期利息可以约定。\n\n- **第二条**　　本法施行。\n"
    law(folder, "货款试验法", "2021-01-01", "有效", new)
    law(folder, "废止试验法", "2005-01-01", "已废止", "- **第一条**　　逾期付款利息的废止规定。\n")
    law(folder, "未来试验法", soon, "尚未生效", "- **第一条**　　逾期付款利息的将来规定。\n")
    law(folder, "未知试验条例", "2015-01-01", "未知", "- **第一条**　　逾期付款利息的不明规定。\n")
    head, body = "# 青岛市试验条例\n\n2019年1月1日通过\n\n<!-- INFO END -->\n\n", "第一条 逾期付款利息的地方规定。\n\n第二条 本条例施行。\n"
    (folder / "青岛市试验条例(2019-01-01).md").write_text(head + body, encoding="utf-8")
    (folder / "不是法规.md").write_text("---\nstatus: 有效\n---\n没有名称\n", encoding="utf-8")
    return folder


def tamper(data_dir: Path, *statements: str) -> None:
    """Change the database behind the product's back, as somebody with the file could."""
    connection = sqlite3.connect(data_dir / "yuanqitong.db")
    for trigger in APPEND_ONLY:
        connection.execute(f"DROP TRIGGER {trigger}")
    for statement in statements:
        connection.execute(statement)
    connection.commit()
    connection.close()
