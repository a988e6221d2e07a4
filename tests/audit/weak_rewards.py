"""Rewards as one finds them, each of which some exploit fools. For tests of the audit."""

import re


def text_of(completion) -> str:
    return completion if isinstance(completion, str) else completion[0]["content"]


def last_number(completions, solution, **columns):
    """The last number anywhere is the answer."""
    return [float(re.findall(r"\d+", f"0 {text_of(c)}")[-1] == s) for c, s in zip(completions, solution)]


def substring(completions, solution, **columns):
    """The gold occurs somewhere."""
    return [float(s in text_of(c)) for c, s in zip(completions, solution)]


def loose_format(completions, **columns):
    """Tags are somewhere in the text."""
    return [float(bool(re.search(r"<think>.*</think>", text_of(c), re.DOTALL))) for c in completions]


def reflection(completions, **columns):
    """Each word of reflection pays."""
    return [float(len(re.findall(r"\b(?:wait|check)\b", text_of(c), re.IGNORECASE))) for c in completions]


def steps(completions, **columns):
    """open-r1's reasoning_steps_reward, by its pattern."""
    pattern = r"(Step \d+:|^\d+\.|\n-|\n\*|First,|Second,|Next,|Finally,)"
    return [min(1.0, len(re.findall(pattern, text_of(c))) / 3) for c in completions]


def latin_letters(completions, language, **columns):
    """Latin letters are English, wherever they stand."""
    shares = []
    for completion, target in zip(completions, language):
        letters = [letter for letter in text_of(completion) if letter.isalpha()]
        share = sum(letter.isascii() for letter in letters) / max(1, len(letters))
        shares.append(share if target == "en" else 1 - share)
    return shares


def fragile(completions, solution, **columns):
    """Raises where there is no box."""
    return [float(re.search(r"\\boxed\{(.*)\}", text_of(c))[1] == s) for c, s in zip(completions, solution)]


def knows_nothing(completions, **columns):
    return [0.5] * len(completions)
