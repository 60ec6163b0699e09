"""How long a search takes on one core, and what it finds: `python -m tests.bench.search DATA_DIR [--lecoqa FILE]` prints JSON.

The lexical half looks only a question's rarest terms up (`indexing.local.MOST_POSTINGS`). Whether that costs recall is measured, not
believed: the same questions are searched with all their terms, and recall of the articles they cite stands beside the time.
"""

import json
import re
import sqlite3
import statistics
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from bot.answering import Answering
from bot.startup import Opened
from indexing import local
from indexing.laws import ArticleHit
from indexing.search import search as find
from indexing.search import understand
from knowledge.statutes import article_number
from tests.bench.measuring import Figure, module, percentile, settings

GOLDEN = Path(__file__).parent.parent / "golden"
FETCHED = 8
"""Entries the bot fetches for a question: those it may show, and rivals to judge them by."""
SHOWN = 3
"""Articles the bot shows beside a need."""
DEEP = 100
ALL_TERMS = 10**12
GOAL_MS, GOAL_P99_MS = 5, 20
_CITED = re.compile(r"(.+?)(第[〇零一二三四五六七八九十百千]+条(?:之[一二三四五六七八九十]+)?)")

Times = dict[str, float]


def figures(data_dir: Path, lecoqa: Path | None, times: int) -> list[Figure]:
    """The rows about searching, with the laws when `lecoqa` (questions that cite articles) is given."""
    words = ["--lecoqa", str(lecoqa)] if lecoqa else []
    found = json.loads(module("tests.bench.search", str(data_dir), "--times", str(times), *words))
    texts = f"{found['entries']:,} entries in {found['wordings']:,} texts"
    rows = [
        _row("encode", "Query encode, one core", found["encode"]),
        _row("search_entries", f"Search of the FAQ ({texts}), one core", found["search_entries"]),
    ]
    if lecoqa is None:
        return [*rows, _row("reply", "Whole decision about a question, FAQ only, one core", found["reply"])]
    size = f"{found['articles']:,} articles"
    rows += [
        _row("search", f"Full search: encode, FAQ, polarity, confidence, {SHOWN} best of {size}, one core", found["search"], GOAL_MS),
        _row("reply", f"Whole decision about a question, FAQ and {size}, one core", found["reply"]),
    ]
    for key, terms in (("pruned", f"the rarest terms, {local.MOST_POSTINGS:,} postings"), ("all_terms", "all terms")):
        row = _row(f"statutes_{key}", f"`statutes -k {DEEP}` by {terms}", found[key])
        recall = f"; recall@{DEEP} {found[key]['recall']:.4f}, on questions kept out of training {found[key]['recall_unseen']:.4f}"
        rows.append(Figure(row.key, row.what, row.shown + recall, row.numbers))
    what = f"Questions behind the recall: {found['questions']:,} of LeCoQA, of which cite articles that are here"
    return [*rows, Figure("recall_questions", what, f"{found['citing']:,}", {"questions": found["questions"], "citing": found["citing"]})]


def _row(key: str, what: str, took: Times, goal: float | None = None) -> Figure:
    shown = f"p50 {took['p50']:.2f} ms, p99 {took['p99']:.2f} ms (CPU {took['cpu_p50']:.2f} / {took['cpu_p99']:.2f})"
    if goal is None:
        return Figure(key, what, shown, took)
    return Figure(key, what, shown, took, f"p50 < {goal:g} ms, p99 < {GOAL_P99_MS} ms", took["p50"] < goal and took["p99"] < GOAL_P99_MS)


def timed(ask: Callable[[str], Any], questions: Sequence[str], times: int) -> Times:
    """Percentiles over the questions, each the median of `times` askings, in milliseconds on the clock and of CPU."""
    ask(questions[0])
    took: list[list[tuple[float, float]]] = [[] for _ in questions]
    for _ in range(times):
        for question, own in zip(questions, took, strict=True):
            began, cpu = time.perf_counter(), time.process_time()
            ask(question)
            own.append(((time.perf_counter() - began) * 1000, (time.process_time() - cpu) * 1000))
    clock, cpus = ([statistics.median(one[i] for one in own) for own in took] for i in (0, 1))
    return {"p50": percentile(clock, 50), "p99": percentile(clock, 99), "cpu_p50": percentile(cpus, 50), "cpu_p99": percentile(cpus, 99)}


@click.command()
@click.argument("data_dir", type=click.Path(path_type=Path))
@click.option("--lecoqa", type=click.Path(path_type=Path, exists=True))
@click.option("--times", type=int, default=3)
def main(data_dir: Path, lecoqa: Path | None, times: int) -> None:
    """Measure one data folder."""
    opened = Opened(settings(data_dir))
    encoder, answering = opened.encoder, opened.answering
    entries = answering.opened.entries
    thesaurus = opened.thesaurus[0]

    def search_entries(question: str) -> None:
        find(entries, understand(encoder, question, thesaurus), FETCHED)

    def search(question: str) -> None:
        """What the bot does between the red lines and its decision, articles and all."""
        judged, query = answering.judged(question)
        opened.calibration.confidences(judged, len(query.terms))
        laws = answering.opened.laws
        if laws:
            laws.search(query, opened.clock().date(), SHOWN)

    golden = [json.loads(line)["q"] for line in (GOLDEN / "answerable.jsonl").read_text(encoding="utf-8").splitlines()]
    found: dict[str, Any] = {
        "entries": answering.opened.generation.entry_count,
        "wordings": entries.size,
        "encode": timed(lambda question: encoder.encode([question]), golden, times),
        "search_entries": timed(search_entries, golden, times),
        "reply": timed(answering.reply_to, golden, times),
    }
    if lecoqa and answering.opened.generation.laws:
        asked = [json.loads(line) for line in lecoqa.read_text(encoding="utf-8").splitlines()]
        questions = [row["question"] for row in asked]
        articles = _articles(opened.folders.index / answering.opened.generation.laws)
        cited = [[key for name in row["articles"] if (key := _key(name)) in articles] for row in asked]
        # What training keeps aside (`indexing.training.VALIDATION`).
        unseen = [row["id"] % 5 == 0 for row in asked]
        found |= {"questions": len(asked), "citing": sum(map(bool, cited)), "articles": len(articles)}
        found["search"] = timed(search, questions, 1)
        for name, terms in (("pruned", local.MOST_POSTINGS), ("all_terms", ALL_TERMS)):
            local.MOST_POSTINGS = terms
            hits: dict[str, list[ArticleHit]] = {}
            found[name] = timed(partial(_note, answering, hits), questions, 1)
            shares = [_share(hits[question], keys) if keys else None for question, keys in zip(questions, cited, strict=True)]
            found[name]["recall"] = statistics.fmean(share for share in shares if share is not None)
            kept = [share for share, aside in zip(shares, unseen, strict=True) if aside and share is not None]
            found[name]["recall_unseen"] = statistics.fmean(kept)
    print(json.dumps(found))


def _note(answering: Answering, hits: dict[str, list[ArticleHit]], question: str) -> None:
    hits[question] = answering.statutes(question, DEEP)


def _share(hits: Sequence[ArticleHit], cited: Sequence[tuple[str, str]]) -> float:
    """The share of cited articles that were found."""
    found = {(_short(hit.law), hit.article) for hit in hits}
    return statistics.fmean(key in found for key in cited)


def _articles(folder: Path) -> set[tuple[str, str]]:
    """Every article that can be found: the law's short title, and its number."""
    connection = sqlite3.connect(f"{(folder / 'text.sqlite').resolve().as_uri()}?mode=ro&immutable=1", uri=True)
    rows = connection.execute(
        "SELECT l.title, a.number FROM articles a JOIN laws l ON l.id = a.law WHERE a.id IN (SELECT CAST(key AS INTEGER) FROM units)"
    )
    found = {(_short(title), number) for title, number in rows}
    connection.close()
    return found


def _key(citation: str) -> tuple[str, str] | None:
    """民法典第五十四条 is article 第五十四条 of 中华人民共和国民法典."""
    found = _CITED.match(citation)
    return (_short(found[1]), article_number(found[2])) if found else None


def _short(title: str) -> str:
    return title.replace("中华人民共和国", "").strip("《》 ")


if __name__ == "__main__":
    main()
