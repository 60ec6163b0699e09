"""How good the paraphrases are: `python -m indexing.paraphrases.report --data ../shared/data`.

Counts what can be counted (repeats, words shared with the source, variety, length) and what a reader found: for lines drawn
at random, shown with ten entries without ids, did the reader pick the entry the line was written for? `--sheet` draws
them and writes the reading sheet; the picks come back as `reading.jsonl` and are kept, so that the share can be computed again.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

import click
import numpy as np

from indexing.encoder import load_encoder
from indexing.evaluation import Share
from indexing.paraphrases import FOLDER, Paraphrase, load_paraphrases, load_validation
from indexing.words import clean
from knowledge.entry import Entry
from knowledge.sources import read_sources

CONTENT = FOLDER.parent.parent / "knowledge" / "content"
SHOWN = 10
RUN = 4
READING = FOLDER / "reading.jsonl"


@dataclass(frozen=True)
class Report:
    """The figures of a set of lines."""

    lines: int
    sources: int
    repeats: int
    without_shared_run: float
    """Share of lines that have no run of RUN characters in common with the question they repeat."""
    distinct_bigrams: float
    """Different character pairs divided by all character pairs."""
    lengths: tuple[int, ...]
    """Characters: shortest, 10 %, median, 90 %, longest."""


def measure(lines: Sequence[Paraphrase], questions: Mapping[str, str]) -> Report:
    """The figures of `lines`; `questions` maps each source id to its standard question."""
    texts = [clean(line.text) for line in lines]
    lengths = sorted(map(len, texts))
    tenths = quantiles(lengths, n=10)
    pairs = Counter(text[i : i + 2] for text in texts for i in range(len(text) - 1))
    apart = sum(not _runs(text) & _runs(clean(questions[line.entry])) for text, line in zip(texts, lines, strict=True))
    return Report(
        len(lines),
        len({line.entry for line in lines}),
        len(texts) - len(set(texts)),
        apart / len(lines),
        len(pairs) / sum(pairs.values()),
        (lengths[0], round(tenths[0]), round(tenths[4]), round(tenths[8]), lengths[-1]),
    )


def _runs(text: str) -> set[str]:
    return {text[i : i + RUN] for i in range(len(text) - RUN + 1)}


def agreement(reading: Sequence[Mapping[str, Any]]) -> Share:
    """How often the reader picked the entry the line was written for."""
    return Share(sum(row["picked"] == row["entry"] for row in reading), len(reading))


def draw_sheet(lines: Sequence[Paraphrase], library: Mapping[str, Entry], count: int) -> list[dict[str, Any]]:
    """`count` lines chosen by a hash of their text, each with its entry and the nine whose questions are nearest to that entry's."""
    encoder = load_encoder()
    ids = sorted(library)
    vectors = encoder.encode([library[key].question for key in ids])
    drawn = sorted(lines, key=lambda line: hashlib.sha256(f"sheet {line.text}".encode()).digest())[:count]
    rows = []
    for line in drawn:
        near = np.argsort(-(vectors @ vectors[ids.index(line.entry)]))
        same_kind = [ids[i] for i in near if ids[i].isdigit() == line.entry.isdigit()][:SHOWN]
        shown = sorted(same_kind, key=lambda key: hashlib.sha256(f"{line.text} {key}".encode()).digest())
        rows.append({"entry": line.entry, "q": line.text, "shown": shown})
    return rows


def read_library(data: Path) -> dict[str, Entry]:
    """Our own entries and the questions of LeCoQA, by the ids that the lines use."""
    own = {entry.id: entry for entry in read_sources([CONTENT / "faq", CONTENT / "guides"]).entries}
    lecoqa = read_sources([data / "legal_qa" / "lecoqa_train.jsonl"]).entries
    return own | {entry.id.partition(":")[2]: entry for entry in lecoqa}


def read_rows(path: Path) -> list[dict[str, Any]]:
    """The rows of a JSONL file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


@click.command()
@click.option("--data", type=click.Path(path_type=Path, exists=True, file_okay=False), required=True, help="shared data folder")
@click.option(
    "--sheet", type=click.Path(path_type=Path), help="write a reading sheet of 300 random lines, without ids, and its key beside it"
)
def main(data: Path, sheet: Path | None) -> None:
    """Print the report, or draw a reading sheet."""
    library = read_library(data)
    lines = load_paraphrases()
    if sheet:
        rows = draw_sheet([*lines, *load_validation()], library, 300)
        sheet.with_suffix(".key.jsonl").write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
        with sheet.open("w", encoding="utf-8") as file:
            for number, row in enumerate(rows, 1):
                file.write(f"{number}. {row['q']}\n")
                file.writelines(f"   {place}) {library[key].question}\n" for place, key in enumerate(row["shown"], 1))
        return
    questions = {key: entry.question for key, entry in library.items()}
    kinds = {
        "LeCoQA questions, training": [line for line in lines if line.entry.isdigit()],
        "our entries, training": [line for line in lines if not line.entry.isdigit()],
        "LeCoQA questions never trained on, validation": load_validation(),
    }
    click.echo(
        "| lines | number | sources | repeats | no four-character run shared | distinct bigrams | length min / 10 % / median / 90 % / max |"
    )
    click.echo("|---|---|---|---|---|---|---|")
    for name, chosen in kinds.items():
        if chosen:
            found = measure(chosen, questions)
            lengths = " / ".join(map(str, found.lengths))
            shares = f"{found.without_shared_run:.3f} | {found.distinct_bigrams:.3f}"
            click.echo(f"| {name} | {found.lines} | {found.sources} | {found.repeats} | {shares} | {lengths} |")
    if READING.exists():
        click.echo(f"\nA reader picked the right one of ten entries: {agreement(read_rows(READING))}")


if __name__ == "__main__":
    main()
