"""The states of a need and who may move it: one table, read by every channel (DOMAIN section 3.2)."""

from typing import NamedTuple

from knowledge.errors import NotAllowed

STATE_NAMES = {
    "submitted": "待登记",
    "need_info": "退回补充",
    "rejected": "不予登记",
    "registered": "已登记",
    "assigned": "已分派",
    "in_progress": "办理中",
    "waiting": "待企业补充",
    "transferred": "已转办",
    "in_review": "待审核",
    "replied": "已答复",
    "reopened": "重启",
    "suspended": "挂起",
    "closed": "已办结",
    "withdrawn": "撤回",
    "voided": "作废",
}
INTAKE = frozenset({"submitted", "need_info"})
"""States before the ledger: what the registrar has still to take in."""
WORKING = frozenset({"registered", "assigned", "in_progress", "waiting", "transferred", "in_review", "reopened", "suspended"})
"""States in which somebody owes the enterprise an answer."""
OPEN = INTAKE | WORKING
PAUSED = frozenset({"need_info", "waiting", "suspended"})
"""States in which the clock stands still."""
ENDED = frozenset({"rejected", "closed", "withdrawn", "voided"})
COUNTED = WORKING | frozenset({"replied", "closed"})
"""States the ledger, its statistics and exports count; 待登记 and 不予登记 stand apart."""
BACK = "back"
"""Instead of a target: the state the need was in before it came to this one."""

INTAKE_ROLES = frozenset({"registrar", "admin"})
RESTRICTED_INTAKE = frozenset({"assigner"})
"""Who takes in what registrars may not see; ordinary needs they leave to them (`Desk`)."""
ANSWERING_ROLES = frozenset({"registrar", "handler", "reviewer", "admin"})
DESK_ROLES = frozenset({"registrar", "assigner", "handler", "reviewer"})
ANSWERING = frozenset({"accept", "reply", "submit_reply", "approve"})
"""Steps that nobody may take who must keep out of the need."""
ASKER = frozenset({"asker"})
BOT = frozenset({"bot"})


class Move(NamedTuple):
    """One allowed step: from these states, by these roles, to that state (None: it stays).

    With `own`, once the need has a handler only they do it. With `why`, nothing happens without a typed reason.
    """

    sources: frozenset[str]
    roles: frozenset[str]
    target: str | None
    name: str
    own: bool = False
    why: bool = False


def _from(*states: str) -> frozenset[str]:
    return frozenset(states)


_ANY = frozenset(STATE_NAMES)

MOVES = {
    # Intake.
    "register": Move(_from("submitted"), INTAKE_ROLES | RESTRICTED_INTAKE, "registered", "登记"),
    "ask_asker": Move(_from("submitted"), INTAKE_ROLES, "need_info", "退回补充", why=True),
    "complete": Move(_from("need_info"), ASKER | INTAKE_ROLES, "submitted", "补充材料"),
    "reject": Move(INTAKE, INTAKE_ROLES | RESTRICTED_INTAKE, "rejected", "不予登记", why=True),
    "restore": Move(_from("rejected"), frozenset({"reviewer"}), "submitted", "复核后恢复", why=True),
    # Assignment.
    "assign": Move(_from("registered", "assigned", "in_progress", "reopened"), frozenset({"assigner"}), "assigned", "分派"),
    "ask_return": Move(_from("assigned"), frozenset({"handler"}), None, "申请退办", own=True, why=True),
    "return": Move(_from("assigned"), frozenset({"assigner"}), "registered", "同意退办", why=True),
    "accept": Move(_from("assigned"), frozenset({"handler"}), "in_progress", "签收", own=True),
    # Work.
    "note": Move(OPEN | _from("replied", "closed"), DESK_ROLES, None, "记录进展"),
    "call": Move(OPEN, DESK_ROLES, None, "电话联系企业", why=True),
    "edit": Move(OPEN | _from("replied", "closed"), DESK_ROLES | INTAKE_ROLES, None, "修改登记信息"),
    "ask_enterprise": Move(_from("in_progress"), frozenset({"handler"}), "waiting", "请企业补充", own=True, why=True),
    "resume": Move(_from("waiting"), ASKER | frozenset({"handler"}), "in_progress", "企业已补充", own=True),
    "ask_transfer": Move(_from("in_progress"), frozenset({"handler"}), None, "申请转办", own=True, why=True),
    "transfer": Move(_from("in_progress"), frozenset({"assigner"}), "transferred", "转办", why=True),
    "take_back": Move(_from("transferred"), frozenset({"handler", "assigner"}), "in_progress", "收到转办回执", why=True),
    "ask_extension": Move(WORKING, frozenset({"handler"}), None, "申请延期", own=True, why=True),
    "extend": Move(WORKING, frozenset({"reviewer"}), None, "批准延期", why=True),
    "suspend": Move(OPEN - _from("suspended"), frozenset({"assigner"}), "suspended", "挂起", why=True),
    "continue": Move(_from("suspended"), frozenset({"assigner"}), BACK, "恢复办理"),
    "urge": Move(WORKING | _from("submitted"), frozenset({"supervisor"}), None, "催办", why=True),
    "restrict": Move(_ANY, frozenset({"registrar", "assigner", "supervisor"}), None, "设为专班可见", why=True),
    "unrestrict": Move(_ANY, frozenset({"supervisor"}), None, "取消专班可见", why=True),
    # Answers.
    "reply": Move(
        _from("submitted", "registered", "assigned", "in_progress", "reopened", "replied"), ANSWERING_ROLES, "replied", "答复", own=True
    ),
    "submit_reply": Move(
        _from("registered", "assigned", "in_progress", "reopened"), frozenset({"handler"}), "in_review", "提交审核", own=True
    ),
    "approve": Move(_from("in_review"), frozenset({"reviewer"}), "replied", "审核通过"),
    "send_back": Move(_from("in_review"), frozenset({"reviewer"}), "in_progress", "审核退回", why=True),
    "follow_reply": Move(OPEN | _from("replied"), BOT, "replied", "随归并的需求一并答复"),
    "close": Move(_from("replied"), frozenset({"handler", "registrar"}) | BOT, "closed", "办结", own=True),
    "revisit": Move(_from("replied", "closed"), frozenset({"registrar", "handler", "supervisor"}), None, "回访", why=True),
    # The asker.
    "add": Move(OPEN - PAUSED | _from("replied", "suspended"), ASKER, None, "补充"),
    "confirm": Move(_from("replied"), ASKER, "closed", "确认解决"),
    "rate": Move(_from("replied", "closed"), ASKER, None, "评价"),
    "reopen": Move(_from("replied", "closed"), ASKER | frozenset({"supervisor"}), "reopened", "反映未解决"),
    "withdraw": Move(OPEN | _from("replied"), ASKER, "withdrawn", "撤回"),
    # Groups: the need stays what it is, and history says with whom it went.
    "merge": Move(OPEN | _from("replied"), DESK_ROLES, None, "归并"),
    "join": Move(OPEN | _from("replied"), ASKER, None, "一起等答复"),
    "split": Move(_ANY, DESK_ROLES, None, "拆分"),
    # Nothing is deleted.
    "void": Move(_ANY - _from("voided"), frozenset({"admin"}), "voided", "作废", why=True),
}


ACTION_NAMES = {"submit": "提交", "reveal": "查看联系方式"} | {action: move.name for action, move in MOVES.items()}
"""What each step of the history is called on screen; the first two move nothing."""


def next_state(action: str, state: str, roles: frozenset[str], before: str | None = None) -> str:
    """The state after `action`; `before` is the one the need was in before it came to `state`.

    Raises NotAllowed with a sentence when the role may not do it or the state does not allow it.
    """
    move = MOVES[action]
    if not move.roles & roles:
        raise NotAllowed(f"您的角色不能做“{move.name}”，请联系管理员调整角色。")
    if state not in move.sources:
        raise NotAllowed(f"这件需求现在是“{STATE_NAMES[state]}”，不能再“{move.name}”。请刷新后查看最新状态。")
    return (before or state) if move.target == BACK else move.target or state
