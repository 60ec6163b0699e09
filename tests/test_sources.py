"""Files to entries: every format with real files, every kind of bad input, and the two press texts of the start."""

import io
import json
import zipfile
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import docx
import openpyxl
import pytest

from knowledge.entry import Citation
from knowledge.sources import Reading, read_source, read_sources

ENTRY = """- id: B01-1
  topic: B01
  question: 大企业最晚多少天付款？
  wordings: [货款一直拖着, "货款一直拖着？", 大厂不给钱]
  answer: |-
    六十天内。

    有约定的从其约定。
  deadline: 三年内起诉
  steps: [对账, 催款]
  basis:
    - {law: 保障中小企业款项支付条例, article: 第九条, version: '2025-06-01'}
    - {law: 某批复, article: 一}
  related: [B02-1]
  valid_until: 2027-01-01
"""


def save(path: Path, text: str, encoding: str = "utf-8") -> Path:
    path.write_text(text, encoding=encoding)
    return path


def reasons(reading: Reading) -> str:
    return "\n".join(map(str, reading.refused))


def test_our_yaml(tmp_path: Path) -> None:
    reading = read_source(save(tmp_path / "B.yaml", "# 货款\n" + ENTRY), topics={"B01"})
    (entry,) = reading.entries
    assert not reading.refused
    assert (entry.id, entry.kind, entry.topic, entry.state) == ("B01-1", "faq", "B01", "published")
    assert entry.wordings == ("货款一直拖着", "大厂不给钱")
    assert entry.answer == "六十天内。\n\n有约定的从其约定。"
    assert entry.basis == (Citation("保障中小企业款项支付条例", "第九条", "2025-06-01"), Citation("某批复", "一"))
    assert entry.valid_until == date(2027, 1, 1)


@pytest.mark.parametrize(
    ("item", "reason"),
    [
        ("- id: X\n  question: 问\n", "缺少 answer"),
        ("- id: X\n  question: 问\n  answer: 答\n  topic: B01\n  anwser: 错\n", "不认识的字段：anwser"),
        ("- id: 7\n  question: 问\n  answer: 答\n  topic: B01\n", "id 应是文字"),
        ("- id: X\n  question: 问\n  answer: 答\n  topic: B01\n  wordings: 一句\n", "wordings 应是列表"),
        ("- id: X\n  question: 问\n  answer: 答\n  topic: B01\n  basis: [民法典]\n", "basis 的每一项"),
        ("- id: X\n  question: 问\n  answer: 答\n  topic: B01\n  basis: [{law: 民法典, article: 某条}]\n", "看不懂的条号"),
        ("- id: X\n  question: 问\n  answer: 答\n  topic: B01\n  valid_from: 明年\n", "valid_from 应是"),
        ("- id: X\n  question: 问\n  answer: 答\n  topic: B01\n  state: 好\n", "不认识的状态"),
        ("- id: X\n  question: [问\n", "YAML 写法有误"),
        ("- 一句话\n", "应是以“- id"),
        (f"- id: X\n  wordings: {'[' * 500_000}\n", "YAML 嵌套太深"),
    ],
)
def test_a_wrong_item_is_refused_with_its_line_and_the_rest_loads(tmp_path: Path, item: str, reason: str) -> None:
    reading = read_source(save(tmp_path / "B.yaml", item + ENTRY), topics={"B01"})
    assert [entry.id for entry in reading.entries] == ["B01-1"]
    (refused,) = reading.refused
    assert refused.row == 1 and reason in refused.reason


def test_an_unknown_topic_is_left_out_and_named_and_none_is_no_mistake(tmp_path: Path) -> None:
    """As in a court's own tables: an upgrade with another taxonomy must not take a published answer away."""
    items = "- id: X\n  question: 问\n  answer: 答\n  topic: Z99\n- id: Y\n  question: 又问\n  answer: 答\n"
    reading = read_source(save(tmp_path / "B.yaml", items), topics={"B01"})
    assert [(entry.id, entry.topic) for entry in reading.entries] == [("X", None), ("Y", None)]
    assert [str(item) for item in reading.refused] == ["B.yaml 第 1 行：不认识的主题“Z99”，已略去，条目保留"]


def test_line_numbers_count_from_the_items_own_line(tmp_path: Path) -> None:
    reading = read_source(save(tmp_path / "B.yaml", "\n# 说明\n" + ENTRY + "- id: 坏\n"))
    assert [refused.row for refused in reading.refused] == [3 + ENTRY.count("\n")]


def test_yaml_that_is_no_list_is_refused(tmp_path: Path) -> None:
    assert "列表" in reasons(read_source(save(tmp_path / "B.yaml", "id: X\n")))


def test_alias_bomb_is_harmless(tmp_path: Path) -> None:
    bomb = "- id: X\n  a: &a [x, x]\n" + "".join(f"  {chr(98 + n)}: &{chr(98 + n)} [*{chr(97 + n)}, *{chr(97 + n)}]\n" for n in range(24))
    assert "不认识的字段" in reasons(read_source(save(tmp_path / "B.yaml", bomb)))


GUIDE = """---
id: G-1
question: 怎么申请支付令？
topic: B06
wordings: [不想打官司怎么要钱]
basis: [{law: 中华人民共和国民事诉讼法, article: 第二百二十五条}]
deadline: 十五日
related: [B06-1]
---

# 先看这里

带上欠条。
"""


def test_guide(tmp_path: Path) -> None:
    reading = read_source(save(tmp_path / "支付令.md", GUIDE), topics={"B06"})
    (entry,) = reading.entries
    assert (entry.id, entry.kind, entry.answer) == ("G-1", "guide", "# 先看这里\n\n带上欠条。")
    assert "不认识的主题" in reasons(read_source(tmp_path / "支付令.md", topics=set()))
    save(tmp_path / "坏.md", GUIDE.replace("deadline", "deadlines"))
    assert "不认识的字段：deadlines" in reasons(read_source(tmp_path / "坏.md"))


HEADERS = ["编号", "问题", "其他问法", "答复", "依据", "关键词", "主题", "状态", "备注"]
ROW = [
    1,
    "欠钱怎么办？",
    "不还钱\n赖账；拖着",
    "先对账。",
    "《民法典》第五百七十七条、第579条；公司法第3条",
    "货款、催收",
    "B01",
    "草稿",
    "内部",
]


def check_row(reading: Reading) -> None:
    assert not reading.refused
    (entry,) = reading.entries
    assert (entry.id, entry.question, entry.answer, entry.topic, entry.state) == ("表:1", "欠钱怎么办？", "先对账。", "B01", "draft")
    assert entry.wordings == ("不还钱", "赖账", "拖着")
    assert list(map(str, entry.basis)) == ["《民法典》第五百七十七条", "《民法典》第五百七十九条", "《公司法》第三条"]
    assert entry.keywords == ("货款", "催收")


def excel(path: Path, rows: Sequence[Sequence[object]]) -> Path:
    book = openpyxl.Workbook()
    sheet = book.active
    assert sheet is not None
    for row in rows:
        sheet.append(list(row))
    book.create_sheet("说明").append(["这一页不是表"])
    book.save(path)
    return path


def test_excel_with_chinese_headers(tmp_path: Path) -> None:
    check_row(read_source(excel(tmp_path / "表.xlsx", [HEADERS, ROW, [None] * 9])))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030", "utf-16"])
@pytest.mark.parametrize("delimiter", [",", "\t"])
def test_csv_in_every_encoding(tmp_path: Path, encoding: str, delimiter: str) -> None:
    lines = [HEADERS, [f'"{cell}"' for cell in ROW]]
    text = "\r\n".join(delimiter.join(map(str, line)) for line in lines)
    (tmp_path / "表.csv").write_bytes(text.encode(encoding))
    check_row(read_source(tmp_path / "表.csv"))


def test_json_lines(tmp_path: Path) -> None:
    good = {"id": 1, "question": "问", "keywords": "甲；乙", "answer": "答", "articles": ["民法典第五十四条"]}
    lines = [
        json.dumps(good),
        "{坏",
        "[1]",
        json.dumps({**good, "id": 2, "answer": ""}),
        "",
        json.dumps({**good, "id": 3, "question": "另问"}),
    ]
    reading = read_source(save(tmp_path / "q.jsonl", "\n".join(lines)))
    assert [entry.id for entry in reading.entries] == ["q:1", "q:3"]
    assert [(refused.row, refused.reason) for refused in reading.refused] == [
        (2, "不是一行完整的 JSON"),
        (3, "应是 {…} 形式的一行 JSON"),
        (4, "缺少 answer"),
    ]
    assert reading.entries[0].keywords == ("甲", "乙")


def test_a_formula_is_refused_with_its_address(tmp_path: Path) -> None:
    rows = [["id", "question", "answer"], ["1", "问", '=HYPERLINK("http://x","答")'], ["2", "问二", "答二"]]
    reading = read_source(excel(tmp_path / "表.xlsx", rows))
    assert [entry.id for entry in reading.entries] == ["表:2"]
    assert reasons(reading) == "表.xlsx 第 2 行：单元格 C2 是公式，请粘贴为文字"


def test_what_a_table_says_oddly_is_left_out_and_reported(tmp_path: Path) -> None:
    text = "id,question,answer,topic,basis,state\n1,问,答,货款,见公司章程,\n2,问二,答二,,《会议纪要》,好\n3,问三,答三,,《会议纪要》,"
    reading = read_source(save(tmp_path / "t.csv", text), topics={"B01"})
    assert [(entry.id, entry.topic, entry.basis) for entry in reading.entries] == [
        ("t:1", None, ()),
        ("t:3", None, (Citation("会议纪要", ""),)),
    ]
    assert [refused.row for refused in reading.refused] == [2, 2, 3]
    assert "主题“货款”" in reasons(reading) and "依据“见公司章程”" in reasons(reading) and "状态“好”" in reasons(reading)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("a.csv", "id,question\n1,问".encode(), "表头缺少列：answer"),
        ("a.csv", b'id,question,answer\n1,"q,a', "缺少 answer"),
        ("a.csv", b"id,question,answer\n1," + b"x" * 200_000 + b",a", "不是完整的 CSV"),
        ("a.xlsx", b"not a workbook", "已损坏"),
        ("a.docx", b"PK\x03\x04broken", "已损坏"),
        ("a.pdf", b"%PDF-1.4 broken", "打不开这个 PDF"),
        ("a.txt", b"", "文件是空的"),
        ("a.txt", bytes(range(256)) * 20, "编码"),
        ("a.txt", b"\0\0\0\0", "不是文字"),
        ("a.txt", "短".encode(), "文字太少"),
        ("a.txt", b"x" * 20_000_001, "超过 20 MB"),
        ("a.doc", b"x", "另存为 .docx"),
        ("a.exe", b"x", "不支持的文件类型 .exe"),
        ("a.md", "---\nid: [\n---\n正文".encode(), "YAML 写法有误"),
    ],
)
def test_a_bad_file_is_refused_with_the_reason_and_the_rest_loads(tmp_path: Path, name: str, content: bytes, reason: str) -> None:
    (tmp_path / name).write_bytes(content)
    save(tmp_path / "b.yaml", ENTRY)
    reading = read_sources([tmp_path])
    assert [entry.id for entry in reading.entries] == ["B01-1"]
    assert len(reading.refused) == 1 and reason in reading.refused[0].reason


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    assert reasons(read_source(tmp_path / "无.yaml")) == "无.yaml：没有这个文件"


def test_folders_are_read_by_path_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "子").mkdir()
    (tmp_path / ".git").mkdir()
    for name in ("子/a.yaml", ".git/b.yaml", "~$c.yaml", ".d.yaml"):
        save(tmp_path / name, ENTRY)
    assert len(read_sources([tmp_path]).entries) == 1
    assert not read_sources([tmp_path]).refused


def test_a_repeated_id_is_refused_with_both_places(tmp_path: Path) -> None:
    save(tmp_path / "a.yaml", ENTRY)
    save(tmp_path / "b.yaml", "# 又一份\n" + ENTRY.replace("六十天", "三十天"))
    reading = read_sources([tmp_path])
    assert "六十天" in reading.entries[0].answer
    assert reasons(reading) == "b.yaml 第 2 行：编号“B01-1”与 a.yaml 第 1 行 重复，只保留先出现的一条"


def test_a_wording_belongs_to_one_entry_and_a_question_owns_its_wording(tmp_path: Path) -> None:
    items = (
        "- {id: A, question: 甲问, answer: 答, wordings: [共用, 乙问]}\n"
        "- {id: B, question: 乙问？, answer: 答, wordings: [共用！, 自己的]}\n"
    )
    reading = read_source(save(tmp_path / "w.yaml", items))
    assert [(entry.id, entry.wordings) for entry in reading.entries] == [("A", ("共用",)), ("B", ("自己的",))]
    assert reasons(reading) == (
        "w.yaml 第 1 行：问法“乙问”已属于“B”（w.yaml 第 2 行），已略去，条目保留\n"
        "w.yaml 第 2 行：问法“共用！”已属于“A”（w.yaml 第 1 行），已略去，条目保留"
    )


ARTICLES = [
    "青岛市惠企奖励办法",
    "2025年3月1日",
    "第一章 总则",
    "第一条 为了支持企业发展，制定本办法。",
    "第二条 企业符合下列条件的，可以申请奖励：",
    "（一）依法登记；",
    "（二）没有失信记录。",
    "第二章 附则",
    "第三条 本办法自2025年4月1日起施行。",
]


def check_articles(reading: Reading, stem: str) -> None:
    assert not reading.refused
    assert [entry.id for entry in reading.entries][-3:] == [f"{stem}:第一条", f"{stem}:第二条", f"{stem}:第三条"]
    second = reading.entries[-2]
    assert second.kind == "passage"
    assert second.answer == "第二条 企业符合下列条件的，可以申请奖励：\n（一）依法登记；\n（二）没有失信记录。"
    assert second.question == "青岛市惠企奖励办法 第一章 总则 第二条 企业符合下列条件的，可以申请奖励："
    assert (second.place, second.document_date) == ("《青岛市惠企奖励办法》第二条", "2025-03-01")


def test_text_policy_is_cut_by_article(tmp_path: Path) -> None:
    check_articles(read_source(save(tmp_path / "奖励.txt", "\n\n".join(ARTICLES), "gb18030")), "奖励")


def test_markdown_policy(tmp_path: Path) -> None:
    text = "---\ntitle: 青岛市惠企奖励办法\ndate: 2025-03-01\n---\n" + "\n\n".join(ARTICLES[2:])
    check_articles(read_source(save(tmp_path / "奖励.md", text)), "奖励")


def test_html_policy(tmp_path: Path) -> None:
    body = "".join(f"<p>{line}</p>" for line in ARTICLES[1:])
    head = f"<head><title>{ARTICLES[0]}</title><style>p {{}}</style></head>"
    page = f"<html>{head}<body><script>alert('第九条 假的')</script>{body}</body></html>"
    check_articles(read_source(save(tmp_path / "奖励.html", page)), "奖励")


def test_html_that_never_closes_is_read_in_no_time(tmp_path: Path) -> None:
    text = "<!-- 旧稿 --><p>企业应当按时提交材料，金额<五万元的除外，并对真实性负责。</p>" + "<a " * 200_000 + "<!--" * 200_000
    entries = read_source(save(tmp_path / "a.html", text)).entries
    assert entries[0].answer.startswith("企业应当按时提交材料，金额<五万元的除外，并对真实性负责。")


def word(path: Path) -> Path:
    document = docx.Document()
    document.add_paragraph(ARTICLES[0], style="Title")
    for line in ARTICLES[1:]:
        document.add_paragraph(line, style="Heading 1" if "章" in line else None)
    document.save(str(path))
    return path


def test_word_policy(tmp_path: Path) -> None:
    check_articles(read_source(word(tmp_path / "奖励.docx")), "奖励")


def test_word_table_reads_row_by_row(tmp_path: Path) -> None:
    document = docx.Document()
    document.add_paragraph("奖励标准一览表如下，请各企业对照申请。")
    table = document.add_table(2, 2)
    for cell, text in zip((c for row in table.rows for c in row.cells), ["项目", "金额", "专精特新", "二十万元"], strict=True):
        cell.text = text
    document.save(str(tmp_path / "表.docx"))
    (entry,) = read_source(tmp_path / "表.docx").entries
    assert entry.answer.endswith("项目　金额\n专精特新　二十万元")


def pdf(path: Path, pages: Sequence[Sequence[str]]) -> Path:
    """A PDF by hand: every character is its own UTF-16 code, so a reader needs no font table."""
    kids = " ".join(f"{5 + 2 * n} 0 R" for n in range(len(pages)))
    objects = [
        "<< /Type /Catalog /Pages 2 0 R >>",
        f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>",
        "<< /Type /Font /Subtype /Type0 /BaseFont /S /Encoding /Identity-H /DescendantFonts [4 0 R] >>",
        "<< /Type /Font /Subtype /CIDFontType2 /BaseFont /S /CIDSystemInfo << /Registry (A) /Ordering (I) /Supplement 0 >> /DW 1000 >>",
    ]
    for number, lines in enumerate(pages):
        shown = " ".join(f"<{line.encode('utf-16-be').hex()}> Tj 0 -20 Td" for line in lines)
        content = f"BT /F 12 Tf 50 800 Td {shown} ET"
        objects.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 850] /Resources << /Font << /F 3 0 R >> >> /Contents {6 + 2 * number} 0 R >>"
        )
        objects.append(f"<< /Length {len(content)} >>\nstream\n{content}\nendstream")
    out = io.BytesIO(b"%PDF-1.4\n")
    out.seek(0, io.SEEK_END)
    offsets = []
    for number, item in enumerate(objects, start=1):
        offsets.append(out.tell())
        out.write(f"{number} 0 obj\n{item}\nendobj\n".encode())
    start = out.tell()
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    out.write(f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}".encode())
    out.write(f"trailer << /Size {len(objects) + 1} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF".encode())
    path.write_bytes(out.getvalue())
    return path


def test_pdf_lines_become_paragraphs(tmp_path: Path) -> None:
    pages = [
        ["崂山区政策汇编", "青岛市惠企奖励办法", "第一条 为了支持企业发展，根据有关法律", "的规定，结合本市实际，制定本办法。", "- 1 -"],
        ["崂山区政策汇编", "第二条 企业可以通过网上平台申请奖励，也", "可以到窗口申请。", "- 2 -"],
        ["崂山区政策汇编", "第三条 本办法自2025年4月1日起施行。", "- 3 -"],
    ]
    reading = read_source(pdf(tmp_path / "奖励.pdf", pages))
    assert not reading.refused
    assert [entry.answer for entry in reading.entries] == [
        "第一条 为了支持企业发展，根据有关法律的规定，结合本市实际，制定本办法。",
        "第二条 企业可以通过网上平台申请奖励，也可以到窗口申请。",
        "第三条 本办法自2025年4月1日起施行。",
    ]
    assert reading.entries[0].place == "《青岛市惠企奖励办法》第一条"


def test_scanned_pdf_is_refused(tmp_path: Path) -> None:
    assert "这是扫描件，没有文字" in reasons(read_source(pdf(tmp_path / "扫描.pdf", [[], []])))


def repacked(source: Path, target: Path, member: str, content: bytes) -> Path:
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as new:
        for name in old.namelist():
            new.writestr(name, content if name == member else old.read(name))
    return target


@pytest.mark.parametrize("size", [110_000_000, 30_000_000])
def test_zip_bomb_is_refused_unopened(tmp_path: Path, size: int) -> None:
    bomb = repacked(word(tmp_path / "a.docx"), tmp_path / "炸弹.docx", "word/document.xml", b" " * size)
    assert "压缩炸弹" in reasons(read_source(bomb))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-16"])
def test_entities_in_word_xml_are_refused(tmp_path: Path, encoding: str) -> None:
    declared = '<?xml version="1.0"?><!DOCTYPE d [<!ENTITY x SYSTEM "file:///etc/passwd">]><d>&x;</d>'
    source = word(tmp_path / "a.docx")
    assert "DOCTYPE" in reasons(read_source(repacked(source, tmp_path / "b.docx", "word/document.xml", declared.encode(encoding))))


def test_sections_and_long_text_become_passages_of_readable_length(tmp_path: Path) -> None:
    sentences = [f"企业应当按时提交第{n}份材料并对真实性负责。" for n in range(91)]
    parts = ["".join(sentences[:30]), "".join(sentences[30:90]), sentences[90]]
    text = "\n".join(["惠企服务须知", "一、申请条件", parts[0], "二、办理流程", *parts[1:]])
    entries = read_source(save(tmp_path / "须知.txt", text)).entries
    assert [entry.id for entry in entries] == [f"须知:{n}" for n in range(1, len(entries) + 1)]
    assert entries[0].question == "惠企服务须知 一、申请条件 企业应当按时提交第0份材料并对真实性负责"
    assert entries[0].place == "《惠企服务须知》一、申请条件"
    assert all(len(entry.answer) <= 800 for entry in entries)
    assert "".join(entry.answer for entry in entries).replace("\n", "") == "".join(sentences)


def test_the_same_passage_in_two_files_is_kept_once(tmp_path: Path) -> None:
    text = "惠企服务须知\n" + "企业应当按时提交材料并对真实性负责。" * 8
    save(tmp_path / "a.txt", text)
    save(tmp_path / "b.txt", text)
    reading = read_sources([tmp_path])
    assert [entry.id for entry in reading.entries] == ["a:1"]
    assert "与 a.txt 的原文相同，只保留一份" in reasons(reading)


def test_articles_of_an_attachment_get_their_own_ids(tmp_path: Path) -> None:
    text = "\n".join([*ARTICLES, "附件1", "第一条 附件的第一条。", "第二条 附件的第二条。"])
    ids = [entry.id for entry in read_source(save(tmp_path / "奖励.txt", text)).entries]
    assert ids[-2:] == ["奖励:第一条-2", "奖励:第二条-2"]
    assert len(set(ids)) == len(ids)


def test_both_press_texts_load_and_repeat_nothing(data_folder: Path) -> None:
    seeds = sorted((data_folder.parent / "seeds").glob("00*.txt"))
    if len(seeds) != 2:
        pytest.skip("no seeds beside the data folder")
    reading = read_sources(seeds)
    assert not reading.refused
    texts = [entry.answer for entry in reading.entries]
    assert len(set(texts)) == len(texts)
    repeating = [entry for entry in reading.entries if entry.id.startswith("001_")]
    assert [entry.place.split("》", 1)[1] for entry in repeating if entry.place] == [
        "第1段",
        "一、发挥职能作用,促推法治政府建设",
        "二、突出需求导向,护航城市更新建设",
        "三、聚焦稳企惠企,优化法治营商环境",
        "四、推进多元解纷,持续增厚司法效能",
    ]
    assert all(entry.document_date == "2024-07-19" for entry in repeating)
    original = seeds[1].read_text(encoding="utf-8")
    assert all(line in original for entry in repeating for line in entry.answer.split("\n"))


def test_lecoqa_loads_as_it_is(data_folder: Path) -> None:
    reading = read_source(data_folder / "legal_qa" / "lecoqa_train.jsonl")
    assert len(reading.entries) == 1234 and not reading.refused
    first = reading.entries[0]
    assert (first.id, first.question) == ("lecoqa_train:0", "谁可以成为个体工商户？")
    assert list(map(str, first.basis)) == ["《民法典》第五十四条", "《个体工商户条例》第二条"]
    nested = [c for entry in reading.entries for c in entry.basis if "《民法典》有关担保" in c.law]
    assert nested and all(c.law == "最高人民法院关于适用《民法典》有关担保制度的解释" for c in nested)
