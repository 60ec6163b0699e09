"""Street paraphrases: how owners, cashiers and foremen really ask, written line by line with the entry in view.

`own*.jsonl` lines belong to our entries, `lecoqa*.jsonl` lines to questions of the LeCoQA training split (by id); `nothing.jsonl`
holds questions that no entry of ours answers. A fixed fifth of the lines is held out: never trained on, it calibrates confidence.
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
    """Every line of every file but `nothing.jsonl`, in order."""
    return [
        Paraphrase(str(fields["entry"]), fields["q"])
        for path in sorted(FOLDER.glob("*.jsonl"))
        if path.stem != "nothing"
        for fields in map(json.loads, path.read_text(encoding="utf-8").splitlines())
    ]


def load_unanswerable() -> list[str]:
    """Questions no entry of ours answers."""
    lines = (FOLDER / "nothing.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line)["q"] for line in lines]


def held_out(text: str) -> bool:
    """Whether a line is kept from training, decided by its text alone so that it never changes sides."""
    return hashlib.sha256(text.encode()).digest()[0] % 5 == 0
