"""The states of a need and who may move it: one table, read by every channel.

DOMAIN section 3.2 in its first form; states not reachable yet are not listed.
"""

from typing import NamedTuple

from knowledge.errors import NotAllowed

STATE_NAMES = {
    "submitted": "待登记",
    "registered": "已登记",
    "replied": "已答复",
    "reopened": "重启",
    "closed": "已办结",
    "rejected": "不予登记",
    "withdrawn": "撤回",
}
COUNTED = ("registered", "replied", "reopened", "closed")
"""States the ledger, its statistics and exports count; 待登记 and 不予登记 stand apart."""

ANSWERING_ROLES = frozenset({"registrar", "handler", "reviewer", "admin"})
INTAKE_ROLES = frozenset({"registrar", "admin"})
ASKER = frozenset({"asker"})


class Move(NamedTuple):
    """One allowed step: from these states, by these roles, to that state (None: it stays)."""

    sources: frozenset[str]
    roles: frozenset[str]
    target: str | None
    name: str


MOVES = {
    "register": Move(frozenset({"submitted"}), INTAKE_ROLES, "registered", "登记"),
    "reject": Move(frozenset({"submitted"}), INTAKE_ROLES, "rejected", "不予登记"),
    "reply": Move(frozenset({"submitted", "registered", "reopened", "replied"}), ANSWERING_ROLES, "replied", "答复"),
    "add": Move(frozenset({"submitted", "registered", "reopened", "replied"}), ASKER, None, "补充"),
    "confirm": Move(frozenset({"replied"}), ASKER, "closed", "确认解决"),
    "reopen": Move(frozenset({"replied", "closed"}), ASKER, "reopened", "反映未解决"),
    "withdraw": Move(frozenset({"submitted", "registered", "replied", "reopened"}), ASKER, "withdrawn", "撤回"),
}


ACTION_NAMES = {"submit": "提交", "reveal": "查看联系方式"} | {action: move.name for action, move in MOVES.items()}
"""What each step of the history is called on screen; the first two move nothing."""


def next_state(action: str, state: str, roles: frozenset[str]) -> str:
    """The state after `action`.

    Raises NotAllowed with a sentence when the role may not do it or the state does not allow it.
    """
    move = MOVES[action]
    if not move.roles & roles:
        raise NotAllowed(f"您的角色不能做“{move.name}”，请联系管理员调整角色。")
    if state not in move.sources:
        raise NotAllowed(f"这件需求现在是“{STATE_NAMES[state]}”，不能再“{move.name}”。请刷新后查看最新状态。")
    return move.target or state
