r"""
What the words of an answer say: numbers (`twenty-four`, `三百二十`), denials, and the nouns that may stand behind a
number because they say nothing about it. Pure, and linear in the text.

A noun phrase behind a number is dropped from an answer only if all of it is known to be harmless: a head that is a plural
(`clips`), a known singular or unit (`cm`), or `left`, `remaining`, ...; before it and around it adjectives and
prepositions; and nowhere a digit, a number word, a multiplier (`million`, `dozen`, `percent more`), a denial (`not`,
`is wrong`), a verb or an alternative (`or`). In Chinese it starts with a measure word (`个`, `页`, `千米`).
"""

import re
from fractions import Fraction
from functools import lru_cache


IN_TEXT = re.compile(r"\\text\{([^{}]*)\}")  # the one command for text of the normal form


_LONGEST = 80

_UNITS_TEXT = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
)
_UNITS = _UNITS_TEXT.split()
_TENS_TEXT = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * k for k, word in enumerate(_TENS_TEXT.split(), start=2)}
_SMALL = {word: number for number, word in enumerate(_UNITS)} | _TENS
MULTIPLIERS = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
}
_DIGITS = {**{c: k for k, c in enumerate("零一二三四五六七八九")}, "〇": 0, "两": 2, "兩": 2}
_PLACES = {"十": 10, "百": 100, "千": 1000}
_MYRIADS = {"万": 10**4, "亿": 10**8}
CHINESE_NUMERALS = "".join((*_DIGITS, *_PLACES, *_MYRIADS))
_PARTS_TEXT = "half third quarter fifth sixth seventh eighth ninth tenth eleventh twelfth"
_PARTS = {word: number for number, word in enumerate(_PARTS_TEXT.split(), start=2)}
_PARTS |= {"halve": 2, "fourth": 4, "twentieth": 20, "hundredth": 100, "thousandth": 1000}
_PARTS |= {f"{word}th": number for number, word in enumerate(_UNITS) if number > 12}
_FRACTION_IN_WORDS = re.compile(r"(?:(.+?)[\s-]+and[\s-]+)?(\S+?)[\s-]+(\S+?)(s?)(?: of)?")

# Words that deny, multiply, compare, compute or offer something else: with one of them it is no plain noun.
_SAYING_TEXT = (
    "not no never none nor neither without except excluding wrong incorrect incorrectly false untrue invalid "
    "impossible undefined non cannot unlikely doubtful hundred hundreds thousand thousands million millions billion "
    "billions trillion trillions dozen dozens score half halves third thirds quarter quarters fourth fourths fifth "
    "fifths sixth sixths seventh sevenths eighth eighths ninth ninths tenth tenths hundredth hundredths thousandth "
    "thousandths double doubled triple tripled twice thrice squared cubed factorial power root percent "
    "percents percentage percentages reciprocal inverse negative negated opposite plus minus less more fewer "
    "greater smaller larger bigger over under above below between until through versus vs beyond past off short "
    "divided multiplied added subtracted modulo mod or either maybe perhaps possibly about approximately around "
    "roughly nearly almost least most up down is are was were be been equals equal has have had does do did seems "
    "looks becomes gives makes means exceeds differs fails misses remains leaves lies works costs takes this that "
    "these those which as if unless but yet so then else thus hence wait rather instead also too plusminus always "
    "sometimes first second-last last tens ones twos gross couple infinity infinite pi sqrt inf infty sin cos tan "
    "cot sec csc log ln exp"
)
_SAYING = frozenset(_SAYING_TEXT.split()) | frozenset(_SMALL)
_FURTHER = frozenset(["more", "fewer", "less"])
_HEADS_TEXT = (
    "left remaining altogether total each apiece long wide tall high deep old away people children men women feet "
    "geese mice teeth sheep fish deer oxen dice lice data vertices indices matrices axes radii foci loci criteria "
    "apple orange book box day hour minute second week month year page piece dollar cup slice egg meter mile inch "
    "foot yard pound ounce gallon liter litre kilometer centimeter degree person child man woman boy girl student "
    "car dog cat ball card ticket bag bottle pencil pen cookie cake candy fruit flower tree house room unit point "
    "game row way digit number integer side vertex edge angle triangle square circle line solution root value case "
    "item time-unit work homework money water milk juice bread rice sugar flour corn pizza food candy fruit "
    "chocolate ice-cream area volume length width height distance speed profit change paint sand gas gasoline "
    "fabric string wood pie jelly popcorn fish goldfish shrimp squid cattle poultry tea coffee lemonade soda units "
    "tvs cds pcs celsius fahrenheit form answer decrease increase discount usd cad aud eur gbp rmb cny"
)
_HEADS = frozenset(_HEADS_TEXT.split())
# Fractions and powers of ten, and numbers as plurals: `sixteenths`, `quadrillions`, `fives`.
_FRACTIONAL = re.compile(
    r"(?:teen|tie|twelf|eleven|ten|nin|eigh|seven|six|fif|four|thir|hundred|thousand|illion)ths?$|illions?$|^myriads?$|"
    r"^(?:ones|twos|threes|fours|fives|sixes|sevens|eights|nines|tens|elevens|twelves|scores?|gross(?:es)?|multipl\w*|den\w{1,4}s)$"
)
_CHANGING_TEXT = "less more fewer greater smaller larger squared cubed plus minus short half halves thirds quarters"
_CHANGING = frozenset(_CHANGING_TEXT.split()) | frozenset(MULTIPLIERS)
# Plain words that end in `s` and are no plurals are in the list of words that say something; these endings are none either.
_NO_PLURAL = re.compile(r"(?:ss|us|is|ous|less|ness|wise)$")
_TOKEN = re.compile(r"[a-z]+(?:[-'’][a-z]+)*")
_BETWEEN_WORDS = re.compile(r"[\s/.()·*]*")
_JOINS_TEXT = "a an the of per in on for from at to with by and"
_JOINS = frozenset(_JOINS_TEXT.split())

DENIAL = re.compile(
    r"\b(?:not|no|none|nothing|nobody|doubt|hardly|unlikely|impossible|if|never|neither|nor|cannot|wrong|incorrect|false|untrue|invalid|except|excluding|other than|rather than|"
    r"instead of|unequal|differs?)\b|n['’]t\b|不(?!同|等式|变|妨|难|定积分)|非|没|错|否|(?<!分)别|勿|未",
    re.IGNORECASE,
)

_MEASURES = (
    "个 只 条 张 页 本 支 枝 块 片 颗 粒 朵 棵 株 根 头 匹 辆 架 艘 台 部 件 套 双 对 副 把 盒 箱 包 袋 瓶 杯 碗 盘 桶 筐 篮 "
    "串 束 排 行 列 组 队 班 层 楼 间 座 栋 家 户 人 名 位 口 岁 天 日 周 星期 月 年 小时 时 分钟 分 秒 刻 元 角 毛 圆 米 厘米 分米 毫米 千米 "
    "公里 里 克 千克 公斤 斤 两 吨 升 毫升 度 次 回 遍 场 节 课 题 道 种 样 类 面 扇 盏 顶 封 幅 篇 句 字 词 倍数 圈 步 级 站 份 "
    "号 点 枚 滴 堆 捆 卷 丛 群 窝 筒 罐 听 车 船 手 脚 尺 寸 平方 立方 元钱 单位 只脚 钱 桌 床 门 尾 亩 公顷 周岁 英里 英尺 美元 "
    "棵树 下 趟 箱子 同学 学生 老师 孩子 小朋友 鸡 鸭 兔 苹果 橘子 梨 书 票 座位 厘 米长 颗糖 袋米 筐苹果 页书"
)
_MEASURE = re.compile("|".join(sorted(_MEASURES.split(), key=len, reverse=True)))
_CHINESE_SAYING = re.compile(
    r"[不非没无未否错负反减加乘除或约半倍多少几余\d一二三四五六七八九十百千万亿零两]|分之|以上|以下|左右|以内|次方|方根"
)
_CHINESE_LEAD = re.compile(
    r"(?:所以|因此|故|那么|则|于是|即|答案?|结果|最后|最终|一?共|总共|总计|合计|共计|共有|一共有|应该?|是|为|等于|有|得|得到|还剩下?|剩下?|剩余|还有|需要?|要|"
    r"还|用了?|花了?|的|他|她|它|们|可以|能|平均|每|大约的?值|面积|周长|体积|长度?|宽度?|高度?|速度|时间|路程|总价|单价|价格|重量?|人数|个数|数量|差|和|积|商|[:：,，\s])*"
)


_NEGATIVE_LEAD = re.compile(r"负|(?:minus|negative)\s+")


def number_in_words(text: str) -> int | None:
    """
    Read a whole number that is written in English words or Chinese numerals.

    Args:
        text (`str`):
            `two`, `Twenty-four`, `one hundred and five`, `三百二十`, `十五`, ...

    Returns:
        `int` or `None`: `None` if the text is anything else.
    """
    text = text.strip().strip(".").lower()
    if not text or len(text) > _LONGEST:
        return None
    if negative := _NEGATIVE_LEAD.match(text):
        number = number_in_words(text[negative.end() :]) if not _NEGATIVE_LEAD.match(text, negative.end()) else None
        return None if number is None else -number
    return _english(text) if text[0].isascii() else _chinese(text)


def fraction_in_words(text: str) -> Fraction | None:
    """
    Read a fraction that is written in words: `one half`, `two thirds`, `two and a half`, `三分之一`, `一半`; `None` for anything
    else.
    """
    text = text.strip().strip(".。").lower()
    if not 1 < len(text) <= _LONGEST:
        return None
    if (negative := _NEGATIVE_LEAD.match(text)) and not _NEGATIVE_LEAD.match(text, negative.end()):
        value = fraction_in_words(text[negative.end() :])
        return None if value is None else -value
    if not text[0].isascii():
        below, parted, above = text.partition("分之")
        numbers = [number_in_words(part) for part in (above, below)] if parted else [1, 2] if text == "一半" else []
    else:
        found = _FRACTION_IN_WORDS.fullmatch(text)
        if found is None or found[3] not in _PARTS or found[3] == "halve" != (found[4] and "halve"):
            return None
        whole = int(found[1]) if found[1] and found[1].isdecimal() else number_in_words(found[1]) if found[1] else 0
        count = 1 if found[2] == "a" else number_in_words(found[2])
        if whole is None or count is None or not 0 < count < (_PARTS[found[3]] if whole else 10**6):
            return None
        if bool(found[4]) is (count == 1):  # `two third` is none
            return None
        return whole + Fraction(count, _PARTS[found[3]])
    if len(numbers) != 2 or None in numbers or not numbers[1]:
        return None
    return Fraction(numbers[0], numbers[1])


def fraction_with_noun(text: str) -> Fraction | None:
    """Read a fraction in words, maybe with what is counted behind it: `one and a half hours`; `None` for anything else."""
    words = text.strip().strip(".。").split()
    if len(words) == 1 and (found := _CHINESE_FRACTION.match(words[0])) and not words[0].isascii():
        # `二分之一千米` are kilometres: the shortest numeral that leaves a measure word
        for end in range(found.start(1) + 1, found.end(1) + 1):
            if end == len(words[0]) or is_measure_phrase(words[0][end:]):
                return fraction_in_words(words[0][:end])
    for count in range(min(len(words), 6), 1, -1):
        rest = " ".join(words[count:])
        if (value := fraction_in_words(" ".join(words[:count]))) is not None and (not rest or is_noun_phrase(rest)):
            return value
    return None if len(words) > 1 else fraction_in_words(text)


_CHINESE_FRACTION = re.compile(rf"[{CHINESE_NUMERALS}]+分之([{CHINESE_NUMERALS}]+)")


def says_a_number(text: str) -> bool:
    """Tell whether words are a number of more than one, maybe with what is counted behind it."""
    value = fraction_with_noun(text) or number_with_noun(text)
    return value is not None and value != 1


_NUMBER_WORD = rf"(?:{'|'.join((*_SMALL, *MULTIPLIERS))})"
NUMBER_IN_WORDS = re.compile(rf"\b{_NUMBER_WORD}(?:(?:[\s-]|\sand\s){_NUMBER_WORD})*\b(?:\s[a-z]+)*", re.IGNORECASE)


def number_with_noun(text: str) -> int | None:
    """Read a number in words, maybe with what is counted behind it: `two`, `two lines`, `五个`; `None` for anything else."""
    text = text.strip().strip(".").lower()
    if len(text) > _LONGEST:
        return None
    if (number := number_in_words(text)) is not None or not text:
        return number
    if not text[0].isascii():
        end = next((i for i, c in enumerate(text) if c not in CHINESE_NUMERALS), len(text))
        return number_in_words(text[:end]) if is_measure_phrase(text[end:]) else None
    words = text.split()
    for count in range(min(len(words) - 1, 8), 0, -1):
        if (number := number_in_words(" ".join(words[:count]))) is not None:
            return number if is_noun_phrase(" ".join(words[count:])) else None
    return None


@lru_cache(maxsize=4096)
def _english(text: str) -> int | None:
    words = re.split(r"[\s-]+", text)
    total, current, last, seen = 0, 0, 10**15, False
    for word in words:
        if word == "and" and seen:
            continue
        if word == "a" and not seen and len(words) > 1:
            current, seen = 1, True
        elif word in _SMALL:
            value = _SMALL[word]
            if seen and not (current % 100 == 0 or (current % 10 == 0 and value < 10 and current % 100 >= 20)):
                return None
            current, seen = current + value, True
        elif word in MULTIPLIERS and seen and current:
            if word in ("hundred", "dozen"):
                current *= MULTIPLIERS[word]
            elif MULTIPLIERS[word] < last:
                last = MULTIPLIERS[word]
                total, current = total + current * last, 0
            else:
                return None
        else:
            return None
    return total + current if seen and words[-1] not in ("and", "a") else None


def _chinese(text: str) -> int | None:
    total = section = digit = 0
    pending = False
    for character in text:
        if character in _DIGITS:
            if pending and digit:
                return None
            digit, pending = _DIGITS[character], True
        elif character in _PLACES:
            section += (digit if pending else 1) * _PLACES[character]
            digit, pending = 0, False
        elif character in _MYRIADS:
            total = (total + section + digit) * _MYRIADS[character]
            section, digit, pending = 0, 0, False
        else:
            return None
    return total + section + digit


@lru_cache(maxsize=8192)
def is_noun_phrase(text: str) -> bool:
    """
    Tell whether the words behind a number say nothing about it.

    Args:
        text (`str`):
            What follows the number, without LaTeX.

    Returns:
        `bool`: whether it is a plural noun, a known singular or a word such as `left`, with harmless words around it.
    """
    text = text.strip().lower()
    if len(text) > _LONGEST or not text:
        return False
    if not text.isascii():
        return is_measure_phrase(text)
    if _BETWEEN_WORDS.fullmatch(_TOKEN.sub("", text)) is None:
        return False
    words = _TOKEN.findall(text)
    if len(words) > 1 and words[0] in _FURTHER and "than" not in words:
        words = words[1:]  # `31 more cards`
    if not 0 < len(words) <= 8 or any(_says_more(word) for word in words):
        return False
    if words[0] == "per" and len(words) == 2 and words[1] not in ("cent", "mille", "mil"):
        return True
    if words[0] == "of" and len(words) > 2 and words[1] in _JOINS:
        return True  # `2/3 of the cake`
    return any(_is_head(word) for word in words) and words[-1] not in _JOINS


def _says_more(word: str) -> bool:
    return word in _SAYING or "'" in word or "’" in word or bool(_FRACTIONAL.search(word))


def changes(text: str) -> bool:
    """Tell whether the first words behind a number of prose make another of it: `4 less than`, `4 times`, `4 sixteenths`."""
    return any(word in _CHANGING or _FRACTIONAL.search(word) for word in _TOKEN.findall(text[:_LONGEST].lower())[:3])


def _is_head(word: str) -> bool:
    if word in _HEADS or word.rpartition("-")[2] in _HEADS or word.endswith("fish"):
        return True
    return len(word) > 3 and word.endswith("s") and not _NO_PLURAL.search(word)


def is_measure_phrase(text: str) -> bool:
    """Tell whether Chinese words behind a number are a measure word and what it counts, and nothing else."""
    text = text.strip(" .。!！,，")
    text = STILL_TO_DO.sub("", text)
    found = _MEASURE.match(text)
    if not found or len(text) > 16 or "次方" in text:
        return False
    return not _CHINESE_SAYING.search(text[len(found[0]) :].replace("不同", ""))


STILL_TO_DO = re.compile(r"(?:没有?|未)[看读吃用卖做修走写完出]{1,2}$")  # `还剩58页没有看`


def only_leads(prefix: str) -> bool:
    """Tell whether Chinese words in front of a number only lead up to it, or name what is counted."""
    start = leading_words(prefix)
    return start == len(prefix) or any(names_what_is_counted(prefix[at:]) for at in (0, start))


def without_lead(text: str) -> str:
    """Leave out what leads up to a number in Chinese numerals: `原来有十二只鸡`."""
    for start, character in enumerate(text[:_LONGEST]):
        if not start or character not in CHINESE_NUMERALS or text.startswith("一共", start):
            continue
        if only_leads(text[:start]):
            return text[start:]
    return text


def leading_words(text: str) -> int:
    """Return how many characters in front of a Chinese answer only lead up to it: `一共`, `答：`, `还剩`."""
    return _CHINESE_LEAD.match(text[:_LONGEST]).end()


_CHINESE_VERBS = (
    "还剩 还剩下 剩 剩下 剩余 总共 一共 一共有 共 共有 找回 应找回 应付 要付 付 现在 今年 已经 正好 恰好 有 原有 原来有 原先有 需要 要 至少需要 至少要 至少需 最多能 "
    "最多可以 最多能装 最多可以装 最多可以买 最多能买 可以 可以装 可以买 可以分 可以分给 可以坐 可以做 可以分成 能装 能买 能坐 能做 能 花了 用了 用 共用 得 得到 得了 分到 分得 "
    "买 买了 卖 卖了 走 走了 跑 跑了 行 行了 行驶 行驶了 看 看了 读 读了 是 为 等于 占 占全班的 占全部的 占总数的 增长了 增加了 减少了 提高了 降低了 增长 节约了 便宜了 多了 少了 相距 长 宽 "
    "高 深 重 多 花 花费 共花 共花费 比原来便宜 卖出 卖出了 生产 生产了 种 种了 运 运了 修 修了 吃 吃了 还有 还需要 还要 还差 修 修了 做 做了 织 铺 挖 骑 飞 加工 完成 收 摘 采"
)
_CHINESE_VERB = "|".join(sorted(_CHINESE_VERBS.split(), key=len, reverse=True))
_CHINESE_SUBJECT = re.compile(
    r"[^不非没无未否错负反减加乘除或约半倍多少几余\d一二三四五六七八九十百千万亿零两于过至差每第到超满够前后]{0,10}?"
    rf"(?:(?:每[人个只辆天箱行组班盒本袋排]|平均)*(?:{_CHINESE_VERB}))(?:[^不非没无未否错负反减加乘除或约半倍多少几余\d一二三四五六七八九十百千万亿零两于过至差每第到超满够前后]{{1,8}}的)?[:\s]*|"
    r"每(?:千[克米瓦]|百[克米])|每[^不非没无未否错负反减加乘除或约半倍多少几余\d一二三四五六七八九十百千万亿零两于过至差第到超满够前后]{1,8}"
)


def names_what_is_counted(text: str) -> bool:
    """Tell whether Chinese words before a number are a subject and its verb, and say nothing about it: `小明还剩`."""
    return _CHINESE_SUBJECT.fullmatch(text) is not None


# Of two or three letters, and no product of variables.
_SHORT_WORD = re.compile(r"[A-Z][a-z]{2}|[Yy]es|[Nn]o|odd|red|one|two|six|ten|boy|man|cat|dog|tie|win|up|all|any|day")


def is_text(text: str) -> bool:
    r"""Tell whether a normalised answer is made of words and letters alone: `Monday`, `\text{(A)}`, `CBAD`, `A, B`."""
    plain = IN_TEXT.sub(r" \1 ", text)
    if plain != text and not re.search(r"[\\^_=<>+*/]", plain):
        return not IN_TEXT.sub("", text).strip(" ,.()") and bool(re.search(r"[^\W\d_]", plain))
    if re.search(r"[\d\\^_=<>+*/|{}\[\]-]", text):
        return False
    words = re.findall(r"[^\W\d_]+", text)
    if not words:
        return False
    return all(
        not w.isascii() or len(w) > 3 or (w.isupper() and (len(w) > 1 or w in "ABCDEFGH")) or _SHORT_WORD.fullmatch(w)
        for w in words
    ) or (len(words) > 1 and any(len(w) > 3 for w in words))
