"""
How probable a word in Latin letters is as a word of a language that has another script: `snachala`, `pehle`, `xian`.

People, and models, write such languages in Latin letters in many ways. Both the word lists and the word are therefore
reduced to a key in which the usual spellings meet (Russian, Ukrainian, Hindi); where a list cannot be spelled out
without a dictionary of readings (Chinese, Japanese), and for Korean and Arabic, the build of syllables and the most
frequent words have to do. Good enough to tell a run of such words from English, not to tell one word. Pure.
"""

import math
import re
import unicodedata


LANGUAGES = ("ru", "uk", "hi", "zh", "ja", "ko", "ar")

UNSEEN = -18.0
_LONGEST = 28  # letters; no word is longer, and the patterns below may try many ways to cut one
_RARER = -1.5  # even where it is used, writing a language in Latin letters is the exception


def _pairs(text: str) -> list[tuple[str, str]]:
    """`a=b c=d` as pairs."""
    return [(old, new) for old, _, new in (pair.partition("=") for pair in text.split())]


_SLAVIC_LETTERS = {
    "ru": dict(
        _pairs(
            "а=a б=b в=v г=g д=d е=e ё=e ж=Z з=z и=i й=i к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=h ц=c ч=C ш=X щ=S "
            "ъ= ы=i ь= э=e ю=iu я=ia"
        )
    ),
    "uk": dict(
        _pairs(
            "а=a б=b в=v г=h ґ=g д=d е=e є=e ж=Z з=z и=i і=i ї=i й=i к=k л=l м=m н=n о=o п=p р=r с=s т=t у=u ф=f х=h ц=c "
            "ч=C ш=X щ=S ь= ю=iu я=ia '="
        )
    ),
}
_SLAVIC_SPELLINGS = _pairs("shch=S šč=S sch=S zh=Z ž=Z kh=h ch=C č=C sh=X š=X ts=c x=h w=v q=k '= y=i j=i")
_SLAVIC_MERGERS = _pairs("ie=e io=e ii=i")

_DEVANAGARI = dict(
    _pairs(
        "क=k ख=kh ग=g घ=gh ङ=n च=ch छ=ch ज=j झ=jh ञ=n ट=t ठ=th ड=d ढ=dh ण=n त=t थ=th द=d ध=dh न=n प=p फ=f ब=b भ=bh "
        "म=m य=y र=r ल=l व=v श=sh ष=sh स=s ह=h ळ=l अ=a आ=a इ=i ई=i उ=u ऊ=u ए=e ऐ=e ओ=o औ=o ऋ=ri ऑ=o ऍ=e ा=a ि=i ी=i "
        "ु=u ू=u े=e ै=e ो=o ौ=o ृ=ri ॉ=o ॅ=e ं=n ँ=n ः=h ्= ़="
    )
)
_HINDI_SPELLINGS = _pairs("aa=a ee=i ii=i oo=u uu=u ai=e ei=e ey=e au=o ou=o chh=ch w=v z=j ph=f x=ksh q=k '=")
_HINDI_HABITS = {
    "hum": "hm",
    "yeh": "yh",
    "ye": "yh",
    "woh": "vh",
    "wo": "vh",
    "vo": "vh",
    "toh": "to",
    "kuch": "kuch",
}

_PINYIN = re.compile(
    r"(?:(?:[bpmf]?(?:a|o|ai|ei|ao|an|en|ang|eng|u|ou)|[bpm](?:i|ie|iao|ian|in|ing)|m?iu|me"
    r"|[dtnlgkhzcs](?:a|e|ai|ao|ou|an|ang|eng|u|uo|uan|ong)|[dnghz]ei|lei|[ngkhzcs]en|[dtnl](?:i|iao|ie|ian|ing|u)|[dnl]iu"
    r"|[nl](?:in|iang|ü|v|üe|ve)|lia|lun|[dtzcs](?:ui|un)|[gkh](?:ua|uai|ui|un|uang)|[zcs]i"
    r"|(?:zh|ch|sh)(?:i|a|e|ai|ao|ou|an|en|ang|eng|u|ua|uo|uai|ui|uan|un|uang)|(?:zh|ch)ong|(?:zh|sh)ei"
    r"|r(?:i|e|ao|ou|an|en|ang|eng|ong|u|uo|ui|uan|un)|[jqx](?:i|ia|ie|iao|iu|ian|in|iang|ing|iong|u|ue|uan|un)"
    r"|y(?:a|e|ao|ou|an|ang|i|in|ing|u|ue|uan|un|ong)|w(?:a|o|ai|ei|an|en|ang|eng|u)|er|e)"
    r")"
)
_TONES = str.maketrans("", "", "\u0304\u0301\u030c\u0300")

_MORA = re.compile(
    r"(?:(?:kk|ss|tt|pp|gg|dd|bb|s(?=sh)|t(?=ch)|c(?=ch)|t(?=ts))?(?=[^aeiou])?"
    r"(?:(?:[kgnhbpmr]y|sh|ch|ts|[kgsztdnhbpmryjwf])?[aiueoāīūēō])|n(?![aiueoy])|(?:kk|ss|tt|pp)(?:y?[aiueo]))"
)
_JAPANESE_PARTICLES = "no wa ga o wo ni to de mo desu masu"
_JAPANESE_WORDS = (
    "kara made yori ka ne yo sono kono ano sore kore suru shite shita shimasu aru arimasu iru imasu naru narimasu "
    "nai mazu tsugi soshite shikashi dakara sorede demo kotae kazu yotte tame koto mono toki futatsu hitotsu "
    "mittsu watashi tachi nan nani dou keisan kakeru tasu hiku waru onaji zenbu"
)
_JAPANESE = dict.fromkeys(_JAPANESE_PARTICLES.split(), -4.0) | dict.fromkeys(_JAPANESE_WORDS.split(), -6.5)
_KOREAN_BUILD = re.compile(
    r"(?:(?:kk|tt|pp|ss|jj|ch|[gndrlmbsjktph])?(?:yae|yeo|wae|eo|eu|ae|ya|ye|oe|yo|wa|wo|we|wi|yu|ui|[aeiou])(?:ng|[kntlmpbgdsj](?![aeiouyw]))?)+$"
)
_KOREAN_MARK = re.compile(r"eo|eu|yeo|wae|oe|ui$|seum|nida$")
_ARABIC_PARTICLES = "al el wa fi min ila ala an la ma"
_ARABIC_WORDS = (
    "huwa hiya hadha hadhihi dhalika thumma inna anna kana kam kull kul ayy aw lakin lakinna idhan idha lam lan "
    "qad awwalan thaniyan ithnan ithnayn thalatha arbaa khamsa sitta sabaa thamaniya tisa ashara wahid jawab adad "
    "najma naqsim nahsul natija mas'ala masala yusawi yakun nahnu ana anta illa bayna kulla baad bad qabla ma'a "
    "maa li bi"
)
_ARABIC = dict.fromkeys(_ARABIC_PARTICLES.split(), -4.5) | dict.fromkeys(_ARABIC_WORDS.split(), -7.5)
_ARABIC_BUILD = re.compile(
    r"(?:[bdfghjklmnqrstwyz]|th|kh|dh|sh|gh)*(?:aa|ii|uu|ay|aw|[aiu])(?:.*(?:[aiu]|[bdfhjklmnqrstyz]))?$"
)


def slavic_key(word: str) -> str:
    """The key of a Russian or Ukrainian word in Latin letters."""
    return _replace(_replace(word.lower().replace("’", "'"), _SLAVIC_SPELLINGS), _SLAVIC_MERGERS)


def hindi_key(word: str) -> str:
    """The key of a Hindi word in Latin letters: its consonants, and its vowels but for `a`."""
    word = word.lower()
    return _HINDI_HABITS.get(word) or _skeleton(_replace(word, _HINDI_SPELLINGS))


def _skeleton(word: str) -> str:
    word = re.sub(r"([^aeiou])\1", r"\1", word).replace("eh", "h")
    return word[:1] + word[1:].replace("a", "")


def _replace(word: str, pairs: list[tuple[str, str]]) -> str:
    for old, new in pairs:
        if old in word:
            word = word.replace(old, new)
    return word


class Romanized:
    """Log-probabilities of a word in Latin letters under each of `LANGUAGES`."""

    def __init__(self) -> None:
        from wordfreq import get_frequency_list

        self._keys: dict[str, dict[str, float]] = {}
        self._memo: dict[str, tuple[float, ...]] = {}
        for language in ("ru", "uk", "hi"):
            keys: dict[str, float] = {}
            table = str.maketrans(_SLAVIC_LETTERS.get(language, _DEVANAGARI))
            for centibels, bucket in enumerate(get_frequency_list(language, "small")):
                value = -centibels * math.log(10) / 100
                # The words of a bucket in one string: what has to be replaced is replaced in all at once.
                text = "\n".join(bucket).translate(table)
                if language == "hi":
                    found = [_skeleton(word) for word in text.split("\n")]
                    found += [word[:-1] for word in found if len(word) > 3 and word.endswith("n")]  # nahi for nahin
                else:
                    found = _replace(text, _SLAVIC_MERGERS).split("\n")
                for key in found:
                    keys.setdefault(key, value)
            self._keys[language] = keys

    def scores(self, word: str) -> tuple[float, ...]:
        """Return one log-probability per language of `LANGUAGES`."""
        found = self._memo.get(word)
        if found is None:
            if len(self._memo) > 100_000:
                self._memo.clear()
            found = self._memo[word] = self._score(word.lower())
        return found

    def _score(self, word: str) -> tuple[float, ...]:
        if len(word) > _LONGEST:
            return (UNSEEN + _RARER,) * len(LANGUAGES)
        plain = unicodedata.normalize("NFC", unicodedata.normalize("NFD", word).translate(_TONES))
        slavic, hindi = slavic_key(word), hindi_key(word)
        return (
            self._keys["ru"].get(slavic, UNSEEN) + _RARER,
            self._keys["uk"].get(slavic, UNSEEN) + _RARER,
            self._keys["hi"].get(hindi, UNSEEN) + _RARER,
            _pinyin(plain),
            _romaji(word),
            _korean(word),
            _arabic(word),
        )


def _pinyin(word: str) -> float:
    syllables, position = 0, 0
    word = word.replace("'", "")
    while position < len(word):
        # The longest syllable first: `xian` before `xi an`.
        for end in range(min(len(word), position + 6), position, -1):
            if _PINYIN.fullmatch(word, position, end):
                position = end
                syllables += 1
                break
        else:
            return UNSEEN + _RARER
    return -6.0 * syllables if syllables else UNSEEN


def _romaji(word: str) -> float:
    if word in _JAPANESE:
        return _JAPANESE[word] + _RARER
    morae, position = 0, 0
    while position < len(word):
        found = _MORA.match(word, position)
        if not found:
            return UNSEEN + _RARER
        position = found.end()
        morae += 1
    return max(-3.0 - 2.4 * morae, -13.5)


def _korean(word: str) -> float:
    if not _KOREAN_BUILD.match(word):
        return UNSEEN + _RARER
    return -10.0 if _KOREAN_MARK.search(word) else -14.0


def _arabic(word: str) -> float:
    if word in _ARABIC:
        return _ARABIC[word] + _RARER
    return -15.0 if _ARABIC_BUILD.match(word) else UNSEEN + _RARER
