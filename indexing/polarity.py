"""Opposite questions look alike to every encoder; here is what sets a question apart from an entry.

The question is compared with the wording it was found by, and with the entry's standard question. What differs is
named: negation (签了/没签, 可以/不可以), party (用人单位/劳动者, 原告/被告), stage (试用期内/期满后, 一审/二审), subject
(公司/个体户, 社保/公积金), numbers with units (15日/30日), and what one of them denies and the other says. Only what both
sides speak of is compared: a text that is silent on the matter is no contradiction.

Two sides of a matter of `_CONTRASTS`, another number than the standard question's, and a yes to a no in otherwise the same
words forbid a direct answer. The rest makes it less sure (`confidence` weighs it). Nothing here hides a candidate.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from indexing.words import CJK, clean, tokens
from knowledge.numerals import number_value

_CONTRASTS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("有没有书面合同", (r"签了|签过|签订了|有合同|有书面", r"没签|未签|没有签|没订|未订立|没合同|没有合同|无合同|没有书面")),
    ("有没有约定", (r"约定了|写明|写了|写着|有约定", r"没约定|未约定|没有约定|没写|没有写|没说")),
    ("原告还是被告", (r"原告|起诉别人|起诉对方|我要告|我想告", r"被告|被起诉|被人告|告了我|起诉我|告我")),
    (
        "谁离开谁",
        (r"员工辞职|主动辞职|自己辞职|自己想走|自己要走|员工提出|不干了", r"辞退|开除|解雇|炒掉|裁掉|让他走|让她走|赶走|不要他|公司提出"),
    ),
    ("在职还是离职", (r"在职|还在公司|没离职", r"离职|跳槽|走了以后|辞职后")),
    ("试用期内还是期满", (r"试用期内|试用期间|试用期里|还在试用", r"试用期满|试用期已经?满|转正后|过了试用期|试用期过|已转正")),
    ("期满没满", (r"期满|到期|满了|届满", r"没满|未满|没到期|未到期|还没到|没有满")),
    ("审级", (r"一审", r"二审", r"再审")),
    ("判决还是裁定", (r"判决", r"裁定", r"裁决")),
    ("诉前还是诉中", (r"诉前|起诉前|还没起诉", r"诉中|诉讼中|起诉后|已经起诉")),
    ("哪种仲裁", (r"劳动仲裁|劳动争议", r"商事仲裁|仲裁委员会|仲裁条款")),
    ("租赁哪一方", (r"我是房东|租客不|租户不|承租人不|租客欠", r"房东不|房东要|房东把|出租人不|我是租客")),
    ("加盟哪一方", (r"我是总部|我们总部|加盟总部，|加盟商不|加盟商一直|特许人", r"交了加盟费|总部答应|总部没|品牌方没|加盟商怎么")),
    ("买卖哪一方", (r"客户不付|客户拖|买家不付|对方不付款|不给货款", r"供应商不发货|卖家不发货|不交货|不发货")),
    ("谁违约", (r"他们违约|对方违约|卖家反悔|对方反悔", r"我违约|我们违约|自己反悔|我反悔|我自己不")),
    ("借贷哪一方", (r"我借给|借给别人|借给朋友", r"我欠|我借了|向别人借|向朋友借|跟朋友借")),
    ("出借的是谁", (r"民间借贷|私人借|朋友借|个人借给", r"银行|小额贷款公司|小贷公司|网贷|金融机构")),
    ("债务人是谁", (r"大企业|大型企业|大公司|大厂", r"机关|事业单位|街道办|政府|学校|医院", r"民营公司|民营企业|私人老板")),
    ("企业是哪一种", (r"个体户|个体工商户", r"股份有限公司|股份公司", r"(?<!股份)有限公司|公司", r"合伙企业")),
    ("个人还是公司", (r"公司借|公司担保|公司名义", r"个人借|个人担保|个人名义|私人借|我个人")),
    ("受让的是谁", (r"外人|股东以外|别人|第三人", r"老股东|其他股东之间|股东之间|另一个股东|内部转让")),
    ("价格", (r"低价|白送|无偿|一块钱", r"市场价|正常价|原价|合理价")),
    ("什么款", (r"工资|薪|劳务费", r"材料款|货款|材料商|供货商", r"工程款|进度款|结算款", r"租金|房租")),
    ("社保还是公积金", (r"社保|社会保险|养老保险", r"公积金")),
    ("有没有工伤保险", (r"上了工伤险|上了工伤保险|买了工伤|缴了工伤", r"没上工伤|没给上工伤|没买工伤|没交工伤|未参保")),
    ("职位", (r"高管|副总|总经理|董事|监事|经理", r"普通员工|业务员|销售员|一般员工|文员")),
    ("男女", (r"男员工|丈夫|老公|陪产", r"女员工|女工|怀孕|孕期|产假")),
    ("线上还是线下", (r"网店|网购|网上买|直播间|电商", r"实体店|门店|线下|柜台")),
    ("第几次", (r"第一次|首次|初次|头一次|头一回", r"第二次|第三次|再次|又被罚|多次|屡次")),
    ("自愿还是冒用", (r"自愿|同意|借给朋友用", r"冒用|盗用|被人拿去|偷用")),
    ("派遣哪一方", (r"派遣公司|劳务公司|用人单位", r"用工单位|派到我|派来")),
    ("有没有授权", (r"正版|有授权|买过授权|买了授权|授权书", r"盗版|破解版|没授权|未经授权|没有授权|侵权图")),
    ("有没有牌照", (r"有牌照|持牌|有资质|有执照", r"没牌照|没有牌照|无牌照|没资质|没有资质|无资质|没执照")),
    ("集体还是国有土地", (r"集体土地|村里的地|集体的地|宅基地", r"国有土地|国有地|出让土地")),
    ("哪种拍卖", (r"法院拍卖|司法拍卖|法拍", r"普通拍卖|拍卖行|商业拍卖")),
    ("婚前还是婚后", (r"婚前|没结婚|未婚|结婚前|没领证", r"婚后|结婚后|结婚以后")),
    ("必须还是可以不", (r"必须|一定要|非得|强制要", r"可以不|用不着|不用|不必|自愿")),
    ("全日制还是其他用工", (r"全职|全日制|正式工|正式员工", r"钟点工|小时工|兼职|非全日制|实习生|在校学生|劳务工|退休返聘")),
    ("登记前还是登记后", (r"没过户|还没过户|未过户|过户前|没登记", r"已过户|过完户|过户后|过户到|已经登记")),
    ("国内还是国外", (r"外国判决|国外判决|国外法院", r"青岛起诉|国内起诉|在青岛")),
)
"""Matters on which the law turns, each with the ways to say one side or another. A text that names two sides takes none."""
_NAMES = (*(name for name, _ in _CONTRASTS), "用人单位还是劳动者")
_SIDES = tuple(tuple(map(re.compile, sides)) for _, sides in _CONTRASTS)
_ORDER = re.compile(rf"先([{CJK}]{{1,6}}?)[，、 ]?(?:后|再|然后|才)([{CJK}]{{1,6}})")
_ACTS = r"违法解除|单方解除|解除|不签|拖着不|输了|不服|起诉|告|反悔|违约|提出"
_EMPLOYER = re.compile(rf"(?:用人单位|公司|单位|企业|老板|厂里)(?:[^，。？]{{0,4}})(?:{_ACTS})")
_WORKER = re.compile(rf"(?:劳动者|员工|职工|工人|伙计|雇员)(?:[^，。？]{{0,4}})(?:{_ACTS})")
_DENIAL = re.compile(r"没有|没|不是|不|未|非|无")
_PAUSE = re.compile(r"[，。？；、！,.?;! ]")
DENIED_WITHIN = 4
"""Characters between a denial and the word it denies."""
_NEGATED = re.compile(r"(?:不|没|未|无|别|非|拒)")
_ASKS = re.compile(r"能不能|可不可以|要不要|是不是|有没有|该不该|行不行|算不算|会不会|用不用|付不付|赔不赔|给不给|交不交|退不退")
_FIXED = re.compile(
    r"不错|不过|不管|不论|不好意思|不同|不少|不懂|不知道|不清楚|不明白|不满|不到|不超过|不动产|不可抗力|不当得利|不正当|不良|不足|没办法"
    r"|无法|未来|不服|无效|不料|不想|怎么办|不然|要不|对不起|受不了|了不起|来不及|不得不|差不多|无固定期限|不定时|未成年"
)
_NUMBER = re.compile(r"(\d+(?:\.\d+)?)\s*(日|天|个月|月|年|周|小时|万|元|%|倍|人|岁)")
_CHINESE_NUMBER = re.compile(r"([一二两三四五六七八九十]{1,3})(?=个?(?:日|天|个月|年|周|小时|万|倍|审))")
_SAME_UNIT = {"天": "日", "月": "个月"}


@dataclass(frozen=True)
class Differences:
    """What sets a question apart from an entry, in Chinese, for staff.

    `forbidding` speaks against any direct answer; `stances` are those of them that name two sides of a matter, `numbers` other
    numbers of the same unit, `denied` words that one denies and the other says: these three are weighed.
    """

    forbidding: tuple[str, ...] = ()
    stances: tuple[str, ...] = ()
    numbers: tuple[str, ...] = ()
    denied: tuple[str, ...] = ()

    @property
    def reasons(self) -> tuple[str, ...]:
        """Everything there is to say, each thing once."""
        words = (f"一边说“{word}”，一边说没有" for word in self.denied)
        return tuple(dict.fromkeys((*self.forbidding, *self.numbers, *words)))


UNKNOWN = Differences(forbidding=("防错检查没有完成",))
"""What is assumed when the comparison itself fails."""


def compare(question: str, standard: str, wording: str) -> Differences:
    """How `question` differs from an entry's standard question and from the wording it was found by."""
    asked, norm, known = clean(question), clean(standard), clean(wording)
    if asked in (norm, known):
        return Differences()
    texts = tuple(dict.fromkeys((known, norm)))
    stances = tuple(dict.fromkeys(reason for text in texts for reason in _stances_differ(asked, text)))
    against_norm = tuple(_numbers_differ(asked, norm))
    numbers = tuple(dict.fromkeys((*_numbers_differ(asked, known), *against_norm)))
    negated = tuple(dict.fromkeys(reason for text in texts for reason in _negation_differs(asked, text)))
    return Differences((*stances, *against_norm, *negated), stances, numbers, _denied(asked, texts))


def _stances_differ(asked: str, known: str) -> list[str]:
    stances = zip(_stance(asked), _stance(known), strict=True)
    named = [f"{name}不同" for name, (one, other) in zip(_NAMES, stances, strict=True) if _differ(one, other)]
    return named + (["先后顺序不同"] if _order_differs(asked, known) else [])


def _order_differs(asked: str, known: str) -> bool:
    """先租后抵 against 先抵后租: what comes first in one text comes second in the other."""
    return any(
        {*first} & {*their_second} and {*second} & {*their_first} and not {*first} & {*their_first}
        for first, second in _ORDER.findall(asked)
        for their_first, their_second in _ORDER.findall(known)
    )


def _denied(asked: str, texts: Sequence[str]) -> tuple[str, ...]:
    """Words that the question denies and the texts say, or the other way round."""
    said, denied = _said_and_denied(asked)
    theirs = [_said_and_denied(text) for text in texts]
    they_say, they_deny = (frozenset().union(*sides) for sides in zip(*theirs, strict=True))
    return tuple(sorted((denied & (they_say - they_deny)) | (said & (they_deny - they_say))))


@lru_cache(maxsize=8192)
def _said_and_denied(text: str) -> tuple[frozenset[str], frozenset[str]]:
    """The words of two and more characters that a cleaned text says, and those it denies (没有, 不是 … shortly before them)."""
    said: set[str] = set()
    denied: set[str] = set()
    # Neither a question (能不能) nor a fixed word (不动产) denies anything.
    bare = _FIXED.sub(_hidden, _ASKS.sub(_hidden, text))
    ends = [found.end() for found in _DENIAL.finditer(bare)]
    for _, start, end in tokens(text):
        word = text[start:end]
        if len(word) >= 2 and not _DENIAL.search(bare[start:end]):
            near = any(0 <= start - stop <= DENIED_WITHIN and not _PAUSE.search(text[stop:start]) for stop in ends)
            (denied if near else said).add(word)
    return frozenset(said - denied), frozenset(denied - said)


@lru_cache(maxsize=8192)
def _stance(text: str) -> tuple[int | None, ...]:
    """Which side a text takes in each of _NAMES. The same wordings come up again and again, so they are read once."""
    return (*(_side(text, sides) for sides in _SIDES), _actor(text))


def _hidden(found: re.Match[str]) -> str:
    return "·" * len(found[0])


def _differ(one: int | None, other: int | None) -> bool:
    """Both texts take a side, and not the same one."""
    return one is not None and other is not None and one != other


def _side(text: str, sides: Sequence[re.Pattern[str]]) -> int | None:
    """The one side a text speaks of; None for none or several."""
    named = [i for i, side in enumerate(sides) if side.search(text)]
    return named[0] if len(named) == 1 else None


def _actor(text: str) -> int | None:
    """Who acts: 0 the employer, 1 the worker; None when neither or both are seen acting."""
    employer, worker = bool(_EMPLOYER.search(text)), bool(_WORKER.search(text))
    return None if employer == worker else int(worker)


def _numbers_differ(asked: str, known: str) -> list[str]:
    """Two texts that both give a number of the same unit, and none in common."""
    one, other = _numbers(asked), _numbers(known)
    return [
        f"数字不同（{'、'.join(sorted(one[unit]))}{unit} 与 {'、'.join(sorted(other[unit]))}{unit}）"
        for unit in sorted(one.keys() & other.keys())
        if not one[unit] & other[unit]
    ]


def _numbers(text: str) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for number, unit in _NUMBER.findall(_CHINESE_NUMBER.sub(lambda m: str(number_value(m[1])), text)):
        found.setdefault(_SAME_UNIT.get(unit, unit), set()).add(number)
    return found


def _negation_differs(asked: str, known: str) -> list[str]:
    """Two texts of nearly the same characters of which one is negated: 可以辞退/不可以辞退, 签了合同/没签合同."""
    bare_asked, bare_known = _plain(asked), _plain(known)
    letters_asked, letters_known = set(_NEGATED.sub("", bare_asked)), set(_NEGATED.sub("", bare_known))
    alike = len(letters_asked & letters_known) / max(len(letters_asked | letters_known), 1)
    if alike < 0.6 or bool(_NEGATED.search(bare_asked)) == bool(_NEGATED.search(bare_known)):
        return []
    return ["一个是否定的说法，一个是肯定的说法"]


def _plain(text: str) -> str:
    """The text without question forms (能不能) and fixed words (不动产) whose 不 negates nothing."""
    return _FIXED.sub("", _ASKS.sub("", text))
