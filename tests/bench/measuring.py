"""What a figure is, on which machine and on how many cores it was taken, and how the bot's processes are started for it.

A time on a busy machine says little, so what can be repeated is repeated and the median shown, and searches carry their CPU
time beside the time on the clock.
"""

import os
import platform
import sqlite3
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from bot.settings import ROOT, Settings

CORES = sorted(os.sched_getaffinity(0))[:2]
"""The cores the benchmark uses: two, as the goals say; the first of them where they say one."""
BOT = [sys.executable, "-m", "bot"]
COURT = """\
# Limits meant for people would only measure themselves.
messages_per_minute: 100000
anonymous_needs_per_day: {asker: 100000, address: 100000}
"""


@dataclass(frozen=True)
class Figure:
    """One row of the table: what was measured, how it reads, its numbers for the JSON file, and what was aimed at."""

    key: str
    what: str
    shown: str
    numbers: dict[str, float]
    goal: str = ""
    met: bool | None = None

    @property
    def line(self) -> str:
        """The row in Markdown."""
        mark = {True: " ✔", False: " ✘", None: ""}[self.met]
        return f"| {self.what} | {self.shown} | {self.goal}{mark} |"


def table(figures: Sequence[Figure]) -> str:
    """All rows in Markdown."""
    return "\n".join(["| what | measured | goal |", "|---|---|---|", *(figure.line for figure in figures)])


def percentile(values: Sequence[float], share: int) -> float:
    """The value that `share` percent of `values` do not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, len(ordered) * share // 100)]


def repeated(times: int, measure: Callable[[], float]) -> float:
    """The median of several measurements."""
    return statistics.median(measure() for _ in range(times))


def pin(cores: int) -> Callable[[], None]:
    """What a child process runs first to stay on that many cores."""
    return lambda: os.sched_setaffinity(0, CORES[:cores])


def environment(**more: str) -> dict[str, str]:
    """The environment of the bot's processes: the shipped settings, whatever this machine's own say, and no way to Telegram."""
    own = {name.upper() for name in Settings.model_fields}
    kept = {name: value for name, value in os.environ.items() if name.upper() not in own}
    fixed = {"DATABASE_SYNCHRONOUS": "FULL", "LOG_LEVEL": "ERROR", "TELEGRAM_API_BASE": "http://127.0.0.1:9"}
    # Each visitor comes from an address of its own, as through a court's reverse proxy.
    return kept | fixed | {"TRUSTED_PROXIES": "127.0.0.1/32"} | more


def settings(data_dir: Path) -> Settings:
    """The same for a bot inside this process."""
    return Settings(_env_file=None, data_dir=data_dir, web_port=0, trusted_proxies="127.0.0.1/32")


def command(data_dir: Path, *words: str) -> float:
    """Seconds that one command of the bot takes on one core, from its start to its end."""
    began = time.perf_counter()
    _run([*BOT, "--data-dir", str(data_dir), *words])
    return time.perf_counter() - began


def module(name: str, *words: str) -> str:
    """What a module of the benchmark prints, run in a process of its own on one core."""
    return _run([sys.executable, "-m", name, *words])


def new_folder(folder: Path) -> Path:
    """An empty data folder without limits."""
    folder.mkdir(parents=True)
    (folder / "court.yaml").write_text(COURT, encoding="utf-8")
    return folder


def machine(work: Path) -> dict[str, str]:
    """The facts without which no figure means anything; load and disk as found."""
    names = {line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")}
    return {
        "processor": f"{' / '.join(names) or platform.machine()}, {os.cpu_count()} cores, {len(CORES)} used",
        "memory": f"{os.sysconf('SC_PHYS_PAGES') * os.sysconf('SC_PAGE_SIZE') / 2**30:.0f} GiB",
        "disk": f"{_file_system(work)}, {durable_commits(work):.0f} durable commits/s one by one",
        "load when it began": f"{os.getloadavg()[0]:.1f}",
        "Python": platform.python_version(),
        "SQLite": sqlite3.sqlite_version,
        "faiss": version("faiss-cpu"),
        "aiogram": version("aiogram"),
    }


def durable_commits(work: Path) -> float:
    """How many transactions of one row this disk takes in a second with WAL and `synchronous=FULL`: why commits are grouped."""
    connection = sqlite3.connect(work / "commits.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.execute("CREATE TABLE rows (text TEXT)")
    began = time.perf_counter()
    for number in range(200):
        connection.execute("INSERT INTO rows VALUES (?)", [f"{number:0200}"])
    seconds = time.perf_counter() - began
    connection.close()
    return 200 / seconds


def _file_system(path: Path) -> str:
    """The kind of file system `path` is on: on tmpfs a durable commit means nothing."""
    mounts = [line.split()[1:3] for line in Path("/proc/mounts").read_text().splitlines()]
    return max((mount for mount in mounts if path.is_relative_to(mount[0])), key=lambda mount: len(mount[0]))[1]


def _run(words: list[str]) -> str:
    # `preexec_fn` is safe here: no other thread of ours holds a lock when a process is started.
    done = subprocess.run(words, cwd=ROOT, env=environment(), capture_output=True, text=True, preexec_fn=pin(1))
    if done.returncode:
        raise SystemExit(f"{' '.join(words)} failed ({done.returncode}):\n{done.stderr[-2000:]}")
    return done.stdout
