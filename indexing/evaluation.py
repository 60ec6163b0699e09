"""Quality and speed on labelled questions, with 95 % intervals.

A label is the set of entries that would be right; empty means nothing here should answer. Three figures matter: of the
direct answers, how many are right; of the answerable questions, how many are answered directly, or at least offered; of the
unanswerable, how many are wrongly answered. Intervals are Wilson's (1927).
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import median, quantiles
from typing import Any

Z = 1.96


@dataclass(frozen=True)
class Labelled:
    """A question and the entries that would be right (none: nothing should answer).

    `style` and `topic` only group the report; `wrong` are entries that would mislead (a minimal pair).
    """

    question: str
    expect: tuple[str, ...]
    style: str = ""
    topic: str = ""
    wrong: tuple[str, ...] = ()


@dataclass(frozen=True)
class Outcome:
    """What was done with it: the band, candidates best first, those offered, and the milliseconds it took."""

    band: str
    candidates: tuple[str, ...]
    offered: tuple[str, ...]
    milliseconds: float


@dataclass(frozen=True)
class Share:
    """`hits` of `total`, with a 95 % interval."""

    hits: int
    total: int

    @property
    def value(self) -> float:
        """The share; 0 when there is nothing to count."""
        return self.hits / self.total if self.total else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval."""
        if not self.total:
            return (0.0, 1.0)
        n, p = self.total, self.value
        centre = (p + Z * Z / (2 * n)) / (1 + Z * Z / n)
        half = Z * math.sqrt(p * (1 - p) / n + Z * Z / (4 * n * n)) / (1 + Z * Z / n)
        return (max(0.0, centre - half), min(1.0, centre + half))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.value:.3f}（{self.hits}/{self.total}，95% 区间 {low:.3f} 到 {high:.3f}）"


@dataclass(frozen=True)
class Report:
    """What `evaluate` prints."""

    shares: dict[str, Share]
    p50: float
    p99: float
    misses: tuple[str, ...]
    parts: dict[str, dict[str, Share]]
    """The same shares for each style and topic, by its name."""

    def as_json(self) -> dict[str, Any]:
        """For `--json`."""
        parts = {name: _figures(shares) for name, shares in self.parts.items()}
        return {"figures": _figures(self.shares), "parts": parts, "ms": {"p50": self.p50, "p99": self.p99}, "misses": list(self.misses)}

    def as_text(self) -> str:
        """For the terminal.

        可答问题 第一候选正确      0.812（260/320，95% 区间 0.766 到 0.851）
        """
        lines = [f"{name:　<14}{share}" for name, share in self.shares.items() if share.total]
        lines.append(f"每问用时　p50 {self.p50:.1f} 毫秒，p99 {self.p99:.1f} 毫秒")
        for name, shares in self.parts.items():
            shown = "　".join(f"{what} {share.hits}/{share.total}" for what, share in shares.items() if share.total)
            lines.append(f"  {name:　<8}{shown}")
        return "\n".join([*lines, "", "最值得看的错例：", *self.misses] if self.misses else lines)


def _figures(shares: dict[str, Share]) -> dict[str, dict[str, Any]]:
    return {
        name: {"value": share.value, "hits": share.hits, "total": share.total, "interval": share.interval} for name, share in shares.items()
    }


def judge(labelled: Sequence[Labelled], ask: Callable[[str], Outcome]) -> Report:
    """Ask every question and count."""
    found = [(label, ask(label.question)) for label in labelled]
    times = [outcome.milliseconds for _, outcome in found]
    p99 = quantiles(times, n=100)[98] if len(times) > 1 else times[0]
    parts = {
        f"{shown} {name}": _shares([pair for pair in found if getattr(pair[0], kind) == name])
        for kind, shown in GROUPED.items()
        for name in sorted({getattr(label, kind) for label, _ in found} - {""})
    }
    return Report(_shares(found), median(times), p99, tuple(_misses(found)), parts)


GROUPED = {"style": "问法", "topic": "主题"}


def _shares(found: Sequence[tuple[Labelled, Outcome]]) -> dict[str, Share]:
    answerable = [(label, outcome) for label, outcome in found if label.expect]
    hopeless = [(label, outcome) for label, outcome in found if not label.expect and not label.wrong]
    direct = [(label, outcome) for label, outcome in found if outcome.band == "answer"]
    twins = [(label, outcome) for label, outcome in found if label.wrong]
    return {
        "可答问题 第一候选正确": _share(answerable, lambda label, o: o.candidates[:1] and o.candidates[0] in label.expect),
        "可答问题 前三候选有": _share(answerable, lambda label, o: set(o.candidates[:3]) & set(label.expect)),
        "可答问题 直接答复": _share(answerable, lambda label, o: o.band == "answer"),
        "可答问题 答对或列出": _share(answerable, lambda label, o: _met(label, o)),
        "直接答复中正确": _share(direct, lambda label, o: o.candidates[0] in label.expect),
        "不该答的 被直接答复": _share(hopeless, lambda label, o: o.band == "answer"),
        "不该答的 登记或不受理": _share(hopeless, lambda label, o: o.band in ("need", "refused", "conversation")),
        "一字之差 照错的答": _share(twins, lambda label, o: o.band == "answer" and o.candidates[0] in label.wrong),
    }


def _share(items: Sequence[tuple[Labelled, Outcome]], holds: Callable[[Labelled, Outcome], object]) -> Share:
    return Share(sum(bool(holds(label, outcome)) for label, outcome in items), len(items))


def _met(label: Labelled, outcome: Outcome) -> bool:
    if outcome.band == "answer":
        return outcome.candidates[0] in label.expect
    return outcome.band == "offer" and bool(set(outcome.offered) & set(label.expect))


def _misses(found: Sequence[tuple[Labelled, Outcome]]) -> list[str]:
    """Wrong direct answers first, then answerable questions that were not met; twenty at most."""
    wrong = [(label, o) for label, o in found if o.band == "answer" and o.candidates[0] not in label.expect]
    unmet = [(label, o) for label, o in found if label.expect and o.band != "answer" and not _met(label, o)]
    return [
        f"{'答错' if outcome.band == 'answer' else '没答上'}　{label.question}　应为 {'/'.join(label.expect) or '无'}，"
        f"得到 {outcome.band} {'/'.join(outcome.candidates[:3])}"
        for label, outcome in [*wrong, *unmet][:20]
    ]
