"""The numbers an answer gives (days, percentages, amounts), held against the articles it cites.

A wrong number is the mistake in a legal answer that hurts most and shows least. Numbers with a unit are read from the
answer and from the cited text in the same way, however they are written (三十日, 30天; 百分之二十, 20%; 半年, 六个月), so
that a number which no cited article contains stands out. Dates (2027年1月1日) and counts of things are not compared.
"""

import re
from collections.abc import Iterable
from fractions import Fraction

from knowledge.entry import Entry
from knowledge.numerals import AMOUNT_NUMERALS, number_value

_NUMBER = rf"(?:\d+(?:\.\d+)?\s?[万亿]?|[{AMOUNT_NUMERALS}]+)"
_UNITS = {
    "工作日": "工作日",
    "个工作日": "工作日",
    "日": "日",
    "天": "日",
    "个月": "月",
    "月": "月",
    "个季度": "季",
    "年": "年",
    "周岁": "岁",
    "岁": "岁",
    "小时": "小时",
    "个小时": "小时",
    "倍": "倍",
    "元": "元",
    "名": "人",
    "人": "人",
}
_UNIT = "|".join(sorted(_UNITS, key=len, reverse=True))
_DATE = re.compile(
    r"\d{4}\s*年(\s*\d{1,2}\s*月(\s*\d{1,2}\s*日)?)?|\d{1,2}\s*月\s*\d{1,2}\s*日|[零〇一二三四五六七八九]{4}年|[一二三四五六七八九十]+月[一二三四五六七八九十]+日"
)
_SHARE = re.compile(rf"(百|千|万)分之({_NUMBER})|({_NUMBER})分之({_NUMBER})|(\d+(?:\.\d+)?)\s*([%％‰])|(\d)/(\d)")
_COUNT = re.compile(rf"({_NUMBER})\s*(?:多)?({_UNIT})")
_HALF = re.compile(r"半(年|个月|月)|([一二两三四五六七八九十])年半")
# 第九条, 第三天 count in a row; 一天, 一人 are ways of speaking.
_ORDINAL = re.compile(rf"第\s*[{AMOUNT_NUMERALS}\d]+\s*(?:条|款|项|年|次|个月|个|天|日)|(?<![{AMOUNT_NUMERALS}])[一两](?:天|人)")
_LPR = re.compile(r"[一五](?:年)期")
_DOUBLE = re.compile(r"双倍|加倍")

Figure = tuple[Fraction, str]
"""A value and its unit: (30, "日"), (1/5, "份") for 20 %."""


def figures(text: str) -> dict[str, Figure]:
    """The numbers with a unit in `text`: as written there, and what they are worth."""
    found: dict[str, Figure] = {}
    text = _LPR.sub("", _DATE.sub("", _ORDINAL.sub("", text)))
    for match in _HALF.finditer(text):
        whole = Fraction(number_value(match[2])) * 12 if match[2] else Fraction(0)
        found[match[0]] = (whole + 6, "月") if match[1] != "个月" and match[1] != "月" else (Fraction(15), "日")
    for match in _DOUBLE.finditer(text):
        found[match[0]] = (Fraction(2), "倍")
    text = _DOUBLE.sub("", _HALF.sub("", text))
    for match in _SHARE.finditer(text):
        found[match[0]] = (_share(match), "份")
    for match in _COUNT.finditer(_SHARE.sub("", text)):
        found[match[0]] = _common(_value(match[1]), _UNITS[match[2]])
    return found


def unsupported(entry: Entry, cited: Iterable[str]) -> list[str]:
    """The numbers of the entry's answer, deadline, steps and mistake, as written, that are neither in `cited` nor explained."""
    known = {figure for text in cited for figure in figures(text).values()}
    said = "\n".join(filter(None, (entry.answer, entry.deadline, *entry.steps, entry.mistake)))
    explained = {number for number, _ in entry.explained}
    covered = {figure for number in explained for figure in figures(number).values()}
    return [number for number, figure in figures(said).items() if figure not in known | covered and number not in explained]


def _share(match: re.Match[str]) -> Fraction:
    if match[1]:
        return _value(match[2]) / {"百": 100, "千": 1000, "万": 10_000}[match[1]]
    if match[3]:
        return _value(match[4]) / _value(match[3])
    if match[7]:
        return Fraction(int(match[7]), int(match[8]))
    return Fraction(match[5]) / (1000 if match[6] == "‰" else 100)


def _common(value: Fraction, unit: str) -> Figure:
    """Years as months: 一年 and 十二个月 are one term."""
    return (value * 12, "月") if unit == "年" else (value, unit)


def _value(number: str) -> Fraction:
    digits = re.match(r"\d+(?:\.\d+)?", number)
    if digits is None:
        return Fraction(number_value(number))
    return Fraction(digits[0]) * {"": 1, "万": 10_000, "亿": 100_000_000}[number[digits.end() :].strip()]
