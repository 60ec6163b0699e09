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

_NUMBER = rf"(?:\d{{1,3}}(?:,\d{{3}})+|\d+(?:\.\d+)?\s?[百千万亿]*|[{AMOUNT_NUMERALS}]+)"
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
    r"\d{4}/\d{1,2}/\d{1,2}|\d{4}\s*年(\s*\d{1,2}\s*月(\s*\d{1,2}\s*日)?)?|\d{1,2}\s*月\s*\d{1,2}\s*日|[零〇一二三四五六七八九]{4}年|[一二三四五六七八九十]+月[一二三四五六七八九十]+日"
)
_SHARE = re.compile(rf"(百|千|万)分之({_NUMBER})|({_NUMBER})分之({_NUMBER})|(\d+(?:\.\d+)?)\s*([%％‰])|(?<![\d/])([1-9])/([1-9])(?![\d/])")
_COUNT = re.compile(rf"({_NUMBER})\s*[多余]?({_UNIT})")
_HALF = re.compile(r"(?:([一二两三四五六七八九十])个)?半(年|个月|月)|([一二两三四五六七八九十])年半")
# 第九条, 第三天 count in a row; 一天, 一人 are ways of speaking.
_ORDINAL = re.compile(rf"第\s*[{AMOUNT_NUMERALS}\d]+\s*(?:条|款|项|年|次|个月|个|天|日)|(?<![{AMOUNT_NUMERALS}])(?:一天|[一两]人)")
_LPR = re.compile(r"[一五]年期(?:以上)?(?=\s*(?:LPR|贷款市场报价))", re.IGNORECASE)
_DOUBLE = re.compile(r"双倍|加倍")

Figure = tuple[Fraction, str]
"""A value and its unit: (30, "日"), (1/5, "份") for 20 %."""


def figures(text: str) -> dict[str, Figure]:
    """The numbers with a unit in `text`: as written there, and what they are worth."""
    found: dict[str, Figure] = {}
    text = _LPR.sub("", _DATE.sub("", _ORDINAL.sub("", text)))
    for match in _HALF.finditer(text):
        found[match[0]] = _half(match)
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


def _half(match: re.Match[str]) -> Figure:
    """半年 and 一年半 in months, 半个月 in days, 三个半月 in months and a half."""
    if match[3]:
        return Fraction(number_value(match[3]) * 12 + 6), "月"
    if match[2] == "年":
        return Fraction(6), "月"
    return (number_value(match[1]) + Fraction(1, 2), "月") if match[1] else (Fraction(15), "日")


def _share(match: re.Match[str]) -> Fraction:
    if match[1]:
        return _value(match[2]) / {"百": 100, "千": 1000, "万": 10_000}[match[1]]
    if match[3]:
        return _value(match[4]) / (_value(match[3]) or 1)
    if match[7]:
        return Fraction(int(match[7]), int(match[8]))
    return Fraction(match[5]) / (1000 if match[6] == "‰" else 100)


def _common(value: Fraction, unit: str) -> Figure:
    """Years as months: 一年 and 十二个月 are one term."""
    return (value * 12, "月") if unit == "年" else (value, unit)


def _value(number: str) -> Fraction:
    digits = re.match(r"\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?", number)
    if digits is None:
        return Fraction(number_value(number))
    unit = number[digits.end() :].strip()
    return Fraction(digits[0].replace(",", "")) * (number_value(f"一{unit}") if unit else 1)
