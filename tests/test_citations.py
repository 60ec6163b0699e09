"""Citations and the numbers of answers, held against laws; `laws.csv` where the texts are missing."""

from dataclasses import replace
from datetime import date
from fractions import Fraction
from pathlib import Path

import pytest

from knowledge.citations import (
    LawFacts,
    change_notice,
    check,
    citation_problem,
    load_register,
    read_register,
    without_nonexistent,
    write_register,
)
from knowledge.entry import Citation, Entry
from knowledge.errors import Unreadable
from knowledge.figures import figures, unsupported
from knowledge.sources import read_source
from knowledge.statutes import Article, Law

TODAY = date(2026, 11, 22)
OLD = Law(
    "甲法", "2010-02-01", "2010-01-01", "2010-02-01", "已修改", (Article("第一条", "", "甲。"), Article("第二条", "", "乙。")), "a.md"
)
NEW = Law(
    "甲法", "2021-01-01", "2020-12-01", "2021-01-01", "有效", (Article("第一条", "", "应当在三十日内付款，按百分之二十计算。"),), "b.md"
)


def problem(article: str, version: str | None = None, day: date = TODAY) -> str:
    found = citation_problem(Citation("甲法", article, version), [OLD, NEW], day)
    return " ".join(found) if found else ""


def test_citations_are_checked_for_title_version_article_and_day() -> None:
    assert problem("第一条") == "" == problem("第一条", "2021-01-01")
    assert problem("第二条", "2010-02-01", date(2015, 1, 1)) == ""
    assert "wrong" in problem("第二条") and "没有第二条" in problem("第二条")
    assert "已被新的版本取代" in problem("第二条", "2010-02-01")
    assert "没有 1999-01-01 的版本" in problem("第一条", "1999-01-01")
    assert "尚未施行" in problem("第一条", "2021-01-01", date(2020, 1, 1))
    assert citation_problem(Citation("乙法", "第一条"), [], TODAY) == ("wrong", "没有找到《乙法》")
    assert problem_of_unknown_standing() == "unknown"


def problem_of_unknown_standing() -> str:
    found = citation_problem(Citation("甲法", "第一条"), [replace(NEW, status="未知")], TODAY)
    return found[0] if found else ""


@pytest.mark.parametrize(
    ("text", "value", "unit"),
    [
        ("三十日内", 30, "日"),
        ("30 天", 30, "日"),
        ("十五个工作日", 15, "工作日"),
        ("半年", 6, "月"),
        ("一年半", 18, "月"),
        ("百分之二十", Fraction(1, 5), "份"),
        ("20%", Fraction(1, 5), "份"),
        ("每日万分之五", Fraction(1, 2000), "份"),
        ("三分之二", Fraction(2, 3), "份"),
        ("50 万元", 500_000, "元"),
        ("一千五百万元", 15_000_000, "元"),
        ("双倍", 2, "倍"),
        ("二倍", 2, "倍"),
        ("满十六周岁", 16, "岁"),
        ("三个半月", Fraction(7, 2), "月"),
        ("半个月", 15, "日"),
        ("1,000元", 1000, "元"),
        ("2千元", 2000, "元"),
        ("5百万元", 5_000_000, "元"),
        ("两天内", 2, "日"),
        ("五年期间", 60, "月"),
        ("六十余日", 60, "日"),
        ("三分之二或者2/3", Fraction(2, 3), "份"),
    ],
)
def test_numbers_are_read_however_they_are_written(text: str, value: int | Fraction, unit: str) -> None:
    assert set(figures(text).values()) == {(Fraction(value), unit)}


def test_dates_article_numbers_and_turns_of_speech_are_no_figures() -> None:
    assert (
        figures("2027年1月1日起，第九条第二款，第三天，少一天也不行，二〇二五年，八月二十日，一年期LPR，一人公司，2024/05/06前，12/31")
        == {}
    )
    assert figures("零分之五，1/0") is not None


def test_a_number_no_cited_article_holds_is_named_unless_explained() -> None:
    entry = Entry("A-1", "问", "应在30天内付款，按20%计算，最多两年。例如本金10万元。", basis=(Citation("甲法", "第一条", "2021-01-01"),))
    laws = {"甲法": (OLD, NEW)}
    assert [p.text for p in check([entry], laws, TODAY)] == ["“两年”不在所引法条里", "“10万元”不在所引法条里"]
    explained = replace(entry, explained=(("10万元", "举例"), ("两年", "由两处相加")))
    assert check([explained], laws, TODAY) == []
    assert set(unsupported(explained, [])) == {"30天", "20%"}


def test_laws_csv_is_written_from_texts_and_keeps_what_is_announced(tmp_path: Path) -> None:
    path = tmp_path / "laws.csv"
    path.write_text(
        "title,version,published,effective,status,articles\n甲法,2027-01-01,,2027-01-01,尚未生效,\n没人引的法,2020-01-01,,,有效,1..3\n",
        encoding="utf-8",
    )
    inserted = replace(NEW, articles=tuple(Article(n, "", "") for n in ("第一条", "第二条", "第二条之一", "第四条")))
    assert write_register(path, [OLD, inserted], ["甲法"]) == 3
    old, new, announced = read_register(path)["甲法"]
    assert new.articles == "1..2 2-1 4"
    assert [new.has(n) for n in ("第一条", "第二条之一", "第三条", "第四条")] == [True, True, False, True]
    assert old.has("第二条") and announced.has("第九百条")
    cited = Citation("甲法", "第一条", "2021-01-01")
    register = read_register(path)
    assert change_notice(cited, register, TODAY) == "2027-01-01 起施行新的文本，条号可能变化"
    assert change_notice(cited, register, date(2027, 1, 1)) == "此处引用的文本已有新版，以新版为准"
    assert change_notice(Citation("别的法", "第一条", "2021-01-01"), register, TODAY) is None


def test_a_broken_laws_csv_is_refused_by_line(tmp_path: Path) -> None:
    path = tmp_path / "laws.csv"
    path.write_text("title,version\n甲法,2020-01-01\n", encoding="utf-8")
    with pytest.raises(Unreadable, match="表头"):
        read_register(path)
    path.write_text("title,version,published,effective,status,articles\n甲法,2020-01-01\n", encoding="utf-8")
    with pytest.raises(Unreadable, match="第 2 行"):
        read_register(path)


def test_an_article_that_does_not_exist_is_left_out_and_named_with_file_and_line(tmp_path: Path) -> None:
    table = tmp_path / "表.csv"
    table.write_text(
        "id,question,answer,basis\n1,问,答,《中华人民共和国民法典》第九千条；《中华人民共和国民法典》第五百七十七条\n", encoding="utf-8"
    )
    reading = read_source(table)
    assert [str(c) for c in reading.entries[0].basis] == ["《中华人民共和国民法典》第五百七十七条"]
    assert [str(item) for item in reading.refused] == ["表.csv 第 2 行：《中华人民共和国民法典》没有第九千条，已略去这处依据，条目保留"]
    entry, notes = without_nonexistent(reading.entries[0], load_register())
    assert entry == reading.entries[0] and notes == []


def test_citing_a_whole_law_is_no_mistake_and_a_paragraph_must_exist() -> None:
    laws = {"甲法": (OLD, NEW)}
    whole = Entry("A-1", "问", "答", basis=(Citation("甲法", ""),))
    assert check([whole], laws, TODAY) == []
    beyond = Entry("A-2", "问", "答", basis=(Citation("甲法", "第一条", "2021-01-01", 2),))
    assert [str(problem) for problem in check([beyond], laws, TODAY)] == ["A-2：《甲法》第一条第二款不存在"]


def test_an_announced_version_says_nothing_about_articles() -> None:
    known = LawFacts("甲法", "2021-01-01", None, "2021-01-01", "有效", "1..9")
    announced = LawFacts("甲法", "2027-01-01", None, "2027-01-01", "尚未生效", "")
    register = {"甲法": (known, announced)}
    entry = Entry("A-1", "问", "答", basis=(Citation("甲法", "第九十条", "2021-01-01"), Citation("甲法", "第三条", "2021-01-01")))
    left, notes = without_nonexistent(entry, register)
    assert [c.article for c in left.basis] == ["第三条"] and len(notes) == 1
    assert change_notice(Citation("甲法", "第三条", "2027-01-01"), register, date(2027, 2, 1)) is None
    assert "2027-01-01 起" in (change_notice(Citation("甲法", "第三条"), register, TODAY) or "")
    assert not known.has("附件一")


def test_bare_numbering_is_kept_apart() -> None:
    facts = LawFacts("批复", "2024-01-01", None, None, "有效", "n1..n2")
    assert facts.has("二") and not facts.has("第二条") and not facts.has("三")
