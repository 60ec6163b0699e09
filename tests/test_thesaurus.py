"""The table of colloquial and legal words: what it finds in a question, whose row wins, and what it refuses."""

from pathlib import Path

from indexing.words import clean
from knowledge.court import topic_codes
from knowledge.thesaurus import SHIPPED, Row, Thesaurus, load_thesaurus, read_rows

HEAD = "colloquial,legal,direction,topic\n"


def said(thesaurus: Thesaurus, text: str) -> list[str]:
    return [str(expansion) for expansion in thesaurus.expansions(text)]


def test_terms_are_found_longest_first_and_in_the_order_of_the_text() -> None:
    thesaurus = Thesaurus([Row("白条", "欠条", "→", ""), Row("打白条", "拖欠", "→", ""), Row("跑路", "下落不明", "→", "")])
    assert said(thesaurus, "老板跑路前打白条") == ["跑路 → 下落不明", "打白条 → 拖欠"]
    assert said(thesaurus, "欠条在，没打白条也没跑路还说下落不明") == ["打白条 → 拖欠"]
    assert said(thesaurus, "") == []


def test_an_arrow_leads_one_way_a_double_arrow_both() -> None:
    thesaurus = Thesaurus([Row("老赖", "失信被执行人", "→", ""), Row("炒鱿鱼", "辞退", "↔", "")])
    assert said(thesaurus, "失信被执行人") == []
    assert said(thesaurus, "辞退") == ["辞退 → 炒鱿鱼"]


def test_the_courts_rows_replace_the_shipped_rows_of_the_same_term(tmp_path: Path) -> None:
    shipped = load_thesaurus()[0].rows
    term = shipped[0].colloquial
    own = tmp_path / "thesaurus.csv"
    own.write_text(HEAD + f"{term},崂山说法,→,\n石老人,崂山区,→,\n{shipped[-1].colloquial},,,\n", encoding="utf-8")
    merged, refused = load_thesaurus(own)
    assert refused == []
    assert [row.legal for row in merged.rows if row.colloquial == term] == ["崂山说法"]
    assert shipped[-1].colloquial not in {row.colloquial for row in merged.rows}
    assert said(merged, "石老人") == ["石老人 → 崂山区"]


def test_bad_rows_are_named_with_file_and_line_and_the_rest_loads(tmp_path: Path) -> None:
    own = tmp_path / "thesaurus.csv"
    own.write_text(
        HEAD
        + "老赖,失信被执行人,→,L03\n短\n长"
        + "长" * 30
        + ",甲,→,\n甲乙,丙丁,<-,\n子丑,寅卯,→,Z99\n同词,同词,→,\n老赖,失信被执行人,→,\n",
        encoding="utf-8",
    )
    rows, refused = read_rows(own, topic_codes())
    assert [row.colloquial for row in rows] == ["老赖"]
    assert [item.row for item in refused] == [3, 4, 5, 6, 7, 8]
    assert "thesaurus.csv 第 6 行：“子丑”：不认识的主题“Z99”" in map(str, refused)
    (tmp_path / "x.csv").write_text("a,b\n", encoding="utf-8")
    assert "表头" in str(read_rows(tmp_path / "x.csv")[1][0])
    assert load_thesaurus(tmp_path / "none.csv")[1] == []


def test_headers_with_spaces_and_broken_quotes_stop_nothing(tmp_path: Path) -> None:
    own = tmp_path / "thesaurus.csv"
    own.write_text("colloquial, legal, direction , topic\n石老人,崂山区,→,\n", encoding="utf-8")
    assert load_thesaurus(own)[1] == [] and said(load_thesaurus(own)[0], "石老人") == ["石老人 → 崂山区"]
    own.write_text(HEAD + '老赖,"' + "长" * 140_000, encoding="utf-8")
    rows, refused = read_rows(own)
    assert rows == [] and "引号" in str(refused[0])


def test_a_term_taken_out_is_out_in_both_directions_and_terms_are_cleaned_as_questions_are(tmp_path: Path) -> None:
    both = next(row for row in load_thesaurus()[0].rows if row.direction == "↔")
    own = tmp_path / "thesaurus.csv"
    own.write_text(HEAD + f"{both.legal},,,\n薪資拖延,拖欠工资,→,\n诉讼,诉,→,\n", encoding="utf-8")
    merged, refused = load_thesaurus(own, clean=clean)
    assert [expansion for expansion in merged.expansions(both.legal) if expansion.meant == both.colloquial] == []
    assert said(merged, clean("薪資拖延")) == ["薪资拖延 → 拖欠工资"]
    assert [item.row for item in refused] == [4]


def test_terms_that_add_nothing_leave_room_for_those_that_do() -> None:
    rows = [Row(f"第{n}个说法啊", "欠条", "→", "") for n in "一二三四五六"] + [Row("跑路", "下落不明", "→", "")]
    assert said(Thesaurus(rows), "欠条" + "".join(row.colloquial for row in rows)) == ["跑路 → 下落不明"]


def test_the_shipped_table_is_sound_and_large_enough() -> None:
    rows, refused = read_rows(SHIPPED, topic_codes())
    assert [str(item) for item in refused] == []
    assert len(rows) >= 1500
    assert all(row.topic for row in rows)
