"""Find and mask personal data in Chinese text: identity cards, bank cards, mobiles, landlines, e-mail addresses.

DOMAIN section 5.2. Check digits decide first (identity card, then company code, then bank card), so that order and
contract numbers are left alone. Rules are plain patterns: what they do not find they do not mask.
"""

import re
from collections.abc import Callable
from datetime import date

from stdnum import luhn
from stdnum.cn import uscc
from stdnum.exceptions import ValidationError
from stdnum.iso7064 import mod_11_2

_IDCARD = re.compile(r"(?<![\dA-Za-z])[1-9]\d{16}[\dXx](?![\dA-Za-z])")
_BANKCARD = re.compile(r"(?<!\d)(?:\d[ -]?){12,18}\d(?!\d)")
_MOBILE = re.compile(r"(?<!\d)(?:\+?86[- ]?)?(1[3-9]\d)[- ]?(\d{4})[- ]?(\d{4})(?!\d)")
_LANDLINE = re.compile(r"(?<!\d)(0\d{2,3})[- ]?([2-9]\d{2,3})(\d{4})(?!\d)")
_NARROW = str.maketrans("０１２３４５６７８９ｘＸ＠－", "0123456789xX@-")
_EMAIL = re.compile(r"([A-Za-z0-9])[A-Za-z0-9._%+-]*@([A-Za-z0-9.-]+\.[A-Za-z]{2,})")


def mask(text: str) -> str:
    """`text` with personal numbers and addresses masked: 138****8000, 370*************17."""
    text = text.translate(_NARROW)
    text = _IDCARD.sub(_only_if(_is_identity_card, lambda number: number[:3] + "*" * 13 + number[-2:]), text)
    text = _BANKCARD.sub(_only_if(_is_bank_card, lambda number: f"{_digits(number)[:4]}****{_digits(number)[-4:]}"), text)
    text = _MOBILE.sub(r"\1****\3", text)
    text = _LANDLINE.sub(r"\1-****\3", text)
    return _EMAIL.sub(r"\1***@\2", text)


def mask_name(name: str | None) -> str:
    """A person's name for lists: the first character stays."""
    return f"{name[0]}××" if name else ""


def mask_phone(phone: str | None) -> str:
    """A phone number for lists; what is not recognised as one is hidden whole."""
    if not phone:
        return ""
    masked = mask(phone)
    return masked if masked != phone else "****"


def _only_if(valid: Callable[[str], bool], masked: Callable[[str], str]) -> Callable[[re.Match[str]], str]:
    return lambda found: masked(found[0]) if valid(found[0]) else found[0]


def _is_identity_card(number: str) -> bool:
    """Check digit (GB 11643) and a possible birthday; the birthplace is not looked up, for districts are renamed and merged."""
    try:
        date(int(number[6:10]), int(number[10:12]), int(number[12:14]))
        mod_11_2.validate(number.upper())
    except (ValueError, ValidationError):
        return False
    return True


def _is_bank_card(number: str) -> bool:
    digits = _digits(number)
    return luhn.is_valid(digits) and not uscc.is_valid(digits)


def _digits(number: str) -> str:
    return re.sub(r"\D", "", number)
