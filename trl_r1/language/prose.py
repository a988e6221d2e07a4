r"""
What is left of a text when formulas, code and addresses are taken out: the part in which a reader would count words.

Every removed piece leaves one `GAP`, so that its neighbours still know that something stood there: the `a` of `a = 5`
is a variable, the `a` of `a pear` is a word. Pure, and linear in the length of the text: every pattern either ends at
the next sign of its kind or is bounded.
"""

import re


GAP = "\x00"

_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ"
_IN_NAME = f"{_LATIN}0-9_"
# `\b` would not do: to it, Han characters are letters like any other, and Chinese sets no blank around names.
_START, _END = f"(?<![{_IN_NAME}])", f"(?![{_IN_NAME}])"

_FENCE = re.compile(
    r"(?:^|(?<=\n))[ \t]*(```+|~~~+)[^\n]*(?:\n.*?(?:\n[ \t]*\1[`~]*[ \t]*(?=\n|\Z)|\Z)|\Z)", re.DOTALL
)
_INLINE_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_INLINE_CODE = re.compile(r"(`{1,2})(?!`)[^`\n]+\1")
# Most of a text are plain words and signs, at which nothing below begins: where a pattern's first alternative takes them in
# one piece, its others, which are slow to fail, are tried at few places.
_WORDS = "[A-Z]?[a-zß-öø-ÿ]++|[A-Z]++|[0-9]++"
_TAG = re.compile(r"</?[A-Za-z][\w:-]*(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?>")
_ADDRESS = re.compile(
    r"((?:[A-Za-z0-9_]++(?=[.:]\s|[^A-Za-z0-9_.+@:-]|\Z)|[^A-Za-z0-9_.+~/-]++)++)"
    rf"|{_START}(?:(?:https?|ftp|file)://|www\.)[^\s<>\"'，。、；（）)]+"
    rf"|{_START}[A-Za-z0-9_.+-]{{1,64}}@[A-Za-z0-9-]{{1,63}}(?:\.[A-Za-z0-9-]{{1,63}}){{1,6}}"
    rf"|{_START}[A-Za-z0-9_-]{{1,63}}(?:\.[A-Za-z0-9_-]{{1,63}}){{0,6}}\.(?:com|org|net|edu|gov|io|cn|de|fr|ru|jp|uk|py|js|ts|cpp|java|json"
    r"|csv|txt|md|html|ya?ml|pdf|png|jpg)(?![A-Za-z0-9_])(?:/[A-Za-z0-9_./?=&%#-]*)?"
    rf"|(?<![{_IN_NAME}/.])(?:~|\.{{1,2}})?/(?:[A-Za-z0-9_.-]+/)+[A-Za-z0-9_.-]*"
)
_MATH = re.compile(
    r"\$\$[^$]+\$\$|\\\[(?:(?!\\[\[\]]).)+\\\]|\\\((?:(?!\\[()]).)+\\\)"
    r"|\\begin\{((?:equation|align|aligned|gather|multline|eqnarray|cases|array|[pbvBV]?matrix|verbatim|lstlisting)\*?)\}"
    r"(?:(?!\\begin\{\1\}).){0,3000}?\\end\{\1\}",
    re.DOTALL,
)
_DRAWING = re.compile(
    r"\[asy\](?:(?!\[asy\]).){0,20000}?\[/asy\]", re.DOTALL
)  # Asymptote, as problem collections have it
# As pandoc reads it: no blank inside the dollars, no digit behind the closing one, so that prices stay prose.
_DOLLARS = re.compile(r"\$(?<![\\$\w]\$)(?![\s$])((?:[^$\\\n]|\\.|\n(?!\s*\n))*?)(?<!\s)\$(?![\d$])")
_TEXT_COMMAND = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|emph|mbox|underline)\s?\{([^{}]*)\}")
_COMMAND = re.compile(
    r"\\[A-Za-z]+\*?(?:\s?\[[^\[\]\n]{0,80}\])?(?:\s?\{[^{}]*\})*(?:[_^](?:\{[^{}]*\}|[A-Za-z0-9]))*"
)

_NAME = re.compile(
    "|".join(
        [
            rf"((?:(?<![{_IN_NAME}=+*^<>|&~-])(?:{_WORDS})(?![{_IN_NAME}(\[=+*^<>|&~/-]|\.[A-Za-z])|[^{_IN_NAME}/]++)++)",
            rf"{_START}(?:[{_LATIN}]+[0-9_][{_IN_NAME}]*|_+[{_IN_NAME}]+|[0-9]+[{_LATIN}_][{_IN_NAME}]*)",  # x1, a_b, 5km
            rf"{_START}(?:[a-z]+|[A-Z][a-z]+)[A-Z][{_IN_NAME}]*",  # camelCase, PascalCase
            # f(x), but not apple(s); the arguments too, as long as they look like some
            rf"{_START}[A-Za-z][{_IN_NAME}]*(?:\.[A-Za-z][{_IN_NAME}]*){{0,8}}"
            rf"(?:\((?:(?<![{_LATIN}]{{3}}\()|(?!(?:s|es|e|n|en|in|innen|a|as|o|os|i|ies)\)))|\[)"
            r"(?:[A-Za-z0-9_.,'\"+*/=:%<> -]{0,80}[\])])?",
            rf"{_START}[a-z][a-z0-9]*(?:\.[a-z][a-z0-9]+)+{_END}",  # os.path
            rf"(?<=[=+*^<>|&~])[A-Za-z][{_IN_NAME}]*|{_START}[A-Za-z][{_IN_NAME}]*(?=[=+*^<>|&~])",  # A+B
            rf"(?<=[0-9)\]]-)[A-Za-z]{_END}|{_START}[A-Za-z](?=-[0-9(\[])",  # 2-x, x-2
            rf"(?<=[0-9)])/[A-Za-z]+|{_START}[A-Za-z](?=/)",  # 5/x, x/5
        ]
    )
)
_QUOTED_LETTER = re.compile(r"(['\"‘“])(?<!\w.)\w['\"’”](?!\w)")
_FUNCTIONS = [
    "sin",
    "cos",
    "tan",
    "cot",
    "sec",
    "csc",
    "log",
    "ln",
    "lg",
    "exp",
    "gcd",
    "lcm",
    "mod",
    "lim",
    "max",
    "min",
    "det",
    "arcsin",
    "arccos",
    "arctan",
]
_FUNCTION = re.compile(
    rf"(?:{'|'.join(f'{name}(?<![{_IN_NAME}]{name})' for name in _FUNCTIONS)}){_END}"
    rf"(?=\s?(?:[A-Za-zα-ω]{_END}|[0-9(]))"
)
_UNIT = re.compile(
    r"(?<=[0-9])\s?(?:mm|cm|dm|km|kg|mg|ml|dl|cl|Hz|kHz|MHz|GB|MB|KB|kB|kW|kWh|mph|km/h|m/s|m2|km2|cm2|cm3|m3|ft|lbs?|oz"
    rf"|°C|°F|[mgslhLVWKNJ]){_END}"
)

_LONGEST_CODE_LINE = 200
_CODE_LINE = re.compile(
    r"""[ \t]*(?:>>>|\.\.\.|\$)?[ \t]*(?:
        (?:async\s+)?def\s+\w+\s*\(.*
      | class\s+\w+\s*(?:\([^)]*\))?\s*[:{]
      | \#\s*include\b.* | using\s+namespace\s.*
      | for\s+\w+(?:\s*,\s*\w+)*\s+in\s+(?:\w+|.*[(\[.].*)\s*:.*
      | (?:for|while|if|else\s+if|switch|catch)\s*\(.*[{;)]
      | (?:while|if|elif|assert|with)\s.*(?:[<>=!]=|[<>()\[\]%]|\bnot\b|\bin\b|\bTrue\b|\bFalse\b).*:\s*(?:\#.*)?
      | (?:else|try|finally|except(?:\s+\w+)?(?:\s+as\s+\w+)?)\s*:
      | return(?:\s+(?:[\w.'"-]+|.*[()\[\]{}+*/%<>=_].*))?\s*;?
      | (?:let|const|var|int|float|double|char|bool|long|auto|void|public|private|static|final)\s+[\w<>\[\]*&]+.*[;{=)].*
      | (?:print|println|printf|console\.log|System\.out\.println|cout|echo)\s*(?:\(|<<).*
      | [A-Za-z_][\w.]*(?:\[[^\]]*\])*\s*(?:[-+*/%|&^]|//|\*\*|<<|>>)?=(?!.*\d\s+(?!if|else|for|and|or|in|is)[^\W\d_]{2})
        \s*[^=]*[\w)\]}"'](?:\s*;)?(?:\s*\#.*)?
      | [{\[].*[}\]][,;]?
      | File\s".*",\sline\s\d+.* | \w*(?:Error|Exception):.*
      | .*[=(){}\[\]<>].*[;{] | .*\{ | [}\])]+;?,?
    )[ \t]*""",
    re.VERBOSE,
)
_QUOTED = re.compile(r"([\"']).*?\1")
# Four plain words in a row, or as much in a script without blanks.
_SENTENCE = re.compile(r"(?:(?<!\S)[^\W\d_]{2,},?[ \t]+){3}|[぀-ヿ㐀-䶿一-鿿]{4}|[가-힣]{2,}[ \t]+[가-힣]{2,}")
_PLAIN_WORDS = re.compile(rf"(?:(?<!\S)[{_LATIN}]{{2,}},?\s+){{3}}")


# Two letters and more of a script in which neither code nor formulas are written are words wherever they stand.
_FOREIGN = re.compile(
    r"(?:(?![\u0370-\u03ff\u1f00-\u1fff\uff00-\uff65\U0001d400-\U0001d7ff])[^\W\d_\u0000-\u02af\u1e00-\u1eff]){2,}"
)


def _gap(found: re.Match[str]) -> str:
    """Leave a gap for a formula or code, and in it the words of another script: prose between dollars is prose."""
    if found[0].isascii():
        return GAP
    words = _FOREIGN.findall(found[0])
    return f"{GAP} {' '.join(words)} {GAP}" if words else GAP


def prose(text: str) -> str:
    r"""
    Take out of a text what a reader would not count as words.

    Args:
        text (`str`):
            Any text: markdown, LaTeX, code.

    Returns:
        `str`: the text with one `GAP` for each piece of code (fenced, between backticks, or a line that is nothing but
        code), formula (`$...$`, `\(...\)`, `\frac{1}{2}`), URL, e-mail address, file name, tag, name (`x1`,
        `snake_case`, `f(x)`, `A4+B7`) and unit behind a number.
    """
    if "`" in text or "~~~" in text:
        text = _FENCE.sub(_gap, text)
        if "```" in text:
            text = _INLINE_FENCE.sub(_gap, text)
        text = _INLINE_CODE.sub(_gap, text)
    if "$" in text or "\\" in text:
        text = _DOLLARS.sub(_unless_prices, _MATH.sub(_gap, text))
        for _ in range(4):  # as deep as braces are read
            if "\\" not in text:
                break
            text = _COMMAND.sub(_gap, _TEXT_COMMAND.sub(r" \1 ", text))
    if "[asy]" in text:
        text = _DRAWING.sub(_gap, text)
    if "<" in text:
        text = _TAG.sub(_gap, text)
    if "." in text or "/" in text or "@" in text:
        text = _ADDRESS.sub(lambda found: GAP if found[1] is None else found[1], text)
    text = "\n".join(_LINE.sub(_gap, line) if _is_code(line) else line for line in text.split("\n"))
    text = _FUNCTION.sub(GAP, _UNIT.sub(GAP, _QUOTED_LETTER.sub(GAP, text)))
    return _NAME.sub(lambda found: _gap(found) if found[1] is None else found[1], text)


def _unless_prices(found: re.Match[str]) -> str:
    """Dollars around several plain words are prices (`$5 for the bread and 3$`), not a formula."""
    return found.group() if "\\" not in found[1] and _PLAIN_WORDS.search(found[1]) else _gap(found)


_LINE = re.compile(r".+", re.DOTALL)
# Code whatever the words in it.
_SURELY_CODE = re.compile(
    r"[ \t]*(?:(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE TABLE)\s.*|\$ [a-z].*|from\s+[\w.]+\s+import\s.*"
    r"|import\s+[\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*\s*;?)"
)


def _is_code(line: str) -> bool:
    """Tell whether a line is nothing but code. One that holds a sentence is not (`for each box in the list:`)."""
    if len(line) > _LONGEST_CODE_LINE:
        return False
    if _SURELY_CODE.fullmatch(line):
        return True
    if not _CODE_LINE.fullmatch(line):
        return False
    code = line.split("#", 1)[0].split("//", 1)[0]
    return not _SENTENCE.search(_QUOTED.sub("", code))
