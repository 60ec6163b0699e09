"""Laws: both file dialects and their oddities, which version counts on a day, and the real collection."""

import re
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from knowledge.errors import Unreadable
from knowledge.files import Refused
from knowledge.renumbering import Renumbering
from knowledge.statutes import Article, Law, article_number, in_force, read_law, read_laws, standings

TODAY = date(2026, 11, 22)

NATIONAL = """---
title: 中华人民共和国试验法
publication_date: '{published}'
effective_date: '{effective}'
status: {status}
keywords: []
---

**中华人民共和国试验法**

> （2020年5月28日通过）

## 目　　录

- 第一章　总　　则
- 第二章　附　　则

---

{body}
"""

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_law(
        body: str, name: str = "a.md", published: str = "2020-05-28", effective: str = "2021-01-01", status: str = "有效"
    ) -> Path:
        path = tmp_path / name
        path.write_text(NATIONAL.format(body=body, published=published, effective=effective, status=status), encoding="utf-8")
        return path

    return write_law


def letters(text: str) -> str:
    return re.sub(r"[\s*|-]", "", text)


def numbers(law: Law) -> list[str]:
    return [article.number for article in law.articles]


def test_national_dialect(write: Write, tmp_path: Path) -> None:
    body = """## 第一章　　总　　则

- **第一条**　　为了**试验**，制定本法。

- **第二条**　　有下列情形之一的：

  - （一）甲；

  - （二）乙。

  前款另有规定的除外。

- **第二条之一**　　新增。

## 第二章　　附　　则

- **第三条**　　本法自2021年1月1日起施行。

### 附：

名录"""
    law = read_law(write(body), tmp_path)
    assert (law.title, law.version, law.published, law.status, law.source) == (
        "中华人民共和国试验法",
        "2021-01-01",
        "2020-05-28",
        "有效",
        "a.md",
    )
    assert numbers(law) == ["第一条", "第二条", "第二条之一", "第三条"]
    assert law.articles[0].heading == "第一章 总则"
    assert law.articles[0].text == "为了试验，制定本法。"
    assert law.articles[1].text == "有下列情形之一的：\n（一）甲；\n（二）乙。\n前款另有规定的除外。"
    assert law.articles[3].text == "本法自2021年1月1日起施行。"
    second = law.article("2条之一")
    assert second is not None and second.text == "新增。"


def test_without_effective_date_the_publication_date_names_the_version(write: Write, tmp_path: Path) -> None:
    law = read_law(write("- **第一条**　　甲。", effective=""), tmp_path)
    assert (law.version, law.effective) == ("2020-05-28", None)


def test_article_swallowed_by_its_heading(write: Write, tmp_path: Path) -> None:
    body = "- **第一条**　　甲。\n\n## 第二章　　信息公开第二条 公民有权知道。\n\n政府应当公开。\n\n- **第三条**　　丙。"
    law = read_law(write(body), tmp_path)
    assert [(a.number, a.heading, a.text) for a in law.articles][1] == ("第二条", "第二章 信息公开", "公民有权知道。\n政府应当公开。")


def test_article_without_mark_counts_only_when_it_is_due(write: Write, tmp_path: Path) -> None:
    body = "- **第一条**　　甲。\n\n  第二条乙方可以请求。\n\n  第五条规定的情形除外。\n\n  第三条的规定适用。\n\n- **第三条**　　丙。"
    law = read_law(write(body), tmp_path)
    assert numbers(law) == ["第一条", "第二条", "第三条"]
    assert law.articles[1].text == "乙方可以请求。\n第五条规定的情形除外。\n第三条的规定适用。"


def test_parts_books_and_chapters_give_the_heading_path(write: Write, tmp_path: Path) -> None:
    body = (
        "## 第一编　总则\n\n### 第一分编　通则\n\n#### 第一章　一般\n\n##### 第一节　甲\n\n- **第一条**　　甲。\n\n"
        "## 第二编　分则\n\n### 第一章　乙\n\n- **第二条**　　乙。\n\n## 附　　则\n\n- **第三条**　　丙。"
    )
    headings = [article.heading for article in read_law(write(body), tmp_path).articles]
    assert headings == ["第一编 总则 第一分编 通则 第一章 一般 第一节 甲", "第二编 分则 第一章 乙", "附则"]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("各级法院：\n\n一、甲。\n\n（一）子项\n\n二、乙。", [("一", "甲。\n（一）子项"), ("二", "乙。")]),
        ("1. 甲。\n\n2. 乙。", [("一", "甲。"), ("二", "乙。")]),
        ("（一）甲。\n\n（二）乙。", [("一", "甲。"), ("二", "乙。")]),
        ("**一**、机构\n\n1. 甲。\n\n2. 乙。\n\n**二**、管辖\n\n3. 丙。", [("一", "甲。"), ("二", "乙。"), ("三", "丙。")]),
        ("你院请示收悉。\n\n此复。", [("", "（2020年5月28日通过）\n你院请示收悉。\n此复。")]),
        (
            "批复如下：\n\n- **第十八条**　　甲。\n\n- **第十九条**　　乙。",
            [("", "（2020年5月28日通过）\n批复如下：\n第十八条　　甲。\n第十九条　　乙。")],
        ),
    ],
    ids=["chinese", "arabic", "brackets", "arabic-runs-through-sections", "whole", "only-quotes-another-law"],
)
def test_documents_without_articles(write: Write, tmp_path: Path, body: str, expected: list[tuple[str, str]]) -> None:
    assert [(a.number, a.text) for a in read_law(write(body), tmp_path).articles] == expected


def test_table_of_a_tax_law_stays_readable(write: Write, tmp_path: Path) -> None:
    body = "- **第一条**　　税率如下：\n\n| 税目 | 税率 |\n| --- | --- |\n| 煤 | 2% |"
    assert read_law(write(body), tmp_path).articles[0].text == "税率如下：\n税目　税率\n煤　2%"


SHANDONG = """# 山东省试验条例

2021年6月29日 通过

<!-- INFO END -->

## 第一章  总  则

第一条 为了试验，制定本条例。

第二条 适用本条例。

本条例所称试验，是指试验。
"""


def test_shandong_dialect(tmp_path: Path) -> None:
    path = tmp_path / "山东省试验条例(2021-08-05).md"
    path.write_text(SHANDONG, encoding="utf-8")
    law = read_law(path, tmp_path)
    assert (law.title, law.version, law.published, law.effective, law.status) == (
        "山东省试验条例",
        "2021-08-05",
        "2021-08-05",
        None,
        "未知",
    )
    assert [(a.number, a.heading) for a in law.articles] == [("第一条", "第一章 总则"), ("第二条", "第一章 总则")]
    assert law.articles[1].text == "适用本条例。\n本条例所称试验，是指试验。"


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "空"),
        (b"\x00\x01\x02" * 50, "不是文字"),
        ("# 说明\n\n这里放法规。".encode(), "不像法规"),
        ("---\ntitle: [\n---\n正文".encode(), "YAML"),
        ("---\nstatus: 有效\n---\n正文".encode(), "法规名称"),
        ("---\ntitle: 甲\nstatus: 好\n---\n正文".encode(), "效力状态"),
        ("---\ntitle: 甲\neffective_date: 2021/1/1\n---\n正文".encode(), "日期"),
        ("---\ntitle: 甲\n---\n".encode(), "没有正文"),
    ],
)
def test_unreadable_files_say_why_and_stop_nothing(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "a.md").write_bytes(content)
    (tmp_path / "b.md").write_text(SHANDONG, encoding="utf-8")
    (tmp_path / "cases").mkdir()
    (tmp_path / "cases" / "c.md").write_text(SHANDONG, encoding="utf-8")
    bad, good = read_laws(tmp_path)
    assert isinstance(bad, Refused) and reason in bad.reason and bad.row is None
    assert isinstance(good, Law) and good.source == "b.md"
    with pytest.raises(Unreadable, match="a.md.*" + reason):
        read_law(tmp_path / "a.md", tmp_path)


def test_missing_folder_is_the_persons_mistake(tmp_path: Path) -> None:
    with pytest.raises(Unreadable, match="没有这个文件夹"):
        list(read_laws(tmp_path / "none"))


def test_one_file_may_be_named_alone(tmp_path: Path) -> None:
    (tmp_path / "b.md").write_bytes(SHANDONG.encode("gb18030"))
    (law,) = read_laws(tmp_path / "b.md")
    assert isinstance(law, Law) and law.source == "b.md" and law.version is None


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("577", "第五百七十七条"),
        ("第577条", "第五百七十七条"),
        ("第五百七十七条", "第五百七十七条"),
        (" 第 ５７７ 条 ", "第五百七十七条"),
        ("276条之一", "第二百七十六条之一"),
        ("第二百七十六条之一", "第二百七十六条之一"),
        ("276条之1", "第二百七十六条之一"),
        ("10", "第十条"),
        ("11", "第十一条"),
        ("110", "第一百一十条"),
        ("第一百〇五条", "第一百零五条"),
        ("1005", "第一千零五条"),
        ("1260", "第一千二百六十条"),
        ("一", "一"),
        ("", ""),
    ],
)
def test_article_number(written: str, expected: str) -> None:
    assert article_number(written) == expected


@pytest.mark.parametrize("written", ["abc", "第条", "第五款", "12345", "民法典"])
def test_article_number_refuses_the_rest(written: str) -> None:
    with pytest.raises(Unreadable, match="看不懂的条号"):
        article_number(written)


@dataclass(frozen=True)
class Dated:
    version: str | None
    status: str


OLD, NEW, COMING = Dated("2013-01-01", "已修改"), Dated("2021-01-01", "有效"), Dated("2026-07-01", "尚未生效")


def test_the_latest_version_that_has_begun_is_in_force() -> None:
    versions = [COMING, OLD, NEW]
    assert in_force(versions, TODAY) is COMING
    assert in_force(versions, date(2026, 6, 30)) is NEW
    assert in_force(versions, date(2021, 1, 1)) is NEW
    assert in_force(versions, date(2020, 12, 31)) is OLD
    assert in_force(versions, date(2012, 12, 31)) is None
    assert standings(versions, date(2026, 6, 30)) == ("not_yet", "superseded", "in_force")


def test_a_repealed_title_has_nothing_in_force() -> None:
    versions = [OLD, Dated("2015-01-01", "已废止")]
    assert in_force(versions, TODAY) is None
    assert standings(versions, TODAY) == ("superseded", "repealed")
    assert in_force([Dated("2015-01-01", "已废止"), NEW], TODAY) is NEW


def test_unknown_is_never_called_in_force() -> None:
    assert standings([OLD, Dated("2015-01-01", "未知"), Dated(None, "有效")], TODAY) == ("superseded", "unknown", "unknown")
    assert in_force([Dated("2015-01-01", "未知")], TODAY) is None
    assert in_force([], TODAY) is None


def test_two_files_of_one_version_count_once() -> None:
    twin = Dated("2021-01-01", "有效")
    assert standings([NEW, twin], TODAY).count("in_force") == 1
    assert in_force([Dated("2021-01-01", "已修改"), NEW], TODAY) is NEW


@pytest.fixture(scope="module")
def collection(data_folder: Path) -> dict[str, list[Law]]:
    started = time.perf_counter()
    titles: dict[str, list[Law]] = defaultdict(list)
    for found in read_laws(data_folder / "laws"):
        assert isinstance(found, Law), found
        titles[found.title].append(found)
    assert time.perf_counter() - started < 15
    return titles


def test_every_law_of_the_collection_is_read(collection: dict[str, list[Law]]) -> None:
    laws = [law for versions in collection.values() for law in versions]
    assert len(laws) == 2911
    assert not any("cases" in law.source for law in laws)
    assert all(article.text for law in laws for article in law.articles)
    current = [law for law in (in_force(versions, TODAY) for versions in collection.values()) if law]
    articles = sum(article.number.startswith("第") for law in current for article in law.articles)
    assert 56_000 < articles < 58_000


WELL_KNOWN = {
    "中华人民共和国民法典": 1260,
    "中华人民共和国公司法": 266,
    "中华人民共和国劳动合同法": 98,
    "中华人民共和国劳动法": 107,
    "中华人民共和国民事诉讼法": 306,
    "中华人民共和国企业破产法": 136,
    "中华人民共和国反不正当竞争法": 41,
    "中华人民共和国仲裁法": 96,
    "中华人民共和国民营经济促进法": 78,
    "保障中小企业款项支付条例": 37,
    "中华人民共和国行政处罚法": 86,
    "中华人民共和国行政诉讼法": 103,
    "中华人民共和国消费者权益保护法": 63,
    "中华人民共和国著作权法": 67,
    "中华人民共和国社会保险法": 98,
    "中华人民共和国劳动争议调解仲裁法": 54,
    "中华人民共和国环境保护法": 70,
    "诉讼费用交纳办法": 56,
    "最高人民法院关于审理民间借贷案件适用法律若干问题的规定": 31,
    "最高人民法院关于适用《中华人民共和国民事诉讼法》的解释": 550,
}


@pytest.mark.parametrize("title", WELL_KNOWN)
def test_well_known_laws_are_complete(collection: dict[str, list[Law]], data_folder: Path, title: str) -> None:
    law = in_force(collection[title], TODAY)
    assert law is not None
    assert numbers(law) == [article_number(str(n)) for n in range(1, WELL_KNOWN[title] + 1)]
    raw = letters((data_folder / "laws" / law.source).read_text(encoding="utf-8"))
    for article in law.articles:
        assert letters(article.number + article.text)[:60] in raw


def test_the_amended_criminal_law_keeps_its_inserted_articles(collection: dict[str, list[Law]]) -> None:
    law = in_force(collection["中华人民共和国刑法"], TODAY)
    assert law is not None
    inserted = law.article("第二百七十六条之一")
    assert inserted is not None and "劳动报酬" in inserted.text


def test_article_577_says_what_everybody_quotes(collection: dict[str, list[Law]]) -> None:
    code = in_force(collection["中华人民共和国民法典"], TODAY)
    assert code is not None
    article = code.article("577")
    assert article is not None and article.text.startswith("当事人一方不履行合同义务")
    assert article.heading == "第三编 合同 第一分编 通则 第八章 违约责任"


def test_a_version_that_began_since_the_download_counts(collection: dict[str, list[Law]]) -> None:
    coming = [
        law for versions in collection.values() for law in versions if law.status == "尚未生效" and (law.version or "") <= "2026-11-22"
    ]
    assert coming
    assert all(in_force(collection[law.title], TODAY) is law for law in coming)


def test_present_numbers_stand_beside_those_an_interpretation_quotes() -> None:
    """The examples of DOMAIN 坑①, on texts of our own."""
    before = law_of("甲程序法", "2022-01-01", "已修改", {"第九条": "权利人应当在两年内提出申请。", "第十条": "法院收到材料后应当登记。"})
    after = law_of(
        "甲程序法",
        "2024-01-01",
        "有效",
        {"第九条": "新增的一条，谈送达地址确认书。", "第十条": "法院收到材料后应当登记。", "第十一条": "权利人应当在两年内提出申请。"},
    )
    reading = law_of("关于甲程序法的解释", "2022-04-10", "有效", {"第一条": ""})
    renumbering = Renumbering([before, after, reading], TODAY)
    assert renumbering.annotated(reading, "依照甲程序法第九条、第十条的规定") == "依照甲程序法第九条〔现为第十一条〕、第十条的规定"
    assert renumbering.annotated(reading, "《中华人民共和国甲程序法》第九条") == "《中华人民共和国甲程序法》第九条〔现为第十一条〕"
    assert renumbering.annotated(reading, "乙法第九条，本法第九条") == "乙法第九条，本法第九条"
    assert renumbering.annotated(after, "甲程序法第九条") == "甲程序法第九条"
    later = law_of("关于甲程序法的新解释", "2025-01-01", "有效", {"第一条": ""})
    assert Renumbering([before, after, later], TODAY).annotated(later, "甲程序法第九条") == "甲程序法第九条"


def law_of(title: str, version: str, status: str, articles: dict[str, str]) -> Law:
    return Law(title, version, version, version, status, tuple(Article(n, "", text) for n, text in articles.items()), "x.md")


def test_the_known_pitfalls_of_the_national_laws_are_mapped(collection: dict[str, list[Law]]) -> None:
    renumbering = Renumbering([law for laws in collection.values() for law in laws], TODAY)

    def shown(title: str, number: str) -> str:
        law = in_force(collection[title], TODAY)
        assert law
        return renumbering.annotated(law, next(a.text for a in law.articles if a.number == article_number(number)))

    procedure = "最高人民法院关于适用《中华人民共和国民事诉讼法》的解释"
    assert "第二百四十六条〔现为第二百五十条〕" in shown(procedure, "440")
    assert "第二百六十条〔现为第二百六十四条〕" in shown(procedure, "480")
    assert "第二百六十一条〔现为第二百六十五条〕" in shown(procedure, "515")
    assert "第二百三十四条〔现为第二百三十八条〕" in shown(procedure, "462")
    # Published days before the new Company Law began, it quotes the new numbers: nothing is certain, so nothing is said.
    assert "现为" not in shown("最高人民法院关于适用《中华人民共和国公司法》时间效力的若干规定", "4")
    assert "第九条〔现为第十条〕" in shown("最高人民法院关于审理侵犯商业秘密民事案件适用法律若干问题的规定", "1")
