"""How long until somebody has an answer: after a start, after a change of the sources; and the memory that takes.

Processes are started as people start them, on one core; the visitors are on the other where there is one.
"""

import asyncio
import contextlib
import shutil
import socket
import statistics
import subprocess
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bot.settings import ROOT
from tests.bench import visitors
from tests.bench.measuring import BOT, Figure, command, environment, new_folder, pin, repeated

QUESTION = "客户一直拖着货款不给，怎么办？"
ASK_SECONDS, RUN_SECONDS, RUN_MIB, FOLLOW_SECONDS = 2.0, 5.0, 350, 2.0
TALKED = 200
# Each must be a thing that nothing else in the library is about, so that an answer shows that the new document is served.
NOVELTIES = ("海蜇加工车间补贴", "风筝博物馆搬迁补贴", "蓝莓采摘园照明补贴")


@dataclass
class Running:
    """A live `run`: where it is, when its process was started, and its memory."""

    base: str
    began: float
    pid: int

    @property
    def resident(self) -> float:
        """Memory it holds now, in MiB."""
        return self._memory("VmRSS")

    @property
    def peak(self) -> float:
        """The most it ever held, in MiB."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> float:
        status = Path(f"/proc/{self.pid}/status").read_text()
        return next(int(line.split()[1]) / 1024 for line in status.splitlines() if line.startswith(name))


@contextlib.contextmanager
def running(data_dir: Path, cores: int = 1) -> Iterator[Running]:
    """`python -m bot run` on a free port, ended by SIGTERM."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [*BOT, "--data-dir", str(data_dir), "run", "--port", str(port)]
    began = time.perf_counter()
    bot = subprocess.Popen(words, cwd=ROOT, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, preexec_fn=pin(cores))
    try:
        yield Running(f"http://127.0.0.1:{port}", began, bot.pid)
    finally:
        bot.terminate()
        bot.wait(30)


def asking(folders: dict[str, Path], times: int) -> list[Figure]:
    """From the start of `ask` to its end."""
    rows = []
    for name, folder in folders.items():
        seconds = repeated(times, partial(command, folder, "ask", QUESTION, "--json"))
        rows.append(_seconds(f"ask_{name}", f"`ask` from start to answer, {_label(name)}, one core", seconds, ASK_SECONDS))
    return rows


def starting(folders: dict[str, Path], work: Path, times: int) -> list[Figure]:
    """From the start of `run` to the first 200 of `/healthz`, and to the first answer on a page."""
    rows = []
    for name, folder in {"empty": None, **folders}.items():
        began = [_start(folder or new_folder(work / f"empty-{number}")) for number in range(times)]
        health, answer = (statistics.median(one[i] for one in began) for i in (0, 1))
        failed = sum(one[2] for one in began)
        shown = f"{health:.2f} s until /healthz, {answer:.2f} s until the first answer"
        shown += f"; {failed} earlier questions failed" if failed else ""
        what = f"`run` from start, {_label(name)}, one core"
        numbers = {"healthz": health, "answer": answer, "failed": failed}
        rows.append(Figure(f"run_{name}", what, shown, numbers, f"< {RUN_SECONDS:g} s", answer < RUN_SECONDS and not failed))
    return rows


def _start(data_dir: Path) -> tuple[float, float, int]:
    async def both(base: str) -> tuple[float, tuple[float, int]]:
        return await asyncio.gather(visitors.first_health(base), visitors.first_answer(base, QUESTION))

    with running(data_dir) as bot:
        health, (answer, failed) = asyncio.run(both(bot.base))
        return health - bot.began, answer - bot.began, failed


def remembering(folders: dict[str, Path], questions: Sequence[str]) -> list[Figure]:
    """Memory of `run` once it has answered many questions."""
    rows = []
    for name, folder in folders.items():
        with running(folder) as bot:
            asyncio.run(visitors.first_health(bot.base))
            fresh = bot.resident
            asyncio.run(visitors.crowd_talks(bot.base, 10, questions[:TALKED]))
            now, peak = bot.resident, bot.peak
        shown = f"{now:.0f} MiB (fresh {fresh:.0f}, peak {peak:.0f})"
        goal, met = (f"< {RUN_MIB} MiB", peak < RUN_MIB) if name == "starter" else ("", None)
        what = f"Memory of `run` after {TALKED} questions, {_label(name)}"
        rows.append(Figure(f"memory_{name}", what, shown, {"resident": now, "fresh": fresh, "peak": peak}, goal, met))
    return rows


def building(work: Path, times: int, laws: Path | None) -> tuple[dict[str, Path], list[Figure]]:
    """Index cold; returns the data folders that came of it, `starter` and (with laws) `laws`, and how long it took."""
    folders = {"starter": work / "starter"}

    def build_starter() -> float:
        shutil.rmtree(folders["starter"], ignore_errors=True)
        return command(new_folder(folders["starter"]), "reindex")

    rows = [_seconds("reindex_starter", "`reindex`, cold, starter library, one core", repeated(times, build_starter))]
    if laws:
        folders["laws"] = new_folder(work / "laws")
        seconds = command(folders["laws"], "reindex", "--laws", str(laws))
        rows.append(_seconds("reindex_laws", "`reindex`, cold, starter library and laws, one core", seconds))
    return folders, rows


def following(folders: dict[str, Path], work: Path, times: int) -> list[Figure]:
    """One more document: `reindex`, and until a live `run` serves it."""
    rows = []
    for name, folder in folders.items():
        documents = work / f"documents-{name}"
        documents.mkdir()
        _write(documents, "渔港码头冷库补贴")
        command(folder, "reindex", "--knowledge", str(documents))
        with running(folder) as bot:
            asyncio.run(visitors.first_health(bot.base))
            took = [_follow(bot.base, folder, documents, novelty) for novelty in NOVELTIES[:times]]
        built, served = (statistics.median(one[i] for one in took) for i in (0, 1))
        shown = f"{built:.2f} s for `reindex`, {served:.2f} s more until `run` serves it"
        what = f"One more document, {_label(name)}, one core"
        goal = f"served within {FOLLOW_SECONDS:g} s of the switch"
        rows.append(Figure(f"change_{name}", what, shown, {"reindex": built, "served": served}, goal, served < FOLLOW_SECONDS))
    return rows


def _follow(base: str, data_dir: Path, documents: Path, novelty: str) -> tuple[float, float]:
    _write(documents, novelty)
    built = command(data_dir, "reindex")
    switched = time.perf_counter()
    return built, asyncio.run(visitors.until_shown(base, f"{novelty}怎么申请", novelty)) - switched


def _write(documents: Path, subject: str) -> None:
    text = f"{subject}办法\n\n第一条　企业申请{subject}的，应当在每年三月向街道提交申请书。\n\n第二条　{subject}的标准为每户五千元。\n"
    (documents / f"{subject}.txt").write_text(text, encoding="utf-8")


def _seconds(key: str, what: str, seconds: float, goal: float | None = None) -> Figure:
    if goal is None:
        return Figure(key, what, f"{seconds:.2f} s", {"seconds": seconds})
    return Figure(key, what, f"{seconds:.2f} s", {"seconds": seconds}, f"< {goal:g} s", seconds < goal)


def _label(name: str) -> str:
    return {"empty": "empty data folder", "starter": "starter library", "laws": "starter library and laws"}[name]
