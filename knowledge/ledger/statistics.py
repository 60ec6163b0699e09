"""What the court reports about its ledger, each number with its exact definition and the needs that make it up.

A number is one row of `NUMBERS`: by which date a need belongs to the period, a condition on the need, and what it means in
words. The same condition counts the needs for a table and finds them for the list behind the cell (`listed`), so a number
and its list cannot disagree. All counting is done by SQLite over the columns of `needs`; the history is never read.

Needs of the 专班 are in the totals. Where somebody may not see them, tables show them in one line of their own (`HIDDEN`)
instead of by street or division. In anything meant for outside they do not appear at all, and lines of fewer than five needs,
which could point at one enterprise, become one line.
"""

from calendar import monthrange
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import Any, NamedTuple

from knowledge.database import Db, row, rows
from knowledge.errors import BadInput
from knowledge.ledger.record import RESTRICTED
from knowledge.ledger.workflow import COUNTED, INTAKE, PAUSED, WORKING

LEAST = 5
"""Needs a line must have before it may stand alone in anything meant for outside (DOMAIN 3.8)."""
MOST_MONTHS = 36
"""A longer period is told by years."""
EARLIEST, LATEST = date(2000, 1, 1), date(2100, 12, 31)
NONE = "无"
"""In an address, as in the list of needs: the need has no value for this."""
HIDDEN = "hidden"
"""The line of needs that the reader may not see one by one."""
OTHERS = "others"
"""The line of needs whose own lines were too small."""


def _any_of(states: frozenset[str]) -> str:
    return f"n.state IN ({', '.join(repr(state) for state in sorted(states))})"


LEDGER = COUNTED | frozenset({"withdrawn"})
"""The states of what has been registered: the ledger counts from 已登记 on, and what was withdrawn later stays counted."""
BASES = {
    "registered": f"n.registered_on BETWEEN ? AND ? AND {_any_of(LEDGER)}",
    "received": "substr(n.received_at, 1, 10) BETWEEN ? AND ? AND n.state <> 'voided'",
    "closed": "n.closed_on BETWEEN ? AND ? AND n.state = 'closed'",
}
"""By which date a need belongs to a period: `by` in an address."""


class Number(NamedTuple):
    """One number: its name on screen, by which date it counts, the condition on `needs n` (`{today}` is today), its meaning."""

    label: str
    by: str
    condition: str
    meaning: str


NUMBERS = {
    "received": Number("收到", "received", "1", "收到日期在本期的需求，不含作废"),
    "taken_in": Number("收到后已登记", "received", f"{_any_of(LEDGER)} AND n.registered_on IS NOT NULL", "本期收到，已经登记进台账"),
    "waiting": Number("待登记", "received", _any_of(INTAKE), "本期收到，现在还没有登记，含退回补充"),
    "rejected": Number("不予登记", "received", "n.state = 'rejected'", "本期收到，现在的状态是不予登记"),
    "withdrawn_early": Number(
        "登记前撤回", "received", "n.state = 'withdrawn' AND n.registered_on IS NULL", "本期收到，登记以前提问人就撤回了"
    ),
    "registered": Number(
        "登记", "registered", "1", "登记日期在本期的需求，含后来撤回的，不含作废和不予登记；下面各数没有另外说明的，都在这些需求里数"
    ),
    "open": Number("在办", "registered", _any_of(WORKING), "到今天还没有答复的，含待企业补充、转办、挂起和重启"),
    "overdue": Number(
        "超期未答复", "registered", f"{_any_of(WORKING - PAUSED)} AND n.due_on < {{today}}", "在办，办理期限早于今天；暂停计时的不算"
    ),
    "awaiting": Number("已答复待办结", "registered", "n.state = 'replied'", "已经答复，还没有办结"),
    "closed": Number("办结", "registered", "n.state = 'closed'", "本期登记，到今天已经办结；登记＝在办＋已答复待办结＋办结＋撤回"),
    "withdrawn": Number("撤回", "registered", "n.state = 'withdrawn'", "登记以后提问人撤回"),
    "replied": Number("答复", "registered", "n.replied_on IS NOT NULL", "已经答复；反映未解决而重启的，要再次答复才算"),
    "timed": Number("可算按期的答复", "registered", "n.replied_on IS NOT NULL AND n.due_on IS NOT NULL", "已经答复，并且算得出办理期限"),
    "on_time": Number("按期答复", "registered", "n.replied_on <= n.due_on", "答复日期不晚于办理期限，期限当天答复算按期"),
    "late": Number("逾期答复", "registered", "n.replied_on > n.due_on", "答复日期晚于办理期限"),
    "untimed": Number(
        "期限不明的答复",
        "registered",
        "n.replied_on IS NOT NULL AND n.due_on IS NULL",
        "已经答复，但没有当年的工作日历，算不出期限；不进按期率",
    ),
    "solved": Number("解决", "registered", "n.solved = 1", "提问人确认解决；与办结分开统计，办结不等于解决"),
    "unsolved": Number("反映未解决", "registered", "n.solved = 0", "提问人最近一次反映没有解决"),
    "satisfied_very": Number("非常满意", "registered", "n.satisfaction = '非常满意'", "提问人评价为非常满意"),
    "satisfied": Number("满意", "registered", "n.satisfaction = '满意'", "提问人评价为满意"),
    "satisfied_fairly": Number("基本满意", "registered", "n.satisfaction = '基本满意'", "提问人评价为基本满意"),
    "dissatisfied": Number("不满意", "registered", "n.satisfaction = '不满意'", "提问人评价为不满意"),
    "rated": Number("已评价", "registered", "n.satisfaction IS NOT NULL", "四档评价合计"),
    "content": Number("评价满意", "registered", "n.satisfaction IN ('非常满意', '满意', '基本满意')", "非常满意、满意、基本满意合计"),
    "unrated": Number(
        "未评价", "registered", "n.replied_on IS NOT NULL AND n.satisfaction IS NULL", "已经答复，提问人没有评价；不进满意率"
    ),
    "visited": Number("走访办理", "registered", "n.visited_on IS NOT NULL", "登记了走访日期"),
    "visited_closed": Number("走访后办结", "registered", "n.visited_on IS NOT NULL AND n.state = 'closed'", "登记了走访日期，并且已经办结"),
    "visited_solved": Number("走访解决", "registered", "n.visited_on IS NOT NULL AND n.solved = 1", "登记了走访日期，并且提问人确认解决"),
    "grouped": Number("归并", "registered", "n.lead_no IS NOT NULL", "归并到另一件需求一起办理"),
    "closed_in": Number("本期办结", "closed", "1", "办结日期在本期，不论哪天登记"),
}
"""Every number that counts needs. All but those by received and closed are parts of `registered`."""


ASKED_NUMBERS = {
    "asked": ("问答次数", "本期的提问，不含寒暄和拒答；＝直接答复＋列出选项＋没有合适条目"),
    "answered": ("直接答复", "用条目答复的提问，含提问人从选项里选中的"),
    "solved": ("说解决了", "直接答复的提问里，提问人点了“解决了”"),
    "unsolved": ("说没解决", "直接答复的提问里，提问人点了“没解决”或“找工作人员”"),
    "unsaid": ("没有评价", "直接答复的提问里，提问人什么也没点"),
    "offered": ("列出选项", "列出了相近的问题，提问人没有选中其中一个"),
    "missed": ("没有合适条目", "没有条目能答复"),
    "recorded": ("记成需求", "上述提问里，成为需求或并入需求的；含答复后说没解决而转成需求的"),
}
"""Questions, by the fields of `Asked`: name on screen and meaning. They are counted for the whole court, whatever is filtered by."""
OUTCOME_NUMBERS = {
    "needs_asked": ("需求里的提问", "本期登记的需求一共有多少次提问；同一件被问几次算几次"),
    "enterprises": ("企业家数", "提出本期登记的需求、联系人经核实的企业，同一企业算一家"),
    "persons": ("未核实的提问人", "提出本期登记的需求、企业身份没有核实的人，同一人算一个；不计入企业家数"),
    "entries": ("转成条目", "由本期登记的需求写成、现在已发布的条目"),
}
"""What came of the registered needs, by the fields of `Statistics`: name on screen and meaning."""


class Rate(NamedTuple):
    """A share: its name, part and whole (names of numbers), and its meaning."""

    label: str
    part: str
    whole: str
    meaning: str


RATES = {
    "on_time": Rate("按期率", "on_time", "timed", "按期答复÷可算按期的答复"),
    "content": Rate("满意率", "content", "rated", "（非常满意＋满意＋基本满意）÷已评价；未评价的不计"),
    "closed": Rate("办结率", "closed", "registered", "办结÷登记"),
    "solved": Rate("解决率", "solved", "registered", "提问人确认解决÷登记"),
    "grouped": Rate("重复率", "grouped", "registered", "归并到另一件的需求÷登记"),
}

IN_TABLES = ("registered", "open", "overdue", "replied", "timed", "on_time", "closed", "solved", "rated", "content", "withdrawn")
"""The numbers that tables by street, division and so on show or work rates out from."""
_GROUP = f"CASE WHEN n.topic IS NULL THEN '{NONE}' WHEN n.topic LIKE 'P_' THEN n.topic ELSE substr(n.topic, 1, 1) END"
DIMENSIONS = {
    "topic": f"coalesce(n.topic, '{NONE}')",
    "street": f"coalesce(n.street, '{NONE}')",
    "industry": f"coalesce(n.industry, '{NONE}')",
    "division": f"coalesce(n.division, '{NONE}')",
    "handler": f"coalesce(CAST(n.handler AS TEXT), '{NONE}')",
    "source": "n.source",
    "urgency": "n.urgency",
}
"""What needs are broken down by and filtered by: the names used in addresses, and the value of a need."""
_EVERYTHING: tuple[str, Sequence[Any]] = ("1", ())


@dataclass(frozen=True)
class Filters:
    """Only needs with these values: names of `DIMENSIONS`, `NONE` for no value; a topic of one letter is a whole group."""

    values: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def read(cls, query: Mapping[str, str]) -> "Filters":
        """The filters of an address; what is empty is not filtered by."""
        return cls({name: query[name].strip() for name in DIMENSIONS if query.get(name, "").strip()})

    @property
    def group(self) -> str | None:
        """The group of topics the page is narrowed to, or None."""
        topic = self.values.get("topic", "")
        return topic if len(topic) == 1 and topic != NONE else None

    def condition(self) -> tuple[str, list[str]]:
        """The condition on `needs n`, with its parameters."""
        parts = [f"{'substr(n.topic, 1, 1)' if name == 'topic' and self.group else DIMENSIONS[name]} = ?" for name in self.values]
        return " AND ".join(parts) or "1", list(self.values.values())


@dataclass(frozen=True)
class Counts:
    """How many needs by the name of the number; a number that was not counted here is 0."""

    of: Mapping[str, int]

    def __getitem__(self, name: str) -> int:
        return self.of.get(name, 0)

    def rate(self, name: str) -> float | None:
        """A share of `RATES`, between 0 and 1; None where there is nothing to share."""
        whole = self[RATES[name].whole]
        return self[RATES[name].part] / whole if whole else None


@dataclass(frozen=True)
class Line:
    """One line of a table: the value of the need (or `NONE`, `HIDDEN`, `OTHERS`) and its numbers."""

    key: str
    counts: Counts


@dataclass(frozen=True)
class Span:
    """A month or a year of the period, as far as it lies in it: received, registered and closed each by their own date."""

    first: date
    last: date
    counts: Counts
    yearly: bool = False

    @property
    def name(self) -> str:
        """`2026-11`, `2026-01～03`, `2026-12～2027-01`, `2026`."""
        first, last = (f"{day:%Y}" if self.yearly else f"{day:%Y-%m}" for day in (self.first, self.last))
        if first == last:
            return first
        return f"{first}～{last if self.yearly or first[:4] != last[:4] else last[5:]}"


@dataclass(frozen=True)
class Asked:
    """Questions in the period, by the day they were asked, whether or not a need came of them.

    `asked` = `answered` + `offered` + `missed`: an entry answered (also after the asker chose it), choices were listed and
    nothing came of them, or no entry fitted. Of the answered: solved, unsolved (or a person was asked for), not said.
    `recorded` questions became a need or belong to one.
    """

    asked: int = 0
    answered: int = 0
    solved: int = 0
    unsolved: int = 0
    unsaid: int = 0
    offered: int = 0
    missed: int = 0
    recorded: int = 0


@dataclass(frozen=True)
class Statistics:
    """Everything on the page for one period. `hidden` needs are in the totals though the reader may not see them."""

    first: date
    last: date
    today: date
    filters: Filters
    outside: bool
    totals: Counts
    spans: tuple[Span, ...]
    tables: Mapping[str, tuple[Line, ...]]
    hidden: int
    asked: Asked
    needs_asked: int
    """How many questions the registered needs gather."""
    enterprises: int
    """Enterprises with a verified contact that asked a registered need, each once."""
    persons: int
    """People without a verified enterprise that asked a registered need, each once."""
    entries: int
    """Entries now published that came of a registered need."""


def check_period(first: date, last: date) -> None:
    """Raises BadInput for a period that ends before it begins or lies outside the calendar."""
    if first > last:
        raise BadInput(f"开始日期 {first} 晚于结束日期 {last}，请对调后再查。")
    if first < EARLIEST or last > LATEST:
        raise BadInput(f"时段请选在 {EARLIEST} 和 {LATEST} 之间。")


def listed(number: str, first: date, last: date, today: date) -> tuple[str, list[str]]:
    """The condition on `needs n`, with its parameters, that finds exactly the needs behind a number; `count` in an address.

    Whoever lists them adds the filters and what the reader may see. Raises BadInput for a number there is not.
    """
    if number not in NUMBERS:
        raise BadInput("统计里没有这个数，请从统计页面重新点进来。")
    wanted = NUMBERS[number]
    days = [first, last, *[today] * wanted.condition.count("{today}")]
    return f"({BASES[wanted.by]} AND {wanted.condition.replace('{today}', '?')})", [day.isoformat() for day in days]


def read_statistics(
    db: Db,
    first: date,
    last: date,
    today: date,
    filters: Filters | None = None,
    visible: tuple[str, Sequence[Any]] = _EVERYTHING,
    for_outside: bool = False,
    dimensions: Sequence[str] = tuple(DIMENSIONS),
) -> Statistics:
    """The numbers from `first` to `last`, both included, as things stand `today`.

    `visible` is the condition on `needs n` of what the reader may see one by one: others are counted in the totals only, and
    not at all once `filters` are set, because a filter would tell them apart. `for_outside` leaves out what is restricted and
    merges small lines. Raises BadInput for a period that cannot be.
    """
    check_period(first, last)
    filters = filters or Filters()
    scope = _scope(filters, visible, for_outside)
    found = _registered(db, (first, last, today), filters, scope, visible, dimensions)
    received, closed = _by_month(db, "received", first, last, scope), _by_month(db, "closed", first, last, scope)
    spans = _spans(first, last, [*found["month"], *received, *closed])
    tables = {name: found[name] for name in dimensions}
    enterprises, persons, needs_asked = _askers(db, first, last, scope)
    return Statistics(
        first=first,
        last=last,
        today=today,
        filters=filters,
        outside=for_outside,
        totals=_sum([*found["month"], *received, *closed]),
        spans=tuple(_merge_spans(spans) if for_outside else spans),
        tables={name: tuple(merge_small(lines) if for_outside else lines) for name, lines in tables.items()},
        hidden=_hidden(db, first, last, scope, visible),
        asked=_asked(db, first, last, for_outside),
        needs_asked=needs_asked,
        enterprises=enterprises,
        persons=persons,
        entries=_entries(db, first, last, scope),
    )


def merge_small(lines: Sequence[Line]) -> list[Line]:
    """The lines with those below five needs made one; where that one is itself below five, the next smallest join it."""
    from_small = sorted(lines, key=lambda line: line.counts["registered"])
    merged: list[Line] = []
    while from_small and (from_small[0].counts["registered"] < LEAST or 0 < _sum(merged)["registered"] < LEAST):
        merged.append(from_small.pop(0))
    kept = [line for line in lines if line not in merged]
    return [*kept, Line(OTHERS, _sum(merged))] if merged else kept


_Scope = tuple[str, Sequence[Any]]


def _scope(filters: Filters, visible: _Scope, for_outside: bool) -> _Scope:
    """Which needs count at all."""
    condition, args = filters.condition()
    if filters.values:
        condition, args = f"{condition} AND {visible[0]}", [*args, *visible[1]]
    if for_outside:
        condition, args = f"{condition} AND n.visibility <> ?", [*args, RESTRICTED]
    return condition, args


def _registered(
    db: Db, days: tuple[date, date, date], filters: Filters, scope: _Scope, visible: _Scope, dimensions: Sequence[str]
) -> dict[str, list[Line]]:
    """What is registered in the period: all numbers by month (or year), those of tables by each dimension; the largest lines first.

    The needs are looked at once, each becoming a row of noughts and ones; what SQLite then adds up is small.
    """
    first, last, today = days
    numbers = {name: number.condition.replace("{today}", "?3") for name, number in NUMBERS.items() if number.by == "registered"}
    values = DIMENSIONS | ({} if filters.group else {"topic": _GROUP})
    shown = "".join(f", CASE WHEN {visible[0]} THEN {values[name]} ELSE '{HIDDEN}' END AS {name}" for name in dimensions)
    flags = ", ".join(f"({condition}) AS {name}_n" for name, condition in numbers.items())
    sums = " UNION ALL ".join(
        f"SELECT '{by}' AS dimension, {by} AS value, "
        + ", ".join(f"coalesce(sum({name}_n), 0)" if by == "month" or name in IN_TABLES else "0" for name in numbers)
        + f" FROM counted GROUP BY {by}"
        for by in ("month", *dimensions)
    )
    sql = (
        f"WITH counted AS MATERIALIZED (SELECT substr(n.registered_on, 1, {_width(first, last)}) AS month, {flags}{shown} FROM needs n"
        f" WHERE {BASES['registered'].replace('? AND ?', '?1 AND ?2')} AND {scope[0]}) {sums}"
    )
    # The days are numbered, because today is meant more than once; what stands as a mere question mark comes after them.
    args = [first.isoformat(), last.isoformat(), today.isoformat(), *list(visible[1]) * len(dimensions), *scope[1]]
    found: dict[str, list[Line]] = {name: [] for name in ("month", *dimensions)}
    for dimension, value, *counted in db.execute(sql, args).fetchall():
        found[dimension].append(Line(value, Counts(dict(zip(numbers, counted, strict=True)))))
    return {name: sorted(lines, key=_largest_first) for name, lines in found.items()}


def _largest_first(line: Line) -> tuple[bool, int, str]:
    """What cannot be opened stands last."""
    return line.key == HIDDEN, -line.counts["registered"], line.key


def _by_month(db: Db, by: str, first: date, last: date, scope: _Scope) -> list[Line]:
    """The numbers by received or by closed, by month or year."""
    numbers = {name: number.condition for name, number in NUMBERS.items() if number.by == by}
    sums = ", ".join(f"sum({condition}) AS {name}" for name, condition in numbers.items())
    month = f"substr(n.{'received_at' if by == 'received' else 'closed_on'}, 1, {_width(first, last)})"
    found = rows(
        db,
        f"SELECT {month} AS month, {sums} FROM needs n WHERE {BASES[by]} AND {scope[0]} GROUP BY month",
        first.isoformat(),
        last.isoformat(),
        *scope[1],
    )
    return [Line(item.pop("month"), Counts(item)) for item in found]


def _hidden(db: Db, first: date, last: date, scope: _Scope, visible: _Scope) -> int:
    """How many of the registered needs the reader may not see one by one."""
    found = row(
        db,
        f"SELECT count(*) AS n FROM needs n WHERE {BASES['registered']} AND {scope[0]} AND ({visible[0]}) IS NOT TRUE",
        first.isoformat(),
        last.isoformat(),
        *scope[1],
        *visible[1],
    )
    return int((found or {"n": 0})["n"])


def _asked(db: Db, first: date, last: date, for_outside: bool) -> Asked:
    """Questions, apart from small talk and what was refused; for outside, without those that became a restricted need."""
    apart = " AND (a.need_no IS NULL OR a.need_no NOT IN (SELECT no FROM needs WHERE visibility = ?))" if for_outside else ""
    found = row(
        db,
        "SELECT count(*) AS asked, sum(band = 'answer') AS answered, sum(band = 'answer' AND feedback = 'solved') AS solved,"
        " sum(band = 'answer' AND feedback IN ('unsolved', 'person')) AS unsolved, sum(band = 'answer' AND feedback IS NULL) AS unsaid,"
        " sum(band = 'offer') AS offered, sum(band = 'need') AS missed, sum(need_no IS NOT NULL) AS recorded FROM askings a"
        f" WHERE a.band IN ('answer', 'offer', 'need') AND a.asked_at >= ? AND a.asked_at < ?{apart}",
        first.isoformat(),
        f"{last.isoformat()}U",
        *([RESTRICTED] if for_outside else []),
    )
    return Asked(**{name: n or 0 for name, n in (found or {}).items()})


def _askers(db: Db, first: date, last: date, scope: _Scope) -> tuple[int, int, int]:
    """Verified enterprises, other people, and questions of the registered needs."""
    found = row(
        db,
        "SELECT count(DISTINCT CASE WHEN p.verified_at IS NOT NULL THEN p.enterprise_id END) AS enterprises,"
        " count(DISTINCT CASE WHEN p.verified_at IS NULL OR p.enterprise_id IS NULL THEN p.id END) AS persons, count(*) AS askings"
        " FROM needs n JOIN askings a ON a.need_no = n.no LEFT JOIN persons p ON p.id = a.person_id"
        f" WHERE {BASES['registered']} AND {scope[0]}",
        first.isoformat(),
        last.isoformat(),
        *scope[1],
    )
    found = found or {}
    return found["enterprises"], found["persons"], found["askings"]


def _entries(db: Db, first: date, last: date, scope: _Scope) -> int:
    found = row(
        db,
        "SELECT count(DISTINCT s.entry_id) AS entries FROM entry_sources s JOIN needs n ON n.no = s.need_no"
        f" JOIN entries e ON e.id = s.entry_id AND e.state = 'published' WHERE {BASES['registered']} AND {scope[0]}",
        first.isoformat(),
        last.isoformat(),
        *scope[1],
    )
    return int((found or {"entries": 0})["entries"])


def _sum(lines: Sequence[Line]) -> Counts:
    total: dict[str, int] = {}
    for line in lines:
        for name, n in line.counts.of.items():
            total[name] = total.get(name, 0) + n
    return Counts(total)


def _width(first: date, last: date) -> int:
    """How much of a day names its line: the year and month, or in a long period the year."""
    return len("2026-11") if (last.year - first.year) * 12 + last.month - first.month < MOST_MONTHS else len("2026")


def _spans(first: date, last: date, lines: Sequence[Line]) -> list[Span]:
    """Every month or year of the period in order, also those with nothing in them."""
    yearly = _width(first, last) == len("2026")
    spans, begins = [], first
    while begins <= last:
        ends = date(begins.year, 12, 31) if yearly else begins.replace(day=monthrange(begins.year, begins.month)[1])
        key = begins.isoformat()[: _width(first, last)]
        spans.append(Span(begins, min(ends, last), _sum([line for line in lines if line.key == key]), yearly))
        begins = ends + timedelta(days=1)
    return spans


def _merge_spans(spans: Sequence[Span]) -> list[Span]:
    """Neighbouring months made one until none has one to four needs received, registered or closed."""
    merged: list[Span] = []
    for span in spans:
        if merged and _is_small(merged[-1]):
            merged[-1] = _joined(merged[-1], span)
        else:
            merged.append(span)
    while len(merged) > 1 and _is_small(merged[-1]):
        merged[-2:] = [_joined(merged[-2], merged[-1])]
    return merged


def _is_small(span: Span) -> bool:
    return any(0 < span.counts[name] < LEAST for name in ("received", "registered", "closed_in"))


def _joined(span: Span, following: Span) -> Span:
    counts = _sum([Line("", span.counts), Line("", following.counts)])
    return replace(span, last=following.last, counts=counts)
