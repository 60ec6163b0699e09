"""The ledger as the command line shows it: masked, in lines or as JSON."""

from typing import Any

from bot.access import staff_name
from bot.inbox import OUTCOMES, broken_needs, reconcile
from bot.startup import Opened
from knowledge.database import Db
from knowledge.ledger.needs import find_need, list_needs, need_story
from knowledge.ledger.record import RESTRICTED
from knowledge.ledger.workflow import ACTION_NAMES, STATE_NAMES
from knowledge.privacy import mask

OUTCOME_NAMES = {"answered": "已答复", "offered": "已列选项", "need": "已登记", "conversation": "对话", "refused": "未受理"}
ERASED = "（文字已删除）"
RESTRICTED_TEXT = "（专班办理，请专人在工作台查看）"
"""The command line has no names, so it shows nothing of what is for named staff alone."""


def needs_json(opened: Opened) -> list[dict[str, Any]]:
    """Every need, newest first, without contact details."""
    return [_need(need) for need in opened.database.read(lambda db: list_needs(db, limit=100_000)).result()]


def need_lines(opened: Opened) -> list[str]:
    """The same for a person."""
    return [
        f"{need['no']}　{need['state_name']}　{need['received_at'][:10]}　期限 {need['due_on'] or '未定'}　{need['question'][:50]}"
        for need in needs_json(opened)
    ]


def story_lines(opened: Opened, no: str) -> list[str]:
    """One need with its whole history. Raises NotFound."""

    def read(db: Db) -> list[str]:
        need = find_need(db, no)
        if need["visibility"] == RESTRICTED:
            return [f"{no}　{STATE_NAMES[need['state']]}　收到 {need['received_at'][:16]}", RESTRICTED_TEXT]
        lines = [f"{no}　{STATE_NAMES[need['state']]}　收到 {need['received_at'][:16]}", mask(need["question"] or ERASED), ""]
        for step in need_story(db, no):
            name = ACTION_NAMES[step["action"]]
            said = mask(step["body"]) if step["body"] else ERASED if step["erased_at"] else ""
            lines.append(f"{step['at'][:16].replace('T', ' ')}　{staff_name(db, step['actor'])}　{name}　{said}")
        return lines

    return opened.database.read(read).result()


def reconciliation(opened: Opened) -> dict[str, Any]:
    """Per day what came in and what became of it; `balanced` is false when anything is missing."""

    def read(db: Db) -> dict[str, Any]:
        days, orphans = reconcile(db), broken_needs(db)
        return {"days": days, "orphans": orphans, "balanced": not orphans and all(day["gap"] == 0 for day in days)}

    return opened.database.read(read).result()


def reconcile_lines(found: dict[str, Any]) -> list[str]:
    """The equation of each day, and every gap."""
    lines = []
    for day in found["days"]:
        parts = " + ".join(f"{OUTCOME_NAMES[name]} {day[name]}" for name in OUTCOMES)
        rest = f" + 未处理完 {day['open']}" if day["open"] else ""
        lines.append(f"{day['day']}　收到 {day['received']} = {parts}{rest}" + (f"　✘ 差 {day['gap']}" if day["gap"] else ""))
    lines += [f"✘ 消息 {number} 记为已登记，却没有需求编号" for number in found["orphans"]]
    return lines or ["还没有收到过消息。"]


def _need(need: dict[str, Any]) -> dict[str, Any]:
    return {
        "no": need["no"],
        "state": need["state"],
        "state_name": STATE_NAMES[need["state"]],
        "source": need["source"],
        "topic": need["topic"],
        "received_at": need["received_at"],
        "due_on": need["due_on"],
        "question": RESTRICTED_TEXT if need["visibility"] == RESTRICTED else mask(need["question"]) if need["question"] else ERASED,
        "undelivered": need["undelivered"],
    }
