"""Street paraphrases: how owners, cashiers and foremen really ask, written line by line with the entry in view.

`lecoqa.jsonl` (questions of the LeCoQA training split, by id) and `entries.jsonl` (our own entries) teach the model, but for a
fixed fifth that is `held_out`; so does `articles.jsonl`, what people ask when an article of a law is what they need.
Never trained on: `validation.jsonl` (LeCoQA questions of which nothing is trained on), and `own.jsonl`, `natural.jsonl` (our own
entries), `pairs.jsonl` (minimal pairs) and `nothing.jsonl` (what no entry of ours answers). These and the held-out fifth of
`lecoqa.jsonl` calibrate confidence. README.md here reports how good the lines are.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Paraphrase:
    """A question, the id of the entry it asks for (digits: a LeCoQA question), and other entries that answer it as well."""

    entry: str
    text: str
    also: tuple[str, ...] = ()

    @property
    def right(self) -> frozenset[str]:
        """Every entry that answers it."""
        return frozenset((self.entry, *self.also))


def load_paraphrases() -> list[Paraphrase]:
    """Every line for training, about LeCoQA questions and our own entries; `held_out` tells which are not for training after all."""
    return _lines([FOLDER / "lecoqa.jsonl", FOLDER / "entries.jsonl"])


def load_validation() -> list[Paraphrase]:
    """Every line about LeCoQA questions of which nothing is trained on."""
    return _lines([FOLDER / "validation.jsonl"])


def load_own_questions() -> list[Paraphrase]:
    """Every line about our own entries; none is for training."""
    return _lines([FOLDER / "natural.jsonl", FOLDER / "own.jsonl"])


def _lines(paths: list[Path]) -> list[Paraphrase]:
    return [
        Paraphrase(str(fields["entry"]), fields["q"], tuple(fields.get("also", ())))
        for path in paths
        for fields in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]


@dataclass(frozen=True)
class Pair:
    """A question that one word turns away from the entries in `wrong`; `may` are those that answer it rightly."""

    text: str
    wrong: tuple[str, ...]
    may: tuple[str, ...]


def load_pairs() -> list[Pair]:
    """Minimal pairs, and questions with the same turning words that their entry does answer (`wrong` is empty)."""
    lines = (FOLDER / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    return [Pair(fields["q"], tuple(fields["not"]), tuple(fields["may"])) for fields in map(json.loads, lines)]


def load_unanswerable() -> list[str]:
    """Questions no entry of ours answers."""
    lines = (FOLDER / "nothing.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["q"] for line in lines]


@dataclass(frozen=True)
class Asked:
    """Questions whose answer is one article of a law; `law` is its title without 中华人民共和国."""

    law: str
    article: str
    questions: tuple[str, ...]


def load_article_questions() -> list[Asked]:
    """All of `articles.jsonl`."""
    lines = (FOLDER / "articles.jsonl").read_text(encoding="utf-8").splitlines()
    return [Asked(fields["law"], fields["article"], tuple(fields["q"])) for fields in map(json.loads, lines)]


def held_out(text: str) -> bool:
    """Whether a line is kept from training, decided by its text alone so that it never changes sides."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0
