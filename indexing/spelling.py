"""Slips of the thumb, read as they were meant: 劳动何同 is 劳动合同, tuoqian gongzi is 拖欠工资, ldht is 劳动合同.

People type by sound, so a wrong character nearly always sounds like the right one. A stretch of a question is doubted when the
library never says it; it is read as the word that sounds the same and that the library says most. Syllables and initials in
Latin letters are read the same way. Words the library knows are never touched, and what was changed is named (`Correction`).

`model/sounds.tsv` holds how characters sound, without tones (made by `indexing.training` with pypinyin); the words are the
model's and the thesaurus's. Southern speakers do not tell zh from z, n from l, or -ng from -n: neither does `_fuzzy`.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

from indexing.words import CJK, clean, tokenizer, tokens

SOUNDS = Path(__file__).parent / "model" / "sounds.tsv"
LONGEST = 5
"""Characters of a word that is looked for by its sound."""
LONG = 4
"""A word of so many characters is known by the others when one of them is wrong, whatever that one sounds like."""
SURE = 3.0
"""A stretch gives way to a word that is rarer by so much less (natural logarithm of how often the library says either)."""
SHORTEST_INITIALS = 3
_NEVER_SLIPS = frozenset(
    "买卖有无没不未已原被前后上下甲乙内外多少零一二两三四五六七八九十百千万半的了是在个还就先也都要把给让跟和与从到去来过得着吗呢吧啊哦呀"
)
"""Characters that turn a meaning round, and the small words that everybody can write: they are never put in or taken out."""
_SOUND_OPPOSITE = frozenset("买卖")
"""Without tones nobody can tell them apart, so nothing written in letters is read as either."""
_HAN = re.compile(f"[{CJK}]+")
_LATIN = re.compile("[a-z]+(?: [a-z]+)*")
_FUZZY = str.maketrans({"v": "u"})
_MERGED = ((re.compile("^(z|c|s)h"), r"\1"), (re.compile("^l"), "n"), (re.compile("ng$"), "n"))

Rarity = Callable[[Sequence[str]], Mapping[str, float]]
"""`SearchIndex.rarity`: how rare each of some terms is in the library."""


@dataclass(frozen=True)
class Correction:
    """A stretch of a question, and the word it is read as."""

    said: str
    meant: str

    def __str__(self) -> str:
        return f"{self.said} 当作 {self.meant}"


@dataclass(frozen=True)
class _Reading:
    start: int
    end: int
    word: str


class Spelling:
    """Reads questions by sound; the words it may find are the model's and `more` (terms of the thesaurus)."""

    def __init__(self, more: Iterable[str] = ()) -> None:
        self._more = tuple(more)

    def corrected(self, text: str, rarity: Rarity) -> tuple[str, tuple[Correction, ...]]:
        """The cleaned text as it was meant, and what was changed; the text itself and nothing where nothing is doubtful."""
        asked = clean(text)
        readings = [*self._by_initials_or_syllables(asked, rarity), *self._by_sound(asked, rarity)]
        taken = {place for reading in readings for place in range(reading.start, reading.end)}
        readings += [reading for reading in _by_order(asked, rarity) if not taken & {*range(reading.start, reading.end)}]
        changes: list[Correction] = []
        for reading in sorted(readings, key=lambda reading: -reading.start):
            changes.insert(0, Correction(asked[reading.start : reading.end], reading.word))
            asked = asked[: reading.start] + reading.word + asked[reading.end :]
        return asked, tuple(changes)

    def _by_sound(self, asked: str, rarity: Rarity) -> Iterator[_Reading]:
        """Stretches of whole tokens that the library hardly says, and the word it says often that somebody may have meant."""
        likely = {(start, end): self._meant_by(asked[start:end]) for start, end in _doubtful_spans(asked)}
        likely = {span: words for span, words in likely.items() if words}
        if not likely:
            return
        pairs = {pair for start, end in likely for pair in _pairs(asked[start:end])}
        rare = rarity(sorted(pairs | {pair for words in likely.values() for word in words for pair in _pairs(word)}))
        end_of_last = 0
        for (start, end), words in sorted(likely.items(), key=lambda item: (item[0][0], -item[0][1])):
            strange = max(rare[pair] for pair in _pairs(asked[start:end]))
            usual, word = min((max(rare[pair] for pair in _pairs(word)), word) for word in words)
            if strange - usual >= SURE and start >= end_of_last:
                yield _Reading(start, end, word)
                end_of_last = end

    def _meant_by(self, stretch: str) -> list[str]:
        """Words of the same length that sound like it, half their characters the same; long ones also if one only sounds alike."""
        heard = self._words.get(_key(stretch, self._sounds), ())
        found = {word for word in heard if _same(word, stretch) * 2 >= len(stretch)}
        if len(stretch) >= LONG:
            found |= {word for gap in _with_a_gap(stretch) for word in self._long_words.get(gap, ()) if self._alike(word, stretch)}
        return sorted(word for word in found if not any(a != b and {a, b} & _NEVER_SLIPS for a, b in zip(word, stretch, strict=True)))

    def _alike(self, word: str, stretch: str) -> bool:
        """Whether each character begins or ends with the sound of the other."""
        parts = [(_parts(self._sounds.get(a, a)), _parts(self._sounds.get(b, b))) for a, b in zip(word, stretch, strict=True)]
        return all(begins == also_begins or ends == also_ends for (begins, ends), (also_begins, also_ends) in parts)

    def _by_initials_or_syllables(self, asked: str, rarity: Rarity) -> Iterator[_Reading]:
        """Runs of Latin letters that the library does not know as words."""
        for run in _LATIN.finditer(asked):
            said = run.group()
            known = rarity([*said.split(), _NEVER])
            if any(known[part] < known[_NEVER] for part in said.split()):
                continue
            word = self._spelled_out(said.replace(" ", ""), rarity) or self._abbreviated(said, rarity)
            if word:
                yield _Reading(run.start(), run.end(), word)

    def _spelled_out(self, letters: str, rarity: Rarity) -> str | None:
        """Words whose syllables written one after another are these letters, as few as possible, the commonest of each sound."""
        best: list[tuple[int, list[str]] | None] = [(0, [])] + [None] * len(letters)
        for end in range(2, len(letters) + 1):
            for start in range(max(0, end - 6 * LONGEST), end - 1):
                before, words = best[start], self._by_letters.get(letters[start:end])
                if before and words and (best[end] is None or before[0] + 1 < best[end][0]):  # type: ignore[index]
                    chosen = _commonest(words, rarity([*sorted({p for w in words for p in _pairs(w)}), _NEVER]))
                    if chosen:
                        best[end] = (before[0] + 1, [*before[1], chosen])
        found = best[len(letters)]
        return "".join(found[1]) if found and found[1] else None

    def _abbreviated(self, said: str, rarity: Rarity) -> str | None:
        if " " in said or len(said) < SHORTEST_INITIALS:
            return None
        words = self._by_initials.get(said, ())
        return _commonest(words, rarity([*sorted({pair for word in words for pair in _pairs(word)}), _NEVER])) if words else None

    @cached_property
    def _sounds(self) -> dict[str, str]:
        lines = SOUNDS.read_text(encoding="utf-8").splitlines()
        return {character: sound for character, _, sound in (line.partition("\t") for line in lines)}

    @cached_property
    def _vocabulary(self) -> list[str]:
        return sorted({word for word in (*tokenizer().get_vocab(), *self._more) if 2 <= len(word) <= LONGEST and _HAN.fullmatch(word)})

    @cached_property
    def _words(self) -> dict[str, list[str]]:
        """Words by how they sound to somebody who does not tell like sounds apart."""
        return _grouped((_key(word, self._sounds), word) for word in self._vocabulary)

    @cached_property
    def _long_words(self) -> dict[str, list[str]]:
        """Words of LONG and more characters, by what is left when one character is hidden."""
        return _grouped((gap, word) for word in self._vocabulary if len(word) >= LONG for gap in _with_a_gap(word))

    @cached_property
    def _by_letters(self) -> dict[str, list[str]]:
        return self._first_sounds(lambda sound: sound)

    @cached_property
    def _by_initials(self) -> dict[str, list[str]]:
        return self._first_sounds(lambda sound: sound[0])

    def _first_sounds(self, part: Callable[[str], str]) -> dict[str, list[str]]:
        whole = (word for word in self._vocabulary if all(c in self._sounds and c not in _SOUND_OPPOSITE for c in word))
        return _grouped(("".join(part(self._sounds[character]) for character in word), word) for word in whole)


def _by_order(asked: str, rarity: Rarity) -> Iterator[_Reading]:
    """Two neighbours in the wrong order (同合): the library hardly says what stands there, and often what would stand there."""
    single = {start for start, end in _offsets(asked) if end - start == 1}
    places = [i for i in sorted(single) if i + 1 in single and _HAN.fullmatch(asked[i : i + 2]) and not _NEVER_SLIPS & {*asked[i : i + 2]}]
    rare = rarity(sorted({pair for i in places for pair in (asked[i : i + 2], asked[i + 1] + asked[i])})) if places else {}
    end_of_last = 0
    for i in places:
        said, turned = asked[i : i + 2], asked[i + 1] + asked[i]
        if rare[said] - rare[turned] >= SURE and i >= end_of_last:
            yield _Reading(i, i + 2, turned)
            end_of_last = i + 2


_NEVER = "\x00"
"""A term no library has: its rarity is that of all unknown terms."""


def _doubtful_spans(asked: str) -> Iterator[tuple[int, int]]:
    """Stretches of 2 to LONGEST Chinese characters that are whole tokens, one of them a single character: a known word is no slip."""
    tokens = [(start, end) for start, end in _offsets(asked) if _HAN.fullmatch(asked[start:end])]
    for i, (start, end) in enumerate(tokens):
        single, last = end - start == 1, end
        for following, after in tokens[i + 1 :]:
            if following != last or after - start > LONGEST:
                break
            single, last = single or after - following == 1, after
            if single and (after - start > 2 or not _NEVER_SLIPS & {*asked[start:after]}):
                yield start, after


def _offsets(asked: str) -> list[tuple[int, int]]:
    return [(start, end) for _, start, end in tokens(asked)]


def _grouped(named: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for name, word in named:
        found[name].append(word)
    return dict(found)


def _key(word: str, sounds: Mapping[str, str]) -> str:
    """How a word sounds; a character of unknown sound sounds like itself."""
    return " ".join(_fuzzy(sounds.get(character, character)) for character in word)


def _with_a_gap(word: str) -> list[str]:
    return [f"{word[:i]}_{word[i + 1 :]}" for i in range(len(word))]


def _same(word: str, other: str) -> int:
    return sum(a == b for a, b in zip(word, other, strict=True))


@cache
def _fuzzy(sound: str) -> str:
    sound = sound.translate(_FUZZY)
    for pattern, meant in _MERGED:
        sound = pattern.sub(meant, sound)
    return sound


def _parts(sound: str) -> tuple[str, str]:
    """The consonants a syllable begins with, and the rest."""
    sound = _fuzzy(sound)
    rest = sound.lstrip("bpmfdtnlgkhjqxrzcsyw")
    return sound[: len(sound) - len(rest)], rest


def _pairs(word: str) -> list[str]:
    return [word[i : i + 2] for i in range(len(word) - 1)]


def _commonest(words: Iterable[str], rarity: Mapping[str, float]) -> str | None:
    """The word whose rarest pair of characters is least rare; None when the library knows none of them whole."""
    never = rarity[_NEVER]
    known = [(max(rarity[pair] for pair in _pairs(word)), word) for word in words]
    known = [(rare, word) for rare, word in known if rare < never]
    return min(known)[1] if known else None
