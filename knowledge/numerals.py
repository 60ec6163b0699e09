"""Chinese numerals, as articles are counted and amounts are written: 二百七十六, 一千二百〇五, 三千万, 两."""

DIGITS = "零一二三四五六七八九"
NUMERALS = "零〇一二三四五六七八九十百千"
"""The characters of an article's number."""
AMOUNT_NUMERALS = NUMERALS + "两万亿"

_VALUES = {sign: value for value, sign in enumerate(DIGITS)} | {"〇": 0, "两": 2}
_SMALL = {"十": 10, "百": 100, "千": 1000}
_LARGE = {"万": 10_000, "亿": 100_000_000}


def number_value(numeral: str) -> int:
    """The value of a Chinese numeral: 十 is 10, 一百零五 is 105, 三千万 is 30000000. Raises KeyError for any other sign."""
    total = below_large = digit = 0
    for sign in numeral:
        if sign in _SMALL:
            below_large += (digit or 1) * _SMALL[sign]
            digit = 0
        elif sign in _LARGE:
            total = (total + below_large + digit) * _LARGE[sign]
            below_large = digit = 0
        else:
            digit = _VALUES[sign]
    return total + below_large + digit


def chinese_number(number: int) -> str:
    """The numeral of a whole number from 0 to 9999, as laws count their articles: 10 is 十, 110 is 一百一十."""
    signs = ""
    for unit, name in ((1000, "千"), (100, "百"), (10, "十"), (1, "")):
        digit = number // unit % 10
        if digit:
            signs += DIGITS[digit] + name
        elif signs and not signs.endswith("零"):
            signs += "零"
    signs = signs.rstrip("零") or "零"
    return signs.removeprefix("一") if signs.startswith("一十") else signs
