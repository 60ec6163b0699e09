"""Questions from the command line, through the path the bot uses: one, or a file of them."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.answering import Verdict
from bot.startup import Opened
from bot.why import BAND_NAMES, why_lines
from indexing.laws import ArticleHit
from knowledge.database import Db
from knowledge.enterprise import asker_in
from knowledge.errors import BadInput, IndexUnusable
from knowledge.files import read_text
from knowledge.ledger.needs import open_need, record_asking


@dataclass(frozen=True)
class Asked:
    """A verdict, and with `--record` the need it led to."""

    verdict: Verdict
    id: object = None
    recorded: bool = False
    need: str | None = None

    def as_json(self) -> dict[str, Any]:
        """The contract's form; `need` only with `--record`."""
        return {"id": self.id} | self.verdict.as_json() | ({"need": self.need} if self.recorded else {})

    def as_text(self, why: bool) -> str:
        """For a person at the terminal; with `why`, every candidate with its scores and what speaks against it."""
        verdict = self.verdict
        lines = [f"【{BAND_NAMES[verdict.band]}】{'；'.join(verdict.reasons)}"]
        if verdict.answer:
            entry = verdict.answer.published.entry
            lines += ["", entry.question]
            lines += [f"期限提示：{entry.deadline}"] if entry.deadline else []
            lines += [entry.answer, *[f"依据：{citation}" for citation in entry.basis]]
        elif verdict.band == "offer":
            lines += [f"  {i}. {c.published.entry.question}" for i, c in enumerate(verdict.offers, 1)]
        lines += [f"相关法条：《{a.law}》{a.article}" for a in verdict.articles]
        lines += [f"需求编号：{self.need}"] if self.need else []
        return "\n".join([*lines, "", *why_lines(verdict)] if why else lines)


def answer_one(opened: Opened, text: str, k: int, record: bool, question_id: object = None) -> Asked:
    """Answer one question. Raises BadInput for an empty one."""
    if not text.strip():
        raise BadInput("问题是空的，请写上要问的内容。")
    # A terminal of another encoding hands over bytes that are no text.
    verdict = opened.answering.reply_to(text.encode("utf-8", "replace").decode(), k=k)
    if not record:
        return Asked(verdict, question_id)
    need = opened.database.write(lambda db: _record(db, opened, verdict)).result()
    return Asked(verdict, question_id, True, need)


def answer_batch(opened: Opened, file: Path, k: int, record: bool) -> Iterator[dict[str, Any]]:
    """One result per line of `file`, in its order; a bad line gives `{"id": null, "line": n, "error": …}` in its place."""
    return _batch(file, lambda number, q: answer_one(opened, q, k, record, number).as_json())


def statute_hits(opened: Opened, text: str, k: int) -> list[ArticleHit]:
    """Ranked articles, in force or of unknown standing. Raises IndexUnusable when no laws have been imported, BadInput for no question."""
    if opened.answering.opened.laws is None:
        raise IndexUnusable("还没有导入法规。请先运行：python -m bot reindex --laws 法规文件夹")
    if not text.strip():
        raise BadInput("问题是空的，请写上要查的内容。")
    return opened.answering.statutes(text, k)


def statutes_of(opened: Opened, text: str, k: int, question_id: object = None) -> dict[str, Any]:
    """The contract's form of `statute_hits`."""
    return {"id": question_id, "q": text, "articles": [_article(hit) for hit in statute_hits(opened, text, k)]}


def statutes_batch(opened: Opened, file: Path, k: int) -> Iterator[dict[str, Any]]:
    """`statutes_of` for each line of `file`; bad lines as in `answer_batch`."""
    if opened.answering.opened.laws is None:
        raise IndexUnusable("还没有导入法规。请先运行：python -m bot reindex --laws 法规文件夹")
    return _batch(file, lambda number, q: statutes_of(opened, q, k, number))


def _batch(file: Path, answer: Callable[[object, str], dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for line, text in enumerate(read_text(file).split("\n"), 1):
        if not text.strip():
            continue
        try:
            fields = json.loads(text)
            if not isinstance(fields, dict) or not isinstance(fields.get("q"), str):
                raise BadInput('应为 {"id":…,"q":"…"}')
            yield answer(fields.get("id"), fields["q"].encode("utf-8", "replace").decode())
        except (ValueError, RecursionError, BadInput) as error:
            reason = str(error) if isinstance(error, BadInput) else "不是正确的 JSON"
            yield {"id": None, "line": line, "error": reason}


def _record(db: Db, opened: Opened, verdict: Verdict) -> str | None:
    at = opened.clock()
    asker = asker_in(db, "cli", 0, at)
    if verdict.band not in ("answer", "offer", "need"):
        return None
    asking_id = record_asking(db, verdict.as_asking(), at, asker_id=asker.id, person_id=asker.person_id)
    return open_need(db, asking_id, "命令行", at, opened.rules, actor="cli") if verdict.band == "need" else None


def _article(hit: ArticleHit) -> dict[str, Any]:
    return {"law": hit.law, "article": hit.article, "version": hit.version, "score": hit.score}
