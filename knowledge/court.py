"""What is this court's own: its name, streets, divisions, routing, time limits. All of it configuration.

Shipped defaults stand in `content/court.yaml`; the court's own `court.yaml` in the data folder wins key by key. Until
that file names the court and who confirmed it, everything shown says so (演示，非法院正式服务).
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from knowledge.errors import Unreadable
from knowledge.files import load_yaml

CONTENT = Path(__file__).parent / "content"


@dataclass(frozen=True)
class Topic:
    """A leaf of the taxonomy (DOMAIN section 2) and the group it belongs to."""

    code: str
    name: str
    group: str
    group_name: str


@dataclass(frozen=True)
class Court:
    """The configuration in force; `own_keys` are those the court's own file sets."""

    name: str | None
    confirmed_by: str | None
    watermark: str
    office_hours: str
    streets: tuple[str, ...]
    industries: tuple[str, ...]
    answer_days: int
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
    try:
        return Court(
            name=merged["court_name"],
            confirmed_by=merged["confirmed_by"],
            watermark=str(merged["demo_watermark"]),
            office_hours=str(merged["office_hours"]),
            streets=(*map(str, merged["streets"]), *map(str, merged["special_areas"])),
            industries=tuple(map(str, merged["industries"])),
            answer_days=int(merged["answer_working_days"]["一般"]),
            anonymous_needs_per_asker=int(merged["anonymous_needs_per_day"]["asker"]),
            anonymous_needs_per_address=int(merged["anonymous_needs_per_day"]["address"]),
            messages_per_minute=int(merged["messages_per_minute"]),
            notify_roles=tuple(map(str, merged["notify_new_needs"])),
            retention_raw_days=int(merged["retention_days"]["raw"]),
            retention_refused_days=int(merged["retention_days"]["refused"]),
            own_keys=tuple(own),
        )
    except (TypeError, ValueError, KeyError) as error:
        raise Unreadable(f"{own_path} 里有一项的写法不对（{error}）。请对照自带的 court.yaml 改正。") from error


def load_topics() -> dict[str, Topic]:
    """The hundred leaves by code, in order."""
    groups: Any = load_yaml((CONTENT / "topics.yaml").read_text(encoding="utf-8"))
    return {leaf["code"]: Topic(leaf["code"], leaf["name"], group["code"], group["name"]) for group in groups for leaf in group["leaves"]}


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
