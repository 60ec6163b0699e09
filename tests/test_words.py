"""A question and an entry are cleaned and split the same way, whatever keyboard, width or script they came from."""

import re
import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexing.words import bigrams, clean, terms, words

chinese = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF), min_size=1, max_size=40)


@given(st.text())
@example("J\u030c")
@example("a \u200b b")
@example("薴")
@example("\ud800")
def test_cleaning_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(chinese)
def test_cleaning_chinese_twice_changes_nothing(text: str) -> None:
    assert clean(clean(text)) == clean(text)


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert not {unicodedata.category(c) for c in cleaned} & {"Cc", "Cf", "Cs", "Co"}
    assert cleaned == cleaned.strip() and "  " not in cleaned


@pytest.mark.parametrize(
    ("typed", "same_as"),
    [
        ("勞動合同糾紛", "劳动合同纠纷"),
        ("公司拖欠貨款", "公司拖欠货款"),
        ("ＰＯＳ机　３０００元", "pos机 3000元"),
        ("工\u200b资\u202e拖欠\ufeff", "工资拖欠"),
        ("第九条\n\t内容", "第九条 内容"),
        ("①　ﬁ", "1 fi"),
        ("葛\U000e0100", "葛"),
    ],
)
def test_the_same_thing_typed_differently(typed: str, same_as: str) -> None:
    assert clean(typed) == same_as
    assert terms(typed) == terms(same_as)


@given(st.text(st.sampled_from("用人单位拖欠劳动报酬怎么办竞业限制，。 A1"), max_size=40))
def test_every_word_of_two_characters_is_among_the_bigrams(text: str) -> None:
    found = bigrams(text)
    assert all(word in found for word in words(text) if len(word) == 2)
    for run in re.findall("[\u4e00-\u9fff]+", text):
        assert all(run[i : i + 2] in found for i in range(len(run) - 1))


def test_bigrams_keep_words_and_numbers_whole_and_lone_characters() -> None:
    assert bigrams("拖欠POS机货款3个月") == ["拖欠", "pos", "机货", "货款", "3", "个月"]
    assert bigrams("税，款") == ["税", "款"]
    assert bigrams("？！……") == []


def test_words_are_cut_where_people_cut() -> None:
    assert words("用人单位拖欠劳动报酬") == ["用人单位", "拖欠", "劳动报酬"]
    assert "竞业" in words("竞业限制补偿金没约定还有效吗")
    assert words("a1，的") == []


def test_terms_are_bigrams_then_longer_words() -> None:
    assert terms("未签劳动合同") == ["未签", "签劳", "劳动", "动合", "合同", "劳动合同"]
    assert terms("") == []
