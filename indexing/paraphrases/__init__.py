"""Street paraphrases: how owners, cashiers and foremen really ask, written line by line with the entry in view.

`lecoqa*.jsonl` lines belong to questions of the LeCoQA training split (by id) and teach the model, but for a fixed fifth that is
held out. `own.jsonl` and `natural.jsonl` ask for our own entries, `nothing.jsonl` for what no entry of ours answers: these three
and the held-out fifth are never trained on; they calibrate confidence.
"""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Paraphrase:
    """A question and the id of the entry it asks for (digits: a LeCoQA question)."""

    entry: str
    text: str


def load_paraphrases() -> list[Paraphrase]:
    """Every line about LeCoQA questions, in order; `held_out` tells which are not for training."""
    return _lines(sorted(FOLDER.glob("lecoqa*.jsonl")))


def load_own_questions() -> list[Paraphrase]:
    """Every line about our own entries; none is for training."""
    return _lines([FOLDER / "natural.jsonl", FOLDER / "own.jsonl"])


def _lines(paths: list[Path]) -> list[Paraphrase]:
    return [
        Paraphrase(str(fields["entry"]), fields["q"])
        for path in paths
        for fields in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]


def load_unanswerable() -> list[str]:
    """Questions no entry of ours answers."""
    lines = (FOLDER / "nothing.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["q"] for line in lines]


def held_out(text: str) -> bool:
    """Whether a line is kept from training, decided by its text alone so that it never changes sides."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0
