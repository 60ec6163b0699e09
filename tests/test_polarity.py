"""Questions that look alike and mean the opposite: what sets them apart is named, and what only looks different is left alone."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.settings import Settings
from bot.startup import Opened
from indexing import building
from indexing.confidence import judge
from indexing.polarity import UNKNOWN, Differences, compare
from indexing.search import Hit
from knowledge.entry import Entry
from tests.command_line import ROOT, command, in_json, small_content
from tests.test_search import calibration_file

PIECES = [
    "没",
    "不",
    "未",
    "怀孕",
    "辞退",
    "员工",
    "公司",
    "一审",
    "二审",
    "15日",
    "三十天",
    "3万",
    "签了",
    "合同",
    "，",
    "能不能",
    "可以",
    "吗",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


def forbids(asked: str, known: str) -> str:
    """What forbids answering a question with an entry of this one wording."""
    return "；".join(compare(asked, known, known).forbidding)


# --- what forbids ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "known", "said"),
    [
        ("试用期内能辞退吗", "试用期满后能辞退吗", "试用期"),
        ("怀孕员工可以辞退吗", "怀孕员工不可以辞退吗", "否定"),
        ("签了合同对方不付款", "没签合同对方不付款", "合同"),
        ("收到判决15日内要上诉吗", "收到判决30日内要上诉吗", "15日 与 30日"),
        ("十五日内要上诉吗", "三十日内要上诉吗", "15日 与 30日"),
        ("一审判决不服怎么办", "二审判决不服怎么办", "审级"),
        ("不服判决怎么办", "不服裁定怎么办", "判决还是裁定"),
        ("我是被告要准备什么", "我是原告要准备什么", "原告还是被告"),
        ("员工辞职要给补偿吗", "公司辞退员工要给补偿吗", "谁离开谁"),
        ("诉前怎么申请保全", "诉讼中怎么申请保全", "诉前"),
        ("我是房东，租客不交租", "我是租客，房东不退押金", "租赁"),
        ("用人单位违法解除要赔多少", "劳动者违法解除要赔多少", "用人单位还是劳动者"),
        ("公司担保要股东会决议吗", "个人担保要股东会决议吗", "个人还是公司"),
        ("赔3万元够不够", "赔5万元够不够", "3万 与 5万"),
        ("公司可以扣工资吗", "公司不能扣工资吗", "否定"),
    ],
)
def test_opposites_are_named_both_ways_round(asked: str, known: str, said: str) -> None:
    assert said in forbids(asked, known) and forbids(known, asked), compare(asked, known, known)


PARAPHRASES = [
    ("客户拖欠货款怎么办", "客户拖欠货款怎么办"),
    ("三天内要起诉吗", "3日内要起诉吗"),
    ("十五日内上诉", "15天内上诉"),
    ("能不能扣工资", "可不可以扣工资"),
    ("要不要签合同", "是不是该签合同"),
    ("無法付款怎麼辦", "无法付款怎么办"),
    ("货款要不回来", "供货的钱要不回来"),
    ("试用期内辞退", "怎么辞退员工"),
    ("两个月没发工资", "2个月没发工资"),
    ("", "货款"),
]


@pytest.mark.parametrize(("asked", "known"), PARAPHRASES)
def test_what_means_the_same_is_no_contradiction(asked: str, known: str) -> None:
    assert compare(asked, known, known) == compare(known, asked, asked) == Differences()


def test_a_fixed_word_forbids_nothing() -> None:
    assert forbids("不动产抵押怎么登记", "房产抵押怎么登记") == forbids("房产抵押怎么登记", "不动产抵押怎么登记") == ""


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("不动产抵押怎么登记", "房产抵押怎么登记"),
        ("能不能辞退员工", "可以辞退员工吗"),
        ("要不要交社保", "要交社保吗"),
        ("有没有工伤保险", "工伤保险"),
        ("不服仲裁裁决", "对仲裁裁决有异议"),
    ],
)
def test_a_fixed_word_and_a_question_form_deny_nothing(asked: str, known: str) -> None:
    assert compare(asked, known, known).denied == compare(known, asked, asked).denied == ()


def test_a_text_that_names_both_sides_takes_none() -> None:
    assert forbids("一审和二审有什么不一样", "二审要多久") == "" != forbids("一审要多久", "二审要多久")


def test_what_only_one_of_them_speaks_of_is_no_contradiction() -> None:
    assert compare("判决下来要多久", "一审要多久", "一审要多久") == Differences()


def test_the_entrys_own_words_are_no_contradiction_whatever_else_it_says() -> None:
    """A question that is one of its wordings is the entry's, even where the standard question says it the other way."""
    wording, standard = "没签合同，30日能要钱吗", "签了合同，15日能要钱吗"
    assert compare(wording, standard, wording) == compare(standard, standard, wording) == Differences()
    assert compare(f"{wording}？？", standard, wording).stances


def test_the_standard_question_counts_beside_the_wording() -> None:
    apart = compare("二审要交多少钱", "一审要交多少钱", "打官司要交多少钱")
    assert apart.stances == apart.forbidding == ("审级不同",)
    assert compare("二审要交多少钱", "打官司要交多少钱", "一审要交多少钱") == apart


# --- numbers --------------------------------------------------------------------------------------------------------------


def test_another_number_forbids_only_against_the_standard_question() -> None:
    """A wording tells one person's case; the standard question says what the entry is about."""
    asked, told, bare = "拖欠15天怎么办", "货款拖欠30天怎么办", "拖欠货款怎么办"
    said = ("数字不同（15日 与 30日）",)
    by_wording, by_standard = compare(asked, bare, told), compare(asked, told, bare)
    assert (by_wording.forbidding, by_wording.numbers, by_wording.reasons) == ((), said, said)
    assert (by_standard.forbidding, by_standard.numbers, by_standard.reasons) == (said, said, said)


def test_numbers_of_other_units_and_common_numbers_are_no_contradiction() -> None:
    assert compare("欠了3万", "15天", "15天").numbers == ()
    assert compare("15天还是30天", "15日", "15日").numbers == ()
    assert compare("两审终审", "二审", "二审").numbers == ()


def test_several_numbers_are_named_in_the_same_order_by_every_process() -> None:
    said = "from indexing.polarity import compare; print(compare('3日5元6倍', '4日7元8倍', '').numbers)"
    found = {
        subprocess.run(
            [sys.executable, "-c", said], cwd=ROOT, capture_output=True, check=True, env=os.environ | {"PYTHONHASHSEED": str(seed)}
        ).stdout
        for seed in range(4)
    }
    assert len(found) == 1


# --- what one of them denies ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "known", "word"),
    [
        ("员工没怀孕能辞退吗", "员工怀孕了能辞退吗", "怀孕"),
        ("公司没有交社保", "公司给员工交社保了", "社保"),
        ("不是工伤能赔吗", "工伤怎么赔", "工伤"),
        ("合同还没到期", "合同到期了怎么办", "到期"),
    ],
)
def test_what_one_denies_and_the_other_says_is_named(asked: str, known: str, word: str) -> None:
    for one, other in ((asked, known), (known, asked)):
        apart = compare(one, other, other)
        assert word in apart.denied and f"一边说“{word}”，一边说没有" in apart.reasons, apart


@pytest.mark.parametrize(
    ("asked", "known"),
    [
        ("员工没怀孕能辞退吗", "没有怀孕的员工要走"),
        ("没有，怀孕了能辞退吗", "怀孕了能辞退吗"),
        ("没想到他们后来发现她怀孕", "怀孕了能辞退吗"),
        ("没怀孕能辞退吗", "拖欠货款怎么办"),
        ("没怀孕，还是怀孕了", "怀孕了能辞退吗"),
    ],
    ids=["both deny", "after a pause", "far away", "silent", "both said"],
)
def test_what_is_not_denied_by_one_alone_is_not_named(asked: str, known: str) -> None:
    assert "怀孕" not in compare(asked, known, known).denied + compare(known, asked, asked).denied


def test_an_entry_that_says_it_both_ways_denies_nothing() -> None:
    assert "怀孕" in compare("没怀孕能辞退吗", "怀孕能辞退吗", "怀孕能辞退吗").denied
    assert "怀孕" not in compare("没怀孕能辞退吗", "怀孕能辞退吗", "没怀孕可以辞退吗").denied


def test_what_is_denied_alone_forbids_nothing() -> None:
    apart = compare("我们单位这个女的压根没怀孕，想让她走行吗", "怀孕员工能辞退吗", "怀孕员工能辞退吗")
    assert "怀孕" in apart.denied and apart.forbidding == ()


# --- whatever is compared -------------------------------------------------------------------------------------------------


@given(TEXTS, TEXTS)
def test_two_texts_differ_the_same_both_ways_round(one: str, other: str) -> None:
    there, back = compare(one, other, other), compare(other, one, one)
    assert (there.stances, there.denied, len(there.numbers)) == (back.stances, back.denied, len(back.numbers))
    assert len(there.forbidding) == len(back.forbidding)


@given(TEXTS, TEXTS, TEXTS)
def test_every_reason_is_said_once_and_what_forbids_is_among_them(asked: str, standard: str, wording: str) -> None:
    apart = compare(asked, standard, wording)
    assert {*apart.forbidding, *apart.stances, *apart.numbers} <= {*apart.reasons} and len({*apart.reasons}) == len(apart.reasons)
    assert set(apart.stances) <= set(apart.forbidding) and bool(apart.reasons) == (apart != Differences())


@given(st.text(), st.text(), st.text())
def test_comparing_never_fails(asked: str, standard: str, wording: str) -> None:
    assert compare(asked, standard, wording).forbidding is not None and compare(asked, standard, asked) == Differences()


# --- what a direct answer needs -------------------------------------------------------------------------------------------

QUESTION = "员工试用期内能不能辞退？"


@pytest.fixture
def sure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Opened]:
    """A small installation that is sure of every candidate, so that only what forbids an answer can prevent one."""
    monkeypatch.setattr(building, "SHIPPED_CONTENT", small_content(tmp_path / "content"))
    opened = Opened(Settings(data_dir=tmp_path / "data"))
    opened.folders.data.mkdir()
    calibration_file(opened.folders.data / "calibration.json", opened.encoder.fingerprint, intercept=9.0, answer_from=0.5)
    yield opened
    opened.close()


def test_a_contradiction_forbids_the_answer_and_is_said(sure: Opened) -> None:
    assert sure.answering.reply_to(QUESTION).as_json()["entry"] == "B1"
    verdict = sure.answering.reply_to("员工试用期满后能不能辞退？")
    assert (verdict.band, verdict.answer, verdict.reasons) == ("offer", None, ("试用期内还是期满不同",))
    assert verdict.candidates[0].published.entry.id == "B1" and verdict.candidates[0].confidence > 0.9
    assert "不能直接答：试用期内还是期满不同" in command(sure.folders.data, "ask", "员工试用期满后能不能辞退？", "--why").stdout


def test_nothing_is_answered_directly_when_comparing_fails(sure: Opened, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(question: str, standard: str, wording: str) -> Differences:
        raise RuntimeError(question)

    assert in_json(sure.folders.data, "ask", QUESTION)["band"] == "answer"
    monkeypatch.setattr("indexing.confidence.compare", broken)
    entry, hit = Entry("a", QUESTION, "答。"), Hit("a", QUESTION, 1, 1, 1, 1, 1, 1, 1, 1, None)
    assert judge(QUESTION, entry, hit).differences == UNKNOWN and UNKNOWN.forbidding
    found = in_json(sure.folders.data, "ask", QUESTION)
    assert (found["band"], found["entry"], found["reasons"]) == ("offer", None, ["防错检查没有完成"])
    assert found["candidates"][0]["entry"] == "B1"
