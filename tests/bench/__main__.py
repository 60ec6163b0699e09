"""`python -m tests.bench`: measure everything, print one Markdown table; progress goes to standard error."""

import json
import logging
import os
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import click

from bot.settings import ROOT
from tests.bench import crowd, ledger, search, starting
from tests.bench.measuring import CORES, Figure, machine, table

DATA = Path(os.environ.get("YUANQITONG_DATA") or ROOT.parent / "shared" / "data")
MESSAGES = 1_000
T = TypeVar("T")


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="The folder with laws/ and legal_qa/.", show_default=True)
@click.option("--quick", is_flag=True, help="No laws, fewer repeats: under a minute.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures into this file, too.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "build", help="Where the data folders of the measurement go.")
def main(data: Path, quick: bool, json_file: Path | None, work: Path) -> None:
    """Measure the bot and print a table for README."""
    began = time.monotonic()
    logging.disable(logging.WARNING)
    os.sched_setaffinity(0, CORES)
    laws, lecoqa = data / "laws" / "national", data / "legal_qa" / "lecoqa_train.jsonl"
    why_not = "--quick was asked for" if quick else None if laws.is_dir() and lecoqa.exists() else f"no laws at {data}; name them by --data"
    times, messages = (1, MESSAGES // 2) if quick else (3, MESSAGES)
    texts = _texts(messages)

    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=work) as name:
        folder = Path(name).resolve()
        facts = machine(folder)
        folders, figures = _say("reindex", lambda: starting.building(folder, times, None if why_not else laws))
        full = folders.get("laws", folders["starter"])
        steps: dict[str, Callable[[], list[Figure]]] = {
            "search": lambda: search.figures(full, None if why_not else lecoqa, times),
            "ask": lambda: starting.asking(folders, times + 2),
            "run": lambda: starting.starting(folders, folder, times),
            "memory": lambda: starting.remembering(folders, texts),
            "one document": lambda: starting.following(folders, folder, times),
            "console": lambda: ledger.figures(folder / "ledger"),
            "crowd": lambda: crowd.figures(folders, folder, texts),
        }
        for step, measure in steps.items():
            figures += _say(step, measure)

    facts["taken in"] = f"{time.monotonic() - began:.0f} s"
    print("; ".join(f"{name}: {fact}" for name, fact in facts.items()) + "\n")
    print(table(figures))
    if why_not:
        print(f"\nRows with laws were left out: {why_not}.")
    if json_file:
        rows = {f.key: {"what": f.what, **f.numbers, "goal": f.goal, "met": f.met} for f in figures}
        text = json.dumps({"machine": facts, "left_out": why_not, "figures": rows}, ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")


def _say(step: str, measure: Callable[[], T]) -> T:
    began = time.monotonic()
    result = measure()
    print(f"{step}: {time.monotonic() - began:.0f} s", file=sys.stderr, flush=True)
    return result


def _texts(count: int) -> list[str]:
    """Questions as people send them, answerable and not, mixed."""
    files = (search.GOLDEN / "answerable.jsonl", search.GOLDEN / "unanswerable.jsonl")
    found = [json.loads(line)["q"] for file in files for line in file.read_text(encoding="utf-8").splitlines()]
    random.Random(1).shuffle(found)
    return [found[number % len(found)] for number in range(count)]


if __name__ == "__main__":
    main()
