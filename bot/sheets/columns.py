"""The columns of the ledger as a table (DOMAIN 3.1), the same on the way out and on the way in."""

import unicodedata
from typing import Literal, NamedTuple

Kind = Literal["text", "day", "number"]


class Column(NamedTuple):
    """One column: its key in our code, its heading, how wide it is, what its cells are, and other headings it may come with.

    `editable`: what a review sheet says there is written back.
    """

    key: str
    heading: str
    width: int
    kind: Kind = "text"
    also: tuple[str, ...] = ()
    editable: bool = False


COLUMNS = (
    Column("seq", "序号", 6, "number", ("编次", "No", "No.")),
    Column("registered_on", "登记日期", 12, "day", ("登记时间", "日期", "受理日期")),
    Column("company", "企业名称", 28, also=("企业", "单位名称", "公司名称", "企业全称")),
    Column("uscc", "统一社会信用代码", 22, also=("信用代码", "社会信用代码", "统一信用代码")),
    Column("street", "所属街道/园区", 16, also=("所属街道", "街道", "街道/园区", "园区", "属地"), editable=True),
    Column("industry", "行业", 16, also=("所属行业", "行业类别"), editable=True),
    Column("contact", "联系人", 12, also=("企业联系人", "联系人姓名")),
    Column("phone", "电话", 16, also=("联系电话", "联系方式", "手机", "手机号")),
    Column("source", "来源渠道", 12, also=("来源", "渠道", "需求来源")),
    Column("topic", "需求类别", 22, also=("类别", "需求类型", "分类"), editable=True),
    Column("content", "需求内容", 48, also=("内容", "需求", "问题", "反映问题", "诉求", "需求事项")),
    Column("urgency", "紧急程度", 10, also=("紧急", "缓急"), editable=True),
    Column("division", "承办部门", 20, also=("部门", "承办庭室", "责任部门", "承办单位")),
    Column("handler", "承办人", 10, also=("责任人", "承办法官", "经办人")),
    Column("due_on", "办理期限", 12, "day", ("期限", "办理时限", "截止日期")),
    Column("progress", "办理进展", 40, also=("进展", "办理情况", "进展情况")),
    Column("visited_on", "走访日期", 12, "day", ("走访时间",), editable=True),
    Column("visitors", "走访人", 16, also=("走访人员",), editable=True),
    Column("reply", "答复内容", 48, also=("答复", "答复情况", "办理结果", "回复内容")),
    Column("closed_on", "办结日期", 12, "day", ("办结时间", "完成日期")),
    Column("satisfaction", "企业满意度", 12, also=("满意度", "企业评价", "满意情况"), editable=True),
    Column("remark", "备注", 24, also=("备考", "说明"), editable=True),
    Column("no", "编号", 16, also=("需求编号", "台账编号")),
    Column("state", "状态", 10, also=("办理状态", "当前状态")),
)
"""In the order of the court's sample sheet; number and state, by which a sheet finds its way back, come last."""

ONLY_IN = (
    Column("received_on", "收到日期", 12, "day", ("收到时间", "来件日期")),
    Column("replied_on", "答复日期", 12, "day", ("答复时间", "回复日期")),
)
"""Columns that old ledgers have and ours keeps in the history."""

BY_KEY = {column.key: column for column in (*COLUMNS, *ONLY_IN)}
EDITABLE = tuple(column.key for column in COLUMNS if column.editable)


def column_of(heading: str) -> Column | None:
    """The column a heading means, spaces, stars and the width of characters aside; None for one we do not know."""
    return _BY_HEADING.get(_plain(heading))


def _plain(heading: str) -> str:
    text = "".join(unicodedata.normalize("NFKC", heading).split()).lower()
    return text.strip("*★:").removesuffix("(必填)").strip("*★:")


_BY_HEADING = {_plain(name): column for column in BY_KEY.values() for name in (column.heading, *column.also)}
