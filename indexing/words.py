"""Text made comparable, and split into what the full-text index stores.

Questions are typed on phones, entries are written at a desk, statutes come out of Word files. They only meet when
all of them go through the same door: `clean` takes away what the eye does not see (width, traditional forms, case,
control characters), and `terms` splits the rest twice. Overlapping bigrams find every two-character word wherever a
segmenter would have cut; words of three and more characters add what bigrams cannot express. The segmenter is the
tokenizer of the shipped model, so no dictionary is loaded at run time and both halves of the search agree on words.
"""

import re
import unicodedata
from functools import cache, lru_cache
from pathlib import Path

from opencc import OpenCC
from tokenizers import Tokenizer

TOKENIZER = Path(__file__).parent / "model" / "0_StaticEmbedding" / "tokenizer.json"

CJK = "\u3007\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U000323af"
"""The Chinese characters, as the inside of a regular expression's brackets."""
_RUN = re.compile(f"([{CJK}]+)|[^\\W_{CJK}]+")
_HAN = re.compile(f"[{CJK}]{{2,}}")
# Variation selectors choose a glyph, not a character; Unicode calls them marks, so `isprintable` keeps them.
_GLYPH_CHOICE = re.compile("[\ufe00-\ufe0f\U000e0100-\U000e01ef]")


def clean(text: str) -> str:
    """The text as it is compared: NFKC, simplified characters, lower case, one space between words, nothing invisible.

    Control, bidirectional, zero-width and private-use characters go; line breaks and tabs become spaces.
    `clean(clean(text)) == clean(text)`. Never fails, whatever the text holds (lone surrogates too).
    """
    text = unicodedata.normalize("NFKC", _visible(text)).lower()
    # Lower case can leave a letter and its accent apart (J̌ has a composed form only as ǰ).
    text = unicodedata.normalize("NFKC", text)
    return " ".join(_simplified(text).split())


def bigrams(text: str) -> list[str]:
    """Overlapping pairs of neighbouring Chinese characters, in order; other words and numbers whole.

    >>> bigrams("拖欠POS机货款3个月")
    ['拖欠', 'pos', '机货', '货款', '3', '个月']

    A Chinese character that stands alone is itself. The text is cleaned first; punctuation ends a run.
    """
    found: list[str] = []
    for run in _RUN.finditer(clean(text)):
        piece = run.group()
        if run.group(1) is None or len(piece) == 1:
            found.append(piece)
        else:
            found.extend(piece[i : i + 2] for i in range(len(piece) - 1))
    return found


def words(text: str) -> list[str]:
    """The Chinese words of two and more characters, in order, as the shipped model's tokenizer cuts them.

    Raises whatever `tokenizers` raises when the model's file is missing: an installation without it is broken.
    """
    return [piece for piece, _, _ in tokens(clean(text)) if _HAN.fullmatch(piece)]


@lru_cache(maxsize=8192)
def tokens(cleaned: str) -> tuple[tuple[str, int, int], ...]:
    """A cleaned text as the shipped model's tokenizer cuts it: each piece with where it begins and ends.

    The same wordings are compared with question after question, so what was cut is kept.
    """
    found = tokenizer().encode(cleaned, add_special_tokens=False)
    return tuple((piece, start, end) for piece, (start, end) in zip(found.tokens, found.offsets, strict=True))


def terms(text: str) -> list[str]:
    """What the full-text index stores for a text, and looks for in a question: bigrams, then words of three and more.

    Words of two characters are among the bigrams already; storing them twice would only weigh them double.
    """
    return bigrams(text) + [word for word in words(text) if len(word) > 2]


def _visible(text: str) -> str:
    if not text.isprintable():
        text = "".join(c for c in text if c.isprintable() or c.isspace())
    return _GLYPH_CHOICE.sub("", text)


def _simplified(text: str) -> str:
    once: str = _converter().convert(text)
    # A few rare characters take two steps (薴, 苧, 苎).
    twice: str = once if once == text else _converter().convert(once)
    return twice


@cache
def _converter() -> OpenCC:
    return OpenCC("t2s")


@cache
def tokenizer() -> Tokenizer:
    """The shipped model's tokenizer, read once; the encoder shares it."""
    return Tokenizer.from_file(str(TOKENIZER))
