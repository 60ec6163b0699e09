"""How far one machine carries: `python -m tests.bench.scale [--data DIR] [--plot FILE.svg] [--json FILE]` measures beyond today's size.

A court's own documents are thousands of passages, the national laws sixty thousand; a province's would be a million. First a
million passages are searched two ways: compared one by one in single precision, which is what exact means, and as `indexing.vectors`
keeps them. Then the index as it is built today grows to sixty thousand units, and time, disk and memory are written down on the way.

The million are the vectors of the law texts, each repeated with noise until there are enough. NOISE makes a copy about as near to its
article as another article is, so that neighbours remain about as hard to tell apart as real ones.
Every index is opened and asked in a process of its own on one core, so that the memory is that index's.
"""

import json
import os
import random
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from datetime import date
from html import escape
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import click
import faiss
import numpy as np
from numpy.typing import NDArray

from bot.settings import ROOT
from indexing import local
from indexing.encoder import load_encoder
from indexing.index import Unit
from indexing.laws import write_laws
from indexing.local import LocalIndex
from indexing.search import fuse, understand
from indexing.vectors import LISTS, LOOKED_INTO, MOST_COMPARED, Vectors, write_vectors
from tests.bench.measuring import CORES, Figure, machine, table
from tests.bench.search import Times, timed

DATA = Path(os.environ.get("YUANQITONG_DATA") or ROOT.parent / "shared" / "data")
PASSAGES = 1_000_000
SIZES = (10_000, 20_000, 40_000, 60_000)
ASKED = 200
"""Questions put to each index; comparing a million vectors with each of them takes a while."""
NOISE = 0.5
"""Length of the noise added to a vector of length one: a copy's cosine is .89, the median of an article and the one nearest to it."""
K, DEEP, DEPTH = 10, 100, 60
"""Neighbours that must be right, neighbours that had better be, and units that the full search fetches from either half."""
GOAL_MS, GOAL_RECALL = 10, 0.95
BLOCK = 50_000
MIB = 2**20
NAME = "million"

Rows = NDArray[np.float32]
P = ParamSpec("P")
T = TypeVar("T")


def figures(laws: Path, lecoqa: Path, work: Path, passages: int = PASSAGES, sizes: Sequence[int] = SIZES) -> list[Figure]:
    """All rows; `work` is an empty folder for what is built meanwhile."""
    questions = [json.loads(line)["question"] for line in lecoqa.read_text(encoding="utf-8").splitlines()]
    questions = random.Random(1).sample(questions, min(ASKED, len(questions)))
    corpus = work / "corpus"
    apart(write_laws, corpus, [laws], load_encoder(), date.today(), None)
    return [*_million(corpus, questions, work, passages), *_growth(corpus, questions, work, sizes)]


def apart(measure: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What `measure` returns in a fresh process on the same cores; function, arguments and result must pickle."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measure, *args, **kwargs).result()


def resident() -> float:
    """Memory this process holds now, in MiB."""
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith("VmRSS"))


# A million passages.


def _million(corpus: Path, questions: list[str], work: Path, count: int) -> list[Figure]:
    what = {"exact": "one by one, single precision", "ours": f"{LOOKED_INTO} of {LISTS} lists, as `indexing.vectors` keeps them"}
    found: dict[str, tuple[float, Times, float, NDArray[np.int64]]] = {}
    for kind in what:
        folder = work / kind
        folder.mkdir()
        seconds = apart(_build_million, kind, corpus / "vectors.npy", count, folder)
        found[kind] = (seconds, *apart(_ask_million, kind, folder, questions))
        shutil.rmtree(folder)
    right = found["exact"][3]
    rows = []
    for kind, (seconds, took, memory, numbers) in found.items():
        recall, deep = _recall(numbers, right, K), _recall(numbers, right, DEEP)
        shown = f"{_milliseconds(took)}; {memory:.0f} MiB; built in {seconds:.0f} s; recall@{K} {recall:.4f}, recall@{DEEP} {deep:.4f}"
        numbers_of = {**took, "mib": memory, "build_s": seconds, f"recall_{K}": recall, f"recall_{DEEP}": deep}
        goal, met = "", None
        if kind == "ours":
            goal, met = f"p50 < {GOAL_MS} ms, recall@{K} ≥ {GOAL_RECALL}", took["p50"] < GOAL_MS and recall >= GOAL_RECALL
        rows.append(Figure(f"million_{kind}", f"{count:,} passages, {what[kind]}, one core", shown, numbers_of, goal, met))
    return rows


def _build_million(kind: str, vectors: Path, count: int, folder: Path) -> float:
    """Write an index of `count` passages; returns the seconds that took without making the passages up."""
    _quiet()
    base = np.load(vectors).astype(np.float32)
    passages = _passages(base, count)
    began = time.perf_counter()
    if kind == "ours":
        blocks = (passages[start : start + BLOCK] for start in range(0, count, BLOCK))
        write_vectors(folder, NAME, blocks, count, base.shape[1])
    else:
        index = faiss.IndexFlatIP(base.shape[1])
        index.add(passages)
        faiss.write_index(index, str(folder / NAME))
    return time.perf_counter() - began


def _passages(base: Rows, count: int) -> Rows:
    """The first are the articles themselves, the others copies with noise; all of unit length."""
    noise = np.random.default_rng(1)
    found = np.empty((count, base.shape[1]), np.float32)
    for start in range(0, count, BLOCK):
        block = found[start : start + BLOCK]
        numbers = np.arange(start, start + len(block))
        block[:] = base[numbers % len(base)]
        copies = numbers >= len(base)
        shape = (int(copies.sum()), base.shape[1])
        block[copies] += noise.standard_normal(shape, np.float32) * np.float32(NOISE / base.shape[1] ** 0.5)
        block /= np.maximum(np.linalg.norm(block, axis=1, keepdims=True), 1e-9)
    return found


def _ask_million(kind: str, folder: Path, questions: list[str]) -> tuple[Times, float, NDArray[np.int64]]:
    """How long the index takes, what memory, and what it finds: one row of DEEP passages per question, best first."""
    _quiet()
    asked = dict(zip(questions, load_encoder().encode(questions), strict=True))
    before = resident()
    opened: Any = Vectors(folder, NAME) if kind == "ours" else faiss.read_index(str(folder / NAME))
    hits: dict[str, NDArray[np.int64]] = {}

    def deep(question: str) -> None:
        if kind == "ours":
            hits[question] = np.array([found.unit for found in opened.nearest(asked[question], DEEP)])
        else:
            hits[question] = opened.search(asked[question].reshape(1, -1), DEEP)[1][0]

    took = timed(deep, questions, 1)
    return took, resident() - before, np.stack([hits[question] for question in questions])


def _recall(found: NDArray[np.int64], right: NDArray[np.int64], k: int) -> float:
    """The share of the `k` nearest that are among the first `k` found."""
    return statistics.fmean(len(set(a[:k].tolist()) & set(b[:k].tolist())) / k for a, b in zip(found, right, strict=True))


# Growth.


def _growth(corpus: Path, questions: list[str], work: Path, sizes: Sequence[int]) -> list[Figure]:
    rows = []
    for size in sizes:
        folder = work / f"units-{size}"
        seconds, units = apart(_build_units, corpus, size, folder)
        disk = sum(path.stat().st_size for path in folder.iterdir()) / MIB
        whole, vectors, words, memory = apart(_ask_units, folder, questions)
        halves = f"vectors {vectors['p50']:.2f} (CPU {vectors['cpu_p50']:.2f}), words {words['p50']:.2f} (CPU {words['cpu_p50']:.2f})"
        shown = f"{_milliseconds(whole)}, of which {halves}; built in {seconds:.1f} s; {disk:.0f} MiB on disk, {memory:.0f} in memory"
        numbers = {"units": units, **whole, "build_s": seconds, "disk_mib": disk, "memory_mib": memory}
        numbers |= {"vectors_cpu_p50": vectors["cpu_p50"], "words_cpu_p50": words["cpu_p50"]}
        rows.append(Figure(f"growth_{size}", f"Full search of {units:,} units, one core", shown, numbers))
    return rows


def _build_units(corpus: Path, size: int, folder: Path) -> tuple[float, int]:
    _quiet()
    encoder = load_encoder()
    index = LocalIndex(corpus, encoder.fingerprint)
    units = [Unit(key, text) for key, text in index.sql("SELECT key, text FROM units ORDER BY number")]
    # Any part of the laws is about few subjects; a sample is about all of them, as a smaller library would be.
    units = random.Random(1).sample(units, min(size, len(units)))
    began = time.perf_counter()
    local.build(folder, units, encoder, {"kind": "growth"})
    return time.perf_counter() - began, len(units)


def _ask_units(folder: Path, questions: list[str]) -> tuple[Times, Times, Times, float]:
    """The full search from the question's text, its two halves from what they need, and the index's memory."""
    _quiet()
    encoder = load_encoder()
    queries = {question: understand(encoder, question) for question in questions}
    before = resident()
    index = LocalIndex(folder, encoder.fingerprint)
    whole = timed(lambda question: fuse(index, understand(encoder, question), DEPTH), questions, 3)
    memory = resident() - before
    vectors = timed(lambda question: index.nearest(queries[question].vectors[0], DEPTH), questions, 3)
    words = timed(lambda question: index.matching(queries[question].terms, DEPTH), questions, 3)
    return whole, vectors, words, memory


def _quiet() -> None:
    faiss.omp_set_num_threads(1)


def _milliseconds(took: Times) -> str:
    return f"p50 {took['p50']:.2f} ms, p99 {took['p99']:.2f} ms (CPU {took['cpu_p50']:.2f} / {took['cpu_p99']:.2f})"


# The plot.

WIDTH, HEIGHT, MARGIN, TICKS = 340, 240, 56, 4
COLOURS = ("#1f5fa8", "#c0504d", "#4f8a3c", "#7a5ba6")
Points = Sequence[tuple[float, float]]


@dataclass(frozen=True)
class Panel:
    """One plot: what is measured in which unit, and a named line for each of its figures."""

    title: str
    lines: dict[str, Points]


def plot(rows: Sequence[Figure]) -> str:
    """The growth rows as SVG: CPU time, build time, disk and memory over the number of units."""

    def line(key: str) -> Points:
        return [(row.numbers["units"], row.numbers[key]) for row in rows]

    times = {"p99": line("cpu_p99"), "p50": line("cpu_p50"), "words, p50": line("words_cpu_p50"), "vectors, p50": line("vectors_cpu_p50")}
    panels = [
        Panel("One search, ms of CPU", times),
        Panel("Building, s", {"build": line("build_s")}),
        Panel("Disk and memory, MiB", {"disk": line("disk_mib"), "memory": line("memory_mib")}),
    ]
    width = WIDTH * len(panels)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {HEIGHT}" width="{width}" height="{HEIGHT}"',
        ' font-family="sans-serif" font-size="11" fill="#333">',
        f'<rect width="{width}" height="{HEIGHT}" fill="#fff"/>',
        *(part for number, panel in enumerate(panels) for part in _drawn(panel, number * WIDTH)),
        "</svg>",
    ]
    return "\n".join(parts) + "\n"


def _drawn(panel: Panel, left: float) -> list[str]:
    """A panel's axes from zero, its lines with their points, and each line's name beside its end."""
    top_x = max(x for points in panel.lines.values() for x, _ in points)
    step = _step(max(y for points in panel.lines.values() for _, y in points) / TICKS)
    inside = (WIDTH - 2 * MARGIN - 24, HEIGHT - 2 * 36)
    origin = (left + MARGIN, HEIGHT - 36.0)

    def at(x: float, y: float) -> tuple[float, float]:
        return origin[0] + x / top_x * inside[0], origin[1] - y / (step * TICKS) * inside[1]

    parts = [f'<text x="{origin[0]:.1f}" y="20" font-weight="bold">{escape(panel.title)}</text>']
    for number in range(TICKS + 1):
        y = at(0, number * step)[1]
        parts.append(f'<line x1="{origin[0]:.1f}" x2="{origin[0] + inside[0]:.1f}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{origin[0] - 6:.1f}" y="{y + 4:.1f}" text-anchor="end">{number * step:g}</text>')
    for x in sorted({x for points in panel.lines.values() for x, _ in points}):
        parts.append(f'<text x="{at(x, 0)[0]:.1f}" y="{origin[1] + 16:.1f}" text-anchor="middle">{x / 1000:g}k</text>')
    ends = _spread({name: at(*points[-1])[1] for name, points in panel.lines.items()})
    for colour, (name, points) in zip(COLOURS, panel.lines.items(), strict=False):
        places = [at(*point) for point in points]
        parts.append(
            f'<polyline points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places]
        parts.append(f'<text x="{places[-1][0] + 8:.1f}" y="{ends[name] + 4:.1f}" fill="{colour}">{escape(name)}</text>')
    return parts


def _step(least: float) -> float:
    """The smallest of 1, 2, 2.5, 5, 10, … times a power of ten that is not below `least`."""
    power = 10.0 ** np.floor(np.log10(max(least, 1e-9)))
    return float(next(power * times for times in (1, 2, 2.5, 5, 10) if power * times >= least * 0.999))


def _spread(heights: dict[str, float], apart_by: float = 13) -> dict[str, float]:
    """The same heights, from the lowest line up moved so far that no two names overlap."""
    ordered = sorted(heights, key=lambda name: -heights[name])
    found = {name: heights[name] for name in ordered}
    for below, above in pairwise(ordered):
        found[above] = min(found[above], found[below] - apart_by)
    return found


@click.command()
@click.option("--data", type=click.Path(path_type=Path), default=DATA, help="The folder with laws/ and legal_qa/.", show_default=True)
@click.option("--passages", type=click.IntRange(MOST_COMPARED + 1), default=PASSAGES, show_default=True)
@click.option("--plot", "plot_file", type=click.Path(path_type=Path, dir_okay=False), help="Draw the growth into this SVG file.")
@click.option("--json", "json_file", type=click.Path(path_type=Path, dir_okay=False), help="Write the figures into this file, too.")
@click.option("--work", type=click.Path(path_type=Path), default=ROOT / "build", help="Where indexes lie while they are measured.")
def main(data: Path, passages: int, plot_file: Path | None, json_file: Path | None, work: Path) -> None:
    """Measure a million passages and the growth of the index on one core; wants about 3 GiB of memory and 1 GiB of disk."""
    laws, lecoqa = data / "laws" / "national", data / "legal_qa" / "lecoqa_train.jsonl"
    if not laws.is_dir() or not lecoqa.exists():
        raise click.UsageError(f"no laws at {data}; name them by --data")
    os.sched_setaffinity(0, CORES[:1])
    work.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="scale-", dir=work) as name:
        facts = machine(Path(name).resolve())
        rows = figures(laws, lecoqa, Path(name).resolve(), passages)
    print("; ".join(f"{name}: {fact}" for name, fact in facts.items()) + "\n")
    print(table(rows))
    if plot_file:
        plot_file.write_text(plot([row for row in rows if row.key.startswith("growth_")]), encoding="utf-8")
    if json_file:
        found = {row.key: {"what": row.what, **row.numbers, "goal": row.goal, "met": row.met} for row in rows}
        text = json.dumps({"machine": facts, "figures": found}, ensure_ascii=False, indent=1)
        json_file.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
