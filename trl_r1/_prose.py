r"""
What is left of a text when formulas, code and addresses are taken out: the part in which a reader would count words.

Every removed piece leaves one `GAP`, so that its neighbours still know that something stood there: the `a` of `a = 5`
is a variable, the `a` of `a pear` is a word. Pure, linear in the length of the text.
"""

import re


GAP = "\x00"

_FENCE = re.compile(
    r"(?:^|(?<=\n))[ \t]*(```+|~~~+)[^\n]*(?:\n.*?(?:\n[ \t]*\1[`~]*[ \t]*(?=\n|\Z)|\Z)|\Z)", re.DOTALL
)
_INLINE_FENCE = re.compile(r"```.*?(?:```|\Z)", re.DOTALL)
_INLINE_CODE = re.compile(r"(`{1,2})(?!`)[^`\n]+\1")
_TAG = re.compile(r"</?[A-Za-z][\w:-]*(?:\s+[\w:-]+\s*=\s*(?:\"[^\"<>]*\"|'[^'<>]*'|[^\s<>\"']+))*\s*/?>")
_ADDRESS = re.compile(
    r"\b(?:https?|ftp|file)://[^\s<>\"'，。）)]+|\bwww\.[^\s<>\"'，。）)]+|\b[\w.+-]+@[\w-]+(?:\.[\w-]+)+"
    r"|(?<![\w/])[\w-]+(?:\.[\w-]+)*\.(?:com|org|net|edu|gov|io|cn|de|fr|ru|jp|uk|py|js|ts|cpp|java|json|csv|txt|md|html"
    r"|ya?ml|pdf|png|jpg)\b(?:/[\w./?=&%#-]*)?|(?<![\w/.])(?:~|\.{1,2})?/(?:[\w.-]+/)+[\w.-]*"
)
_MATH = re.compile(
    r"\$\$.+?\$\$|\\\[.+?\\\]|\\\(.+?\\\)"
    r"|\\begin\{((?:equation|align|gather|multline|eqnarray|cases|array|[pbvBV]?matrix|verbatim|lstlisting)\*?)\}.*?"
    r"\\end\{\1\}",
    re.DOTALL,
)
# As pandoc reads it: no blank inside the dollars, no digit behind the closing one, so that prices stay prose.
_DOLLARS = re.compile(r"(?<![\\$\w])\$(?![\s$])((?:[^$\\\n]|\\.|\n(?!\s*\n))*?)(?<!\s)\$(?![\d$])")
_TEXT_COMMAND = re.compile(r"\\(?:text(?:bf|it|rm|sf|tt|normal)?|emph|mbox|underline)\s*\{([^{}]*)\}")
_COMMAND = re.compile(r"\\[A-Za-z]+\*?(?:\s?\[[^\[\]\n]*\])?(?:\s?\{[^{}]*\})*(?:[_^](?:\{[^{}]*\}|\w))*")
_LATIN = "A-Za-zÀ-ÖØ-öø-ɏ"
# Names: glued to digits, underscores, dots, operators or an opening bracket; camelCase.
_NAME = re.compile(
    rf"(?<!\w)(?:[{_LATIN}]\w*(?:[_\d]\w*)+|_+\w+|\d+[A-Za-z_]\w*)"  # x1, snake_case, __init__, 5km, 2x
    rf"|\b[a-z]+[A-Z]\w*|\b[A-Z][a-z]+[A-Z]\w*"  # camelCase, PascalCase
    rf"|\b[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*(?:\((?!(?:s|es|e|n|en|in|innen|a|as|o|os|i|ies|r|x)\))|\[)(?:[^()\[\]\n。]{{0,80}}[\])])?"
    rf"|\b[a-z_]\w*(?:\.[a-z_]\w+)+\b"  # os.path
    rf"|(?<=[=+*^<>|&~])[A-Za-z]\w*|\b[A-Za-z]\w*(?=[=+*^<>|&~])"
    rf"|(?<=[\d)\]]-)[A-Za-z]\b|\b[A-Za-z](?=-[\d(\[])|(?<=[\d)])/[A-Za-z]\w*|\b[A-Za-z](?=/)"
)
_SIN = re.compile(
    r"\b(?:sin|cos|tan|cot|sec|csc|log|ln|lg|exp|gcd|lcm|mod|lim|max|min|det|arc(?:sin|cos|tan))\b(?=\s*(?:[a-zA-Zα-ω]\b|\d|\())"
)
_UNIT = re.compile(
    r"(?<=\d)\s?(?:mm|cm|dm|km|kg|mg|ml|dl|cl|Hz|kHz|MHz|GB|MB|KB|kB|kW|kWh|mph|km/h|m/s|m2|km2|cm2|cm3|m3|ft|lb|lbs|oz|°C|°F|[mgslhLVWKNJ])\b"
)
_CODE_LINE = re.compile(
    r"""^[ \t]*(?:>>>|\.\.\.)?[ \t]*(?:
        (?:async\s+)?def\s+\w+\s*\(.*
      | class\s+\w+\s*(?:\([^)]*\))?\s*[:{]\s*
      | from\s+[\w.]+\s+import\s.*
      | import\s+[\w.]+(?:\s+as\s+\w+)?(?:\s*,\s*[\w.]+(?:\s+as\s+\w+)?)*\s*;?
      | \#\s*include\b.* | using\s+namespace\s.*
      | for\s+\w+(?:\s*,\s*\w+)*\s+in\s+(?:\w+|[^\n]*[(\[.][^\n]*)\s*:.*
      | (?:for|while|if|else\s+if|switch|catch)\s*\(.*[{;)]\s*
      | (?:while|if|elif|assert|with)\s+[^\n]*(?:[<>=!]=|[<>()\[\]%]|\bnot\b|\bin\b|\bTrue\b|\bFalse\b)[^\n]*:\s*(?:\#.*)?
      | (?:else|try|finally|except(?:\s+\w+)?(?:\s+as\s+\w+)?)\s*:\s*
      | return(?:\s+(?:[\w.'"-]+|[^\n]*[()\[\]{}+*/%<>=_][^\n]*))?\s*;?
      | (?:let|const|var|int|float|double|char|bool|long|auto|void|public|private|static|final)\s+[\w<>\[\]*&]+.*[;{=)].*
      | (?:print|println|printf|console\.log|System\.out\.println|cout|echo)\s*(?:\(|<<).*
      | [A-Za-z_][\w.]*(?:\[[^\]\n]*\])*\s*(?:[-+*/%|&^]|//|\*\*|<<|>>)?=\s*[^=\n]*[\w)\]}"'](?:\s*;)?(?:\s*\#.*)?
      | [^\n]*[;{]\s* | [ \t]*[}\])]+;?,?\s*
    )$""",
    re.MULTILINE | re.VERBOSE,
)
_PLAIN_WORDS = re.compile(rf"(?:(?<!\S)[{_LATIN}]{{2,}},?[ \t]+){{3}}")


def prose(text: str) -> str:
    r"""
    Take out of a text what a reader would not count as words.

    Args:
        text (`str`):
            Any text: markdown, LaTeX, code.

    Returns:
        `str`: the text with one `GAP` for each fenced or indented piece of code, formula (`$...$`, `\(...\)`,
        `\frac{1}{2}`), URL, e-mail address, file name, tag, name (`x1`, `snake_case`, `f(x)`, `A4+B7`) and unit behind
        a number.
    """
    if "`" in text or "~~~" in text:
        text = _FENCE.sub(GAP, text)
        if "```" in text:
            text = _INLINE_FENCE.sub(GAP, text)
        text = _INLINE_CODE.sub(GAP, text)
    if "$" in text or "\\" in text:
        text = _MATH.sub(GAP, text)
        text = _DOLLARS.sub(GAP, text)
        for _ in range(4):
            if "\\" not in text:
                break
            text = _COMMAND.sub(GAP, _TEXT_COMMAND.sub(r" \1 ", text))
    if "<" in text:
        text = _TAG.sub(GAP, text)
    if "." in text or "/" in text or "@" in text:
        text = _ADDRESS.sub(GAP, text)
    text = _CODE_LINE.sub(_unless_sentence, text)
    text = _UNIT.sub(GAP, text)
    text = _SIN.sub(GAP, text)
    return _NAME.sub(GAP, text)


def _unless_sentence(line: re.Match) -> str:
    """A line that looks like code but holds four plain words in a row is a sentence (`for each box in the list:`)."""
    piece = line.group()
    code = piece.split("#", 1)[0].split("//", 1)[0]
    return piece if _PLAIN_WORDS.search(re.sub(r"([\"']).*?\1", "", code)) else GAP
