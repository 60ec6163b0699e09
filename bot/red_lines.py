"""Danger first, then politeness: which messages are never searched, and which answers need a sentence in front.

A court's chatbot hears things no search may answer: somebody on a tower crane, somebody about to send money to a
swindler, somebody who wants a word put in with the judge. `refusal` names the red line (DOMAIN section 6) that redirects such
a message. Two judges look at it: patterns that leave no doubt, and a classifier trained on examples (`indexing.screening`).
Danger is redirected on much less evidence than anything else; where even that is missing but danger is thinkable, the
message is answered and the emergency numbers stand above the answer.
"""

import re
from functools import lru_cache

from indexing.screening import NONE, load_screen
from indexing.words import clean

RULES = ("R5", "R8", "R10", "R11", "R2", "R3", "R6", "R7")
"""Red lines that redirect, in the order in which they are considered."""
DANGER_FROM = 0.45
DANGER_THINKABLE_FROM = 0.05
REFUSED_FROM = 0.5

LEAST_CHARACTERS = 4
"""Chinese characters from which the classifier is asked: it has learned from Chinese sentences."""
_HAN = re.compile(r"[\u4e00-\u9fff]")
_BETWEEN = re.compile(r"(?<=[\u4e00-\u9fff])[\s.·*_\-~|/]+(?=[\u4e00-\u9fff])")
"""Spacing and dots between Chinese characters hide nothing (不 想 活 了)."""
_COURTESY = re.compile(
    "谢谢|多谢|感谢|辛苦了?|您好|你好|早上好|下午好|晚上好|再见|拜拜|没事了?|好的|知道了|明白了|麻烦|请问|在吗|不好意思|打扰了?|[您你我了啊呀吧的]"
)

_CERTAIN: tuple[tuple[str, re.Pattern[str]], ...] = (
    # The speaker, now, about the own life.
    (
        "R5",
        re.compile(
            r"(?:我|俺|咱|真|实在|都)(?:也|就|都|真|是|现在|已经)*(?:不想活|活不下去|想死|不活了|想自杀|要自杀|去死了|想跳楼|跳下去)"
        ),
    ),
    (
        "R5",
        re.compile(
            r"(?:站|坐|爬|跑|上)(?:在|到|了|上)*(?:楼顶|天台|塔吊|塔机|桥栏|桥边|楼边|脚手架|广告牌)[^。]{0,20}(?:跳|下来|讨薪|不下)"
        ),
    ),
    ("R5", re.compile(r"[转打汇存][^。]{0,10}安全账户|(?:让|叫|要|教)我[^。]{0,12}(?:屏幕共享|共享屏幕)")),
    ("R5", re.compile(r"(?:着火了|起火了|煤气漏了|燃气泄漏了)[^。]{0,10}(?:怎么办|救|快)")),
    ("R5", re.compile(r"(?:我|俺|老子)[^,。?]{0,6}(?:想死|去死了|死给你|寻死|轻生|活够了)(?!心)")),
    ("R5", re.compile(r"(?:想|要|准备|打算)(?:自杀|轻生|自焚|自尽|上吊|跳江|跳河|跳海|卧轨|割腕)")),
    (
        "R5",
        re.compile(
            r"(?:我|俺|老子)(?:要|想|就|今天|今晚|这就|现在|去|非|得){1,3}(?:砍|捅|弄|打|整|炸|杀|剁)(?:死|了)(?:他|她|你|法官|老板|那)"
        ),
    ),
    ("R5", re.compile(r"验证码[^,。]{0,6}(?:报|告诉|念|发)(?:给|了)(?:他|她|对方|骗|自称)")),
    ("R5", re.compile(r"没有?(?:呼吸|心跳|脉搏)了?|喘不上气|口吐白沫|血流不止|止不住血")),
    (
        "R5",
        re.compile(
            r"^[^\u4e00-\u9fff]*(?:救命|救我|着火了?|起火了?|杀人了?|砍人了?|打人了|跳楼|自杀|想死|不想活|有人跳|被绑)[了啊吧呀]*[^\u4e00-\u9fff]*$"
        ),
    ),
    (
        "R5",
        re.compile(
            r"kill (?:my|him|her)|suicide|want to die|end my life|(?:he|she|they)(?: is|'s| are) going to (?:jump|kill)|kidnapp|on fire"
        ),
    ),
    # To the judge by the back door.
    ("R2", re.compile(r"(?:法官|庭长|院长|书记员|审判长|承办人)(?:的|家|他|个人)?(?:住哪|住址|家在哪|微信多少|私人电话|手机号)")),
    (
        "R2",
        re.compile(
            r"(?:跟|和|给|请|找|向)[^,。]{0,6}(?:法官|庭长|院长|书记员|审判长|承办人|主审)"
            r"[^,。]{0,6}(?:打个?招呼|说说?情|求情|通融|吃个?饭|吃顿饭|送礼|递个?话)"
        ),
    ),
    # The bot as a writer or as a broker of lawyers.
    (
        "R3",
        re.compile(
            r"(?:帮|替)(?:我|我们|俺)(?:代?写|拟|起草|编|伪造)(?:一|个|份|封|张|几)"
            r"[^,。]{0,14}(?:状|书|函|合同|协议|借条|欠条|意见|代理词|证明|流水|截图|章程|决议)"
        ),
    ),
    ("R3", re.compile(r"(?:推荐|介绍)(?:我)?(?:一个|一位|个|位|几个|一下|一家|家)[^,。]{0,10}(?:律师|律所)")),
    ("R6", re.compile(r"对口供|[坐蹲]牢?几年")),
    ("R7", re.compile(r"[判裁][^,。]{0,8}(?:不公|太冤|错了)[^。]{0,12}(?:给我改|重判|上访|讨说法)|给我(?:改判|重判|平反)")),
    ("R8", re.compile(r"(?:举报|揭发|控告)[^,。]{0,8}(?:法官|庭长|局长|镇长|公务员|干警|法警|执行员)")),
    ("R8", re.compile(r"(?:法官|庭长|局长|镇长|执行员|法警|民警)[^,。]{0,8}(?:受贿|索贿|吃拿卡要|好处费)")),
    ("R10", re.compile(r"(?:导出|列出|下载|打印|输出|发我|交出)[^,。]{0,4}(?:全部|其他|别的|所有)企业|(?:开发者|越狱)模式")),
    ("R10", re.compile(r"你的(?:初始|隐藏|系统)?(?:指令|提示词|prompt)")),
    # A case number with a wish to know more than procedure.
    (
        "R2",
        re.compile(
            r"20\d\d[)\]]?年?[\u4e00-\u9fff]{1,2}\d{2,4}[\u4e00-\u9fff]{1,4}\d{1,6}号?[^。]{0,30}(?:进展|进度|怎么判|看法|意见|判了|能赢|帮|问)"
        ),
    ),
    (
        "R10",
        re.compile(
            r"(?:忽略|无视|忘记|忘掉)(?:你?(?:之?前|以?上|前面|所有|一切|全部)){1,3}[^。]{0,8}"
            r"(?:指令|提示|规则|设定|要求|内容)|系统提示词|system ?prompt"
        ),
    ),
)
_PREDICTION = re.compile(
    r"能不能赢|能赢|打得赢|打赢|胜算|胜诉|赢面|几成把握|告得赢|告赢|怎么判|咋判|判多少|会判|能判|判给谁"
    r"|(?:法院|法官|仲裁)[^。，]{0,6}(?:会|认|减|支持|采信|采纳)|会不会(?:支持|采信|驳)|支持多少"
)
_FIGURE = re.compile(
    r"多少|几倍|怎么算|咋算|怎么计算|利息|利率|诉讼费|保全费|补偿金|赔偿金|违约金|双倍|百分之|\d+%|上限|n\+1|2n|月息|几分利"
    r"|几天|几个月|几年|多久|多长时间|什么时候|啥时候|期限|时效|过期|来得及|最晚|最迟|[\d一二三四五六七八九十]+(?:年|个月|天|日)"
)


def refusal(text: str) -> str | None:
    """The rule that redirects this message, danger ("R5") before all others, or None when it may be answered.

    >>> refusal("讨薪的站在楼顶要跳，劳动争议怎么处理")
    'R5'
    >>> refusal("员工跳槽带走客户怎么办") is None
    True
    """
    message = _BETWEEN.sub("", clean(text))
    certain = {rule for rule, pattern in _CERTAIN if pattern.search(message)}
    if "R5" in certain:
        return "R5"
    if not _says_enough(message):
        return next((rule for rule in RULES if rule in certain), None)
    found = _judged(message)
    if found["R5"] >= DANGER_FROM:
        return "R5"
    likeliest = max((rule for rule in RULES if rule != "R5"), key=lambda rule: found[rule])
    if 1 - found[NONE] >= REFUSED_FROM and found[likeliest] >= REFUSED_FROM / 2:
        certain.add(likeliest)
    return next((rule for rule in RULES if rule in certain), None)


def framing(text: str) -> tuple[str, ...]:
    """The rules whose sentence goes with the answer: "R5" (danger is thinkable), "R1" (a prediction is asked for), "R9" (figures)."""
    message = _BETWEEN.sub("", clean(text))
    thinkable = _says_enough(message) and _judged(message)["R5"] >= DANGER_THINKABLE_FROM
    frames = (("R5", thinkable), ("R1", _PREDICTION.search(message)), ("R9", _FIGURE.search(message)))
    return tuple(rule for rule, holds in frames if holds)


def _says_enough(message: str) -> bool:
    """Whether, courtesies aside, there is a sentence for the classifier to judge."""
    return len(_HAN.findall(_COURTESY.sub("", message))) >= LEAST_CHARACTERS


@lru_cache(maxsize=16)
def _judged(message: str) -> dict[str, float]:
    """What the classifier says; kept a moment, because `refusal` and `framing` ask about the same message."""
    return load_screen().probabilities(message)
