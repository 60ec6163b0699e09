"""The record of a need (DOMAIN section 3.1): its fields, what may stand in them, and how history makes them.

A step of the history may set fields (`details`). `project` reads all steps of a need and says what its columns must be:
the last value of every field, the state, and what is due. Nothing about a need is stored that does not follow from there.
Texts that may hold personal data (summary, remark, case number, visitors) are kept apart and can be erased; a step that
sets one names the field, and its text is the value.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import date
from typing import Any

from knowledge.court import Court
from knowledge.errors import BadInput
from knowledge.ledger.deadlines import Rules, timing
from knowledge.ledger.workflow import COUNTED

SOURCES = (
    "走访",
    "来访座谈",
    "法律问诊",
    "机器人",
    "12368",
    "12348转",
    "来电",
    "来信",
    "信访",
    "商会工商联",
    "街道网格",
    "部门转办",
    "金融专员",
    "现场服务点",
    "命令行",
    "其他",
)
URGENCIES = ("一般", "较急", "紧急", "特急")
LITIGATION = ("无", "拟诉", "本院在办", "他院在办", "已结", "执行中")
ENT_TYPES = ("国有", "民营", "外资", "个体", "合作社", "其他")
ENT_SIZES = ("大", "中", "小", "微", "未知")
VISIBILITIES = ("院内", "专班")
RESTRICTED = "专班"
OUTCOMES = ("答复解决", "调解成功", "转诉讼", "转部门", "转仲裁", "撤回", "无法联系", "不属职权")
REPLY_MODES = ("线上", "电话", "当面", "书面", "短信")
SATISFACTION = ("非常满意", "满意", "基本满意", "不满意")
REJECTIONS = ("打听个案或请托", "重复", "与企业司法需求无关", "涉密", "其他")
FLAGS = ("司法建议线索", "群体风险", "典型案例线索")
SENSITIVE = ("群体性", "信访", "人身危险", "个案投诉")
NOT_GIVEN = "未提供"
OTHER_CATEGORIES = {"P1": "普法宣讲", "P2": "观摩培训", "P3": "诉讼服务意见", "P4": "规范性文件问题"}
"""Needs that are no legal question (DOMAIN 3.1), beside the hundred leaves."""

CHOICES: dict[str, tuple[str, ...]] = {
    "source": SOURCES,
    "urgency": URGENCIES,
    "litigation": LITIGATION,
    "ent_type": ENT_TYPES,
    "ent_size": ENT_SIZES,
    "visibility": VISIBILITIES,
    "outcome": OUTCOMES,
    "reply_mode": REPLY_MODES,
    "satisfaction": SATISFACTION,
    "sensitive": SENSITIVE,
}
NAMES = {
    "received_at": "收到日期",
    "registered_on": "登记日期",
    "street": "所属街道/园区",
    "industry": "行业",
    "ent_type": "企业类型",
    "ent_size": "企业规模",
    "source": "来源渠道",
    "topic": "需求类别",
    "other_topics": "其他类别",
    "litigation": "涉诉状态",
    "people": "涉案人数",
    "amount": "金额（元）",
    "urgency": "紧急程度",
    "fast_track": "绿色通道",
    "division": "承办部门",
    "handler": "承办人",
    "recused": "应回避的人",
    "copies": "抄送",
    "partners": "协办单位",
    "due_on": "办理期限",
    "until": "到期日",
    "visited_on": "走访日期",
    "reply_mode": "答复方式",
    "replied_on": "答复日期",
    "closed_on": "办结日期",
    "outcome": "办结方式",
    "satisfaction": "企业满意度",
    "flags": "线索标记",
    "visibility": "可见范围",
    "sensitive": "敏感类型",
    "summary": "摘要",
    "remark": "备注",
    "case_no": "案号",
    "visitors": "走访人",
    "lead_no": "归并到",
}
"""What each field is called on screen and in exports."""

TEXT_FIELDS = ("summary", "remark", "case_no", "visitors")
"""Fields whose value is an erasable text: the step has `{"field": name}` and the text."""
_LISTS = ("other_topics", "recused", "copies", "partners", "flags")
_PLAIN = (
    "source", "topic", "received_at", "registered_on", "urgency", "division", "handler", "litigation", "street", "industry",
    "ent_type", "ent_size", "people", "amount", "fast_track", "visibility", "sensitive", "outcome", "reply_mode", "satisfaction",
    "visited_on", "lead_no",
)  # fmt: skip
EDITABLE = (
    "received_at", "urgency", "topic", "other_topics", "street", "industry", "ent_type", "ent_size", "litigation", "people", "amount",
    "fast_track", "recused", "visited_on", "satisfaction", "flags", *TEXT_FIELDS,
)  # fmt: skip
"""Fields that are edited as such; the others are set by a step of the workflow (assigning, restricting, closing …)."""
EMPTIABLE = tuple(name for name in EDITABLE if name not in ("received_at", "urgency", "topic", "street", "litigation", *TEXT_FIELDS))
"""Fields that a clerk may clear again; the others a need always has once they are set."""
CACHED = ("due_on", "duty", "duty_on", "paused_since", "replied_on")
"""Columns that follow from the calendar and the rules as well as from the history."""
PROJECTED = (
    "state", "solved", "closed_on", "text_id", *_PLAIN, *_LISTS, *(f"{name}_id" for name in TEXT_FIELDS), *CACHED,
)  # fmt: skip
_DEFAULTS: dict[str, Any] = {"urgency": "一般", "visibility": "院内"}
_BEFORE_DETAILS = ("source", "topic")
"""Fields that the first version kept outside the history: where no step sets them they are left as they are."""


def project(steps: Sequence[Mapping[str, Any]], rules: Rules | None) -> dict[str, Any]:
    """The columns of a need after all its steps, in order; without `rules` the cached ones are None.

    `steps` are rows of the history: at, action, from_state, to_state, text_id, details (JSON or None).
    """
    read = [{**step, "day": date.fromisoformat(step["at"][:10]), "details": json.loads(step["details"] or "{}")} for step in steps]
    first, last = read[0], read[-1]
    columns: dict[str, Any] = dict.fromkeys(PROJECTED) | _DEFAULTS
    columns |= {"text_id": first["text_id"], "received_at": first["at"]}
    for step in read:
        details = step["details"]
        columns |= {name: details[name] for name in _PLAIN if name in details}
        columns |= {name: _list(details[name]) for name in _LISTS if name in details}
        if details.get("field") in TEXT_FIELDS:
            columns[f"{details['field']}_id"] = step["text_id"]
        if not columns["registered_on"] and step["to_state"] in COUNTED - {"suspended"}:
            # Who answers on the spot has taken it in.
            columns["registered_on"] = step["at"][:10]
        if step["action"] == "reopen":
            # What was said of the last ending is in the history; this one is still open.
            columns |= {"outcome": None, "satisfaction": None}
        columns["solved"] = {"confirm": 1, "reopen": 0}.get(step["action"], columns["solved"])
        if step["to_state"] != step["from_state"]:
            columns["closed_on"] = step["at"][:10] if step["to_state"] == "closed" else None
            columns["closed_on"] = details.get("closed_on", columns["closed_on"])
    columns["state"] = last["to_state"]
    if rules:
        found = timing(read, rules)
        columns |= {name: value.isoformat() if isinstance(value, date) else value for name, value in vars(found).items()}
    told = {name for step in read for name in step["details"]}
    return {name: value for name, value in columns.items() if name not in _BEFORE_DETAILS or name in told}


def _list(value: Any) -> str | None:
    return None if value is None else json.dumps(value, ensure_ascii=False)


def tidy_details(details: Mapping[str, Any], court: Court, topics: Sequence[str]) -> dict[str, Any]:
    """Fields as typed by a person, checked and brought into their stored form; an empty one is left out.

    Raises BadInput naming the field, what is wrong with it and what to do.
    """
    tidied: dict[str, Any] = {}
    for name, value in details.items():
        if is_empty(value):
            continue
        tidied[name] = _tidy(name, value, court, topics)
    return tidied


def is_empty(value: Any) -> bool:
    """Nothing was typed or ticked; a list of ticks in a form begins with an empty one."""
    return value is None or value == "" or (isinstance(value, list) and not any(value))


def _tidy(name: str, value: Any, court: Court, topics: Sequence[str]) -> Any:
    label = NAMES[name]
    if name in CHOICES:
        return _one_of(value, CHOICES[name], label)
    if name == "division":
        return _division(value, court)
    if name == "street":
        return _one_of(value, (*court.streets, NOT_GIVEN), label)
    if name == "industry":
        return _one_of(value, (*court.industries, NOT_GIVEN), label)
    if name == "topic":
        return _one_of(value, (*topics, *OTHER_CATEGORIES), label)
    if name in ("other_topics", "flags"):
        allowed = (*topics, *OTHER_CATEGORIES) if name == "other_topics" else FLAGS
        return [_one_of(item, allowed, label) for item in value if item != ""]
    if name in ("copies", "partners"):
        return [_directory_token(item, court, label) for item in value if item != ""]
    if name == "recused":
        return [_whole_number(item, label) for item in value if item != ""]
    if name in ("people", "amount", "handler"):
        return _whole_number(value, label)
    if name == "fast_track":
        return 1
    return _day(value, label)


def _one_of(value: Any, allowed: Sequence[str], label: str) -> str:
    if value not in allowed:
        shown = "、".join(allowed[:20]) + ("……" if len(allowed) > 20 else "")
        raise BadInput(f"{label}没有“{str(value)[:30]}”这一项。请选：{shown}。")
    return str(value)


def _division(value: Any, court: Court) -> str:
    for code, name in court.divisions.items():
        if value in (code, name):
            return code
    raise BadInput(f"承办部门没有“{str(value)[:30]}”。可选：{'、'.join(court.divisions.values())}。部门在 court.yaml 里配置。")


def _directory_token(value: Any, court: Court, label: str) -> str:
    """A row of the directory, `directory:12`, or a body named in court.yaml: the chain holds no names of people."""
    if re.fullmatch(r"directory:[0-9]{1,9}", str(value)) or value in court.routing_copy.values():
        return str(value)
    raise BadInput(f"{label}请从通讯录里选；“{str(value)[:30]}”不在通讯录里。")


def _whole_number(value: Any, label: str) -> int:
    text = str(value).strip().replace(",", "").replace("，", "")
    if not (text.isascii() and text.isdigit() and len(text) <= 15):
        raise BadInput(f"{label}请填整数，不带单位，例如 860000；您填的是“{str(value)[:30]}”。")
    return int(text)


def _day(value: Any, label: str) -> str:
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError as error:
        raise BadInput(f"{label}请写成 2026-11-18 这样的日期；您填的是“{str(value)[:30]}”。") from error
