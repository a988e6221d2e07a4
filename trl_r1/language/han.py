"""
Chinese or Japanese: what a Han character or a kana says by itself. The characters around it decide with it.
"""

from functools import lru_cache


STATES = ("zh", "zh", "ja")  # simplified, traditional, Japanese

_CHINESE_ONLY = "你们这那吗呢吧啊没很么她它您咱怎哪啦嘛"
_CHINESE_LEANING = "的了是在我就都也和把被让着过给对但而且等于所以因为先再得"


@lru_cache(maxsize=32768)
def han_scores(letter: str) -> tuple[float, float, float]:
    """
    Return what a character says for simplified Chinese, for traditional Chinese and for Japanese, in nats.

    Kana are Japanese. Of Han characters, each of the three has some that the standards of the others lack (Python's
    codecs know them), and a Chinese text keeps to one form where Japanese has characters of both: `学` and `東` in one
    word are Japanese. Where nothing decides, Chinese is likelier.
    """
    if "\u3041" <= letter <= "\u30ff" or "\uff66" <= letter <= "\uff9f":
        return (-1.5, -1.5, 0.0) if letter in "のー" else (-6.0, -6.0, 0.0)
    if letter in _CHINESE_ONLY:
        return (0.0, 0.0, -6.0)
    japanese, simplified, traditional = (_encodes(letter, codec) for codec in ("shift_jis", "gb2312", "big5"))
    if not simplified and not traditional:
        return (-6.0, -6.0, 0.0) if japanese else (0.0, 0.0, -6.0)
    unlikely = -1.0 if letter in _CHINESE_LEANING else -0.05
    return (0.0 if simplified else -4.0, 0.0 if traditional else -4.0, unlikely if japanese else -6.0)


def _encodes(letter: str, codec: str) -> bool:
    try:
        letter.encode(codec)
    except UnicodeEncodeError:
        return False
    return True
