"""Messages that are no question: a greeting, thanks, a slip of the thumb, the weather.

Searching for them would answer 你好 with a statute. Each kind has a reply of its own, so a person who starts with a
greeting is greeted. The rule is narrow on purpose: a message is small talk only when *all* of it is, and anything with a
word of law or business in it is a question, however short (欠薪, 支付令, 限高) and however politely it begins.
"""

import re
from itertools import pairwise

from indexing.words import clean

# The whole message, without punctuation, has to be one of these, once or several times over.
_POLITE = "请|你们?|您|您们|各位|大家|亲|老师|同志|法官|小助手|助手|机器人|客服|哈|啊|呀|哦|噢|呢|嘞|哟|呐|的|了|吧|啦|喽|哒|滴|嗷|捏|^_^"
_GREETING = re.compile(
    r"(?:你好|您好|你们好|大家好|各位好|老师好|法官好|同志好|领导好|哈喽|哈罗|哈啰|嗨|嘿|hello|hi|hey|halo|"
    r"nihao|ni\shao|早上好|上午好|中午好|下午好|晚上好|早安|午安|晚安好|早啊?|新年好|新年快乐|春节快乐|"
    r"节日快乐"
    r"|在吗|在么|在不在?|在嘛|有人吗|有人么|有人在吗|有人没|喂|打扰一?下?了?|请问在吗|请问|你好吗|吃了吗|"
    r"good\s?(?:morning|afternoon|evening)|冒个泡|想咨询一?下|咨询一?下|我想问一?下|我想问个?问题|问个问题|"
    r"问一下|有个问题|可以问吗|能问吗|能问个问题吗)+"
)
_THANKS = re.compile(
    r"(?:非常|十分|太|好的|多|万分|真的|真是|很|明白了|知道了|懂了|收到了?|解决了|没问题了|可以了|清楚了|那|行|ok|嗯+|帮大忙了)*"
    r"(?:谢谢|谢了|多谢|感谢|感恩|谢谢您|谢谢你|谢啦|3q|thanks?(?:\syou)?|thank\su|thx|辛苦了?|麻烦你?了|"
    r"有劳了?|太好了|真好|很有用|有用|有帮助|厉害|棒|赞|点赞|帮大忙了|给力|不错|靠谱|劳驾|感激不尽|爱了)+"
    r"(?:非常|太|多|你|您|你们|您们|解答|回复|帮助|帮忙|指导|回答|解释|的|了|耐心|支持|大家|老师|法官|法院|真的|很|有用|明白了|知道了)*"
)
_DONE = re.compile(
    r"(?:好的?|好吧|好嘞|行|可以|ok|okay|嗯+|哦+|噢+|收到|明白|知道|懂|了解|清楚|原来如此|这样啊|没了|没有了|"
    r"没事|没问题|是的|对的?|了|吧|那)+"
)
_BYE = re.compile(
    r"(?:好的|好|那|嗯|谢谢|没事了|没有了|先这样|就这样|我先|先|回头|下次|改天|明天|有空|不聊了|走了)*(?:再见|"
    r"拜拜|拜|88|886|bye|byebye|bye\sbye|goodbye|回见|回聊|再聊|下线了?|撤了|晚安|走了|下了|see\syou|明天见|"
    r"下次见|改天聊|先这样|就这样吧?|不问了|没别的了)+"
)
_WHO = re.compile(
    r"(?:你|您|你们|这)(?:到底|究竟)?(?:是|叫)(?:个)?(?:谁|什么|啥|哪位|哪个|干啥|干什么|做什么|人|真人|机器人|"
    r"机器|ai|人工|智能|法官|人工客服|机器还是人|人还是机器|真人还是机器)"
    r"|你(?:叫|的名字)(?:什么|啥)|(?:你|您|这个?|这里)(?:都)?(?:能|会|可以)(?:干|做|帮我?做?|回答|咨询|问|解答|"
    r"办)?(?:什么|啥|哪些)|你有(?:什么|啥|哪些)(?:功能|用|本事)|(?:怎么|如何|咋)(?:用|使用)(?:你|这个|这)|"
    r"使用说明|介绍(?:一下)?(?:你)?自己|自我介绍"
    r"|who\sare\syou|what\sare\syou|what\scan\syou\sdo|你是(?:chatgpt|gpt|deepseek|豆包|文心|通义|大模型)|"
    r"这是(?:干啥|干什么|做什么|啥)的|你是不是(?:真人|机器人|人|ai|机器)|功能介绍|帮助|help|菜单|你(?:靠谱|"
    r"准)(?:吗|不)"
)

# Clearly something else. None of these fires when a word of law or business stands beside it.
_OFF_TOPIC = re.compile(
    r"天气|气温|下雨|下雪|降温|台风来|几度|多少度|雾霾|穿什么衣服|笑话|段子|脑筋急转弯|猜谜|谜语|讲个?(?:故事|"
    r"鬼故事)|写(?:一)?(?:首|篇|个)?(?:诗|情诗|古诗|歌词|作文|小说|情书|对联|藏头诗|日记|读后感|检讨书|祝福语|"
    r"朋友圈文案)|作诗|来首诗|唱(?:首|个)?歌|对对联|成语接龙"
    r"|写(?:个|一段|一个|段)?(?:python|java|js|javascript|c\+\+|sql|html|代码|程序|脚本|爬虫|冒泡)|(?:python|"
    r"java|c\+\+|javascript).{0,10}(?:怎么|报错|代码|函数|循环|写)|冒泡排序|快速排序|二叉树|leetcode|编程(?:题|"
    r"作业)"
    r"|解(?:一?个?)?方程|一元二次|微积分|求导|导数|勾股|鸡兔同笼|数学(?:题|作业)|几何题|物理题|化学题|奥数|"
    r"^[\d\s.+\-*/x×÷=()^]+等于(?:多少|几)|^\d+[+\-*/x×÷]\d+|圆周率|背单词|翻译(?:一下|成英)|英语作文"
    r"|明星|八卦|绯闻|出轨瓜|吃瓜|偶像|追星|演唱会(?:几点|在哪)|电视剧好看|好看的(?:电影|电视剧|小说)|"
    r"推荐.{0,4}(?:电影|电视剧|小说|歌|音乐|游戏|餐厅|饭店|火锅|奶粉|口红|手机|旅游)|谁(?:更)?(?:帅|漂亮)|"
    r"世界杯|欧冠|nba|足球比分|比赛几点|彩票号|双色球|星座|运势|算命|塔罗|占卜|属相|生肖|风水|解梦|梦见"
    r"|菜谱|食谱|怎么(?:做|炒|炖|烧|包)(?:菜|饭|红烧肉|鱼|饺子|蛋糕|西红柿|番茄|排骨|鸡|面|汤|包子)|(?:红烧肉|"
    r"西红柿炒|番茄炒|糖醋|宫保鸡丁|饺子馅|可乐鸡翅|海鲜|蛋糕|面包).{0,6}(?:怎么做|咋做|做法)|做法步骤|减肥|"
    r"健身计划|护肤|发型|感冒吃什么|头疼怎么办|孩子发烧"
    r"|旅游(?:攻略|景点|路线|推荐)|去哪(?:里|儿)?(?:玩|旅游)|景点|好玩的|(?:崂山|青岛).{0,6}(?:好玩|好吃|景点|"
    r"爬山|攻略|门票|美食)|美食推荐|吃什么好|(?:今天|晚上|中午|午饭|晚饭)吃(?:什么|啥)|机票(?:多少|便宜)|"
    r"几点(?:了|钟)|今天(?:星期几|周几|几号|是几号|几月几日)|现在几点"
    r"|你(?:喜欢|爱)(?:我|谁|什么)|我爱你|做我(?:女|男)朋友|陪我(?:聊|玩)|聊聊天|无聊|你(?:吃饭|睡觉|结婚|"
    r"有对象|几岁|多大)|你会(?:唱|跳|笑|哭)|(?:股票|基金|比特币).{0,6}(?:涨|买哪|推荐|走势)|明天大盘|"
    r"房价会(?:涨|跌)吗|高考|考研|志愿填报|怎么追(?:女|男)|表白|恋爱|失恋|人生的意义|外星人|宇宙|恐龙"
)
# Words that make it a matter for this service after all.
_BUSINESS = re.compile(
    r"法院|法官|法律|律师|起诉|官司|判|诉|仲裁|合同|协议|违约|赔|欠|债|货款|工资|社保|员工|劳动|工伤|公司|企业|"
    r"股东|股权|侵权|商标|专利|著作|版权|抄袭|盗|退(?:款|费|票|钱|货|卡|订)|定金|订金|押金|租|房东|物业|保险|"
    r"拒|执行|查封|冻结|失信|限高|破产|发票|税|罚|处罚|投诉|举报|消费|客户|供应商|甲方|乙方|老板|老赖|店铺|"
    r"加盟|违法|合法|算不算|责任|担保|借|贷款|利息|证据|条例|规定|许可|执照|经营|旅行社|广告|虚假|外包|开发|"
    r"交付|项目|要不要给|扣|加班|请假|停工|施工|工地|送货|运输|延误|诈|骗|转账|不可抗力|货|隐私|肖像|名誉|调解|"
    r"司法|诉前|费用|缴纳|退休"
)
_KEYBOARD = re.compile(
    r"(?:asdf|sdfg|dfgh|fghj|ghjk|hjkl|qwer|wert|erty|rtyu|tyui|yuio|uiop|zxcv|xcvb|cvbn|vbnm|qaz|wsx|edc|jkl|"
    r"asd|qwe|zxc|fdsa|rewq|lkjh|dsa|fds|jkj|kjk|dfd|sdf|dfg|fgh|ghj)+[a-z]{0,4}|[a-z]{0,3}(?:asdf|qwer|zxcv|"
    r"hjkl|fghj|sdfg|jkl;)[a-z;]*"
)
_LATIN_WORDS = re.compile(r"(?:[a-z]+ ?)+")
_VOWEL = re.compile(r"[aeiouy]")
_KEEP_LATIN = re.compile(
    r"(?:b2b|b2c|ipo|pos|erp|app|cpi|usb|ktv|mcn|saas|oem|odm|lpr|pdf|gps|ppp|epc|vie|bp|po|ip|hr|gdp|vat|ic|"
    r"nda|sop|kpi|bot|ppt|cfr|fob|cif|lc|l/c|pct|qq|vx|wx)"
)
_PUNCTUATION = re.compile(r"[^\w]|_")
_HAN = re.compile(r"[\u3400-\u9fff]")
_REPEATED = re.compile(r"(.{1,3})\1{2,}")
_EMPTY_WORDS = re.compile(
    r"(?:[在好嗯哦噢啊额呃哈嘿呵唉哎喂行对是不没有了吗呢吧我你他这那啥咋的啦呀嘛诶欸切靠草测试1])|(?:测试|试试|"
    r"试一下|测试一下|test|testing|怎么办|咋办|什么|为什么|为啥|怎么|然后呢|然后|继续|问题|你说|不知道|随便|"
    r"嗯嗯|哦哦|啊啊|呵呵|嘿嘿|额额|[哈嘻呜]{2,3}|在线等|急|帮忙|求助|咨询|可以|不行|不是|没有|有的|是的|这个|"
    r"那个|哪个|谁|几|呃呃|y|n|yes|no|a|b|c|d)"
)


def small_talk(text: str) -> str | None:
    """What kind of small talk all of this message is, or None for anything that may be a question.

    One of "greeting", "thanks", "bye", "who_are_you", "too_short", "gibberish", "off_topic".

    >>> small_talk("您好！")
    'greeting'
    >>> small_talk("您好，货款三年没要还能起诉吗") is None
    True
    """
    message = clean(text)
    if len(message) > 200:
        return "gibberish" if _meaningless(message) else None
    spoken = " ".join(_PUNCTUATION.sub(" ", message).split())
    if not spoken:
        return "gibberish" if message else "too_short"
    joined = spoken.replace(" ", "") if _HAN.search(spoken) else spoken
    if kind := _courtesy(joined):
        return kind
    if joined.replace(" ", "").isdecimal():
        # A lone number is an answer to a question nobody asked: short ones are menu choices, long ones slips.
        return "too_short" if len(joined) <= 3 else "gibberish"
    if _EMPTY_WORDS.fullmatch(joined):
        return "too_short"
    if _meaningless(joined):
        return "gibberish"
    if _OFF_TOPIC.search(message) and not _BUSINESS.search(message):
        return "off_topic"
    return "too_short" if len(joined) == 1 else None


def _courtesy(spoken: str) -> str | None:
    """Greeting, thanks, goodbye or "who are you", when nothing else is said."""
    bare = re.sub(f"^(?:{_POLITE})+(?=.)", "", spoken)
    for said in (spoken, bare):
        core = re.sub(f"(?:{_POLITE}|一下|\\s)+$", "", said) or said
        for candidate in (said, core):
            for kind, pattern in (("greeting", _GREETING), ("bye", _BYE), ("thanks", _THANKS), ("thanks", _DONE)):
                if len(candidate) > 1 and pattern.fullmatch(candidate):
                    return kind
    without = re.sub(f"^(?:{_GREETING.pattern}|请问|那|所以|话说)+", "", spoken)
    # "你是谁" may be wrapped, but not lead a real question (你能帮我要回货款吗).
    if _WHO.search(without) and len(without) <= 14 and not _BUSINESS.search(re.sub("法官|法院", "", without)):
        return "who_are_you"
    return None


def _meaningless(spoken: str) -> bool:
    """Keyboard mashing: rows of keys, consonants without vowels, one or two characters over and over."""
    packed = spoken.replace(" ", "")
    if not any(c.isalnum() for c in packed):
        return True
    if _HAN.search(packed):
        # 哈哈哈哈, 啊啊啊啊, 的的的的: nothing is left after one repetition is taken out.
        left = _REPEATED.sub("", packed)
        return len(left) <= 1 and len(packed) >= 3
    if _KEEP_LATIN.fullmatch(packed):
        return False
    if _KEYBOARD.fullmatch(packed):
        return True
    if len(packed) >= 4 and len(set(packed)) <= 2:
        return True
    if _LATIN_WORDS.fullmatch(spoken):
        return any(len(word) >= 5 and len(_VOWEL.findall(word)) * 5 < len(word) for word in spoken.split())
    # Letters and digits mixed without any word in them: 3h4j5k2l.
    return len(packed) >= 6 and sum(a.isdigit() != b.isdigit() for a, b in pairwise(packed)) * 2 >= len(packed)
