"""What the shipped model learns from: the statutes, LeCoQA, our own entries, and how people say them.

Nothing of LeCoQA questions whose id is divisible by VALIDATION is trained on (no answer, no citation, no paraphrase): together
they are a table never seen, and paraphrases written separately for them (`paraphrases.load_validation`) measure it.
"""

import hashlib
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from indexing.paraphrases import Asked, Paraphrase, held_out, load_article_questions, load_paraphrases
from indexing.words import clean
from knowledge.entry import Entry
from knowledge.sources import read_sources
from knowledge.statutes import Law, article_number, read_laws, standings
from knowledge.thesaurus import Row, load_thesaurus

CONTENT = Path(__file__).parent.parent / "knowledge" / "content"

# The statutes' own status fields were taken on this day; another day would make another model.
AS_OF = date(2026, 5, 16)
VALIDATION = 5
"""LeCoQA questions whose id is divisible by this validate."""


@dataclass(frozen=True)
class Article:
    """An article in force: its law's title without 中华人民共和国, its number, its text."""

    law: str
    number: str
    text: str

    @property
    def searched(self) -> str:
        """The text as the article index stores it, with the law's name in front."""
        return f"{self.law} {self.text}"


@dataclass(frozen=True)
class Question:
    """A line of LeCoQA: what was asked, what a lawyer answered, and the articles cited, as (law, number)."""

    id: int
    question: str
    keywords: str
    answer: str
    articles: tuple[tuple[str, str], ...]

    @property
    def validates(self) -> bool:
        """Whether it is kept out of training."""
        return self.id % VALIDATION == 0


@dataclass(frozen=True)
class Corpus:
    """Everything the model learns from.

    `paraphrases` maps the id of a LeCoQA question or of an entry of ours to how people say it; `asked` is what they ask when an
    article is what they need.
    """

    articles: tuple[Article, ...]
    questions: tuple[Question, ...]
    entries: tuple[Entry, ...]
    paraphrases: Mapping[str, tuple[str, ...]]
    synonyms: tuple[Row, ...]
    asked: tuple[Asked, ...]

    @property
    def lines(self) -> int:
        """How many paraphrases are trained on."""
        return sum(not held_out(text) for texts in self.paraphrases.values() for text in texts)

    def trained_on(self, key: str) -> list[str]:
        """The paraphrases of one question or entry that are not held out."""
        return [text for text in self.paraphrases.get(key, ()) if not held_out(text)]

    def texts(self) -> Iterator[str]:
        """Every text, for counting words."""
        yield from (article.searched for article in self.articles)
        yield from self.spoken()

    def spoken(self) -> Iterator[str]:
        """Every text that is not a statute and is not held out."""
        for question in self.questions:
            yield from (question.question, question.keywords, question.answer)
        for entry in self.entries:
            yield from (*entry.searchable_texts(), entry.answer)
        for row in self.synonyms:
            yield from row[:2]
        for asked in self.asked:
            yield from asked.questions
        for paraphrases in self.paraphrases.values():
            yield from (text for text in paraphrases if not held_out(text))


def read_corpus(data: Path) -> Corpus:
    """The statutes and LeCoQA below `data` (shared/data), and the project's own content and paraphrases."""
    return Corpus(
        articles=tuple(_articles(read_laws(data / "laws" / "national"))),
        questions=tuple(_questions(data / "legal_qa" / "lecoqa_train.jsonl")),
        entries=read_sources([CONTENT / "faq", CONTENT / "guides"]).entries,
        paraphrases=_by_entry(load_paraphrases()),
        synonyms=load_thesaurus()[0].rows,
        asked=tuple(load_article_questions()),
    )


def with_lines(corpus: Corpus, count: int) -> Corpus:
    """The same corpus with `count` of its training paraphrases, spread evenly by a hash of their text."""
    lines = [(entry, text) for entry, texts in corpus.paraphrases.items() for text in texts if not held_out(text)]
    kept = sorted(lines, key=lambda line: hashlib.sha256(f"curve {line[1]}".encode()).digest())[:count]
    return replace(corpus, paraphrases=_by_entry(Paraphrase(entry, text) for entry, text in kept))


def _by_entry(paraphrases: Iterable[Paraphrase]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = defaultdict(list)
    for paraphrase in paraphrases:
        found[paraphrase.entry].append(paraphrase.text)
    return {entry: tuple(dict.fromkeys(texts)) for entry, texts in sorted(found.items())}


def _articles(readings: Iterable[object]) -> Iterator[Article]:
    versions: dict[str, list[Law]] = defaultdict(list)
    for law in readings:
        if isinstance(law, Law):
            versions[law.title].append(law)
    for title, laws in versions.items():
        for law, standing in zip(laws, standings(laws, AS_OF), strict=True):
            if standing in ("in_force", "unknown"):
                yield from (Article(_short(title), article.number, article.text) for article in law.articles)


def _short(title: str) -> str:
    return title.replace("中华人民共和国", "").strip("《》 ")


def _questions(path: Path) -> Iterator[Question]:
    for line in path.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        cited = (re.fullmatch(r"(.+?)(第[〇零一二三四五六七八九十百千]+条(?:之[一二三四五六七八九十]+)?).*", c) for c in row["articles"])
        articles = tuple((_short(c[1]), article_number(c[2])) for c in cited if c)
        yield Question(row["id"], row["question"], row["keywords"], row["answer"], articles)


def encodings(tokenizer: Tokenizer, texts: Iterable[str]) -> Iterator[Any]:
    """What the tokenizer makes of each text, cleaned first."""
    cleaned = [clean(text) for text in texts]
    for start in range(0, len(cleaned), 2000):
        yield from tokenizer.encode_batch(cleaned[start : start + 2000], add_special_tokens=False)
