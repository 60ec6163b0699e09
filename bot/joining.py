"""我也遇到: a question that could not be answered may wait together with one that other enterprises have asked.

What others are shown is one sentence, and only if nothing in it could tell who asked: personal numbers, company names, amounts,
places, names of people. There is no sure way to find those in free text, so this works the other way round: whatever is in
doubt is not shown, and the topic's name stands in its place. A summary that staff have written is preferred to the question itself.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from indexing.encoder import Encoder
from indexing.similar import similar_by
from indexing.words import clean, tokens
from knowledge.court import Court, Topic
from knowledge.database import Db, open_reader, row, rows
from knowledge.ledger import sensitive
from knowledge.ledger.grouping import public_groups, questions_of
from knowledge.privacy import mask

LONGEST_SHOWN = 60
"""Characters; a longer question tells a story, and a story tells whose it is."""
_DOUBTFUL = re.compile(
    r"[*＊×]|[a-zA-Z]{2}|\d{3}|\d[\d.,，]*\s*[千百万亿]?\s*(?:元|块|万|亿|平|吨|台|套|箱|亩)|〔|（20|鲁|青岛|崂山|案号|号楼|室$|某"
    r"|[\u4e00-\u9fff]{2,}(?:路|街道|大道|小区|大厦|广场|村委|园区|社区|镇|县)|我叫|名叫|叫做|法定代表人是|微信号|网址|网店名"
)
_COMPANY = re.compile(r"(.{0,4})(有限公司|股份公司|集团|公司|企业|厂|店|商行|酒店|饭店|超市|工作室|事务所|合作社|银行|学校|医院|中心)")
_ANY_COMPANY = re.compile(
    r"(?:^|[，。？、；：\s]|的|了|在|和|跟|给|让|把|被|是|个|家|对方|我们|咱们?|他们?|她|我|你们?|这|那|别的|其他|另一|建筑|施工|物业|装修|劳务|派遣"
    r"|保险|运输|物流|快递|外贸|贸易|开发|总|分|子|母|新|老|原|前|小|大型|中小|民营|私营|本|该|某个|用工|客户|甲方|乙方|上游|下游|加盟|中介|担保|典当)$"
)
_SURNAMES = frozenset(
    "王李张刘陈杨赵黄周吴徐孙胡朱高林何郭马罗梁宋郑谢韩唐冯于董萧程曹袁邓许傅沈曾彭吕苏卢蒋蔡贾丁魏薛叶阎余潘杜戴夏钟汪田任姜范方石姚谭廖邹熊金陆郝孔白崔康毛邱秦江史顾侯邵孟龙万段雷钱汤尹黎易常武乔贺赖龚文"
)
_TITLED = re.compile(f"[{''.join(sorted(_SURNAMES))}](?:总|经理|老板|先生|女士|师傅|工|某|法官|律师|哥|姐)")


@dataclass(frozen=True)
class Joinable:
    """An open need that asks the same: its lead, how many verified enterprises wait, and what may be shown of it."""

    lead: str
    enterprises: int
    shown: str


class Joining:
    """Finds what a question could wait together with; to be used from one thread at a time, as `Answering` is."""

    def __init__(self, database: Path, encoder: Encoder, court: Court, topics: Mapping[str, Topic]) -> None:
        # Its own connection: a question never waits behind what others are writing.
        self._db, self._encoder, self._court, self._topics = open_reader(database), encoder, court, topics

    def find(self, question: str) -> Joinable | None:
        """What `question` could wait together with, or None; a sensitive question goes with nothing."""
        if sensitive.kind_of(question, self._court):
            return None
        waiting = public_groups(self._db)
        if not waiting:
            return None
        lead = similar_by(self._encoder).nearest(question, {no: questions_of(self._db, no) or [""] for no in waiting})
        return Joinable(lead, waiting[lead], self._shown(lead)) if lead else None

    def _shown(self, lead: str) -> str:
        need = row(
            self._db,
            "SELECT n.topic, q.body AS question, s.body AS summary FROM needs n JOIN texts q ON q.id = n.text_id"
            " LEFT JOIN texts s ON s.id = n.summary_id WHERE n.no = ?",
            lead,
        )
        assert need
        topic = self._topics.get(need["topic"] or "")
        about = topic.name if topic else "同一类问题"
        names = company_names(self._db)
        return next((text for text in (need["summary"], need["question"]) if text and tells_nobody(text, names)), about)


def company_names(db: Db) -> list[str]:
    """Every company name that enterprises or staff have given."""
    found = rows(db, "SELECT name FROM enterprises UNION SELECT company FROM persons WHERE company IS NOT NULL")
    return [item["name"] for item in found]


def tells_nobody(text: str, companies: list[str]) -> bool:
    """Whether a question may be shown to strangers: nothing in it is, or might be, about somebody in particular."""
    plain = clean(text)
    if len(plain) > LONGEST_SHOWN or mask(plain) != plain or _DOUBTFUL.search(plain) or _TITLED.search(plain):
        return False
    if any(_ANY_COMPANY.search(before) is None for before, _ in _COMPANY.findall(plain)):
        return False
    if any(own in plain for name in companies if len(own := _own_name(name)) >= 2):
        return False
    return not _names_somebody(plain)


def _own_name(name: str) -> str:
    """The first characters by which people call a company, without its place: 青岛海之星机械有限公司 -> 海之."""
    return re.sub(r"^(?:山东省?|青岛市?|崂山区?)+", "", clean(name))[:2]


def _names_somebody(plain: str) -> bool:
    """A surname that the tokenizer knows no word with, beside another single character, may begin a person's name."""
    pieces = [plain[start:end] for _, start, end in tokens(plain)]
    return any(piece in _SURNAMES and len(after) == 1 and after.isalpha() for piece, after in pairwise(pieces))
