"""What is this court's own: its name, streets, divisions, routing, time limits. All of it configuration.

Shipped defaults stand in `content/court.yaml`; the court's own `court.yaml` in the data folder wins key by key. Until
that file names the court and who confirmed it, everything shown says so (演示，非法院正式服务).
"""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge.errors import Unreadable
from knowledge.files import load_yaml

CONTENT = Path(__file__).parent / "content"
ROLES = {
    "registrar": "登记员",
    "assigner": "分派人",
    "handler": "承办人",
    "reviewer": "审核人",
    "supervisor": "督办",
    "admin": "管理员",
    "auditor": "审计",
}
"""The roles of court staff and what they are called."""


FLOOR = 2
"""Questions a leaf should have at least, where the taxonomy does not say."""


@dataclass(frozen=True)
class Topic:
    """A leaf of the taxonomy (DOMAIN section 2) and the group it belongs to."""

    code: str
    name: str
    group: str
    group_name: str
    floor: int
    """How many questions there should be at least: what is asked often needs more."""


@dataclass(frozen=True)
class Court:
    """The configuration in force; `own_keys` are those the court's own file sets."""

    name: str | None
    confirmed_by: str | None
    watermark: str
    office_hours: str
    streets: tuple[str, ...]
    industries: tuple[str, ...]
    divisions: dict[str, str]
    """What handles needs, by code."""
    routing: dict[str, str]
    """Division by topic group or leaf."""
    routing_urgent: str
    routing_copy: dict[str, str]
    """Who outside is told of needs of a topic group."""
    acknowledge_days: int
    sign_days: int
    answer_days: int
    answer_days_by_urgency: dict[str, int]
    answer_days_by_source: dict[str, int]
    call_hours: int
    escalate_days: int
    close_days: int
    reopen_days: int
    duplicate_days: int
    review_always: tuple[str, ...]
    allow_self_review: bool
    sensitive_words: dict[str, tuple[str, ...]]
    duty_persons: dict[str, str]
    urgent_words: tuple[str, ...]
    anonymous_needs_per_asker: int
    anonymous_needs_per_address: int
    messages_per_minute: int
    notify_roles: tuple[str, ...]
    retention_raw_days: int
    retention_refused_days: int
    own_keys: tuple[str, ...] = ()

    @property
    def is_demo(self) -> bool:
        """Whether nobody of a court has confirmed this configuration yet."""
        return not (self.name and self.confirmed_by)


def load_court(data_dir: Path) -> Court:
    """Shipped defaults with the court's own `court.yaml` over them. Raises Unreadable naming file and key."""
    shipped = _read(CONTENT / "court.yaml")
    own_path = data_dir / "court.yaml"
    own = _read(own_path) if own_path.exists() else {}
    if unknown := own.keys() - shipped.keys():
        raise Unreadable(f"{own_path} 里有不认识的项：{'、'.join(sorted(unknown))}。请对照自带的 court.yaml 改正。")
    merged = {key: _merge(value, own.get(key)) for key, value in shipped.items()}
    for key, value in own.items():
        if wrong := _what_is_wrong(key, value, shipped[key], merged["divisions"]):
            raise Unreadable(f"{own_path} 里的 {key} 不对：{wrong}。请对照自带的 court.yaml 改正。")
    return Court(
        name=merged["court_name"],
        confirmed_by=merged["confirmed_by"],
        watermark=merged["demo_watermark"],
        office_hours=merged["office_hours"],
        streets=(*merged["streets"], *merged["special_areas"]),
        industries=tuple(merged["industries"]),
        divisions=merged["divisions"],
        routing=merged["routing"],
        routing_urgent=merged["routing_urgent"],
        routing_copy=merged["routing_copy"],
        acknowledge_days=merged["acknowledge_working_days"],
        sign_days=merged["sign_working_days"],
        answer_days=merged["answer_working_days"]["一般"],
        answer_days_by_urgency=merged["answer_working_days"],
        answer_days_by_source=merged["answer_working_days_by_source"],
        call_hours=merged["very_urgent_call_hours"],
        escalate_days=merged["escalate_after_working_days"],
        close_days=merged["close_after_days"],
        reopen_days=merged["reopen_within_days"],
        duplicate_days=merged["duplicate_within_days"],
        review_always=tuple(merged["review_always"]),
        allow_self_review=merged["allow_self_review"],
        sensitive_words={kind: tuple(words) for kind, words in merged["sensitive_words"].items()},
        duty_persons={kind: name for kind, name in merged["duty_persons"].items() if name},
        urgent_words=tuple(merged["urgent_words"]),
        anonymous_needs_per_asker=merged["anonymous_needs_per_day"]["asker"],
        anonymous_needs_per_address=merged["anonymous_needs_per_day"]["address"],
        messages_per_minute=merged["messages_per_minute"],
        notify_roles=tuple(merged["notify_new_needs"]),
        retention_raw_days=merged["retention_days"]["raw"],
        retention_refused_days=merged["retention_days"]["refused"],
        own_keys=tuple(own),
    )


def _what_is_wrong(key: str, value: Any, shipped: Any, divisions: Collection[str] = ()) -> str | None:
    """A value must be of the shipped one's kind; a number counts something, so it is at least one."""
    if value is None:
        return None
    if key == "notify_new_needs" and isinstance(value, list) and (unknown := [role for role in value if role not in ROLES]):
        return f"没有 {unknown[0]} 这个角色，可用的有 {', '.join(ROLES)}"
    if shipped is None or isinstance(shipped, str):
        return None if isinstance(value, str) and value.strip() else "应当是一段文字"
    if isinstance(shipped, bool):
        return None if isinstance(value, bool) else "应当是 true 或 false"
    if isinstance(shipped, int):
        return None if isinstance(value, int) and not isinstance(value, bool) and value >= 1 else "应当是 1 或更大的整数"
    if key == "answer_working_days_by_source" and isinstance(value, dict):
        return next(filter(None, (_what_is_wrong(name, days, 1) for name, days in value.items())), None)
    if isinstance(shipped, list):
        same = isinstance(value, list) and all(isinstance(item, type(shipped[0])) for item in value)
        return None if same else "应当是列表，每行一项，前面加“- ”"
    if not isinstance(value, dict):
        return "应当是“名称: 值”的形式"
    inside = [_what_is_wrong(name, item, shipped[name]) for name, item in value.items() if name in shipped]
    if key == "routing" and (unknown := [code for code in value.values() if code not in divisions]):
        return f"没有 {unknown[0]} 这个承办部门代号，可用的有 {', '.join(divisions)}"
    return next(filter(None, inside), None)


def load_topics() -> dict[str, Topic]:
    """The hundred leaves by code, in order."""
    groups: Any = load_yaml((CONTENT / "topics.yaml").read_text(encoding="utf-8"))
    return {
        leaf["code"]: Topic(leaf["code"], leaf["name"], group["code"], group["name"], leaf.get("floor", FLOOR))
        for group in groups
        for leaf in group["leaves"]
    }


def topic_codes() -> set[str]:
    """The codes of all leaves and groups."""
    return {code for topic in load_topics().values() for code in (topic.code, topic.group)}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = load_yaml(path.read_text(encoding="utf-8-sig"))
    except (Unreadable, UnicodeDecodeError) as error:
        raise Unreadable(f"{path} 读不出来：{error}") from error
    if not isinstance(found, dict):
        raise Unreadable(f"{path} 应当是“名称: 值”的形式。")
    return found


def _merge(shipped: Any, own: Any) -> Any:
    if own is None:
        return shipped
    return shipped | own if isinstance(shipped, dict) and isinstance(own, dict) else own
