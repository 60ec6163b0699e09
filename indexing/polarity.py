"""Opposite questions look alike to every encoder; here are the reasons not to answer one with the other's answer.

The question is compared with the wording it was found by. What differs is named: negation (签了/没签), whether something may be done
(可以/不可以), party (用人单位/劳动者, 原告/被告), stage (试用期内/期满后, 一审/二审), numbers with units (15日/30日). A reason makes an
offer out of an answer; it never hides a candidate. Only what both sides speak of is compared: a wording that is silent on the matter
is no contradiction.
"""

import re
from collections.abc import Sequence

from indexing.words import clean

_OPPOSITES: tuple[tuple[str, tuple[str, ...], tuple[str, ...]], ...] = (
    (
        "有没有书面合同",
        ("签了", "签过", "签订了", "有合同", "有书面"),
        ("没签", "未签", "没有签", "没订", "未订立", "没合同", "没有合同", "无合同", "没有书面"),
    ),
    ("当事人一方", ("原告", "起诉别人", "起诉对方", "我要告", "我想告"), ("被告", "被起诉", "被人告", "告了我", "起诉我", "告我")),
    (
        "劳动关系哪一方",
        ("员工辞职", "员工离职", "员工主动", "自己辞职", "员工不干"),
        ("辞退", "开除", "解雇", "炒掉", "裁掉", "让他走", "让她走", "赶走"),
    ),
    ("试用期阶段", ("试用期内", "试用期间", "还在试用"), ("试用期满", "转正后", "过了试用期", "试用期过", "已转正")),
    ("审级", ("一审",), ("二审", "再审")),
    ("判决还是裁定", ("判决",), ("裁定",)),
    ("诉前还是诉中", ("诉前", "起诉前", "还没起诉"), ("诉中", "诉讼中", "起诉后", "已经起诉")),
    ("租赁哪一方", ("我是房东", "租客不", "租户不", "承租人不"), ("房东不", "房东要", "房东把", "出租人不", "我是租客")),
    ("买卖哪一方", ("客户不付", "客户拖", "买家不付", "对方不付款", "不给货款"), ("供应商不发货", "卖家不发货", "不交货", "不发货")),
    ("定金方向", ("收定金一方", "卖方违约", "他们违约", "对方违约"), ("我违约", "我们违约", "交定金的一方违约", "自己反悔", "我反悔")),
    ("个人还是公司", ("公司借", "公司担保", "公司名义"), ("个人借", "个人担保", "个人名义", "私人借")),
    ("借贷哪一方", ("我借给", "借给别人", "借给朋友"), ("我欠", "我借了", "向别人借", "向朋友借")),
)
_NEGATED = re.compile(r"(?:不|没|未|无|别|非|拒)")
_ASKS = re.compile(r"能不能|可不可以|要不要|是不是|有没有|该不该|行不行|算不算|会不会|用不用|付不付|赔不赔|给不给|交不交|退不退")
_FIXED = re.compile(
    r"不错|不过|不管|不论|不好意思|不同|不少|不懂|不知道|不清楚|不明白|不满|不到|不超过|不动产|不可抗力|不当得利|不正当|不良|不足|没办法"
    r"|无法|未来|不服|无效|不料|不想|怎么办|不然|要不|对不起|受不了|了不起|来不及|不得不|差不多|无固定期限|不定时|未成年"
)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(日|天|个月|月|年|周|小时|万|元|%|倍|人|岁)")
_CHINESE_NUMBER = re.compile(r"([一二两三四五六七八九十]{1,3})(?=个?(?:日|天|个月|年|周|小时|万|倍|审))")
_DIGITS = {c: i for i, c in enumerate("零一二三四五六七八九")} | {"两": 2}
_SAME_UNIT = {"天": "日", "月": "个月"}


def conflicts(question: str, wording: str) -> list[str]:
    """Why the answer to `wording` may be wrong for `question`, in Chinese, for staff; empty if nothing speaks against it."""
    asked, known = clean(question), clean(wording)
    if asked == known:
        return []
    reasons = [
        f"{name}相反"
        for name, one, other in _OPPOSITES
        if (_says(asked, one, other) and _says(known, other, one)) or (_says(asked, other, one) and _says(known, one, other))
    ]
    return reasons + _numbers_differ(asked, known) + _negation_differs(asked, known)


def _says(text: str, phrases: Sequence[str], opposite: Sequence[str]) -> bool:
    """Whether the text speaks for one side only."""
    return any(p in text for p in phrases) and not any(p in text for p in opposite)


def _numbers_differ(asked: str, known: str) -> list[str]:
    """Two texts that both give a number of the same unit, and none in common."""
    one, other = _numbers(asked), _numbers(known)
    return [
        f"数字不同（{'、'.join(sorted(one[unit]))}{unit} 与 {'、'.join(sorted(other[unit]))}{unit}）"
        for unit in one.keys() & other.keys()
        if not one[unit] & other[unit]
    ]


def _numbers(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number, unit in _NUMBER.findall(_CHINESE_NUMBER.sub(lambda m: str(_value(m[1])), text)):
        found.setdefault(_SAME_UNIT.get(unit, unit), set()).add(number)
    return found


def _value(numeral: str) -> int:
    """The value of a Chinese numeral below one hundred."""
    tens, _, ones = numeral.rpartition("十")
    if "十" not in numeral:
        return _DIGITS.get(numeral[-1], 0)
    return (_DIGITS.get(tens, 1) if tens else 1) * 10 + (_DIGITS.get(ones, 0) if ones else 0)


def _negation_differs(asked: str, known: str) -> list[str]:
    """Two texts of nearly the same characters of which one is negated: 可以辞退/不可以辞退, 签了合同/没签合同."""
    bare_asked, bare_known = _plain(asked), _plain(known)
    letters_asked, letters_known = set(_NEGATED.sub("", bare_asked)), set(_NEGATED.sub("", bare_known))
    alike = len(letters_asked & letters_known) / max(len(letters_asked | letters_known), 1)
    if alike < 0.6 or bool(_NEGATED.search(bare_asked)) == bool(_NEGATED.search(bare_known)):
        return []
    return ["一个是否定的说法，一个是肯定的说法"]


def _plain(text: str) -> str:
    """The text without question forms (能不能) and fixed words (不动产) whose 不 negates nothing."""
    return _FIXED.sub("", _ASKS.sub("", text))
