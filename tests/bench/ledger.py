"""The ledger at the size of several years: 10,000 needs with 100,000 steps, and how long every page of the console takes.

The needs are invented from a fixed seed. Their history is written by the ledger's own `append` (so the chain is whole) and
their columns by its own `rebuild`; the pages are asked for over loopback from a running console, one after another.
"""

import asyncio
import os
import random
import statistics
import sys
import time
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from aiohttp import ClientSession, CookieJar, web

from bot import access
from bot.audit import note_audit
from bot.console import ROUTES, Console
from bot.outbox import Outbox
from bot.settings import Settings
from bot.startup import Opened
from knowledge.clock import now, stamp
from knowledge.court import ROLES
from knowledge.database import Db, rows
from knowledge.ledger import history
from knowledge.ledger.needs import Asking, record_asking
from knowledge.ledger.record import ENT_SIZES, LITIGATION, SATISFACTION, SOURCES
from knowledge.texts import keep_text
from tests.bench.measuring import CORES, Figure

NEEDS, STEPS = 10_000, 100_000
REPEATS = 5
GOAL_MS = 200
_SUBJECTS = ("货款", "工资", "租金", "工程款", "商标", "保证金", "股权", "运费", "赔偿金", "保险理赔", "违约金", "押金")
_TROUBLES = ("一直拖着不给", "对方不认账", "合同没有写清楚", "到期了怎么办", "该找哪个部门", "能不能先冻结", "已经催了三次", "只有聊天记录")
_SAID = ("电话联系了企业，说明了办理步骤。", "已向业务庭了解情况。", "企业补充了合同和对账单。", "约好下周走访。", "已推送有关指引。")
_LIVES: tuple[tuple[str, ...], ...] = (
    (),
    ("register",),
    ("register", "assign"),
    ("register", "assign", "accept"),
    ("register", "assign", "accept", "submit_reply", "approve"),
    *(("register", "assign", "accept", "submit_reply", "approve", "close"),) * 12,
    ("reject",),
)
_TO = {
    "register": "registered", "assign": "assigned", "accept": "in_progress", "submit_reply": "in_review", "approve": "replied",
    "close": "closed", "reject": "rejected",
}  # fmt: skip


def fill(db: Db, opened: Opened, needs: int = NEEDS, steps: int = STEPS, seed: int = 5) -> None:
    """Invent a ledger of this size, spread over the two years before today; the same seed gives the same ledger."""
    chance = random.Random(seed)
    at = now()
    staff = [access.add_staff(db, f"工作人员{number}", ["handler"], at) for number in range(12)]
    topics, court = list(opened.topics), opened.court
    notes = max(0, steps // needs - 6)
    began = at - timedelta(days=730)
    numbers: dict[int, int] = {}
    for index in range(needs):
        received = began + timedelta(minutes=index * 730 * 24 * 60 // needs)
        no, asking = _asked(db, chance, received, index, numbers)
        details: dict[str, Any] = {
            "source": chance.choice(SOURCES),
            "topic": chance.choice(topics),
            "street": chance.choice(court.streets),
            "industry": chance.choice(court.industries),
            "ent_size": chance.choice(ENT_SIZES),
            "litigation": chance.choice(LITIGATION),
        }
        history.append(db, no, received, "bot", "submit", None, "submitted", asking, details)
        _live(db, chance, no, received, staff, list(court.divisions), notes)
    history.rebuild(db, opened.rules)
    _besides(db, at)


def _besides(db: Db, at: datetime) -> None:
    """The enterprises behind the askers, all verified; who was told of each answer; and what staff did besides."""
    db.execute(
        "INSERT INTO enterprises (name, created_at, updated_at) SELECT DISTINCT company, ?1, ?1 FROM persons WHERE company IS NOT NULL",
        [stamp(at)],
    )
    db.execute("UPDATE persons SET verified_at = ?, enterprise_id = (SELECT e.id FROM enterprises e WHERE e.name = company)", [stamp(at)])
    db.execute(
        "INSERT INTO tellings (answer, recipient, need_no, person_id, told_at) SELECT 'reply:' || h.id, 'person:' || a.person_id, n.no,"
        " a.person_id, h.at FROM need_history h JOIN needs n ON n.no = h.need_no JOIN askings a ON a.need_no = n.no"
        " WHERE h.action = 'approve'"
    )
    for number in range(NEEDS):
        note_audit(db, at, f"staff:{number % 12 + 1}", "export_ledger", "", f"{number} 件")


def _asked(db: Db, chance: random.Random, at: datetime, index: int, numbers: dict[int, int]) -> tuple[str, int]:
    person = db.execute(
        "INSERT INTO persons (company, contact, phone, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
        [f"虚构第{index % 2500}号商贸有限公司", "王某", f"1390000{index % 10_000:04d}", stamp(at), stamp(at)],
    ).lastrowid
    question = f"我们公司的{chance.choice(_SUBJECTS)}{chance.choice(_TROUBLES)}，金额 {chance.randrange(1, 300)} 万，已经 {index % 90} 天了"
    asking = record_asking(db, Asking(question, "need"), at, person_id=person)
    text_id = rows(db, "SELECT text_id FROM askings WHERE id = ?", asking)[0]["text_id"]
    numbers[at.year] = numbers.get(at.year, 0) + 1
    no = f"XQ-{at.year}-{numbers[at.year]:04d}"
    db.execute(
        "INSERT INTO needs (no, year, seq, state, source, text_id, received_at) VALUES (?, ?, ?, 'submitted', '机器人', ?, ?)",
        [no, at.year, numbers[at.year], text_id, stamp(at)],
    )
    db.execute("UPDATE askings SET need_no = ? WHERE id = ?", [no, asking])
    return no, int(text_id)


def _live(db: Db, chance: random.Random, no: str, at: datetime, staff: list[int], divisions: list[str], notes: int) -> None:
    state, handler = "submitted", chance.choice(staff)
    life = chance.choice(_LIVES)
    for place, action in enumerate(life):
        at += timedelta(hours=chance.randrange(2, 40))
        details = {"assign": {"division": chance.choice(divisions), "handler": handler}}.get(action, {})
        details |= {"satisfaction": chance.choice(SATISFACTION), "outcome": "答复解决"} if action == "close" else {}
        text = keep_text(db, chance.choice(_SAID) * 4) if action in ("submit_reply", "approve", "reject") else None
        history.append(db, no, at, f"staff:{handler}", action, state, _TO[action], text, details)
        state = _TO[action]
        for _ in range(notes if place == len(life) - 1 else 0):
            history.append(db, no, at, f"staff:{handler}", "note", state, state, keep_text(db, chance.choice(_SAID)))


def figures(folder: Path) -> list[Figure]:
    """The slowest page of the console over a full ledger, by its median; every page goes to standard error."""
    os.sched_setaffinity(0, CORES[:1])
    try:
        return asyncio.run(_figures(folder))
    finally:
        os.sched_setaffinity(0, CORES)


async def _figures(folder: Path) -> list[Figure]:
    opened = Opened(Settings(data_dir=folder, database_synchronous="NORMAL"))
    try:
        began = time.perf_counter()
        opened.database.write(lambda db: fill(db, opened)).result()
        filled = time.perf_counter() - began
        took = await _pages(opened)
        began = time.perf_counter()
        opened.rebuild_ledger()
        rebuilt = time.perf_counter() - began
    finally:
        opened.close()
    slowest = max(took, key=lambda path: took[path])
    for path, spent in sorted(took.items(), key=lambda item: -item[1]):
        print(f"  {spent * 1000:7.1f} ms  {path}", file=sys.stderr)
    print(f"  filled in {filled:.0f} s, rebuilt in {rebuilt:.1f} s", file=sys.stderr)
    milliseconds = took[slowest] * 1000
    return [
        Figure(
            "console",
            f"Slowest console page (`{slowest}`), {NEEDS:,} needs, {STEPS:,} steps, one core",
            f"{milliseconds:.0f} ms (rebuilding the ledger {rebuilt:.1f} s)",
            {"slowest_ms": milliseconds, "rebuild_s": rebuilt},
            f"< {GOAL_MS} ms",
            milliseconds < GOAL_MS,
        )
    ]


async def _pages(opened: Opened) -> dict[str, float]:
    async def no_answer(question: str) -> list[str]:
        return [question]

    application = web.Application()
    Console(opened, Outbox(opened.database, {}, opened.clock), no_answer).attach(application, ROUTES)
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    root = f"http://127.0.0.1:{runner.addresses[0][1]}/console"
    token = opened.database.write(lambda db: _link(db, opened)).result()
    async with ClientSession(cookie_jar=CookieJar(unsafe=True)) as session:
        async with session.post(f"{root}/enter", data={"token": token}) as page:
            assert page.status == 200, page.status
        took = {}
        for path in _paths(opened):
            spent = []
            for _ in range(REPEATS):
                began = time.perf_counter()
                async with session.get(root + path) as page:
                    await page.read()
                    assert page.status == 200, (path, page.status)
                spent.append(time.perf_counter() - began)
            took[path] = statistics.median(spent)
    await runner.cleanup()
    return took


def _link(db: Db, opened: Opened) -> str:
    access.add_staff(db, "全部角色", list(ROLES), opened.clock())
    return access.make_link(db, "全部角色", opened.clock())


def _paths(opened: Opened) -> list[str]:
    """Every page that is looked at (not what is downloaded), and the list with what makes it work hardest."""
    plain = [
        route.path
        for route in ROUTES
        if route.method == "GET" and "{" not in route.path and route.path != "/enter" and "/static" not in route.path
    ]
    last = opened.database.read(lambda db: rows(db, "SELECT max(no) AS no FROM needs WHERE state = 'closed'")).result()[0]["no"]
    searches = [f"tab=all&q={word}" for word in ("货款", "走访", "虚构第7号")]
    lists = ["tab=all", "tab=ledger&page=99", *searches, "tab=ledger&from=2025-12-01&to=2026-06-30&topic=B"]
    return [*dict.fromkeys(path or "/" for path in plain), f"/needs/{last}", "/enterprises/7", *(f"/needs?{query}" for query in lists)]
