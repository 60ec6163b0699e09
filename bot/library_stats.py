"""What is on the shelves: how many entries of which topic and state, how old, how well founded, and where there are too few."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

from bot.startup import Opened
from knowledge import citations, library
from knowledge.court import Topic
from knowledge.database import Db
from knowledge.library import Shelved

STATE_NAMES = {"draft": "草稿", "review": "待审", "published": "已发布", "withdrawn": "已撤下"}


@dataclass(frozen=True)
class TopicCount:
    """One leaf: questions answered, guides, and by how many questions it falls short of its floor."""

    topic: Topic
    questions: int
    guides: int

    @property
    def missing(self) -> int:
        """How many questions are missing to the floor."""
        return max(0, self.topic.floor - self.questions)


@dataclass(frozen=True)
class LibraryStats:
    """The figures of `library stats`; only what is published counts, but for `states`."""

    states: dict[str, int]
    topics: tuple[TopicCount, ...]
    passages: int
    wordings: int
    citations: int
    laws: int
    outdated: tuple[str, ...]
    reviewed: int
    oldest: date | None
    newest: date | None

    @property
    def below_floor(self) -> tuple[TopicCount, ...]:
        """Leaves with fewer questions than their floor, the emptiest first."""
        return tuple(sorted((count for count in self.topics if count.missing), key=lambda count: -count.missing))

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        return {
            "states": self.states,
            "topics": [{"code": t.topic.code, "questions": t.questions, "guides": t.guides, "floor": t.topic.floor} for t in self.topics],
            "passages": self.passages,
            "wordings": self.wordings,
            "citations": self.citations,
            "laws": self.laws,
            "outdated": list(self.outdated),
            "reviewed": self.reviewed,
            "oldest": str(self.oldest) if self.oldest else None,
            "newest": str(self.newest) if self.newest else None,
            "below_floor": [t.topic.code for t in self.below_floor],
        }

    def as_lines(self) -> Iterator[str]:
        """For the terminal."""
        groups: dict[str, list[TopicCount]] = {}
        for count in self.topics:
            groups.setdefault(f"{count.topic.group} {count.topic.group_name}", []).append(count)
        for name, counts in groups.items():
            yield f"{name}：问答 {sum(c.questions for c in counts)}，指南 {sum(c.guides for c in counts)}"
            yield "　" + "　".join(f"{c.topic.code} {c.questions}" for c in counts)
        yield f"状态：{'，'.join(f'{STATE_NAMES[state]} {n}' for state, n in self.states.items())}；政策原文 {self.passages} 段"
        yield f"问法 {self.wordings} 句；引用 {self.citations} 处，涉及 {self.laws} 部法规；本院已审核 {self.reviewed} 条"
        if self.oldest:
            yield f"最早更新于 {self.oldest}，最近更新于 {self.newest}"
        if self.below_floor:
            yield "不足的主题：" + "，".join(f"{c.topic.code} {c.topic.name}（缺 {c.missing}）" for c in self.below_floor)
        for problem in self.outdated:
            yield f"依据要更新：{problem}"


def library_stats(opened: Opened) -> LibraryStats:
    """Count what the library holds now."""

    def read(db: Db) -> tuple[dict[str, int], list[Shelved]]:
        return library.states(db), library.on_shelves(db)

    states, shelved = opened.database.read(read).result()
    return count(states, shelved, opened.topics, opened.clock().date())


def count(states: dict[str, int], shelved: Sequence[Shelved], topics: Mapping[str, Topic], today: date) -> LibraryStats:
    """The figures for these published entries."""
    entries = [item.published.entry for item in shelved]
    by_topic = Counter((entry.topic, entry.kind) for entry in entries)
    cited = [citation for entry in entries for citation in entry.basis]
    register = citations.load_register()
    known = (replace(entry, basis=tuple(c for c in entry.basis if c.law in register)) for entry in entries)
    problems = citations.check(known, None, today)
    changed = sorted(item.updated_at for item in shelved)
    return LibraryStats(
        states,
        tuple(TopicCount(topic, by_topic[code, "faq"], by_topic[code, "guide"]) for code, topic in topics.items()),
        sum(entry.kind == "passage" for entry in entries),
        sum(len(entry.wordings) for entry in entries),
        len(cited),
        len({citation.law for citation in cited}),
        tuple(str(problem) for problem in problems if problem.kind == "wrong"),
        sum(bool(item.published.reviewed_by) for item in shelved),
        changed[0] if changed else None,
        changed[-1] if changed else None,
    )
