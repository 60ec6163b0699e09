"""Slips of the thumb are read as they were meant, and nothing else is touched: the shipped content says what people may mean."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bot.settings import Settings
from bot.startup import Opened
from indexing import spelling
from indexing.building import open_generation
from indexing.encoder import load_encoder
from indexing.index import Unit
from indexing.local import build
from indexing.spelling import Correction, Rarity, Spelling
from indexing.words import clean
from tests.command_line import command
from tests.test_search import calibration_file

PIECES = [
    *"何同合工子买卖有没不未了的是甲乙公思社宝另今",
    "劳动",
    "拖欠",
    "合同",
    "仲载",
    "支付",
    "ldht",
    "gongzi",
    " ",
    "，",
    "3",
    "15日",
    "maijia",
    "ok",
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=8).map("".join)


class Reader:
    """Reads questions as the bot does, by what one library says."""

    def __init__(self, reads: Spelling, rarity: Rarity) -> None:
        self._reads, self._rarity = reads, rarity

    def __call__(self, text: str) -> tuple[str, tuple[Correction, ...]]:
        return self._reads.corrected(text, self._rarity)


@pytest.fixture(scope="module")
def read(built: Path) -> Iterator[Reader]:
    """By the shipped content and the shipped thesaurus."""
    opened = Opened(Settings(data_dir=built))
    generation = open_generation(opened.folders.index, opened.ensure_index(), opened.encoder)
    yield Reader(opened.spelling, generation.entries.rarity)
    opened.close()


# --- what is put right ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "meant", "said"),
    [
        ("何同到期", "合同到期", "何同 当作 合同"),
        ("劳动何同没签", "劳动合同没签", "劳动何同 当作 劳动合同"),
        ("老板拖欠工子不给", "老板拖欠工资不给", "拖欠工子 当作 拖欠工资"),
        ("公思拖欠工资", "公司拖欠工资", "公思 当作 公司"),
        ("支付另怎么申请", "支付令怎么申请", "支付另 当作 支付令"),
        ("诉颂费多少", "诉讼费多少", "诉颂费 当作 诉讼费"),
        ("何同3份，2026年", "合同3份,2026年", "何同 当作 合同"),
        ("勞動何同沒簽", "劳动合同没签", "劳动何同 当作 劳动合同"),
    ],
)
def test_a_wrong_character_that_sounds_right(read: Reader, asked: str, meant: str, said: str) -> None:
    text, corrections = read(asked)
    assert (text, [str(one) for one in corrections]) == (meant, [said])


@pytest.mark.parametrize(("asked", "meant"), [("早标", "招标"), ("劳动宗裁", "劳动仲裁"), ("公司伤标", "公司商标")], ids=["z", "zong", "s"])
def test_southern_ears_do_not_tell_like_sounds_apart(read: Reader, asked: str, meant: str) -> None:
    assert read(asked)[0] == meant


def test_a_long_word_is_known_by_its_other_characters(read: Reader) -> None:
    assert read("劳动仲载怎么申请")[0] == "劳动仲裁怎么申请"
    # What neither begins nor ends like it is no slip of that word.
    assert read("劳动仲火怎么申请")[1] == ()


@pytest.mark.parametrize(
    ("asked", "meant", "said"),
    [
        ("同合到期", "合同到期", "同合 当作 合同"),
        ("劳动同合没签", "劳动合同没签", "同合 当作 合同"),
        ("东股变更", "股东变更", "东股 当作 股东"),
        ("金押不退", "押金不退", "金押 当作 押金"),
    ],
)
def test_two_characters_in_the_wrong_order(read: Reader, asked: str, meant: str, said: str) -> None:
    text, corrections = read(asked)
    assert (text, [str(one) for one in corrections]) == (meant, [said])


@pytest.mark.parametrize("text", ["同合同合", "同 合", "同，合", "有没", "没有", "告原", "家买", "后前", "内年"])
def test_what_may_be_meant_as_it_stands_is_not_turned(read: Reader, text: str) -> None:
    """合同 may begin one character further on; small words and those that turn a meaning keep their place."""
    assert read(text) == (clean(text), ())


@pytest.mark.parametrize(
    ("asked", "meant"),
    [
        ("tuoqian gongzi", "拖欠工资"),
        ("老板tuoqiangongzi怎么办", "老板拖欠工资怎么办"),
        ("Laodong HETONG", "劳动合同"),
        ("ldht", "劳动合同"),
        ("ＬＤＨＴ没签", "劳动合同没签"),
        ("tuoqian gongzi，ldht没签", "拖欠工资,劳动合同没签"),
    ],
)
def test_syllables_and_initials_in_latin_letters(read: Reader, asked: str, meant: str) -> None:
    assert read(asked)[0] == meant


def test_several_slips_are_named_in_their_order(read: Reader) -> None:
    text, corrections = read("何同到期了，公思拖着，ldht也没签")
    assert text == "合同到期了,公司拖着,劳动合同也没签"
    assert corrections == (Correction("何同", "合同"), Correction("公思", "公司"), Correction("ldht", "劳动合同"))


# --- what is left alone ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "\u200b\x00",
        "？！…",
        "2026-01-01 3000元",
        "hello world",
        "ok",
        "POS机",
        "ht",
        "😀",
        "ไทย",
        "合同",
        "买家",
        "卖家不发货",
        "我买了房子",
    ],
)
def test_what_is_no_slip_stays_as_it_is(read: Reader, text: str) -> None:
    assert read(text) == (clean(text), ())


@pytest.mark.parametrize("word", ["没签", "未签", "原告", "被告", "买方", "卖方", "甲方", "乙方", "拖欠工资", "劳动合同", "社保"])
def test_words_on_which_a_meaning_turns_stay(read: Reader, word: str) -> None:
    for text in (word, f"{word}怎么办", f"公司{word}"):
        assert read(text) == (text, ())


@pytest.mark.parametrize("text", ["起个字号", "上回说的", "时个人", "连个人都没来", "没友", "百分之五里", "试用七"])
def test_what_sounds_like_a_number_or_a_denial_is_not_made_one(read: Reader, text: str) -> None:
    """起个 sounds like 七个, 上回 like 三回, 没友 like 没有, 百分之五里 like 百分之五十; and 七 is no slip for 期."""
    assert read(text) == (text, ())


def test_common_questions_of_the_library_stay(read: Reader) -> None:
    for text in ("客户拖欠货款不给怎么办", "员工试用期内能不能辞退", "商标被别人抢先注册了怎么办", "公司注销了股东还要还债吗"):
        assert read(text) == (text, ())


@pytest.mark.parametrize("letters", ["maijia", "maifang", "maifangzi", "maimai", "maimaihetong", "mmht"])
def test_latin_letters_never_choose_between_buying_and_selling(read: Reader, letters: str) -> None:
    assert read(letters) == (letters, ())
    assert read(f"{letters}，ldht")[0] == f"{letters},劳动合同"


@pytest.fixture(scope="module")
def plain() -> Spelling:
    """Knows only the words of the model."""
    return Spelling()


def test_a_library_that_says_nothing_corrects_nothing(plain: Spelling, tmp_path: Path) -> None:
    empty = build(tmp_path / "i", [], load_encoder(), {"kind": "entries"})
    for text in ("劳动何同", "tuoqian gongzi", "ldht"):
        assert plain.corrected(text, empty.rarity) == (text, ())


def test_what_the_library_says_is_no_slip(plain: Spelling, tmp_path: Path) -> None:
    """A court may write 何同 itself: a name, say."""
    common = [Unit(str(i), "劳动合同到期怎么办") for i in range(40)]
    without = build(tmp_path / "one", [*common, *(Unit(f"x{i}", "商标被抢注") for i in range(40))], load_encoder(), {"kind": "entries"})
    naming = build(tmp_path / "two", [*common, *(Unit(f"x{i}", "何同的商标") for i in range(40))], load_encoder(), {"kind": "entries"})
    assert plain.corrected("何同到期", without.rarity)[0] == "合同到期"
    assert plain.corrected("何同到期", naming.rarity) == ("何同到期", ())


def test_the_thesaurus_brings_words_of_its_own(plain: Spelling, tmp_path: Path) -> None:
    """Three characters that the model does not know as a word are found when the court's thesaurus has them."""
    units = [Unit(str(i), "鲅鱼圈押金") for i in range(40)] + [Unit(f"x{i}", "商标被抢注") for i in range(40)]
    index = build(tmp_path / "i", units, load_encoder(), {"kind": "entries"})
    assert plain.corrected("鲅鱼权押金", index.rarity)[1] == ()
    assert Spelling(["鲅鱼圈"]).corrected("鲅鱼权押金", index.rarity)[0] == "鲅鱼圈押金"


def explained(said: str, meant: str, corrections: tuple[Correction, ...]) -> bool:
    """Whether these corrections, each made once and in their order, make the one of the other."""
    if not corrections:
        return said == meant
    first, rest = corrections[0], corrections[1:]
    starts = [found.start() for found in re.finditer(f"(?={re.escape(first.said)})", said)]
    return first.said != first.meant and any(
        meant.startswith(said[:i] + first.meant) and explained(said[i + len(first.said) :], meant[i + len(first.meant) :], rest)
        for i in starts
    )


# --- whatever is typed ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "劳动何同何同",
        "何同到期了，公思拖着，ldht也没签",
        "老板拖欠工子不给",
        "tuoqian gongzi，ldht没签",
        "同合到期，金押不退",
        "劳动宗裁何同",
    ],
)
def test_reading_twice_changes_nothing_more(read: Reader, text: str) -> None:
    once, corrections = read(text)
    assert corrections and read(once) == (once, ())


@given(TEXTS)
@settings(max_examples=300)
@example("ldhtmaijia何maijia")
def test_what_was_changed_is_named_and_the_rest_is_kept(read: Reader, text: str) -> None:
    once, corrections = read(text)
    assert explained(clean(text), once, corrections)
    assert re.findall(r"[^a-z\u4e00-\u9fff ]", once) == re.findall(r"[^a-z\u4e00-\u9fff ]", clean(text))


@given(TEXTS)
@settings(max_examples=300)
@example("买了何同，卖了工子")
def test_characters_that_turn_a_meaning_are_never_put_in_or_taken_out(read: Reader, text: str) -> None:
    for said, meant in ((one.said, one.meant) for one in read(text)[1] if not one.said.isascii()):
        assert len(said) == len(meant)
        assert all(a == b or not {a, b} & spelling._NEVER_SLIPS for a, b in zip(said, meant, strict=True))


@given(st.text())
@settings(max_examples=300)
@example("\ud800何同")
@example("a" * 500)
@example("何" * 500)
@example("\x00")
def test_reading_never_fails(read: Reader, text: str) -> None:
    once, corrections = read(text)
    assert once == clean(once) and (corrections or once == clean(text))


# --- where it is shown ----------------------------------------------------------------------------------------------------


def test_the_terminal_shows_what_was_put_right(data_dir: Path) -> None:
    calibration_file(data_dir / "calibration.json", load_encoder().fingerprint)
    shown = command(data_dir, "ask", "老板拖欠工子不给，劳动何同也没签", "--why").stdout
    assert "改正的错字：拖欠工子 当作 拖欠工资；劳动何同 当作 劳动合同" in shown
    assert "搜索的文字：老板拖欠工资不给,劳动合同也没签" in shown
    assert "改正的错字" not in command(data_dir, "ask", "老板拖欠工资不给", "--why").stdout
