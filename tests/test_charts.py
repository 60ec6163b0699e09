"""Charts: what is drawn is what was counted, anything may stand in a label, and nothing in it breaks the content policy."""

import re
from itertools import pairwise
from xml.etree import ElementTree

import pytest

from bot.charts import Series, bars, columns

NS = "{http://www.w3.org/2000/svg}"
NASTY = '"><script>alert(1)</script> & 中文'


def drawn(svg: str) -> ElementTree.Element:
    """The chart as a reader of SVG sees it, after checking what no chart may have."""
    assert "style" not in svg
    assert "<script" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    picture = ElementTree.fromstring(svg)
    assert picture.get("role") == "img"
    assert picture.findtext(f"{NS}title")
    assert picture.findtext(f"{NS}desc")
    return picture


def boxes(picture: ElementTree.Element, kind: str) -> list[dict[str, float]]:
    """The rectangles of a kind in groups, which leaves out the legend."""
    found = [box for group in picture.iter(f"{NS}g") for box in group.iter(f"{NS}rect") if box.get("class") == kind]
    return [{name: float(box.attrib[name]) for name in ("x", "y", "width", "height")} for box in found]


def words(picture: ElementTree.Element) -> list[str]:
    """Every text in the picture."""
    return [text.text or "" for text in picture.iter(f"{NS}text")]


def test_bars_are_as_long_as_their_values() -> None:
    picture = drawn(bars("按街道", [("中韩街道", 40), ("北宅街道", 10), ("王哥庄街道", 0)]))
    lengths = [box["width"] for box in boxes(picture, "first")]
    assert lengths == [420, 105, 0]
    assert words(picture) == ["中韩街道", "40", "北宅街道", "10", "王哥庄街道", "0"]
    assert picture.findtext(f"{NS}desc") == "中韩街道 40；北宅街道 10；王哥庄街道 0"


def test_columns_are_as_high_as_their_values_and_stand_inside_the_picture() -> None:
    picture = drawn(columns("按月", ["2026-10", "2026-11"], [Series("登记", [8, 2]), Series("办结", [4, 0])]))
    first, second = boxes(picture, "first"), boxes(picture, "second")
    assert [box["height"] for box in first] == [170, 42.5]
    assert [box["height"] for box in second] == [85, 0]
    assert {round(box["y"] + box["height"], 1) for box in first + second} == {204}
    assert "2026-10 登记 8，办结 4；2026-11 登记 2，办结 0" in (picture.findtext(f"{NS}desc") or "")
    assert {"登记", "办结", "2026-10", "2026-11", "8", "4", "0"} <= set(words(picture))


def test_labels_are_escaped() -> None:
    for svg in (bars(NASTY, [(NASTY, 1)]), columns(NASTY, [NASTY], [Series(NASTY, [1])])):
        picture = drawn(svg)
        assert picture.get("aria-label") == NASTY
        assert NASTY in (picture.findtext(f"{NS}desc") or "")


def test_a_long_label_is_cut_and_told_whole_on_pointing() -> None:
    name = "民事审判第一庭（建设工程合同与房地产纠纷专业审判团队）（示例名称）二号合议庭"
    picture = drawn(bars("按承办部门", [(name, 1_234_567)]))
    label, value = words(picture)
    assert label.endswith("…") and name.startswith(label[:-1]) and len(label) > 15
    assert value == "1,234,567"
    assert picture.find(f"{NS}g/{NS}title").text == f"{name} 1,234,567"  # type: ignore[union-attr]


@pytest.mark.parametrize("months", [1, 12, 13, 36])
def test_month_names_do_not_touch_each_other(months: int) -> None:
    labels = [f"{2024 + n // 12}-{n % 12 + 1:02}" for n in range(months)]
    picture = drawn(columns("按月", labels, [Series("登记", [n + 1 for n in range(months)])]))
    shown = [text for text in picture.iter(f"{NS}text") if re.fullmatch(r"\d{4}-\d\d", text.text or "")]
    assert 1 <= len(shown) <= 12
    places = [float(text.attrib["x"]) for text in shown]
    assert all(later - earlier >= 55 for earlier, later in pairwise(places))
    assert len(boxes(picture, "first")) == months


def test_few_columns_stand_at_the_left_and_long_names_keep_to_their_place() -> None:
    picture = drawn(columns("按月", ["二〇二六年第一季度和第二季度合计", "2026"], [Series("登记", [1, 2])]))
    assert max(box["x"] + box["width"] for box in boxes(picture, "first")) < 330
    assert any(text.endswith("…") and len(text) <= 10 for text in words(picture))


def test_huge_and_tiny_values_together() -> None:
    picture = drawn(columns("按月", ["甲", "乙"], [Series("登记", [987_654_321, 1])]))
    assert min(box["height"] for box in boxes(picture, "first")) == 2
    assert "10 亿" in words(picture)
    bar = boxes(drawn(bars("大小", [("大", 987_654_321), ("小", 1)])), "first")
    assert bar[1]["width"] == 2


def test_nothing_is_said_in_words() -> None:
    empty = (
        bars("空", []),
        bars("零", [("甲", 0)]),
        columns("零", ["2026-11"], [Series("登记", [0])]),
        columns("空", [], [Series("登记", [])]),
    )
    for svg in empty:
        assert "没有可画的数据" in words(drawn(svg))[0]


def test_series_must_fit_the_labels() -> None:
    with pytest.raises(ValueError, match="one value for each label"):
        columns("错", ["2026-10", "2026-11"], [Series("登记", [1])])
    with pytest.raises(ValueError, match="one or two series"):
        columns("错", ["2026-10"], [Series("登记", [1])] * 3)
